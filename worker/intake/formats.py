"""Telling what a file is by how it begins. Pure: no I/O."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from worker.intake.splitting import MARK

__all__ = ["BINARY", "BYTE_ORDER_MARK", "CSV_NAMES", "Format", "enough", "format_of", "marked", "sniff_delimiter"]

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: What separates the cells of a row; in doubt the first.
DELIMITERS: Final = (b",", b";", b"\t", b"|")
#: How the names of files end that hold rows, compressed or not.
CSV_NAMES: Final = re.compile(r"\.(?:csv|tsv)(?:\.(?:gz|zst))?$", re.IGNORECASE)

_PIPE: Final = "Turn it into text on the way: {tool} | msg91-destination send -"
_EXPORT: Final = "Export it as JSON lines or CSV first"
#: How files begin that are no UTF-8 text, and what to do about it.
BINARY: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\xfd7zXZ\x00", "xz-compressed", _PIPE.format(tool="xz -dc{name}")),
    (b"BZh", "bzip2-compressed", _PIPE.format(tool="bunzip2 -c{name}")),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", _PIPE.format(tool="unzip -p{name}")),
    (b"\xff\xfe", "UTF-16 text", _PIPE.format(tool="iconv -f UTF-16 -t UTF-8{name}")),
    (b"\xfe\xff", "UTF-16 text", _PIPE.format(tool="iconv -f UTF-16 -t UTF-8{name}")),
    (b"PAR1", "a Parquet file", _EXPORT),
    (b"SQLite format 3\x00", "an SQLite database", _EXPORT),
)
_QUOTED: Final = re.compile(rb'"[^"]*+(?:""[^"]*+)*+(?:"|\Z)')


class Format(StrEnum):
    """How a file holds its events."""

    NDJSON = "ndjson"
    JSON = "json"
    CSV = "csv"


def marked(kind: Format) -> bytes:
    """The first line of a file of refused lines: it says how they are to be read, whatever they are."""
    return MARK + {Format.CSV: b"CSV"}.get(kind, b"NDJSON")


def enough(head: bytes, *, silent: bool = False) -> bool:
    """Whether this much of a file tells its format: two lines do, and what has come while no more comes.

    Args:
        head: How the file begins.
        silent: No more is coming at the moment.
    """
    content = _content(head)[1]
    return b"\n" in content or (silent and content != b"" and (content.startswith((b"{", b"[")) or b"\n" in head))


def format_of(head: bytes, name: str = "") -> Format:
    """Tell the format of a file by how it begins; its name counts only where the content leaves it open."""
    kind, content = _content(head)
    if kind is not None:
        return kind
    if content.startswith(b"["):
        return Format.JSON
    first, _, others = content.partition(b"\n")
    first, others = first.rstrip(), others.lstrip()
    if content.startswith(b"{"):
        # An event laid out over several lines: its first line goes on, and the next one is no event of its own.
        if others and first.endswith((b"{", b"[", b",", b":")):
            return Format.NDJSON if others.startswith(b"{") and not first.endswith(b"[") else Format.JSON
        return Format.NDJSON
    if CSV_NAMES.search(name):
        return Format.CSV
    bare = _QUOTED.sub(b"", first)
    is_header = any(one in bare for one in DELIMITERS) and not re.search(rb"[{}]", bare)
    return Format.CSV if is_header and not others.startswith((b"{", b"[")) else Format.NDJSON


def sniff_delimiter(head: bytes) -> str:
    """What separates the cells: whatever of comma, semicolon, tab and bar is most frequent in the first row."""
    first = _content(head)[1].partition(b"\n")[0]
    bare = _QUOTED.sub(b"", first)
    return max(DELIMITERS, key=bare.count).decode()


def _content(head: bytes) -> tuple[Format | None, bytes]:
    """What the first line of a file of refused lines says, and the file without such lines at its beginning."""
    kind: Format | None = None
    content = head.removeprefix(BYTE_ORDER_MARK).strip()
    while content.startswith(MARK):
        line, _, content = content.partition(b"\n")
        kind = kind or next((one for one in (Format.CSV, Format.NDJSON) if line.strip() == marked(one)), None)
        content = content.strip()
    return kind, content
