"""A mapping file: `load` reads it, checks all of it and compiles it.

::

    mappings:
      - name: order-shipped-sms
        action: send_sms
        trigger: type = "track" and event = "Order Shipped"
        mapping:
          phone: {"@path": $.properties.phone}
          message: {"@template": "Hi {{properties.firstName}}, your order is on its way."}
        enabled: true
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mappings.compiled import CompiledMapping, compile_mapping
from mappings.compiler import is_directive
from mappings.directives import ROOT_DIRECTIVE
from mappings.errors import MappingError, Problem, TriggerError, nearest
from mappings.places import Location, Origin
from mappings.source import MAX_BYTES, Source, parse_json, parse_yaml
from mappings.triggers import CompiledTrigger, compile_trigger
from mappings.values import type_name

__all__ = ["Mapping", "MappingFile", "load", "parse", "presets", "read_text"]

FieldSpecs = MappingOf[str, MappingOf[str, MappingOf[str, Any]]]

#: The name becomes part of the id of every delivery.
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_KEYS: Final = ("name", "action", "trigger", "mapping", "enabled", "description")
_REQUIRED: Final = ("name", "action", "trigger", "mapping")
#: Keys that Segment's own tools put into a mapping; they name no field of an action.
INTERNAL_PREFIX: Final = "__segment_internal_"


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping of a file.

    Attributes:
        name: Unique in its file; part of the id of every delivery it makes.
        action: Name of the action it feeds.
        trigger: Which events it is for.
        mapping: How the fields of the action are made from an event.
        enabled: Whether it takes part at all.
        version: Short hash of action, trigger and mapping: changes when and only when one of them does.
        description: For people.
    """

    name: str
    action: str
    trigger: CompiledTrigger
    mapping: CompiledMapping
    enabled: bool
    version: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A whole mapping file, checked.

    Attributes:
        name: Name of the preset, or the path as it was given.
        mappings: In the order of the file.
        warnings: What works but is hardly meant.
    """

    name: str
    mappings: tuple[Mapping, ...]
    warnings: tuple[Problem, ...] = field(default=())


def presets() -> tuple[str, ...]:
    """Names of the mapping files that come with the package."""
    folder = resources.files("mappings") / "presets"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load(file: str | Path, actions: FieldSpecs | None = None) -> MappingFile:
    """Read and check a mapping file.

    Args:
        file: Name of a preset, or path of a YAML or JSON file.
        actions: Action name → field definitions; when given, the actions and fields that mappings name are checked too.

    Raises:
        MappingError: With every problem of the file, each with its line and column.
    """
    return parse(read_text(file), str(file), actions)


def read_text(file: str | Path) -> str:
    """The text of a mapping file or preset.

    Raises:
        MappingError: It cannot be read.
    """
    name = str(file)
    if isinstance(file, str) and file in presets():
        return (resources.files("mappings") / "presets" / f"{file}.yaml").read_text("utf-8")
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        meant = nearest(name, presets()) if "/" not in name else None
        hint = f"Did you mean the preset {meant}?" if meant else f"Presets are {', '.join(presets())}."
        reason = error.strerror or type(error).__name__
        raise MappingError([Problem("", f"The file cannot be read: {reason}.", file=name, suggestion=hint)]) from None
    if len(data) > MAX_BYTES:
        raise MappingError([Problem("", f"The file is larger than {MAX_BYTES} bytes.", file=name)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MappingError([Problem("", "The file is not UTF-8 text.", line=line, file=name)]) from None


def parse(text: str, name: str, actions: FieldSpecs | None = None) -> MappingFile:
    """Check and compile the text of a mapping file; `name` is what problems call it, `.json` at its end means JSON.

    Raises:
        MappingError: With every problem of the text.
    """
    source = (parse_json if name.lower().endswith(".json") else parse_yaml)(text, name)
    try:
        json.dumps(source.value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise source.broken("The file holds half of a character: a surrogate without its other half.", None) from None
    reader = _Reader(source, actions)
    mappings = reader.file()
    if reader.problems:
        raise MappingError(sorted(reader.problems, key=lambda problem: (problem.line or 0, problem.column or 0)))
    return MappingFile(name, mappings, tuple(reader.warnings))


class _Reader:
    """Reads the values of a file; every method notes its problems and goes on."""

    def __init__(self, source: Source, actions: FieldSpecs | None) -> None:
        self.source = source
        self.actions = actions
        self.problems: list[Problem] = list(source.problems)
        self.warnings: list[Problem] = list(source.warnings)

    def problem(self, location: Location, message: str, suggestion: str | None = None) -> None:
        self.problems.append(self.source.problem(location, message, suggestion))

    def file(self) -> tuple[Mapping, ...]:
        document = self.source.value
        if not isinstance(document, dict):
            self.problem((), f"should be an object with the key 'mappings', but it is {type_name(document)}.")
            return ()
        for key in document:
            if key != "mappings":
                meant = nearest(key, ["mappings"])
                self.problem((key,), "is not a key of a mapping file.", f"Did you mean {meant}?" if meant else None)
        if "mappings" not in document:
            self.problem((), "should have the key 'mappings', but it does not.")
            return ()
        entries = document["mappings"]
        if not isinstance(entries, list):
            self.problem(("mappings",), f"should be a list of mappings, but it is {type_name(entries)}.")
            return ()
        made = [self.entry(entry, ("mappings", index)) for index, entry in enumerate(entries)]
        self.unique_names(entries)
        return tuple(mapping for mapping in made if mapping is not None)

    def unique_names(self, entries: list[Any]) -> None:
        seen: dict[str, int] = {}
        for index, entry in enumerate(entries):
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str):
                continue
            if name in seen:
                line, _ = self.source.locate(("mappings", seen[name], "name")) or (None, None)
                self.problem(("mappings", index, "name"), f"is the name of another mapping too, in line {line}.")
            seen.setdefault(name, index)

    def entry(self, entry: Any, here: Location) -> Mapping | None:
        if not isinstance(entry, dict):
            self.problem(here, f"should be an object with {', '.join(_REQUIRED)}, but it is {type_name(entry)}.")
            return None
        before = len(self.problems)
        for key in entry:
            if key not in _KEYS:
                meant = nearest(key, _KEYS)
                hint = f"Did you mean {meant!r}?" if meant else f"Keys are {', '.join(_KEYS)}."
                self.problem((*here, key), "is not a key of a mapping.", hint)
        for key in _REQUIRED:
            if key not in entry:
                self.problem(here, f"should have the key {key!r}, but it does not.")
        name, description = self.name(entry, here), self.text(entry, "description", here)
        action, trigger = self.action(entry, here), self.trigger(entry, here)
        mapping, enabled = self.mapping(entry, here), entry.get("enabled", True)
        if not isinstance(enabled, bool):
            self.problem((*here, "enabled"), f"should be true or false, but it is {type_name(enabled)}.")
        if len(self.problems) > before or name is None or action is None or trigger is None or mapping is None:
            return None
        version = _version(action, trigger.text, entry["mapping"])
        return Mapping(name, action, trigger, mapping, bool(enabled), version, description or "")

    def text(self, entry: dict[str, Any], key: str, here: Location) -> str | None:
        value = entry.get(key)
        if key in entry and not isinstance(value, str):
            self.problem((*here, key), f"should be text, but it is {type_name(value)}.")
            return None
        return value

    def name(self, entry: dict[str, Any], here: Location) -> str | None:
        name = self.text(entry, "name", here)
        if name is not None and not NAME.fullmatch(name):
            self.problem((*here, "name"), "should be 1 to 64 letters, digits, hyphens and underscores.")
            return None
        return name

    def action(self, entry: dict[str, Any], here: Location) -> str | None:
        action = self.text(entry, "action", here)
        if action is not None and self.actions is not None and action not in self.actions:
            meant = nearest(action, self.actions)
            hint = f"Did you mean {meant}?" if meant else f"Actions are {', '.join(self.actions)}."
            self.problem((*here, "action"), f"is {action!r}, and there is no such action.", hint)
        return action

    def trigger(self, entry: dict[str, Any], here: Location) -> CompiledTrigger | None:
        text = self.text(entry, "trigger", here)
        if text is None:
            return None
        try:
            return compile_trigger(text)
        except TriggerError as error:
            where = f"(character {error.position + 1})"
            self.problem((*here, "trigger"), f"{where}: {error.reason}", error.suggestion)
            return None

    def mapping(self, entry: dict[str, Any], here: Location) -> CompiledMapping | None:
        if "mapping" not in entry:
            return None
        base = (*here, "mapping")
        origin = Origin(self.source.file, self.source.locate, base)
        self.fields(entry["mapping"], entry.get("action"), base)
        try:
            compiled = compile_mapping(entry["mapping"], origin=origin)
        except MappingError as error:
            self.problems += error.problems
            return None
        self.warnings += compiled.warnings
        return compiled

    def fields(self, mapping: Any, action: Any, base: Location) -> None:
        """Check the keys of a mapping against the fields of its action."""
        if self.actions is None or action not in self.actions or not isinstance(mapping, dict) or is_directive(mapping):
            return
        known = self.actions[action]
        names = [key for key in mapping if not key.startswith(INTERNAL_PREFIX)]
        for key in names:
            if key not in known:
                meant = nearest(key, known)
                hint = f"Did you mean {meant}?" if meant else f"Fields are {', '.join(known)}."
                self.problem((*base, key), f"is not a field of {action}.", hint)
        if ROOT_DIRECTIVE not in mapping:
            for key, spec in known.items():
                if spec.get("required") is True and key not in mapping:
                    self.problem(base, f"should fill the field {key!r}, which {action} requires.")


def _version(action: str, trigger: str, mapping: Any) -> str:
    canonical = json.dumps([action, trigger, mapping], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:12]
