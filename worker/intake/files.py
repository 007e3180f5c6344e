"""Files of events, read one event at a time: constant memory, and a bad event never sinks its neighbours.

Three formats, told apart by what is in the file and hardly by its name:

- NDJSON: one event per line.
- JSON: an array of events, or events one after the other, laid out over as many lines as they like.
- CSV: one event per row.

Each may be compressed by gzip or Zstandard. Every event comes with the line it starts in. What cannot be read comes as
`Refused`, with the reason.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from io import UnsupportedOperation
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, cast

from worker.intake.checking import Found, check_json, check_row
from worker.intake.columns import BadColumns, Columns
from worker.intake.compression import Damaged, MissingLibrary, compression_of, expanded
from worker.intake.csv_reader import Rows
from worker.intake.formats import BINARY, BYTE_ORDER_MARK, Format, enough, format_of, marked, sniff_delimiter
from worker.intake.records import read_rows
from worker.intake.splitting import IDLE, Idle, Refused, Text, read_json, read_ndjson

__all__ = [
    "IDLE",
    "STANDARD_INPUT",
    "EventFile",
    "Format",
    "Found",
    "Idle",
    "Reading",
    "Refused",
    "UnreadableFile",
    "check_file",
]

#: The name that means standard input.
STANDARD_INPUT: Final = "-"
#: Bytes read at a time.
PIECE: Final = 1 << 18
#: How much of a file is looked at to tell its format, bytes.
HEAD: Final = 1 << 16
#: Seconds without input after which `IDLE` is given, so that what has come can go on.
IDLE_AFTER: Final = 0.5


class UnreadableFile(Exception):
    """A file that cannot be read at all, or no further.

    Attributes:
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are to be read.

    Attributes:
        format: What every file is; ``None`` looks at each.
        columns: How the columns of CSV are to be understood.
    """

    format: Format | None = None
    columns: Columns = field(default_factory=Columns)


class EventFile:
    """One file of events, or standard input; a context manager, to be read once.

    Args:
        name: As the user wrote it; ``-`` is standard input.
        stdin: What standard input is; the process's own unless given.
        reading: How it is to be read.
        after: Everything up to this number is passed over.

    Attributes:
        name: For people.
        size: Bytes, ``None`` where nobody knows (pipes).
        format: Known once reading has begun.
        heading: The lines that a file of lines from this one begins with: how to read it, and the first row of CSV.
        bytes_read: So far, compressed as they are.

    Raises:
        UnreadableFile: It is not there, is a directory, may not be read, or is nothing that holds events.
    """

    def __init__(
        self, name: str, stdin: BinaryIO | None = None, *, reading: Reading | None = None, after: int = 0
    ) -> None:
        self.name = "standard input" if name == STANDARD_INPUT else name
        self._argument = "" if name == STANDARD_INPUT else f" {name}"
        self._reading = reading or Reading()
        self._after = after
        self.size: int | None = None
        self.format: Format | None = None
        self.heading = b""
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
                head = next(self._expanded(iter([os.pread(stream.fileno(), HEAD, 0)]), whole=False), b"")[:HEAD]
                self._understand(head, whole=self.size <= HEAD)
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
            UnreadableFile: It is nothing that holds events, or reading fails.
        """
        pieces = self._expanded(self._pieces())
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= HEAD or enough(head, silent=not piece):
                break
        texts, checked = self._understand(head, whole=False)
        after = self._after
        for text in texts(_chain(head.removeprefix(BYTE_ORDER_MARK), pieces)):
            if isinstance(text, Idle):
                yield text
            elif text.number > after:
                yield checked(text) if isinstance(text, Text) else text

    def _understand(self, head: bytes, *, whole: bool) -> tuple[_Splitter, _Checker]:
        """Tell what the file is by how it begins: how it is split into texts, and what makes events of them.

        Args:
            head: How it begins.
            whole: There is nothing after it.
        """
        self._look(head)
        self.format = self._reading.format or format_of(head, self.name)
        self.heading = marked(self.format) + b"\n"
        if self.format is not Format.CSV:
            return _SPLITTERS[self.format], check_json
        columns = self._reading.columns
        delimiter = columns.delimiter or sniff_delimiter(head)
        if columns.names:
            return partial(read_rows, delimiter=delimiter), self._rows(b"", delimiter)
        # A last line that is cut off by the end of the head is no row.
        content = head.removeprefix(BYTE_ORDER_MARK)
        rows = read_rows([content if whole or b"\n" not in content else content.rpartition(b"\n")[0]], delimiter)
        header = next((one for one in rows if isinstance(one, Text)), None)
        if header is None:
            if enough(head, silent=True):
                raise UnreadableFile(f"{self.name}: its first row does not end within {HEAD:,} bytes")
            return partial(read_rows, delimiter=delimiter), check_json  # there is nothing in it
        self.heading += header.raw + b"\n"
        check = self._rows(header.raw, delimiter)
        return partial(_without_header, delimiter=delimiter), check

    def _rows(self, header: bytes, delimiter: str) -> _Checker:
        try:
            return partial(check_row, Rows(header, delimiter, self._reading.columns))
        except BadColumns as error:
            raise UnreadableFile(f"{self.name}: {error}", error.hint) from None

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

    def _expanded(self, pieces: Iterator[bytes], *, whole: bool = True) -> Iterator[bytes]:
        """The same pieces, expanded if they are compressed; a beginning alone may end anywhere."""
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= 4 or (not piece and head):
                break
        kind = compression_of(head)
        if kind is None:
            yield from _chain(head, pieces)
            return
        try:
            yield from expanded(_chain(head, pieces), kind)
        except MissingLibrary as error:
            raise UnreadableFile(
                f"{self.name}: is zstd-compressed: {error}",
                "Install it: pip install 'msg91-destination[zstd]'; or expand it on the way: "
                f"zstd -dc{self._argument} | msg91-destination send -",
            ) from None
        except Damaged as error:
            if whole:
                raise UnreadableFile(f"{self.name}: {error}") from None

    def _look(self, head: bytes) -> None:
        for sign, kind, cure in BINARY:
            if head.startswith(sign):
                raise UnreadableFile(f"{self.name}: is {kind}, expected JSON or CSV", cure.format(name=self._argument))
        if b"\x00" in head:
            hint = "Expected is one event per line (NDJSON), a JSON array of events, or CSV; in UTF-8"
            raise UnreadableFile(f"{self.name}: is a binary file", hint)
        if b"\r" in head and b"\n" not in head and len(head.strip().split(b"\r")) > 1:
            hint = (
                f"Give them others on the way: tr '\\r' '\\n' <{self._argument or ' FILE'} | msg91-destination send -"
            )
            raise UnreadableFile(f"{self.name}: its lines end as they did on old Macs", hint)


def check_file(name: str, reading: Reading | None = None) -> None:
    """Look whether a file can be one of events, without reading from what can be read but once.

    Raises:
        UnreadableFile: As `EventFile`.
    """
    path = Path(name)
    if name != STANDARD_INPUT and (not path.exists() or path.is_file() or path.is_dir()):
        EventFile(name, reading=reading).close()


_Splitter = Callable[[Iterator[bytes]], Iterator[Text | Refused | Idle]]
_Checker = Callable[[Text], Found | Refused]

#: What splits a file into the texts of its events.
_SPLITTERS: Final[dict[Format, _Splitter]] = {Format.NDJSON: read_ndjson, Format.JSON: read_json}


def _without_header(pieces: Iterator[bytes], delimiter: str) -> Iterator[Text | Refused | Idle]:
    """The rows after the first one."""
    header_seen = False
    for text in read_rows(pieces, delimiter):
        if not header_seen and isinstance(text, Text):
            header_seen = True
        else:
            yield text


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
