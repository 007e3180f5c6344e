"""``msg91-destination forget``: erase a person."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from worker.cli.connection import DataDir, connected
from worker.cli.operating import JsonOption, YesOption, ask, by, needed, plural, progress
from worker.cli.output import Exit, fail, print_json, stderr, stdout, table, warn
from worker.operations.forgetting import Erased
from worker.operations.forgetting import forget as erase
from worker.operations.person import Person

#: Seconds to wait for requests under way: a claim's lease, and what takes it up.
PATIENCE = 90.0
POLL = 1.0

_WORDS = {
    "waiting": ("deliveries that waited", "suppressed, never sent"),
    "in_doubt": ("deliveries in doubt", "dead, nothing kept"),
    "over": ("dead and rejected deliveries", "nothing kept"),
    "queued": ("events not looked at yet", "emptied, counted as filtered"),
    "reports": ("entries for delivery reports", "gone"),
    "onward": ("entries for publishing onward", "gone"),
    "journal": ("lines of the journal", "without their message id"),
    "malformed": ("malformed events", "gone"),
}


def forget(
    phone: Annotated[str, typer.Option("--phone", metavar="NUMBER", help="By phone number, in any form.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="ID", help="By user id, exactly.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for requests under way.")] = False,
    yes: YesOption = False,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Erase a person from store, schedule, dead letters, journal and malformed events. No count changes.

    What waits for them is not sent. What a worker is sending at this moment cannot be called back: it is waited for,
    and what it leaves is erased too. Records stay; they hold a digest, a state and a time, and keep the same message
    from being sent again. Events that are still in your own queue or stream, and what MSG91 knows, are beyond its
    reach; and it is no opt-out: new events are sent.

    Exit codes: 0 erased, or nothing was there; 1 something is still under way, erase again; 2 wrong usage.

    Examples:
      msg91-destination forget --phone "+91 98765 43210" --dry-run
      msg91-destination forget --user 8f3a --phone 919876543210 --yes
    """
    if not phone.strip() and not user.strip():
        fail("say whom: --phone, --user, or both")
    with connected(data_dir) as connection:
        core = connection.core
        destinations = needed(connection.settings)
        person = Person.known_to(destinations, phone=phone, user=user)
        if not dry_run and not yes:
            with progress("looking", 0) as advance:
                preview = erase(core, destinations, person, by=by(), dry=True, on_progress=advance)
            _print(preview, would_be=True)
            ask("Erase this for good?", yes=yes)
        end = time.monotonic() + PATIENCE

        def wait(under_way: int) -> bool:
            if no_wait or time.monotonic() > end:
                return False
            stderr.print(f"waiting for {plural(under_way, 'request')} under way")
            time.sleep(POLL)
            return True

        with progress("looking" if dry_run else "erasing", 0) as advance:
            erased = erase(core, destinations, person, by=by(), dry=dry_run, wait=wait, on_progress=advance)
    if json_:
        print_json({"dry_run": dry_run, **asdict(erased)})
    else:
        _print(erased, would_be=dry_run)
    if erased.under_way and not dry_run:
        raise typer.Exit(Exit.PROBLEM)


def _print(erased: Erased, *, would_be: bool) -> None:
    counts = {name: count for name, count in asdict(erased).items() if name in _WORDS and count}
    if counts:
        table(
            ("what", "count", "would be" if would_be else "now"),
            [(_WORDS[name][0], f"{count:,}", _WORDS[name][1]) for name, count in counts.items()],
        )
    else:
        stdout.print(Text("Nothing here names them."))
    if erased.under_way:
        warn(f"{plural(erased.under_way, 'request')} under way that a worker is still at: erase again in a minute")
