"""Finding where the rows of a CSV file begin and end in bytes that come piece by piece. Pure: no I/O.

A row ends with its line, unless a quoted cell goes on: then with the line in which that cell ends. A quote that is
never closed costs its own row, and reading goes on with the line after it. Nothing is held but one row and one piece.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from worker.intake.splitting import IDLE, MARK, MAX_EVENT_BYTES, Idle, Refused, Text, too_long

__all__ = ["read_rows"]

_NOT_CLOSED: Final = "a quoted cell begins here and is never closed"


def read_rows(pieces: Iterable[bytes], delimiter: str) -> Iterator[Text | Refused | Idle]:
    """Split rows; blank lines and those that begin with `MARK` are passed over.

    The number of a row is the line that it begins in.
    """
    rows = _Rows(delimiter)
    for line in _lines(pieces):
        if line is None:
            yield IDLE
        else:
            yield from rows.feed(line)
    yield from rows.finish()


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes | int | None]:
    """Lines without their ends; the length of one that is too long; ``None`` while the input is silent."""
    rest = b""
    dropped = 0
    for piece in pieces:
        if not piece:
            yield None
            continue
        if dropped:
            head, newline, rest = piece.partition(b"\n")
            dropped += len(head)
            if not newline:
                rest = b""
                continue
            yield dropped
            dropped, piece, rest = 0, rest, b""  # noqa: PLW2901 - what is left of it
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > MAX_EVENT_BYTES:
            dropped, rest = len(rest), b""
    if dropped:
        yield dropped
    elif rest:
        yield rest


class _Rows:
    """Joins the lines of a row."""

    def __init__(self, delimiter: str) -> None:
        other = rb"[^%b]*+" % re.escape(delimiter.encode())
        # Inside of a cell that does not begin with a quote, quotes are characters like all others.
        cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"%b|(?!")%b)' % (other, other)
        self._is_whole = re.compile(rb"%b(?:%b%b)*+" % (cell, re.escape(delimiter.encode()), cell)).fullmatch
        self._line = 0
        self._open: list[bytes] = []
        self._size = 0
        self._first = 0

    def feed(self, line: bytes | int) -> Iterator[Text | Refused]:
        """Give what ends with this line."""
        waiting: deque[bytes | int] = deque([line])
        while waiting:
            one = waiting.popleft()
            if self._open:
                yield from self._go_on(one, waiting)
            else:
                yield from self._begin(one)

    def finish(self) -> Iterator[Text | Refused]:
        """Give what the end of the file ends."""
        while self._open:
            first, *others = self._give_up()
            yield Refused(self._first, self._first, "not_closed", _NOT_CLOSED, first)
            for one in others:
                yield from self.feed(one)

    def _begin(self, line: bytes | int) -> Iterator[Text | Refused]:
        self._line += 1
        if isinstance(line, int):
            yield too_long(self._line, self._line, line)
            return
        if not line.strip() or line.startswith(MARK):
            return
        if b'"' not in line or self._is_whole(line.removesuffix(b"\r")):
            yield self._row(self._line, line)
            return
        self._first, self._open, self._size = self._line, [line], len(line)

    def _go_on(self, line: bytes | int, waiting: deque[bytes | int]) -> Iterator[Text | Refused]:
        self._line += 1
        if isinstance(line, bytes):
            self._open.append(line)
            self._size += len(line) + 1
            if self._size <= MAX_EVENT_BYTES:
                if b'"' in line:
                    whole = b"\n".join(self._open)
                    if self._is_whole(whole.removesuffix(b"\r")):
                        self._open = []
                        yield self._row(self._first, whole)
                return
            line = self._open.pop()
        first, *others = self._give_up()
        yield Refused(self._first, self._first, "not_closed", _NOT_CLOSED, first)
        waiting.extendleft(reversed([*others, line]))

    def _give_up(self) -> list[bytes]:
        """The lines of the row that is not one; those after its first are read anew."""
        lines, self._open = self._open, []
        self._line = self._first
        return lines

    @staticmethod
    def _row(line: int, raw: bytes) -> Text | Refused:
        raw = raw.removesuffix(b"\r")
        return Text(line, line, raw) if len(raw) <= MAX_EVENT_BYTES else too_long(line, line, len(raw))
