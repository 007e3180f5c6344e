"""Folders of event files: which files in them count, and in what order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["NAMES", "Expanded", "expand"]

#: How the names of the files end that are read from a folder, compressed or not.
NAMES: Final = ("ndjson", "jsonl", "json", "csv", "tsv")
_COUNTS: Final = re.compile(rf"\.(?:{'|'.join(NAMES)})(?:\.(?:gz|zst))?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Expanded:
    """The files that were named, folders replaced by what is in them.

    Attributes:
        files: In order.
        passed_over: Files in the folders that are not read, because of their names.
        empty: Folders without any file that is read.
    """

    files: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


def expand(names: Iterable[str]) -> Expanded:
    """Replace folders by the event files in them and below, sorted by path.

    Files and folders whose name begins with a dot are left alone; links to folders are not followed.
    """
    files: list[str] = []
    passed_over: list[str] = []
    empty: list[str] = []
    for name in names:
        if not os.path.isdir(name):  # noqa: PTH112 - a name with a null byte is no folder either
            files.append(name)
            continue
        inside = _inside(Path(name))
        counted = [str(path) for path in inside if _COUNTS.search(path.name)]
        files += counted
        passed_over += [str(path) for path in inside if not _COUNTS.search(path.name)]
        empty += [] if counted else [name]
    return Expanded(tuple(files), tuple(passed_over), tuple(empty))


def _inside(folder: Path) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        found += [Path(where, one) for one in names if not one.startswith(".")]
    return sorted(found, key=lambda path: path.parts)
