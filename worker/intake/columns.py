"""What the columns of a CSV file are in an event: where each goes, and what type its cells have. Pure: no I/O.

A column is called ``name`` or ``name:type``. Where nothing else is said, ``properties.phone`` and the like are paths in
the event, ``userId``, ``messageId``, ``timestamp`` and the like are fields of the event itself, and every other name is
a property: a trait in identify and group calls.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import orjson

from worker.events import TYPES

__all__ = ["TYPE_NAMES", "BadCell", "BadColumns", "Column", "Columns", "compile_columns"]

#: Calls whose bare names are traits; in all others they are properties.
TRAITS_CALLS: Final = frozenset({"identify", "group"})

_FIELDS: Final = (
    *("type", "event", "userId", "anonymousId", "groupId", "previousId", "messageId"),
    *("timestamp", "originalTimestamp", "sentAt", "receivedAt"),
)
#: Fields of the event itself, as people write them: without underscores, spaces and capitals.
_OWN: Final = {one.lower(): one for one in _FIELDS}
_OBJECTS: Final = frozenset({"properties", "traits", "context", "integrations"})
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class BadColumns(Exception):
    """The columns cannot be understood.

    Attributes:
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class BadCell(Exception):
    """A cell is not of its column's type."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How the user wants the columns of CSV files to be read.

    Attributes:
        names: The columns in order, for files without a header; empty where the first row names them.
        paths: Path in the event by column; an empty path leaves the column out.
        types: Type by column.
        call: The type of every event, ``""`` where a column says it.
        event: The name of every event, ``""`` where a column says it.
        delimiter: What separates the cells, ``""`` to look at the file.
    """

    names: tuple[str, ...] = ()
    paths: Mapping[str, str] = field(default_factory=lambda: _NONE)
    types: Mapping[str, str] = field(default_factory=lambda: _NONE)
    call: str = ""
    event: str = ""
    delimiter: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: As the header has it, without its type.
        path: Where it goes in the event; empty where it is left out.
        is_bare: ``path`` is inside of the properties, or of the traits, by the type of the event.
        read: Turns the text of a cell into a value; raises `BadCell`.
    """

    name: str
    path: tuple[str, ...]
    is_bare: bool
    read: Callable[[str], Any]


def compile_columns(header: Sequence[str], wanted: Columns) -> tuple[Column, ...]:
    """Understand a header.

    Args:
        header: The first row, or the names that the user gave.
        wanted: What the user said about columns.

    Raises:
        BadColumns: Names stand twice, or do not exist, or nothing says what the events are.
    """
    columns = tuple(_column(one, wanted) for one in header)
    names = [one.name for one in columns]
    for name in dict.fromkeys([*wanted.paths, *wanted.types]):
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {close[0]}?" if close else f"The columns are: {', '.join(filter(None, names))}"
            raise BadColumns(f"there is no column {name!r}", hint)
    _check_paths(columns, wanted.call)
    _check_calls(columns, wanted)
    return columns


def _column(text: str, wanted: Columns) -> Column:
    name, kind = text.strip(), "text"
    before, colon, after = name.rpartition(":")
    if colon and after.strip().lower() in _READERS:
        name, kind = before.strip(), after.strip().lower()
    kind = wanted.types.get(name, kind)
    if name in wanted.paths:
        path, is_bare = _path(wanted.paths[name]), False
    else:
        path, is_bare = _usual_path(name)
    return Column(name, path, is_bare, _READERS[kind])


def _path(text: str) -> tuple[str, ...]:
    path = tuple(text.strip().removeprefix("$.").split(".")) if text.strip() else ()
    if not all(path):
        raise BadColumns(f"{text!r} is no path: expected names joined by dots, like properties.phone")
    return path


def _usual_path(name: str) -> tuple[tuple[str, ...], bool]:
    """Where a column goes about which nothing is said, and whether that depends on the type of the event."""
    if not name:
        return (), False
    if name.startswith("$."):
        return _path(name), False
    own = _OWN.get(re.sub(r"[ _-]", "", name).lower())
    if own is not None:
        return (own,), False
    path = tuple(name.split("."))
    if not all(path):
        return (name,), True
    return path, path[0] not in _OBJECTS


def _check_paths(columns: Sequence[Column], call: str) -> None:
    """No two columns fill the same place, and none fills what another one is inside of."""
    bags = ["traits" if call in TRAITS_CALLS else "properties"] if call else ["properties", "traits"]
    seen: dict[tuple[str, ...], str] = {}
    for column in columns:
        if not column.path:
            continue
        places = [(bag, *column.path) for bag in bags] if column.is_bare else [column.path]
        for place in places:
            for other, name in seen.items():
                shorter = min(len(place), len(other))
                if place[:shorter] == other[:shorter]:
                    raise BadColumns(
                        f"the columns {name!r} and {column.name!r} both fill {'.'.join(place[:shorter])}",
                        f"Say where one of them goes: --map '{column.name}=properties.…', or leave it out: "
                        f"--map '{column.name}='",
                    )
        seen.update(dict.fromkeys(places, column.name))


def _check_calls(columns: Sequence[Column], wanted: Columns) -> None:
    if wanted.call and wanted.call not in TYPES:
        raise BadColumns(f"--type: {wanted.call!r} is not a call of the spec", f"There are: {', '.join(sorted(TYPES))}")
    filled = {column.path for column in columns if not column.is_bare}
    if not wanted.call and ("type",) not in filled:
        raise BadColumns(
            "it is CSV, and nothing says what its rows are: there is no column 'type'",
            "Say it: --type track --event 'Order Shipped', or --type identify",
        )
    if wanted.call == "track" and not wanted.event and ("event",) not in filled:
        raise BadColumns(
            "nothing says which event its rows are: there is no column 'event'", "Name it: --event 'Order Shipped'"
        )


_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "off"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _number(text: str) -> int | float:
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(value := float(text)):
        return value
    raise BadCell("expected a number, like 12 or 1299.50")


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadCell("expected a boolean: true, yes or 1, false, no or 0")


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadCell(f"expected JSON: {error.msg}") from None


_READERS: Final[dict[str, Callable[[str], Any]]] = {"text": str, "number": _number, "boolean": _boolean, "json": _json}
#: The types that a column can have.
TYPE_NAMES: Final = tuple(_READERS)
