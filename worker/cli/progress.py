"""A progress bar on standard error, for whoever watches; a line now and then where nobody does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from worker.cli.output import stderr
from worker.intake.files import STANDARD_INPUT, EventFile
from worker.intake.follow import Followed

__all__ = ["Progress"]

#: Seconds between two updates.
INTERVAL: Final = 0.1
#: Seconds between two lines where there is no terminal.
LINE_INTERVAL: Final = 10.0


class Progress:
    """Shows a bar for all files together, then one for the deliveries that are waited for.

    Whoever does not watch a terminal gets a line now and then instead.

    Args:
        files: What is going to be sent; with standard input or a pipe among them, the bar has no end.
    """

    def __init__(self, files: Sequence[str] = ()) -> None:
        sizes = [_size(name) for name in files]
        self._total = None if None in sizes else sum(size for size in sizes if size is not None)
        self._files = len(sizes)
        self._begun = 0
        self._before = 0
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=stderr,
            disable=not stderr.is_terminal,
        )
        self._task: TaskID | None = None
        self._began = self._next = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, file: EventFile) -> None:
        """Begin a file."""
        self._begun += 1
        name = file.name if self._files <= 1 else f"{file.name} ({self._begun} of {self._files})"
        if self._task is None:
            self._new(name, self._total)
        else:
            self._bars.update(self._task, description=name)

    def show(self, file: EventFile, good: int, bad: int) -> None:
        """Show how far it is.

        Args:
            file: The present file.
            good: Events so far, of all files.
            bad: What was refused so far.
        """
        self._show_files(file, good, bad)

    def end(self, file: EventFile, good: int, bad: int) -> None:
        """A file has come to its end."""
        if not self._bars.disable:
            self._show_files(file, good, bad)
        self._before += file.bytes_read if file.size is None else file.size

    def _show_files(self, file: EventFile, good: int, bad: int) -> None:
        seconds = max(time.monotonic() - self._began, 0.001)
        refused = f", {bad:,} refused" if bad else ""
        done = self._before + file.bytes_read
        counts = f"{good:,} accepted{refused}, {(good + bad) / seconds:,.0f}/s"
        self._show(done, counts)
        if self._bars.disable:
            left = ""
            if self._total and done:
                remaining = timedelta(seconds=round(seconds * max(self._total - done, 0) / done))
                left = f", {100 * done // self._total}%, {remaining} left"
            stderr.print(f"{file.name}: {counts}{left}", markup=False, soft_wrap=True)

    def begin_waiting(self, events: int) -> None:
        """Begin to follow that many events."""
        self._new("deliveries", events)

    def update_waiting(self, followed: Followed) -> None:
        """Show how many events have come to an end."""
        if not self._bars.disable and self.is_time():
            states = ", ".join(f"{count:,} {state}" for state, count in followed.by_state.items())
            self._show(followed.settled, states or "no worker has finished any yet")

    def _new(self, name: str, total: int | None) -> None:
        self._task = self._bars.add_task(name, total=total, counts="")
        self._began = time.monotonic()
        self._next = self._began + LINE_INTERVAL if self._bars.disable else 0.0

    def is_time(self) -> bool:
        """Whether it is time to show something again; asked for every event."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + (LINE_INTERVAL if self._bars.disable else INTERVAL)
        return True

    def _show(self, completed: int, counts: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=completed, counts=counts)


def _size(name: str) -> int | None:
    path = Path(name)
    return path.stat().st_size if name != STANDARD_INPUT and path.is_file() else None
