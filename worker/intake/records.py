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
    """Joins the lines of a row; each line is looked at once, however often a quote turns out to be none."""

    def __init__(self, delimiter: str) -> None:
        comma = re.escape(delimiter.encode())
        other = rb"[^%b]*+" % comma
        quoted = rb'[^"]*+(?:""[^"]*+)*+"%b' % other
        # Inside of a cell that does not begin with a quote, quotes are characters like all others.
        cells = rb'(?:%b(?:"%b|(?!")%b))*+' % (comma, quoted, other)
        self._is_whole = re.compile(rb'(?:"%b|(?!")%b)%b' % (quoted, other, cells)).fullmatch
        self._ends_row = re.compile(quoted + cells).fullmatch
        self._line = 0
        #: Lines of the present row, all but its last: at the end of each a quoted cell is open.
        self._open: deque[bytes] = deque()
        self._size = 0
        self._first = 0

    def feed(self, line: bytes | int) -> Iterator[Text | Refused]:
        """Give what ends with this line."""
        self._line += 1
        if isinstance(line, int):
            yield from self._give_up_all()
            yield too_long(self._line, self._line, line)
        elif self._open:
            yield from self._go_on(line)
        elif not self._is_passed_over(line):
            if b'"' not in line or self._is_whole(line):
                yield self._row(self._line, line)
            else:
                self._first, self._size = self._line, len(line) + 1
                self._open.append(line)

    def finish(self) -> Iterator[Text | Refused]:
        """Give what the end of the file ends."""
        yield from self._give_up_all()

    def _go_on(self, line: bytes) -> Iterator[Text | Refused]:
        self._open.append(line)
        self._size += len(line) + 1
        is_end = b'"' in line and self._ends_row(line) is not None
        while self._open and self._size - 1 > MAX_EVENT_BYTES:
            yield from self._give_up()
        # A line that has become the first one begins outside of any cell.
        if is_end and len(self._open) > 1:
            whole = b"\n".join(self._open)
            self._open.clear()
            yield self._row(self._first, whole)

    def _give_up_all(self) -> Iterator[Text | Refused]:
        while self._open:
            yield from self._give_up()

    def _give_up(self) -> Iterator[Text | Refused]:
        """Refuse the line with which the open row begins, and go on with the line after it.

        At the end of every open line a quoted cell is open. So where a later one opens a cell of its own, that is just
        as open at the end of all lines after it, and none of them has to be looked at again.
        """
        yield Refused(self._first, self._first, "not_closed", _NOT_CLOSED, self._next())
        while self._open:
            line = self._open[0]
            if self._is_passed_over(line):
                self._next()
            elif b'"' not in line or self._is_whole(line):
                first = self._first
                yield self._row(first, self._next())
            else:
                return

    def _next(self) -> bytes:
        line = self._open.popleft()
        self._first += 1
        self._size -= len(line) + 1
        return line

    @staticmethod
    def _is_passed_over(line: bytes) -> bool:
        return not line.strip() or line.startswith(MARK)

    @staticmethod
    def _row(line: int, raw: bytes) -> Text | Refused:
        raw = raw.removesuffix(b"\r")
        return Text(line, line, raw) if len(raw) <= MAX_EVENT_BYTES else too_long(line, line, len(raw))
