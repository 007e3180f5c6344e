"""Reading a YAML file so that every value still knows where it stands, and filling in environment variables.

Scalars are read as YAML 1.2 reads them: `no` is text, not false, and `0091` and `+91` are text, not numbers.
Aliases are followed, but a file cannot grow by them without bound; duplicate keys are errors.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from worker.configuration.errors import ConfigurationError, Problem

__all__ = ["Key", "Source", "read_source", "show_key"]

#: The place of a value: ``("destinations", 1, "lanes", "sms", "rate")``.
Key = tuple[str | int, ...]

#: Bytes a file may have, and values it may hold once its aliases are followed.
MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
_VARIABLE = re.compile(r"\$\$|\$\{([^}]*)\}|\$\{")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class Unusable:
    """Stands for a value that could not be read and has been reported."""


@dataclass(slots=True)
class Source:
    """A file's content, and where each part of it stands.

    Attributes:
        name: The file as the user named it.
        path: The file; None when the content does not come from one.
        data: The content, variables filled in.
        keys: Where the key of each value stands (line, column; counted from 1).
        values: Where each value stands.
        variables: The environment variables a value was made of, by its place.
        problems: What was wrong already: duplicate keys, missing variables.
        broken: The places of these.
    """

    name: str
    path: Path | None = None
    data: Any = None
    keys: dict[Key, tuple[int, int]] = field(default_factory=dict)
    values: dict[Key, tuple[int, int]] = field(default_factory=dict)
    variables: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[Key] = field(default_factory=set)

    def problem(self, key: Key, message: str, suggestion: str | None = None, *, at_key: bool = False) -> Problem:
        """Describe a problem with a value, at the nearest place that is known.

        Args:
            key: The value's place.
            message: What is wrong.
            suggestion: What to do.
            at_key: Point at the key instead of the value.
        """
        line, column = self._locate(key, at_key=at_key)
        return Problem(message, show_key(key), self.name, line, column, suggestion)

    def _locate(self, key: Key, *, at_key: bool) -> tuple[int | None, int | None]:
        if at_key and key in self.keys:
            return self.keys[key]
        for length in range(len(key), -1, -1):
            if key[:length] in self.values:
                return self.values[key[:length]]
        return None, None


def show_key(key: Key) -> str:
    """Write a place for people: ``destinations[1].lanes.sms.rate``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part[:40]!r}]"
    return text


def read_source(path: Path, environ: Mapping[str, str]) -> Source:
    """Read a YAML file.

    Args:
        path: The file.
        environ: The environment variables that ``${NAME}`` stands for.

    Raises:
        ConfigurationError: The file cannot be read at all. What is wrong inside is in `Source.problems`.
    """
    source = Source(str(path), path)
    text = _read_text(path)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigurationError(
            [Problem(f"this is not YAML: {said}", file=source.name, line=line, column=column)]
        ) from None
    except yaml.YAMLError:
        raise ConfigurationError(
            [Problem("this is not YAML: it holds characters that YAML does not allow", file=source.name)]
        ) from None
    except RecursionError:
        raise ConfigurationError([Problem("the file is nested too deeply", file=source.name)]) from None
    if root is None:
        raise ConfigurationError(
            [Problem("the file is empty", file=source.name, suggestion="It starts with: destinations:")]
        )
    source.data = _Reader(source, environ).read(root)
    return source


def _read_text(path: Path) -> str:
    def error(message: str, suggestion: str | None = None, line: int | None = None) -> ConfigurationError:
        return ConfigurationError([Problem(message, file=str(path), line=line, suggestion=suggestion)])

    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error("there is no such file", "Check the path, and DESTINATIONS_FILE") from None
    except IsADirectoryError:
        raise error("this is a directory", "Name a YAML file in it") from None
    except PermissionError:
        raise error("this user may not read the file") from None
    except (OSError, ValueError) as reason:
        raise error(f"the file cannot be read: {getattr(reason, 'strerror', None) or 'invalid path'}") from None
    if len(content) > MAX_BYTES:
        raise error(f"the file is larger than {MAX_BYTES // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        line = content.count(b"\n", 0, reason.start) + 1
        raise error("the file is not valid UTF-8", "Save it as UTF-8", line) from None


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars as YAML 1.2 does, and leaves what is ambiguous as text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?(?:0|[1-9][0-9]{0,29})", list("-0123456789")),
    ("float", r"-?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?", list("-.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _Reader:
    """Turns YAML nodes into plain data and notes where each value stands."""

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self.source = source
        self.environ = environ
        self.count = 0
        self.open: set[int] = set()

    def read(self, node: yaml.Node, key: Key = ()) -> Any:
        self.source.values.setdefault(key, _place(node))
        self.count += 1
        if self.count > MAX_VALUES or id(node) in self.open:
            what = "an alias that contains itself" if id(node) in self.open else f"more than {MAX_VALUES} values"
            raise ConfigurationError([self.source.problem(key, f"the file holds {what}", "Write it without aliases")])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return dict(self._pairs(node, key))
            return [self.read(item, (*key, number)) for number, item in enumerate(node.value)]
        finally:
            self.open.discard(id(node))

    def _pairs(self, node: yaml.MappingNode, key: Key) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self._report((*key, "?"), "a key must be text", node=name_node)
                continue
            name = str(name_node.value)
            place = (*key, name)
            if name in seen:
                self._report(
                    place,
                    f"this key stands here twice, first in line {seen[name]}",
                    "Keep one of them",
                    node=name_node,
                )
                continue
            seen[name] = _place(name_node)[0]
            self.source.keys[place] = _place(name_node)
            yield name, self.read(value_node, place)

    def _scalar(self, node: yaml.ScalarNode, key: Key) -> Any:
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return node.value.lower() == "true"
            case "int":
                return int(node.value)
            case "float":
                return float(node.value)
            case "str":
                return self._fill_in(node.value, key)
            case _:
                return self._report(key, "YAML tags are not used here", "Remove the tag", node=node)

    def _fill_in(self, text: str, key: Key) -> Any:
        """Replace ``${NAME}``; ``$$`` stands for a single ``$``."""
        if "$" not in text:
            return text
        used: list[str] = []
        failed = False

        def value(match: re.Match[str]) -> str:
            nonlocal failed
            if match[0] == "$$":
                return "$"
            name = (match[1] or "").strip()
            if not _VARIABLE_NAME.fullmatch(name):
                failed = True
                self._report(key, "this is not a variable", "Write ${NAME}, or $$ for a dollar sign")
                return ""
            used.append(name)
            if not self.environ.get(name):
                failed = True
                state = "empty" if name in self.environ else "not set"
                self._report(key, f"the environment variable {name} is {state}", f"Set {name} and try again")
                return ""
            return self.environ[name]

        filled = _VARIABLE.sub(value, text)
        if used:
            self.source.variables[key] = tuple(used)
        return Unusable() if failed else filled

    def _report(
        self, key: Key, message: str, suggestion: str | None = None, *, node: yaml.Node | None = None
    ) -> Unusable:
        line, column = _place(node) if node is not None else self.source.values[key]
        self.source.problems.append(Problem(message, show_key(key), self.source.name, line, column, suggestion))
        self.source.broken.add(key)
        return Unusable()


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
