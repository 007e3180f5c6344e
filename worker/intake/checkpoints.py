"""How far a file has been sent, on disk: a run that was killed goes on where it was, and sends nothing twice.

A checkpoint belongs to a file's path and its whole content: tomorrow's file of the same name is another one. It names
the run, of which the ids of the events are made, and is written after a batch was accepted, never before. What was
accepted and not yet noted is therefore accepted again under the same ids, and the ledger knows them. It knows them for
as long as deliveries are remembered; after that, whether to go on is for a person to decide.

The file is a line about the run and then one line for each step, so that a write that was cut off costs that step. It
is locked while its run lives, and goes when everything of the run was accepted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

__all__ = ["Checkpoint", "CheckpointProblem", "Checkpoints", "Position"]

#: Seconds after which a checkpoint that nobody came back to is forgotten.
KEPT_FOR: Final = 30 * 86_400.0
_SUFFIX: Final = ".checkpoint"


class CheckpointProblem(Exception):
    """A file cannot be sent as things stand, for it might be sent twice.

    Attributes:
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file has been sent.

    Attributes:
        number: Everything up to this place was accepted or refused.
        line: The line of the last event that was accepted.
        accepted: How many events were accepted.
        refused: How many lines were refused.
    """

    number: int = 0
    line: int = 0
    accepted: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """What a checkpoint on disk says."""

    about: dict[str, Any]
    position: Position
    state: str
    at: float
    end: int


class Checkpoint:
    """The checkpoint of one file; made by `Checkpoints.open`.

    Attributes:
        path: Where it is.
        run: The run that it goes on with, ``""`` for a file that begins.
        prefix: What the ids of that run begin with.
        position: How far it was.
        done: Nothing of the file is left to be sent.
        at: When it was last written, seconds since 1970.
    """

    def __init__(self, path: Path, descriptor: int, found: _Found | None, about: dict[str, Any]) -> None:
        self.path = path
        self._descriptor = descriptor
        self._about = about
        self.run: str = found.about["run"] if found else ""
        self.prefix: str = found.about["prefix"] if found else ""
        self.position = found.position if found else Position()
        self.done = found is not None and found.state == "done"
        self.at = found.at if found else 0.0

    def begin(self, run: str, prefix: str) -> None:
        """Note the run, so that it survives whatever comes; nothing of the file is sent before."""
        about = {**self._about, "run": run, "prefix": prefix, "at": time.time()}
        os.ftruncate(self._descriptor, 0)
        self._append(about)
        os.fsync(self._descriptor)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def write(self, position: Position, state: str = "open") -> None:
        """Note how far it is.

        Raises:
            CheckpointProblem: The disk does not take it.
        """
        self.position = position
        self._append({**asdict(position), "state": state, "at": time.time()})

    def close(self, *, clean: bool = False, done: bool = False) -> None:
        """Let go of it; what is not finished can be gone on with.

        Args:
            clean: It is known of every event whether it was accepted.
            done: All of them were.
        """
        if self._descriptor < 0:
            return
        if clean or done:
            self.done = done
            self.write(self.position, "done" if done else "clean")
        os.close(self._descriptor)
        self._descriptor = -1

    def remove(self) -> None:
        """Forget it: the run is over."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _append(self, line: dict[str, Any]) -> None:
        try:
            os.write(self._descriptor, orjson.dumps(line) + b"\n")
        except OSError as error:
            raise CheckpointProblem(
                f"the checkpoint {self.path} cannot be written: {error.strerror}",
                "Make room, and run the same command again: it goes on where it was",
            ) from None


class Checkpoints:
    """The checkpoints in one folder.

    Args:
        folder: Where they are; made when the first one is.
        store: Names the store that the events go to: another one knows nothing of them.
        options: How the files are read and where they go; a run does not go on under other ones.
        remembered: Seconds for which the store knows what it has sent.
        resume: Go on whatever the age and the options (True), begin anew (False), or go on where that is safe (None).
    """

    def __init__(
        self, folder: Path, *, store: str, options: str, remembered: float, resume: bool | None = None
    ) -> None:
        self._folder = folder
        self._store = store
        self._options = hashlib.blake2b(options.encode(), digest_size=8).hexdigest()
        self._remembered = remembered
        self._resume = resume
        self._seen: dict[str, int] = {}
        self._made: list[Path] = []

    def prepare(self) -> None:
        """Make the folder, and forget what nobody came back to.

        Raises:
            OSError: It cannot be used.
        """
        self._made = [one for one in (self._folder, *self._folder.parents) if not one.exists()]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self._folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT_FOR:
                    path.unlink()

    def open(self, name: str) -> Checkpoint | None:
        """The checkpoint of a file, locked; ``None`` for what can be read but once.

        Raises:
            CheckpointProblem: Another run is at it, or whether to go on is for a person to decide.
        """
        place = self._place(name)
        if place is None:
            return None
        path, about = place
        descriptor = _lock(path)
        if descriptor is None:
            raise CheckpointProblem(
                f"{name}: another `send` is at this very file",
                "Wait until it has ended; --no-checkpoint sends the file a second time",
            )
        try:
            found = None if self._resume is False else _read(path)
            if found is not None:
                if self._resume is None:
                    self._check(name, found)
                os.ftruncate(descriptor, found.end)
            return Checkpoint(path, descriptor, found, about)
        except BaseException:
            os.close(descriptor)
            raise

    def look(self, name: str) -> Position:
        """Where a file would be gone on with."""
        place = None if self._resume is False else self._place(name)
        found = _read(place[0]) if place else None
        return found.position if found else Position()

    def others(self, checkpoint: Checkpoint) -> Iterator[Position]:
        """How far unfinished runs of other contents came that lay under the name of a file, a short time ago."""
        mine = checkpoint.path
        for path in self._folder.glob(f"{mine.name.partition('-')[0]}-*{_SUFFIX}"):
            found = _read(path) if path != mine else None
            if found and found.state != "done" and found.position.accepted and self._is_fresh(found):
                yield found.position

    def tidy(self) -> None:
        """Remove the folder when it is empty, and those made for it, so that nothing is left of what is over."""
        with suppress(OSError):
            for folder in self._made or [self._folder]:
                folder.rmdir()

    def _place(self, name: str) -> tuple[Path, dict[str, Any]] | None:
        """Where the checkpoint of a file is, and what it says about the file."""
        path = Path(name)
        if not path.is_file():
            return None
        # The same file twice in one run is sent twice.
        key = f"{self._store}\n{path.resolve()}"
        count = self._seen[key] = self._seen.get(key, 0) + 1
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        where = hashlib.blake2b(f"{key}\n{count}".encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()
        about = {"file": str(path.resolve()), "size": path.stat().st_size, "sha256": digest, "options": self._options}
        return self._folder / f"{where}-{digest[:24]}{_SUFFIX}", about

    def _check(self, name: str, found: _Found) -> None:
        """Go on only where nothing can be sent twice by it."""
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.at))
        far = f"{found.position.accepted:,} events were accepted, up to line {found.position.line}"
        if found.about.get("options") != self._options:
            raise CheckpointProblem(
                f"{name}: a run of {when} was cut short when {far}; it had other options than this one",
                "--resume goes on after that line with the options of now; --restart sends all of it as a new run",
            )
        if found.state == "open" and not self._is_fresh(found):
            raise CheckpointProblem(
                f"{name}: a run of {when} was cut short when {far}; whether some after it were is not known any more",
                "--resume goes on after that line, and may send some of them twice; --restart sends all of it again",
            )

    def _is_fresh(self, found: _Found) -> bool:
        return time.time() - found.at < self._remembered


def _lock(path: Path) -> int | None:
    """Open and lock a checkpoint; ``None`` when another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # Its run ended between our two steps.
        os.close(descriptor)


def _read(path: Path) -> _Found | None:
    """What a checkpoint says; ``None`` when there is none, or its first line was cut off."""
    about: dict[str, Any] | None = None
    last: dict[str, Any] = {}
    end = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entry = orjson.loads(line)
                about, last = (about, entry) if about else (entry, {})
                end += len(line)
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError:
        pass
    if about is None:
        return None
    numbers = {name: last.get(name, 0) for name in ("number", "line", "accepted", "refused")}
    return _Found(about, Position(**numbers), last.get("state", "open"), last.get("at", about["at"]), end)
