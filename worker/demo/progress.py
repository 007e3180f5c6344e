"""What the demonstration shows while it runs: a live view on a terminal, plain lines when piped."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker.delivery import Counts, Journal, State

#: Seconds between two lines when piped.
INTERVAL: Final = 0.5
_STYLES: Final = {
    State.ACCEPTED: "green",
    State.REJECTED: "yellow",
    State.IN_DOUBT: "magenta",
    State.SCHEDULED: "cyan",
    State.SENDING: "blue",
}
#: What is said of deliveries whose request did not simply succeed.
_WHAT_NOW: Final = {
    State.SCHEDULED: "go again",
    State.IN_DOUBT: "in doubt",
    State.REJECTED: "rejected",
    State.DEAD: "given up",
}
#: MSG91 refuses a request as a whole for one number in it.
_SPLIT: Final = "go again in two halves"


class Progress:
    """Tells of the steps, of what goes wrong, and how far everything is.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._began = time.monotonic()
        self._said = ""
        self._next = 0.0
        self._requests: set[str] = set()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=10, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the live view; what was printed stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def step(self, name: str, what: str) -> None:
        """Something has been done."""
        self._console.print(Text.assemble((f"  {name:<8}", "bold"), what), soft_wrap=True)

    def update(self, counts: Counts, journal: Journal) -> None:
        """Show how far everything is, and what has gone wrong since the last look."""
        self._tell_trouble(journal)
        if self._live is not None:
            self._live.update(self._view(counts))
            return
        text = ", ".join(f"{counts.states[state]} {state}" for state in State if counts.states[state])
        line = f"{counts.events['received']} received: {text or 'none sent yet'}"
        if line != self._said and time.monotonic() >= self._next:
            self._said, self._next = line, time.monotonic() + INTERVAL
            self._moment(line)

    def _tell_trouble(self, journal: Journal) -> None:
        """Tell of each request that did not simply succeed, once."""
        news: dict[str, tuple[State, str, int]] = {}
        for line in journal.newest_first():
            token = str(line.about.get("token") or "")
            if not token or token in self._requests:
                continue
            if line.state in _WHAT_NOW:
                state, reason, count = news.get(token, (line.state, line.reason, 0))
                news[token] = (state, reason, count + 1)
            else:
                self._requests.add(token)
        for token, (state, reason, count) in reversed(news.items()):
            self._requests.add(token)
            what_now = _SPLIT if state is State.SCHEDULED and reason.startswith("202") else _WHAT_NOW[state]
            self._moment(f"MSG91: {reason} → {count} {what_now}", style=_STYLES.get(state, ""))

    def _moment(self, line: str, *, style: str = "") -> None:
        self._console.print(Text.assemble((f"  {self.seconds:5.1f} s ", "dim"), (line, style)), soft_wrap=True)

    def _view(self, counts: Counts) -> Group:
        grid = Table.grid(padding=(0, 1))
        total = max(1, counts.created)
        for state in State:
            count = counts.states[state]
            if count or state in (State.SENDING, State.SCHEDULED, State.ACCEPTED):
                style = _STYLES.get(state, "white")
                bar = ProgressBar(total=total, completed=count, width=40, complete_style=style, finished_style=style)
                grid.add_row(Text(f"  {state}", style), Text(f"{count:>4}"), bar)
        queued = counts.events["queued"]
        title = f"  {self.seconds:5.1f} s  {counts.events['received']} received, {queued} in the queue"
        return Group(Text(title, "dim"), grid)
