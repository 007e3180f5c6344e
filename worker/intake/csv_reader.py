"""Turning the rows of a CSV file into events. Pure: no I/O.

An empty cell is a field that the event does not have.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, Final

import orjson

from worker.events import TOO_DEEP
from worker.intake.columns import TRAITS_CALLS, BadCell, BadColumns, Columns, compile_columns
from worker.intake.splitting import Refused, Text

__all__ = ["Rows"]

_TO_UTF8: Final = "Turn it into UTF-8 on the way: iconv -f WINDOWS-1252 -t UTF-8 FILE | msg91-destination send -"


class _Feed:
    """Hands one text at a time to a reader of the standard library, which wants to be the one who asks."""

    def __init__(self) -> None:
        self.text: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text, self.text = self.text, None
        if text is None:
            raise StopIteration
        return text


class Rows:
    """Makes an event of each row.

    Args:
        header: The first row, empty where the user has named the columns.
        delimiter: What separates the cells.
        wanted: What the user said about columns.

    Raises:
        BadColumns: The header cannot be understood.
    """

    def __init__(self, header: bytes, delimiter: str, wanted: Columns) -> None:
        self._feed = _Feed()
        self._reader = csv.reader(self._feed, delimiter=delimiter)
        names = wanted.names or self._names(header)
        self._columns = compile_columns(names, wanted)
        self._base = {
            **({"type": wanted.call} if wanted.call else {}),
            **({"event": wanted.event} if wanted.event else {}),
        }

    def event_of(self, text: Text) -> tuple[dict[str, Any], bytes] | Refused:
        """The event of a row, and its JSON text."""
        try:
            self._feed.text = text.raw.decode()
        except UnicodeDecodeError:
            return Refused(text.number, text.line, "not_utf8", "the text is not valid UTF-8", text.raw)
        try:
            cells = next(self._reader)
        except csv.Error as error:
            self._reader = csv.reader(self._feed, delimiter=self._reader.dialect.delimiter)
            return Refused(text.number, text.line, "not_csv", f"not CSV: {error}", text.raw)
        columns = self._columns
        if len(cells) != len(columns) and (len(cells) < len(columns) or any(cells[len(columns) :])):
            message = f"it has {_count(len(cells), 'cell')}, expected {len(columns)}, as many as there are columns"
            return Refused(text.number, text.line, "wrong_number_of_cells", message, text.raw)
        event: dict[str, Any] = dict(self._base)
        bare: list[tuple[tuple[str, ...], Any]] = []
        for column, cell in zip(columns, cells, strict=False):
            if not cell or not column.path:
                continue
            try:
                value = column.read(cell)
            except BadCell as error:
                return Refused(text.number, text.line, "bad_cell", f"column {column.name}: {error}", text.raw)
            if column.is_bare:
                bare.append((column.path, value))
            else:
                _put(event, column.path, value)
        bag = "traits" if event.get("type") in TRAITS_CALLS else "properties"
        for path, value in bare:
            _put(event, (bag, *path), value)
        try:
            return event, orjson.dumps(event)
        except TypeError:
            return Refused(text.number, text.line, *TOO_DEEP, text.raw)

    def _names(self, header: bytes) -> list[str]:
        try:
            self._feed.text = header.decode()
        except UnicodeDecodeError:
            raise BadColumns("its first row is not valid UTF-8", _TO_UTF8) from None
        try:
            return next(self._reader)
        except csv.Error as error:
            raise BadColumns(f"its first row is not CSV: {error}") from None


def _put(event: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    here = event
    for name in path[:-1]:
        here = here.setdefault(name, {})
    here[path[-1]] = value


def _count(number: int, what: str) -> str:
    return f"{number} {what if number == 1 else what + 's'}"
