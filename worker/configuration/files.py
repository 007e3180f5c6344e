"""The files that a configuration was made of, and whether they have changed."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["FileState"]


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was when it was read.

    Attributes:
        path: The file, as an absolute path.
        stamp: Time of its last change (nanoseconds) and size; None when it was not there.
        digest: SHA-256 of its content; empty when it was not there.
    """

    path: Path
    stamp: tuple[int, int] | None
    digest: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Take a file as it is now."""
        path = path.absolute()
        # The stamp first: a file that is written between the two is then seen to have changed.
        stamp = _stamp(path)
        return cls(path, stamp, _digest(path))

    def changed(self) -> bool:
        """Tell whether the file has other content now; a new date alone is no change."""
        return _stamp(self.path) != self.stamp and _digest(self.path) != self.digest

    @staticmethod
    def combine(files: Iterable["FileState"]) -> str:
        """Return one short hash over the content of several files."""
        whole = hashlib.sha256()
        for file in files:
            whole.update(f"{file.path}\0{file.digest}\0".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
