"""Finding where events begin and end in bytes that come piece by piece. Pure: no I/O.

No event is understood here; each comes out as its text. An empty piece stands for a silent input and comes out as
`IDLE`. Nothing is held but one event and one piece, whatever the input is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["IDLE", "MARK", "MAX_EVENT_BYTES", "Idle", "Refused", "Text", "read_json", "read_ndjson", "too_long"]

#: Longest event, bytes. Segment takes 32 KB; what is longer than this is no event but a mistake.
MAX_EVENT_BYTES: Final = 1 << 20
#: Lines that begin so say why the next one was refused; readers pass over them.
MARK: Final = b"# refused: "


@dataclass(frozen=True, slots=True)
class Text:
    """The text of what may be an event.

    Attributes:
        number: Its place: the line in NDJSON, else the place among the events; from 1.
        line: The line it starts in, from 1.
        raw: Its bytes.
    """

    number: int
    line: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is no event.

    Attributes:
        number: As for `Text`.
        line: As for `Text`.
        code: A short code.
        message: What is wrong and what was expected; shows no values.
        raw: Its bytes; empty where they were not kept.
    """

    number: int
    line: int
    code: str
    message: str
    raw: bytes = b""


class Idle:
    """The kind of `IDLE`."""


#: Given while the input is silent.
IDLE: Final = Idle()


def read_ndjson(pieces: Iterable[bytes]) -> Iterator[Text | Refused | Idle]:
    """Split lines; blank ones and those that begin with `MARK` are passed over."""
    rest = b""
    line = dropped = 0
    for piece in pieces:
        if not piece:
            yield IDLE
            continue
        if dropped:
            head, newline, rest = piece.partition(b"\n")
            dropped += len(head)
            if not newline:
                continue
            line += 1
            yield too_long(line, line, dropped)
            dropped, piece, rest = 0, rest, b""  # noqa: PLW2901 - what is left of it
        *lines, rest = (rest + piece).split(b"\n")
        for full in lines:
            line += 1
            if (raw := full.strip()) and not raw.startswith(MARK):
                yield _sized(line, line, raw)
        if len(rest) > MAX_EVENT_BYTES:
            dropped, rest = len(rest), b""
    if dropped:
        yield too_long(line + 1, line + 1, dropped)
    elif (raw := rest.strip()) and not raw.startswith(MARK):
        yield _sized(line + 1, line + 1, raw)


def read_json(pieces: Iterable[bytes]) -> Iterator[Text | Refused | Idle]:
    """Split JSON documents into events: the items of arrays, and what stands outside of arrays.

    Where brackets do not match nothing can be told apart any more: that is refused, and ends the reading.
    """
    splitter = _Splitter()
    for piece in pieces:
        if not piece:
            yield IDLE
            continue
        yield from splitter.feed(piece)
        if splitter.broken:
            return
    yield from splitter.finish()


def _sized(number: int, line: int, raw: bytes) -> Text | Refused:
    return Text(number, line, raw) if len(raw) <= MAX_EVENT_BYTES else too_long(number, line, len(raw))


def too_long(number: int, line: int, length: int) -> Refused:
    """Refuse something that is longer than an event can be."""
    message = f"it is {length:,} bytes long; an event has at most {MAX_EVENT_BYTES:,}"
    return Refused(number, line, "too_long", message)


_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
#: Inside of brackets: up to the next bracket, or to a string that does not end in what has been read.
_INSIDE = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+", re.DOTALL)
#: In something without brackets: also up to a comma; outside of arrays up to the end of the line.
_BARE_ITEM = re.compile(rb'(?:[^"{}\[\],]++|' + _STRING + rb")*+", re.DOTALL)
_BARE_LINE = re.compile(rb'(?:[^"{}\[\]\n]++|' + _STRING + rb")*+", re.DOTALL)
#: In a string: up to its quote, or to a backslash whose character has not been read yet.
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_BETWEEN_ITEMS = re.compile(rb"[ \t\r\n,]*+")
_BETWEEN_LINES = re.compile(rb"[ \t\r\n]*+")
_QUOTE: Final = ord('"')
_BEGIN_ARRAY: Final = ord("[")
_END_ARRAY: Final = ord("]")
_OPENING: Final = frozenset(b"{[")
_CLOSING: Final = frozenset(b"}]")
_CLOSED_BY: Final = {ord("{"): ord("}"), ord("["): ord("]")}


class _Splitter:
    """Follows brackets and strings through the pieces.

    Attributes:
        broken: Brackets did not match; nothing more is read.
    """

    def __init__(self) -> None:
        self.broken = False
        self._buffer = b""
        self._at = 0  # all before has been looked at
        self._start = -1  # where the present event begins; -1 between two
        self._start_line = 1
        self._dropped = 0  # bytes of the present event that were let go because it is too long
        self._awaited = bytearray()  # what closes the brackets that are open in the present event
        self._in_string = False
        self._in_array = False
        self._number = 0
        self._line = 1  # of the place `_counted`
        self._counted = 0

    def feed(self, piece: bytes) -> Iterator[Text | Refused]:
        """Give what ends in this piece."""
        self._buffer += piece
        size = len(self._buffer)
        while self._at < size and not self.broken:
            if self._in_string:
                if not self._rest_of_string(size):
                    break
                continue
            if self._start < 0:
                found: Text | Refused | None = self._between(size)
            elif self._awaited:
                found = self._inside(size)
            else:
                found = self._bare(size)
            if found is not None:
                yield found
        self._let_go()

    def finish(self) -> Iterator[Text | Refused]:
        """Give what the end of the input ends."""
        if self._start >= 0:
            if self._awaited or self._in_string:
                yield self._refused("cut_off", "the file ends in the middle of it: the end is missing")
                return
            yield self._ended(self._at)
        if self._in_array:
            self._start_line = self._line_at(self._at)
            yield self._refused("not_closed", "the array is not closed by ]: the end of the file is missing")

    def _between(self, size: int) -> Refused | None:
        at = self._skip(_BETWEEN_ITEMS if self._in_array else _BETWEEN_LINES)
        if at == size:
            return None
        byte = self._buffer[at]
        if byte == (_END_ARRAY if self._in_array else _BEGIN_ARRAY):
            self._in_array, self._at = not self._in_array, at + 1
        elif byte in _CLOSING:
            return self._broken(byte, "the next event or ]" if self._in_array else "an event")
        else:
            self._start, self._start_line = at, self._line_at(at)
            if byte in _OPENING:
                self._awaited.append(_CLOSED_BY[byte])
                self._at = at + 1
        return None

    def _inside(self, size: int) -> Text | Refused | None:
        buffer, awaited, skip = self._buffer, self._awaited, _INSIDE.match
        at = self._at
        while True:
            at = skip(buffer, at).end()  # type: ignore[union-attr] # it matches everywhere
            if at == size:
                self._at = at
                return None
            byte = buffer[at]
            at += 1
            if byte in _OPENING:
                awaited.append(_CLOSED_BY[byte])
            elif byte == _QUOTE:
                self._in_string, self._at = True, at
                return None
            elif byte != awaited[-1]:
                self._at = at
                return self._broken(byte, chr(awaited[-1]))
            else:
                awaited.pop()
                if not awaited:
                    return self._ended(at)

    def _bare(self, size: int) -> Text | Refused | None:
        at = self._skip(_BARE_ITEM if self._in_array else _BARE_LINE)
        if at == size:
            return None
        if self._buffer[at] == _QUOTE:
            self._in_string, self._at = True, at + 1
            return None
        return self._ended(at)

    def _rest_of_string(self, size: int) -> bool:
        """Go to the end of the string, if it has come; ``False`` when a backslash waits for its character."""
        at = self._skip(_REST_OF_STRING)
        if at < size and self._buffer[at] == _QUOTE:
            self._in_string, self._at = False, at + 1
            return True
        return at == size

    def _skip(self, pattern: re.Pattern[bytes]) -> int:
        found = pattern.match(self._buffer, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _ended(self, end: int) -> Text | Refused:
        length = self._dropped + end - self._start
        raw = self._buffer[self._start : end]
        self._start, self._at, self._dropped = -1, end, 0
        self._number += 1
        if length > MAX_EVENT_BYTES:
            return too_long(self._number, self._start_line, length)
        return Text(self._number, self._start_line, raw.strip())

    def _broken(self, byte: int, expected: str) -> Refused:
        self._start_line = self._line_at(self._at)
        self.broken = True
        return self._refused("broken", f"found {chr(byte)}, expected {expected}: nothing after it can be read")

    def _refused(self, code: str, message: str) -> Refused:
        self._number += 1
        return Refused(self._number, self._start_line, code, message)

    def _line_at(self, at: int) -> int:
        self._line += self._buffer.count(b"\n", self._counted, at)
        self._counted = at
        return self._line

    def _let_go(self) -> None:
        """Forget the bytes that are not needed any more."""
        if self._start < 0:
            done = self._at
        elif self._dropped or self._at - self._start > MAX_EVENT_BYTES:
            self._dropped += self._at - self._start
            done = self._at
        else:
            done = self._start
        self._line_at(max(done, self._counted))
        self._buffer = self._buffer[done:]
        self._at -= done
        self._counted -= done
        self._start = -1 if self._start < 0 else max(0, self._start - done)
