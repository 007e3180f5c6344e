"""What the commands of an operator share: who it is, asking before acting, times, progress, whom ids mean."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic_core import PydanticCustomError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from worker.cli.connection import Connection, destinations_of
from worker.cli.output import Exit, fail, stderr, stdout, warn
from worker.configuration import ConfigurationError
from worker.configuration.quantities import read_rate, read_seconds
from worker.delivery import State
from worker.destinations import Destinations
from worker.lookup import KEY_LENGTH, find
from worker.settings import Settings

__all__ = [
    "JsonOption",
    "LimitOption",
    "YesOption",
    "ago",
    "ask",
    "by",
    "duration",
    "keys_of",
    "listed",
    "moment_of",
    "needed",
    "plural",
    "progress",
    "rate",
    "span",
    "useful",
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def by() -> str:
    """Who works here, for the journal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"


def ask(question: str, *, yes: bool) -> None:
    """Ask before acting; anything but yes ends the command with nothing done.

    Raises:
        typer.Exit: the answer was no, or nobody is there to answer.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{question} Nobody is there to say yes.", "Say it in advance: --yes")
    if not typer.confirm(question, err=True):
        stderr.print("Nothing was done.")
        raise typer.Exit(Exit.PROBLEM)


def duration(text: str) -> float:
    """Read a length of time, in seconds."""
    return _read(read_seconds, text)


def rate(text: str) -> float:
    """Read a rate per second; 0 for no limit."""
    return 0.0 if text.strip() == "0" else _read(read_rate, text)


def moment_of(text: str, now_ms: int) -> int:
    """Read a moment: how long ago (``2h``), or a time in ISO 8601 (UTC unless it says otherwise); ms since 1970."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now_ms - round(duration(text) * 1000)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def span(seconds: float) -> str:
    """A length of time for people: ``4 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def ago(ms: int, now_ms: int) -> str:
    """How long ago a moment was."""
    return f"{span(max(0, now_ms - ms) / 1000)} ago"


def plural(count: int, noun: str, plural_noun: str = "") -> str:
    """A count with its noun: ``1 delivery``, ``1,200 deliveries``."""
    return f"{count:,} {noun if count == 1 else plural_noun or noun + 's'}"


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on standard error, for whoever watches; gives what moves it on."""
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
    with bars:
        task = bars.add_task(what, total=total or None)
        yield lambda count: bars.advance(task, count)


def needed(settings: Settings) -> Destinations:
    """The configured destinations, which the command cannot do without.

    Raises:
        ConfigurationError: they are wrong.
        typer.Exit: there are none.
    """
    found = destinations_of(settings)
    if found is None:
        fail("there is no destination configured", "Set DESTINATIONS_FILE or MSG91_AUTHKEY as the workers have them")
    return found


def useful(settings: Settings) -> Destinations:
    """The configured destinations, or none: a command that closes a lane in an emergency must not wait for them."""
    try:
        found = destinations_of(settings)
    except ConfigurationError as error:
        warn(f"the configuration cannot be used, only what is in the store is known: {error}")
        found = None
    return found or Destinations("nothing", ())


def keys_of(connection: Connection, ids: Sequence[str], states: Sequence[State]) -> tuple[str, ...]:
    """The keys of the deliveries that ids mean: keys themselves, or messageIds of deliveries in these states.

    Raises:
        typer.Exit: nothing is known of one.
    """
    keys: list[str] = []
    for one in ids:
        if len(one) == KEY_LENGTH and connection.core.ledger.records([one])[0] is not None:
            keys.append(one)
            continue
        found = find(connection.core, useful(connection.settings), one)
        if not found:
            fail(f"nothing is known of {one!r}", "Give the id in the first column of `list`, or a messageId")
        fitting = [known.key for known in found if known.state in states]
        if not fitting:
            wanted = " or ".join(state.value for state in states)
            fail(f"{one!r} is {', '.join(known.state or 'unknown' for known in found)}, not {wanted}")
        keys += fitting
    return tuple(keys)


def listed(obstacles: dict[str, int], *, head: str) -> None:
    """Print why some were left alone, most frequent first."""
    if not obstacles:
        return
    stdout.print(Text(head))
    for words, count in sorted(obstacles.items(), key=lambda item: -item[1]):
        stdout.print(Text(f"  {count:>9,}  {words}"), soft_wrap=True)


def _read(reader: Callable[[Any], float], text: str) -> float:
    try:
        return reader(text)
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message()) from None
