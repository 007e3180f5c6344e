"""A progress bar on standard error, for whoever watches; nothing when nobody does."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from worker.cli.output import stderr
from worker.intake.files import EventFile
from worker.intake.follow import Followed
from worker.intake.run import Run

__all__ = ["Progress"]

#: Seconds between two updates.
INTERVAL: Final = 0.1


class Progress:
    """Shows a bar for the present file, then one for the deliveries that are waited for."""

    def __init__(self) -> None:
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
        """Begin a file; one whose size nobody knows gets a bar without an end."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._new(file.name, file.size)

    def update(self, file: EventFile, run: Run, *, at_once: bool = False) -> None:
        """Show how far a file is."""
        if not self._is_time(at_once=at_once):
            return
        count = run.files[-1]
        rate = (count.accepted + count.refused) / max(time.monotonic() - self._began, 0.001)
        refused = f", {count.refused:,} refused" if count.refused else ""
        self._show(file.bytes_read, f"{count.accepted:,} accepted{refused}, {rate:,.0f}/s")

    def begin_waiting(self, events: int) -> None:
        """Begin to follow that many events."""
        self._new("deliveries", events)

    def update_waiting(self, followed: Followed) -> None:
        """Show how many events have come to an end."""
        if self._is_time(at_once=False):
            states = ", ".join(f"{count:,} {state}" for state, count in followed.by_state.items())
            self._show(followed.settled, states or "no worker has finished any yet")

    def _new(self, name: str, total: int | None) -> None:
        self._task = self._bars.add_task(name, total=total, counts="")
        self._began, self._next = time.monotonic(), 0.0

    def _is_time(self, *, at_once: bool) -> bool:
        if self._bars.disable:
            return False
        now = time.monotonic()
        if now < self._next and not at_once:
            return False
        self._next = now + INTERVAL
        return True

    def _show(self, completed: int, counts: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=completed, counts=counts)
