"""Turns a mapping (raw values and directives, nested) into one function, and collects everything that is wrong with it.

The compiler walks the mapping once, when it is loaded. Nothing of the mapping is looked at again per event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mappings.errors import Problem, nearest
from mappings.paths import Getter, compile_keys, explain_keys, parse_path, step
from mappings.places import Origin, Place, Read
from mappings.values import MISSING, type_name, utf16_length

__all__ = ["Builder", "Compiler", "Kind", "Option", "Resolver", "is_directive", "is_path"]

Resolver = Callable[[Any], Any]
Builder = Callable[["Compiler", Any, "Place"], Resolver]
Kind = Literal[
    "any", "text", "text or nothing", "text or directive", "object or directive", "boolean", "list", "list of objects"
]

#: Deeper mappings are refused: they could not be resolved within Python's recursion limit.
MAX_DEPTH: Final = 200

_PLACEHOLDER: Final = re.compile(r"\{\{[^{}]+\}\}")
_PATH: Final = re.compile(r"\$\.[\w.\[\]'\"-]+")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a directive: what it may be, and whether it must be there.

    Attributes:
        name: Its key.
        kind: Its type.
        required: Whether it must be there.
        words: The only text it may be; empty for any.
        any_case: Whether those words may be written in capitals.
        lengths: The least and the most UTF-16 units its text may have.
    """

    name: str
    kind: Kind = "any"
    required: bool = False
    words: tuple[str, ...] = ()
    any_case: bool = False
    lengths: tuple[int, int | None] = (0, None)


@dataclass(slots=True)
class Compiler:
    """One compilation: the directives known, and what has been found so far."""

    directives: Mapping[str, Builder]
    origin: Origin = field(default_factory=Origin)
    observer: Callable[[Read], None] | None = None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    #: How many places of the mapping look into the event.
    reads: int = 0
    #: A list of the result may hold MISSING and needs a last pass.
    holes: bool = False
    scope: str = "$"

    def problem(self, place: Place, message: str, suggestion: str | None = None) -> Resolver:
        """Note a problem; the resolver given back never runs."""
        self.problems.append(self.origin.problem(place, message, suggestion))
        return _missing

    def warning(self, place: Place, message: str, suggestion: str | None = None) -> None:
        """Note something that works but is hardly meant."""
        self.warnings.append(self.origin.problem(place, message, suggestion))

    def value(self, mapping: Any, place: Place) -> Resolver:
        """Compile a raw value or a directive."""
        if len(place.location) > MAX_DEPTH:
            return self.problem(place, f"is nested more than {MAX_DEPTH} levels deep.")
        if isinstance(mapping, dict):
            return (self._directive if is_directive(mapping) else self._object)(mapping, place)
        if isinstance(mapping, list | tuple):
            return self._list(list(mapping), place)
        if isinstance(mapping, str):
            self._warn_of_text(mapping, place)
        if mapping is None or isinstance(mapping, str | int | float):
            return constant(mapping)
        return self.problem(place, f"should be a directive or a JSON value, but it is {type_name(mapping)}.")

    def _directive(self, mapping: dict[str, Any], place: Place) -> Resolver:
        keys = [key for key in mapping if key != "_metadata"]
        if len(keys) > 1:
            return self.problem(
                place,
                f"should have one directive and nothing beside it, but it has {len(keys)} keys:"
                f" {', '.join(map(str, keys))}.",
            )
        name = keys[0]
        build = self.directives.get(name)
        if build is None:
            known = nearest(name, self.directives)
            return self.problem(
                place,
                f"has an unknown directive: {name}.",
                f"Did you mean {known}?" if known else f"Directives are {', '.join(self.directives)}.",
            )
        return build(self, mapping[name], place.at(name))

    def _warn_of_text(self, words: str, place: Place) -> None:
        """Note text that stays as it is and is hardly meant to."""
        if _PLACEHOLDER.search(words):
            self.warning(place, "is plain text: its {{ }} stay as they are.", 'Write {"@template": "…"}.')
        elif is_path(words):
            self.warning(place, "is plain text, not a path.", f'Write {{"@path": "{words}"}}.')

    def _object(self, mapping: dict[str, Any], place: Place) -> Resolver:
        members = [(str(key), self.value(member, place.at(str(key)))) for key, member in mapping.items()]
        if self.observer is None:
            pairs = {str(key): _two_keys(member) for key, member in mapping.items()}
            if any(pairs.values()):
                return _object_of_paths([(key, member, pairs[key]) for key, member in members])

        def resolve(payload: Any) -> dict[str, Any]:
            result = {}
            for key, member in members:
                value = member(payload)
                if value is not MISSING:
                    result[key] = value
            return result

        return resolve

    def _list(self, mapping: list[Any], place: Place) -> Resolver:
        items = [self.value(item, place.at(index)) for index, item in enumerate(mapping)]
        self.holes = self.holes or any(isinstance(item, dict) for item in mapping)

        def resolve(payload: Any) -> list[Any]:
            return [item(payload) for item in items]

        return resolve

    def options(self, options: Any, place: Place, *known: Option) -> dict[str, Any] | None:
        """The options of a directive, checked; None when they are not usable (the problems are noted).

        Every option is checked before giving up, so that all mistakes show at once.
        """
        if not isinstance(options, dict) or is_directive(options):
            kind = "a directive" if isinstance(options, dict) else type_name(options)
            self.problem(place, f"should be an object of options, but it is {kind}.")
            return None
        before = len(self.problems)
        names = [option.name for option in known]
        for key, value in options.items():
            if key not in names:
                self._unknown_option(str(key), value, place, names)
        for option in known:
            if option.name in options:
                here = place.at(option.name)
                if self.check(options[option.name], option.kind, here) and isinstance(options[option.name], str):
                    self._text(options[option.name], option, here)
            elif option.required:
                self.problem(place, f"should have the option {option.name!r}, but it does not.")
        if len(self.problems) == before:
            return options
        for name in names:
            # The directive is lost; what stands inside it is looked at nevertheless.
            if isinstance(options.get(name), dict | list):
                self.value(options[name], place.at(name))
        return None

    def _text(self, value: str, option: Option, place: Place) -> None:
        """Note what is wrong with the text of an option."""
        least, most = option.lengths
        if option.words and (value.lower() if option.any_case else value) not in option.words:
            self.problem(place, f"should be {' or '.join(map(repr, option.words))}, but it is other text.")
        elif len(value) < least:
            self.problem(place, f"should be at least {least} character long, but it is empty.")
        elif most is not None and utf16_length(value) > most:
            self.problem(place, f"should be at most {most} characters long, but it is longer.")

    def _unknown_option(self, name: str, value: Any, place: Place, known: list[str]) -> None:
        if name == "_metadata":
            return
        meant = nearest(name, known)
        here = place.at(name)
        if meant:
            self.problem(here, "is not an option of this directive.", f"Did you mean {meant!r}?")
        else:
            self.warning(here, f"is not an option of this directive and is ignored. Options are {', '.join(known)}.")
        self.value(value, here)

    def check(self, value: Any, kind: Kind, place: Place) -> bool:
        """Whether an option is of its kind; notes a problem when it is not."""
        directive = isinstance(value, dict) and is_directive(value)
        accepted = {
            "any": True,
            "text": isinstance(value, str),
            "text or nothing": value is None or isinstance(value, str),
            "text or directive": directive or isinstance(value, str),
            "object or directive": isinstance(value, dict),
            "boolean": isinstance(value, bool),
            "list": isinstance(value, list),
            "list of objects": isinstance(value, list),
        }[kind]
        if not accepted:
            wanted = {
                "text or nothing": "text",
                "text or directive": "text or a directive",
                "object or directive": "an object or a directive",
                "boolean": "true or false",
                "list": "a list",
                "list of objects": "a list",
            }.get(kind, kind)
            found = "a directive" if directive else type_name(value)
            self.problem(place, f"should be {wanted}, but it is {found}.")
        elif kind == "list of objects":
            good = [self.check(item, "object or directive", place.at(index)) for index, item in enumerate(value)]
            return all(good)
        return accepted

    def written_path(self, path: str, place: Place) -> Getter:
        """A getter for a path that stands in the mapping; notes what such a path is hardly meant to be."""
        if path != path.strip():
            self.warning(place, "has blanks at its ends, which belong to the key it looks for.")
        elif "{{" in path:
            self.warning(place, "is a path, not a template: its {{ }} belong to the key it looks for.")
        elif path.startswith("$["):
            self.warning(place, "looks for the key '$'.", f"Write $.{path[1:]}")
        return self.path(path)

    def path(self, path: str) -> Getter:
        """A getter for a path, observed when somebody asked for explanations."""
        self.reads += 1
        keys = parse_path(path)
        get = compile_keys(keys)
        observer = self.observer
        if observer is None:
            return get
        label = ".".join([self.scope, *keys])

        def observed(payload: Any) -> Any:
            value = get(payload)
            observer(Read(label, value, explain_keys(keys, payload) if value is MISSING else None))
            return value

        return observed

    def scoped(self, mapping: Any, place: Place, scope: str) -> Resolver:
        """Compile a mapping whose paths start from another payload, named `scope` in explanations."""
        outer, self.scope = self.scope, scope
        try:
            return self.value(mapping, place)
        finally:
            self.scope = outer


def _two_keys(mapping: Any) -> tuple[str, str] | None:
    """The keys of a raw `@path` that has exactly two, such as `$.properties.phone`: by far the most common mapping."""
    if isinstance(mapping, dict) and len(mapping) == 1 and isinstance(mapping.get("@path"), str):
        keys = parse_path(mapping["@path"])
        return (keys[0], keys[1]) if len(keys) == 2 else None
    return None


def _object_of_paths(members: list[tuple[str, Resolver, tuple[str, str] | None]]) -> Resolver:
    """An object most of whose members are two keys away: neighbours under one parent look for the parent once."""
    parts: list[tuple[str, Resolver, list[tuple[str, str]]]] = []
    for key, member, keys in members:
        if keys is None:
            parts.append((key, member, []))
        elif parts and parts[-1][2] and parts[-1][0] == keys[0]:
            parts[-1][2].append((key, keys[1]))
        else:
            parts.append((keys[0], member, [(key, keys[1])]))

    def resolve(payload: Any) -> dict[str, Any]:
        result = {}
        for key, member, children in parts:
            if not children:
                value = member(payload)
                if value is not MISSING:
                    result[key] = value
                continue
            parent = payload.get(key) if type(payload) is dict else step(payload, key)
            if type(parent) is dict:
                for name, child in children:
                    if child in parent:
                        result[name] = parent[child]
            else:
                for name, child in children:
                    value = step(parent, child)
                    if value is not MISSING:
                        result[name] = value
        return result

    return resolve


def constant(value: Any) -> Resolver:
    """A resolver that gives a value of the mapping itself."""
    return lambda _: value


def _missing(_: Any) -> Any:
    return MISSING


def is_directive(mapping: Any) -> bool:
    """Whether a mapping is meant as a directive: an object with a key that starts with `@`."""
    return isinstance(mapping, dict) and any(isinstance(key, str) and key.startswith("@") for key in mapping)


def is_path(words: str) -> bool:
    """Whether text looks like a path of an event, such as `$.properties.phone`."""
    return _PATH.fullmatch(words) is not None
