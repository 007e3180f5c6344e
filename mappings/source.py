"""YAML or JSON text → plain values, with the line and column of every part of them.

YAML is read by the rules of YAML 1.2's core schema: only `true` and `false` are booleans (`no` is text), dates are
text. Aliases are followed, within bounds; duplicate keys are errors; no tag makes an object of anything.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from mappings.errors import MappingError, Problem
from mappings.places import Location

__all__ = ["Source", "parse_json", "parse_yaml"]

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 200
#: Values a file may hold, aliases counted each time they are used.
MAX_VALUES: Final = 100_000

Position = tuple[int, int]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Source:
    """What a file says, where it says it, and what is wrong with how it says it."""

    file: str
    value: Any = None
    positions: dict[Location, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def locate(self, location: Location) -> Position | None:
        """The 1-based line and column of a part, or of the nearest part around it."""
        while location and location not in self.positions:
            location = location[:-1]
        return self.positions.get(location)

    def problem(self, location: Location, message: str, suggestion: str | None = None) -> Problem:
        """A problem with one part of the file."""
        line, column = self.locate(location) or (None, None)
        path = f"/{'/'.join(map(str, location))}"
        return Problem(path, message, line, column, self.file, suggestion)

    def place(self, location: Location, position: Position) -> None:
        """Note where a key stands, and a problem when it stands there for the second time."""
        first = self.positions.setdefault(location, position)
        if first != position:
            path = f"/{'/'.join(map(str, location))}"
            message = f"stands twice; the first is in line {first[0]}."
            self.problems.append(Problem(path, message, *position, self.file))

    def broken(self, message: str, position: Position | None, suggestion: str | None = None) -> MappingError:
        """The file cannot be read at all."""
        line, column = position or (None, None)
        return MappingError([Problem("", message, line, column, self.file, suggestion)])


def parse_json(text: str, file: str) -> Source:
    """Read JSON.

    Raises:
        MappingError: It is not JSON.
    """
    source = Source(file)
    try:
        source.value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise source.broken(f"This is not JSON: {error.msg}.", (error.lineno, error.colno)) from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise source.broken(f"This is not JSON: {reason}.", None) from None
    _locate_json(text, source)
    return source


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def _locate_json(text: str, source: Source) -> None:
    """Fill in the positions of a text that is known to be JSON."""
    starts = [0, *(found.end() for found in re.finditer(r"\n", text))]
    # The open lists and objects: where each is, and the index or key that its next value has.
    stack: list[tuple[Location, int | str | None]] = []
    awaits_key = False
    for found in _JSON_TOKEN.finditer(text):
        line = bisect_right(starts, found.start())
        position = (line, found.start() - starts[line - 1] + 1)
        match found[0]:
            case "}" | "]":
                stack.pop()
            case ",":
                location, key = stack[-1]
                awaits_key = not isinstance(key, int)
                stack[-1] = (location, key + 1 if isinstance(key, int) else None)
            case ":":
                awaits_key = False
            case spelled if awaits_key:
                location = stack[-1][0]
                stack[-1] = (location, json.loads(spelled))
                source.place((*location, json.loads(spelled)), position)
            case spelled:
                outer, key = stack[-1] if stack else ((), None)
                location = (*outer, key) if key is not None else outer
                source.positions.setdefault(location, position)
                if spelled in ("{", "["):
                    stack.append((location, 0 if spelled == "[" else None))
                awaits_key = spelled == "{"


def parse_yaml(text: str, file: str) -> Source:
    """Read YAML (or JSON, which is nearly all YAML).

    Raises:
        MappingError: It is not YAML, or it holds more than a mapping file may.
    """
    source = Source(file)
    reader = _YamlReader(source)
    try:
        events = yaml.parse(text, Loader=_Loader)
        source.value = reader.document(events)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else None
        reason = str(error.problem or error.context)
        raise source.broken(f"This is not YAML: {reason}.", position, _cure(text, position, reason)) from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise source.broken(f"This is not YAML: {str(error).splitlines()[0]}.", None) from None
    return source


def _cure(text: str, position: Position | None, reason: str) -> str | None:
    """What is mostly meant where YAML cannot be read: text that needs quotes."""
    if position is None:
        return None
    line, column = ([*text.splitlines(), ""])[position[0] - 1], position[1] - 1
    if line[column : column + 1] == "@":
        return 'Put quotes around what starts with @, such as "@path".'
    if line[column : column + 1] == "\t":
        return "Indent with spaces, not tabs."
    if reason.startswith("mapping values"):
        return "Put quotes around text with a colon in it."
    if line[:column].endswith(('"', "'")):
        return "Put the other kind of quotes around text that has quotes in it."
    return None


# YAML 1.2 core schema, https://yaml.org/spec/1.2.2/#103-core-schema
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)


class _YamlReader:
    """Builds values from parser events: no recursion into libyaml, every bound in one place."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.values = 0
        self.events: Iterator[Any] = iter(())

    def document(self, events: Iterator[Any]) -> Any:
        self.events = events
        value = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.source.broken("The file should hold one YAML document.", _position(event))
                value = self.node(next(events), (), 0)
        return value

    def node(self, event: Any, location: Location, depth: int) -> Any:
        self.source.positions.setdefault(location, _position(event))
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        self.count(1, event)
        if depth > MAX_DEPTH:
            raise self.source.broken(f"This is nested more than {MAX_DEPTH} levels deep.", _position(event))
        before = self.values
        if isinstance(event, yaml.ScalarEvent):
            value: Any = self.scalar(event)
            if isinstance(value, int) and event.value.lstrip("-") != str(abs(value)) and not isinstance(value, bool):
                message = f"is read as the number {value}."
                cure = "Put quotes around it to keep it as it is written."
                self.source.warnings.append(self.source.problem(location, message, cure))
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self.sequence(location, depth)
        else:
            value = self.mapping(location, depth)
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TAGS:
            self.source.problems.append(self.source.problem(location, f"has the tag {tag}, which means nothing here."))
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.values - before + 1)
        return value

    def count(self, values: int, event: Any) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            raise self.source.broken(f"The file holds more than {MAX_VALUES} values.", _position(event))

    def alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise self.source.broken(f"*{event.anchor} refers to an anchor that is not complete.", _position(event))
        value, size = self.anchors[event.anchor]
        self.count(size, event)
        return value

    def sequence(self, location: Location, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*location, len(items)), depth + 1))
        return items

    def mapping(self, location: Location, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                braces = isinstance(event, yaml.MappingStartEvent) and event.flow_style
                cure = "Put quotes around text with {{ }} in it." if braces else None
                raise self.source.broken("A key should be plain text.", _position(event), cure)
            key = event.value
            here = (*location, key)
            if key == "<<" and event.implicit[0]:
                merged = self.merge(here, depth)
                continue
            self.source.place(here, _position(event))
            members[key] = self.node(next(self.events), here, depth + 1)
        return merged | members

    def merge(self, location: Location, depth: int) -> dict[str, Any]:
        """`<<: *anchor` or `<<: [*one, *two]`; the first of a list wins."""
        value = self.node(next(self.events), location, depth + 1)
        merged: dict[str, Any] = {}
        for part in reversed(value if isinstance(value, list) else [value]):
            if not isinstance(part, dict):
                self.source.problems.append(self.source.problem(location, "should be an object, or a list of objects."))
                return {}
            merged |= part
        return merged

    def scalar(self, event: Any) -> Any:
        word = event.value
        if event.tag is not None:
            return _plain(word) if event.tag in _TAGS and not event.tag.endswith(":str") else word
        return word if not event.implicit[0] else _plain(word)


def _plain(word: str) -> Any:
    if _NULL.fullmatch(word):
        return None
    if _BOOLEAN.fullmatch(word):
        return word.lower() == "true"
    if _INTEGER.fullmatch(word):
        return int(word)
    return float(word) if _FLOAT.fullmatch(word) else word


#: Tags that may be written: they say what a value is anyway, or that it is text.
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


def _position(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1
