"""Refused lines in a file that can be mended and sent: each as it was, under a line that says why.

The lines that say why begin with a mark that readers pass over, so the file is sent as it is. It is only ever added to.
Lines that are read in different ways (NDJSON, or CSV with other columns) go to files of their own, numbered.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path

from worker.intake.formats import Format, marked
from worker.intake.splitting import MARK, Refused

__all__ = ["RefusedFile"]

_BREAKS = re.compile(rb"[\r\n]+")


@dataclass(slots=True)
class _Part:
    """One of the files."""

    path: Path
    file: BufferedWriter


class RefusedFile:
    """Where refused lines go; nothing is made before the first one.

    Args:
        path: The file, or the first of several.
        inputs: Files that are being read: they are not written to.

    Attributes:
        written: How many lines went into each file.
        without_text: How many lines could not be kept, because they were too long or could not be told apart.
    """

    def __init__(self, path: Path, inputs: Iterable[str] = ()) -> None:
        self._path = path
        self._inputs = {found for name in inputs if (found := _identity(name)) is not None}
        self._parts: dict[bytes, _Part] = {}
        self._known: set[bytes] = set()
        self.written: Counter[Path] = Counter()
        self.without_text = 0

    def check(self) -> None:
        """Look whether it can be written.

        Raises:
            OSError: It cannot.
        """
        if self._path.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        if not os.access(self._path if self._path.exists() else self._path.parent, os.W_OK):
            raise PermissionError(13, "there is no such folder, or this user may not write there")

    def resume(self, name: str, line: int) -> None:
        """Know what a run that was cut short wrote of a file from some line on, so that it is not written twice."""
        start = MARK + name.encode("utf-8", "surrogateescape") + b":"
        for path in self._candidates():
            with path.open("rb") as file:
                for text in file:
                    if text.startswith(start):
                        number = text.removeprefix(start).partition(b":")[0].partition(b" ")[0]
                        if number.isdigit() and int(number) >= line:
                            self._known.add(text.rstrip())

    def write(self, reason: str, refused: Refused, heading: bytes) -> None:
        """Add a refused line.

        Args:
            reason: Where it stood, and what is wrong with it, on one line.
            refused: The line.
            heading: How it is read: see `EventFile.heading`.

        Raises:
            OSError: The disk does not take it.
        """
        why = MARK + _BREAKS.sub(b" ", reason.encode("utf-8", "surrogateescape"))
        if why.rstrip() in self._known:
            return
        part = self._part(heading)
        part.file.write(why + b"\n")
        if refused.raw:
            is_rows = heading.startswith(marked(Format.CSV))
            part.file.write((refused.raw if is_rows else _BREAKS.sub(b" ", refused.raw)) + b"\n")
        else:
            self.without_text += 1
        self.written[part.path] += 1

    def flush(self) -> None:
        """Hand everything to the system."""
        for part in self._parts.values():
            part.file.flush()

    def close(self) -> None:
        """Close the files."""
        for part in self._parts.values():
            part.file.close()
        self._parts.clear()

    def _part(self, heading: bytes) -> _Part:
        part = self._parts.get(heading)
        if part is None:
            part = self._parts[heading] = self._open(heading)
        return part

    def _open(self, heading: bytes) -> _Part:
        """The first of the files that is not there yet, or that holds lines which are read in the same way."""
        number = 1
        while True:
            path = self._numbered(number)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            about = os.fstat(descriptor)
            begins = os.pread(descriptor, len(heading), 0)
            if (about.st_dev, about.st_ino) not in self._inputs and begins in (b"", heading):
                file = os.fdopen(descriptor, "ab")
                file.write(b"" if begins else heading)
                return _Part(path, file)
            os.close(descriptor)
            number += 1

    def _numbered(self, number: int) -> Path:
        return self._path if number == 1 else self._path.with_stem(f"{self._path.stem}-{number}")

    def _candidates(self) -> Iterable[Path]:
        number = 1
        while (path := self._numbered(number)).is_file():
            yield path
            number += 1


def _identity(name: str) -> tuple[int, int] | None:
    with suppress(OSError, ValueError):
        about = Path(name).stat()
        return about.st_dev, about.st_ino
    return None
