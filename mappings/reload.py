"""Mapping files that may change while a worker runs. A broken file never takes the place of a good one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mappings.errors import MappingError
from mappings.mapping import FieldSpecs, MappingFile, parse, presets, read_text

__all__ = ["MappingFiles"]

#: Nanoseconds within which a file may change again without another time stamp (FAT counts in two seconds).
_STAMP: Final = 2_000_000_000


@dataclass(slots=True)
class _Watched:
    """What is known of one file: the stamp and hash last seen, and the last good content."""

    name: str | Path
    stamp: tuple[int, int, int] | None = None
    sure: bool = False
    digest: str = ""
    good: MappingFile | None = None


class MappingFiles:
    """The last good content of some mapping files.

    Call `refresh` as often as you like: a file whose stamp has not changed costs one `stat`.

    Example:
        >>> files = MappingFiles(["segment-msg91"])
        >>> files.refresh()
        []
        >>> [mapping.name for mapping in files.current["segment-msg91"].mappings]
        ['identify', 'track', 'page', 'screen']
    """

    def __init__(self, files: Iterable[str | Path], actions: FieldSpecs | None = None) -> None:
        """Watch files; nothing is read before the first `refresh`.

        Args:
            files: Names of presets and paths, as `load` takes them.
            actions: Action name → field definitions, to check against.
        """
        self._watched = {str(file): _Watched(file) for file in files}
        self._actions = actions
        #: Counts how often a good content replaced another: a cheap way to see that something changed.
        self.version = 0

    @property
    def current(self) -> dict[str, MappingFile]:
        """File → its last good content; a file that never had one is left out."""
        return {name: watched.good for name, watched in self._watched.items() if watched.good is not None}

    def refresh(self) -> list[MappingError]:
        """Look at every file and take over those that changed and are good.

        Returns:
            What is wrong with files that changed; each content is complained of once, and again only when it changes.
        """
        return [error for watched in self._watched.values() if (error := self._refresh(watched)) is not None]

    def _refresh(self, watched: _Watched) -> MappingError | None:
        stamp = _stamp(watched.name)
        if stamp is not None and stamp == watched.stamp and watched.sure:
            return None
        # A file that was written a moment ago may be written again within the same time stamp.
        sure = stamp is None or time.time_ns() - stamp[0] > _STAMP
        try:
            text = read_text(watched.name)
        except MappingError as error:
            return self._seen(watched, stamp, str(error), error, sure=sure)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest == watched.digest:
            return self._seen(watched, stamp, digest, None, sure=sure)
        try:
            good = parse(text, str(watched.name), self._actions)
        except MappingError as error:
            return self._seen(watched, stamp, digest, error, sure=sure)
        watched.good = good
        self.version += 1
        return self._seen(watched, stamp, digest, None, sure=sure)

    @staticmethod
    def _seen(
        watched: _Watched, stamp: tuple[int, int, int] | None, digest: str, error: MappingError | None, *, sure: bool
    ) -> MappingError | None:
        """Remember what was seen; gives the error back when it is news."""
        news = digest != watched.digest
        watched.stamp, watched.digest, watched.sure = stamp, digest, sure
        return error if news else None


def _stamp(file: str | Path) -> tuple[int, int, int] | None:
    """When a file was written, its size and its number; a preset never changes, and None stands for no such file."""
    if isinstance(file, str) and file in presets():
        return (0, 0, 0)
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
