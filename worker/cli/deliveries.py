"""``msg91-destination deliveries``: which deliveries there are, and the whole life of one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from worker.cli.connection import DataDir, connected, destinations_of
from worker.cli.delivery_report import STYLES, known_as_json, lines_of, moment, reason_of, row_as_json
from worker.cli.output import Exit, fail, print_json, stderr, stdout, table, warn
from worker.configuration import ConfigurationError
from worker.delivery import State, read_counts
from worker.destinations import Destinations
from worker.lookup import find, list_deliveries
from worker.settings import Settings

app = typer.Typer(help="List deliveries, and show the whole life of one.", invoke_without_command=True)

StateOption = Annotated[
    State | None, typer.Option("--state", "-s", help="Only those in this state.", show_default="all")
]
DestinationOption = Annotated[
    str, typer.Option("--destination", "-d", help="Only those of this destination.", show_default="all")
]
ActionOption = Annotated[str, typer.Option("--action", "-a", help="Only those of this action.", show_default="all")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")]
UnreportedOption = Annotated[
    bool, typer.Option("--unreported", help="Only those that are accepted and were not reported in time.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.callback()
def deliveries(
    context: typer.Context,
    state: StateOption = None,
    destination: DestinationOption = "",
    action: ActionOption = "",
    limit: LimitOption = 50,
    unreported: UnreportedOption = False,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """List deliveries, and show the whole life of one. Alone it is the same as `deliveries list`."""
    if context.invoked_subcommand is None:
        list_(state, destination, action, limit, unreported, json_, data_dir)


@app.command("list")
def list_(
    state: StateOption = None,
    destination: DestinationOption = "",
    action: ActionOption = "",
    limit: LimitOption = 50,
    unreported: UnreportedOption = False,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """List deliveries, newest first.

    In doubt, dead and rejected ones are listed as long as they are kept, those that are scheduled or being sent as long
    as they are; of all others the journal knows the latest.

    With --unreported, those that MSG91 took and whose delivery report did not come within the report window of their
    action; the exit code is 1 when there are any, 2 when the store does not answer.

    Examples:
      msg91-destination deliveries
      msg91-destination deliveries list --state rejected --limit 500
      msg91-destination deliveries list --state scheduled --json
      msg91-destination deliveries list --unreported
    """
    if unreported and state is not None:
        fail("--unreported lists what is accepted", "Leave out --state")
    with connected(data_dir) as connection:
        rows = list_deliveries(
            connection.core,
            state=state,
            destination=destination,
            action=action,
            limit=limit,
            unreported=unreported,
        )
        counts = read_counts(connection.core.store)
    if json_:
        print_json(
            {
                "counts": {one.value: counts.states[one] for one in State},
                "deliveries": [row_as_json(row) for row in rows],
            }
        )
        _leave(unreported and bool(rows))
        return
    table(
        ("state", "message id", "mapping", "destination", "action", "since", "reason"),
        [
            (
                Text(row.state.value, STYLES.get(row.state, "")),
                row.message_id or f"(delivery {row.key})",
                row.mapping,
                row.destination,
                row.action,
                moment(row.since_ms),
                reason_of(row),
            )
            for row in rows
        ],
    )
    there = ", ".join(f"{counts.states[one]:,} {one.value}" for one in State if counts.states[one])
    stderr.print(f"in all: {there or 'no deliveries'}; {counts.events['queued']:,} events queued")
    _leave(unreported and bool(rows))


def _leave(is_problem: bool) -> None:
    if is_problem:
        raise typer.Exit(Exit.PROBLEM)


# A delivery key may begin with a hyphen, like an option.
@app.command("show", context_settings={"ignore_unknown_options": True})
def show(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="A messageId, messageId:mapping, or the key of a delivery.")
    ],
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Show everything that is known of a message: its deliveries, their attempts, what is kept of them.

    Exit codes: 0 found; 1 nothing is known of it; 2 the store does not answer.

    Examples:
      msg91-destination deliveries show order-1234
      msg91-destination deliveries show order-1234:track --json
    """
    with connected(data_dir) as connection:
        found = find(connection.core, _destinations(connection.settings), wanted)
        queued = read_counts(connection.core.store).events["queued"]
    if json_:
        print_json([known_as_json(one) for one in found])
        raise typer.Exit(Exit.OK if found else Exit.PROBLEM)
    if not found:
        hint = "Give a messageId, messageId:mapping or the key of a delivery; records are kept for a time only"
        if queued:
            hint = f"{queued:,} events are still queued: it may be among them"
        fail(f"nothing is known of {wanted!r}", hint, code=Exit.PROBLEM)
    for one in found:
        for line in lines_of(one):
            stdout.print(line, soft_wrap=True)


def _destinations(settings: Settings) -> Destinations | None:
    """The configuration; a broken one is no reason not to look."""
    try:
        return destinations_of(settings)
    except ConfigurationError as error:
        warn(f"the configuration cannot be used, so that only the journal is searched: {error}")
        return None
