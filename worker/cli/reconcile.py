"""``msg91-destination reconcile``: does every event and every delivery add up?"""

from __future__ import annotations

import typer
from rich.text import Text

from worker.cli.connection import DataDir, connected
from worker.cli.delivery_report import STYLES
from worker.cli.operating import JsonOption, progress
from worker.cli.output import Exit, print_json, stdout, table
from worker.delivery import Reconciliation, State, read_counts
from worker.delivery import reconcile as count_everything


def reconcile(json_: JsonOption = False, data_dir: DataDir = None) -> None:
    """Count every event and every delivery, and compare with the counters. Works while everything runs.

    Events: received = queued + parsed + malformed, and parsed = filtered + duplicate + parent of a delivery.
    Deliveries: created = the sum over all states, by the counters and by counting every record.

    Exit codes: 0 it adds up; 1 it does not; 2 the store does not answer.

    Examples:
      msg91-destination reconcile
      msg91-destination reconcile --json
    """
    with connected(data_dir) as connection:
        store = connection.core.store
        with progress("counting records", read_counts(store).created) as advance:
            counted = 0

            def move_on(so_far: int) -> None:
                nonlocal counted
                advance(so_far - counted)
                counted = so_far

            found = count_everything(store, on_progress=move_on)
    if json_:
        print_json(found.as_json())
    else:
        _print(found)
    if not found.holds:
        raise typer.Exit(Exit.PROBLEM)


def _print(found: Reconciliation) -> None:
    events = found.counts.events
    table(
        ("events", "count", "of which", "count"),
        [
            ("received", _count(events["received"]), "", ""),
            ("  queued", _count(events["queued"]), "", ""),
            ("  parsed", _count(events["parsed"]), "filtered", _count(events["filtered"])),
            ("", "", "duplicate", _count(events["duplicate"])),
            ("", "", "parent", _count(events["parent"])),
            ("  malformed", _count(events["malformed"]), "", ""),
        ],
    )
    rows: list[tuple[Text | str, str, str, Text | str]] = [
        ("created", _count(found.counts.created), _count(sum(found.recounted.values())), "")
    ]
    for state in State:
        says, there = found.counts.states[state], found.recounted[state]
        differs = says != there and not found.moving
        rows.append(
            (
                Text(f"  {state.value}", STYLES.get(state, "")),
                _count(says),
                _count(there),
                Text("differs", "bold red") if differs else "",
            )
        )
    table(("deliveries", "counter", "recounted", ""), rows)
    expired = sum(found.counts.folded.values())
    if expired:
        stdout.print(Text(f"{expired:,} of them are records whose life is over; they are counted in their states."))
    if found.moving:
        stdout.print(Text("Deliveries moved while they were counted: only the totals were compared."))
    for problem in found.problems:
        stdout.print(Text.assemble(("problem: ", "bold red"), problem), soft_wrap=True)
    stdout.print(Text("It adds up.", "bold green") if found.holds else Text("It does not add up.", "bold red"))


def _count(number: int) -> str:
    return f"{number:,}"
