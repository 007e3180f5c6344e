"""Files of events, read one event at a time: constant memory, and a bad event never sinks its neighbours.

Two formats, told apart by what is in the file and not by its name:

- NDJSON: one event per line.
- JSON: an array of events, or events one after the other, laid out over as many lines as they like.

Every event comes with the line it starts in. What cannot be read comes as `Refused`, with the reason.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from io import UnsupportedOperation
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, cast

import orjson

from worker.events import Event, problem_with
from worker.intake.splitting import IDLE, Idle, Refused, Text, read_json, read_ndjson

__all__ = [
    "IDLE",
    "STANDARD_INPUT",
    "EventFile",
    "Format",
    "Found",
    "Idle",
    "Refused",
    "UnreadableFile",
    "check_file",
    "format_of",
]

#: The name that means standard input.
STANDARD_INPUT: Final = "-"
#: Bytes read at a time.
PIECE: Final = 1 << 18
#: How much of a file is looked at to tell its format, bytes.
HEAD: Final = 1 << 16
#: Seconds without input after which `IDLE` is given, so that what has come can go on.
IDLE_AFTER: Final = 0.5

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_PIPE: Final = "Turn it into text on the way: {tool} | msg91-destination send -"
_EXPORT: Final = "Export it as JSON lines first"
#: How files begin that are no UTF-8 text, and what to do about it.
_BINARY: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\x1f\x8b", "gzip-compressed", _PIPE.format(tool="gunzip -c{name}")),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", _PIPE.format(tool="zstd -dc{name}")),
    (b"\xfd7zXZ\x00", "xz-compressed", _PIPE.format(tool="xz -dc{name}")),
    (b"BZh", "bzip2-compressed", _PIPE.format(tool="bunzip2 -c{name}")),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", _PIPE.format(tool="unzip -p{name}")),
    (b"\xff\xfe", "UTF-16 text", _PIPE.format(tool="iconv -f UTF-16 -t UTF-8{name}")),
    (b"\xfe\xff", "UTF-16 text", _PIPE.format(tool="iconv -f UTF-16 -t UTF-8{name}")),
    (b"PAR1", "a Parquet file", _EXPORT),
    (b"SQLite format 3\x00", "an SQLite database", _EXPORT),
)


class UnreadableFile(Exception):
    """A file that cannot be read at all.

    Attributes:
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Format(StrEnum):
    """How a file holds its events."""

    NDJSON = "ndjson"
    JSON = "json"


#: One reader for each format: pieces of bytes in, texts of events out.
_READERS: Final = {Format.NDJSON: read_ndjson, Format.JSON: read_json}


@dataclass(frozen=True, slots=True)
class Found:
    """An event of the spec.

    Attributes:
        number: Its place in the file: the line in NDJSON, else the place among the events; from 1.
        line: The line it starts in, from 1.
        raw: Its JSON text, as it stands in the file.
        event: The same, parsed.
    """

    number: int
    line: int
    raw: bytes
    event: Event


class EventFile:
    """One file of events, or standard input; a context manager, to be read once.

    Args:
        name: As the user wrote it; ``-`` is standard input.
        stdin: What standard input is; the process's own unless given.

    Attributes:
        name: For people.
        size: Bytes, ``None`` where nobody knows (pipes).
        format: Known once reading has begun.
        bytes_read: So far.

    Raises:
        UnreadableFile: It is not there, is a directory, may not be read, or is no text.
    """

    def __init__(self, name: str, stdin: BinaryIO | None = None) -> None:
        self.name = "standard input" if name == STANDARD_INPUT else name
        self._argument = "" if name == STANDARD_INPUT else f" {name}"
        self.size: int | None = None
        self.format: Format | None = None
        self.bytes_read = 0
        self._stack = ExitStack()
        self._stream = (stdin or sys.stdin.buffer) if name == STANDARD_INPUT else self._open(Path(name))

    def _open(self, path: Path) -> BinaryIO:
        try:
            stream = self._stack.enter_context(path.open("rb", buffering=0))
            about = os.fstat(stream.fileno())
        except FileNotFoundError:
            raise UnreadableFile(f"{path}: there is no such file") from None
        except IsADirectoryError:
            raise UnreadableFile(f"{path}: is a directory", f"Name the files in it: {path}/*.ndjson") from None
        except PermissionError:
            raise UnreadableFile(f"{path}: this user may not read it") from None
        except (OSError, ValueError) as error:
            raise UnreadableFile(f"{path}: cannot be opened: {_reason(error)}") from None
        if stat.S_ISREG(about.st_mode):
            self.size = about.st_size
            with self._stack.pop_all() as opened:
                self._look(os.pread(stream.fileno(), HEAD, 0))
                self._stack = opened.pop_all()
        return cast("BinaryIO", stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._stack.close()

    def __iter__(self) -> Iterator[Found | Refused | Idle]:
        """Everything in the file, in order; `IDLE` while a pipe is silent.

        Raises:
            UnreadableFile: It is no text, or reading fails.
        """
        pieces = self._pieces()
        head = b""
        for piece in pieces:
            head += piece
            lines = head.strip().count(b"\n")
            if len(head) >= HEAD or lines >= 1 or (not piece and head.strip()):
                break
        self._look(head)
        self.format = format_of(head)
        for text in _READERS[self.format](_chain(head.removeprefix(_BYTE_ORDER_MARK), pieces)):
            yield _checked(text) if isinstance(text, Text) else text

    def _pieces(self) -> Iterator[bytes]:
        """The file's bytes as they come; an empty piece while nothing comes."""
        stream, waits = self._stream, _may_be_silent(self._stream)
        read = getattr(stream, "read1", stream.read)
        while True:
            if waits and not select.select([stream], [], [], IDLE_AFTER)[0]:
                yield b""
                continue
            try:
                piece = read(PIECE)
            except OSError as error:
                raise UnreadableFile(f"{self.name}: cannot be read on: {_reason(error)}") from None
            if not piece:
                return
            self.bytes_read += len(piece)
            yield piece

    def _look(self, head: bytes) -> None:
        for sign, kind, cure in _BINARY:
            if head.startswith(sign):
                raise UnreadableFile(f"{self.name}: is {kind}, expected JSON text", cure.format(name=self._argument))
        if b"\x00" in head:
            hint = "Expected is one event per line (NDJSON) or a JSON array of events, in UTF-8"
            raise UnreadableFile(f"{self.name}: is a binary file", hint)


def check_file(name: str) -> None:
    """Look whether a file can be one of events, without reading from what can be read but once.

    Raises:
        UnreadableFile: As `EventFile`.
    """
    path = Path(name)
    if name != STANDARD_INPUT and (not path.exists() or path.is_file() or path.is_dir()):
        EventFile(name).close()


def format_of(head: bytes) -> Format:
    """Tell the format of a file by how it begins: two lines are enough."""
    content = head.removeprefix(_BYTE_ORDER_MARK).strip()
    if content.startswith(b"["):
        return Format.JSON
    first, _, others = content.partition(b"\n")
    first, others = first.rstrip(), others.lstrip()
    # An event laid out over several lines: its first line goes on, and the next one is no event of its own.
    if others and first.startswith(b"{") and first.endswith((b"{", b"[", b",", b":")):
        return Format.NDJSON if others.startswith(b"{") and not first.endswith(b"[") else Format.JSON
    return Format.NDJSON


def _checked(text: Text) -> Found | Refused:
    try:
        event = orjson.loads(text.raw)
    except orjson.JSONDecodeError as error:
        if not _is_utf8(text.raw):
            return Refused(text.number, text.line, "not_utf8", "the text is not valid UTF-8")
        return Refused(text.number, text.line, "not_json", f"not JSON: {error.msg}{_place_in(text, error)}")
    problem = problem_with(event)
    if problem is not None:
        return Refused(text.number, text.line, *problem)
    return Found(text.number, text.line, text.raw, event)


def _place_in(text: Text, error: orjson.JSONDecodeError) -> str:
    if b"\n" in text.raw:
        return f" (line {text.line + error.lineno - 1}, column {error.colno})"
    return f" (character {error.colno})"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _may_be_silent(stream: BinaryIO) -> bool:
    """Whether waiting for more may take long: a pipe, a terminal, a socket."""
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, UnsupportedOperation):
        return False


def _chain(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from others


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
