"""Counting how many different values there are among millions, exactly and in bounded memory.

Values are parted by their last bits and kept in a temporary file; each part is small enough to be counted by itself.
"""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from typing import IO, Final, Self

__all__ = ["Distinct", "number_of"]

#: Into how many parts values go.
PARTS: Final = 64
#: Values that are held before they are written.
HELD: Final = 1 << 16


def number_of(text: str) -> int:
    """A number below 2^64 that stands for a text: phone numbers are themselves, all else is a digest of 63 bits."""
    if len(text) <= 18 and text.isascii() and text.isdigit() and not text.startswith("0"):
        return int(text)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1 << 63


class Distinct:
    """A set that only knows its size; a context manager, since it has a temporary file."""

    def __init__(self) -> None:
        self._parts = [array("Q") for _ in range(PARTS)]
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(PARTS)]
        self._file: IO[bytes] | None = None
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()

    def add(self, text: str) -> None:
        """Add a value."""
        number = number_of(text)
        self._parts[number % PARTS].append(number)
        self._held += 1
        if self._held >= HELD:
            self._write()

    def count(self) -> int:
        """How many different values were added."""
        return sum(len(self._read(part)) for part in range(PARTS))

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="msg91-send-")  # noqa: SIM115 - closed by `close`
        self._file.seek(0, 2)
        for part, numbers in enumerate(self._parts):
            # What is in it twice by now is written once.
            unique = array("Q", set(numbers))
            self._places[part].append((self._file.tell(), len(unique) * unique.itemsize))
            self._file.write(unique.tobytes())
            self._parts[part] = array("Q")
        self._held = 0

    def _read(self, part: int) -> set[int]:
        found = set(self._parts[part])
        for offset, length in self._places[part]:
            assert self._file is not None  # noqa: S101 - `_write` opened it
            self._file.seek(offset)
            found.update(array("Q", self._file.read(length)))
        return found
