"""Compressed files, told by how they begin and expanded piece by piece: memory is bounded, whatever comes out.

- gzip, by the standard library, several members one after the other included.
- Zstandard, by the standard library of Python 3.14 and newer, else by ``backports.zstd`` (the extra ``zstd``), which
  has the same interface.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import Any, Final, Protocol

__all__ = ["Compression", "Damaged", "MissingLibrary", "compression_of", "expanded"]

#: Bytes that are expanded at a time.
PIECE: Final = 1 << 18


class Compression(StrEnum):
    """How a file is compressed."""

    GZIP = "gzip"
    ZSTD = "zstd"


#: How compressed files begin.
_SIGNS: Final = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}


class Damaged(Exception):
    """The compressed data is cut off or wrong."""


class MissingLibrary(Exception):
    """What reads this compression is not installed."""


class _Frame(Protocol):
    """Expands one member of a file."""

    def expand(self, data: bytes) -> bytes: ...

    @property
    def wants_more(self) -> bool: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Gzip:
    """One gzip member."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def expand(self, data: bytes) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, PIECE)

    @property
    def wants_more(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


class _Zstd:
    """One Zstandard frame."""

    def __init__(self, library: Any) -> None:
        self._inner = library.ZstdDecompressor()

    def expand(self, data: bytes) -> bytes:
        expanded: bytes = self._inner.decompress(data, PIECE)
        return expanded

    @property
    def wants_more(self) -> bool:
        return bool(self._inner.needs_input)

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        rest: bytes = self._inner.unused_data
        return rest


def compression_of(head: bytes) -> Compression | None:
    """Tell the compression of a file by its first bytes; ``None`` when there is none that is read here."""
    return next((kind for sign, kind in _SIGNS.items() if head.startswith(sign)), None)


def expanded(pieces: Iterator[bytes], kind: Compression) -> Iterator[bytes]:
    """Expand a file piece by piece. An empty piece stands for a silent input and stays one.

    Raises:
        Damaged: the data is cut off, or is not what it seems.
        MissingLibrary: Zstandard cannot be read by this installation.
    """
    start, errors = _opener(kind)
    frame: _Frame | None = None
    members = 0
    rest = b""
    for piece in pieces:
        if not piece:
            yield b""
            continue
        rest += piece
        while True:
            if frame is None and members:
                rest = rest.lstrip(b"\0")  # padding, as tapes and some tools leave it
            if not rest:
                break
            frame = frame or start()
            try:
                data = frame.expand(rest)
                rest = b""
                while True:
                    if data:
                        yield data
                    if frame.eof or (not data and frame.wants_more):
                        break
                    data = frame.expand(b"")
            except errors:
                raise Damaged(f"the {kind} data is damaged") from None
            if frame.eof:
                rest, frame = frame.unused_data, None
                members += 1
    if frame is not None:
        raise Damaged(f"the {kind} data ends too early: the end of the file is missing")


def _opener(kind: Compression) -> tuple[Callable[[], _Frame], type[Exception]]:
    if kind is Compression.GZIP:
        return _Gzip, zlib.error
    for name in ("compression.zstd", "backports.zstd"):
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        return partial(_Zstd, library), library.ZstdError
    raise MissingLibrary("reading Zstandard needs a library that is not installed")
