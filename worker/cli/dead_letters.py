"""``msg91-destination dead-letters``: what was given up or refused: look at it, send it again, or forget it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from worker.cli.connection import Connection, DataDir, connected
from worker.cli.letter_report import COLUMNS, as_json, first, lines_of, row
from worker.cli.operating import (
    JsonOption,
    LimitOption,
    YesOption,
    ask,
    by,
    keys_of,
    listed,
    moment_of,
    needed,
    plural,
    progress,
    useful,
)
from worker.cli.output import Exit, fail, print_json, stderr, stdout, table
from worker.delivery import State
from worker.operations import dead_letters as operations
from worker.operations.letters import Selection, count, select

app = typer.Typer(help="Look at dead and rejected deliveries, send them again, or forget them.", no_args_is_help=True)

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Deliveries as `list` names them, or messageIds.")
]
All = Annotated[bool, typer.Option("--all", help="All that fit the filters.")]
StateFilter = Annotated[State | None, typer.Option("--state", "-s", help="Only dead, or only rejected.")]
ReasonFilter = Annotated[str, typer.Option("--reason", help="Only those with this in their reason.")]
DestinationFilter = Annotated[str, typer.Option("--destination", "-d", help="Only those of this destination.")]
ActionFilter = Annotated[str, typer.Option("--action", "-a", help="Only those of this action.")]
Since = Annotated[
    str, typer.Option("--since", metavar="TIME", help="Only since then: how long ago, like 2h, or a time in ISO 8601.")
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Only until then; as --since.")]


@app.command("list")
def list_(
    state: StateFilter = None,
    reason: ReasonFilter = "",
    destination: DestinationFilter = "",
    action: ActionFilter = "",
    since: Since = "",
    until: Until = "",
    limit: LimitOption = 50,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """List dead and rejected deliveries, oldest first.

    Exit codes: 0 listed; 2 wrong usage, or the store does not answer.

    Examples:
      msg91-destination dead-letters list --reason "invalid sender" --since 1d
    """
    with connected(data_dir) as connection:
        core = connection.core
        selection = _selection(connection, (), state, reason, destination, action, since, until)
        letters = first(select(core, selection), limit)
        total = count(core, Selection(operations.STATES))
        now_ms = core.store.now_ms()
    if json_:
        print_json({"dead_letters": total, "deliveries": [as_json(one) for one in letters]})
        return
    table(COLUMNS, [row(one, now_ms) for one in letters])
    stderr.print(f"{total:,} dead and rejected in all")


@app.command()
def show(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="A delivery as `list` names it, or a messageId.")],
    reveal: Annotated[bool, typer.Option("--reveal", help="Show phone numbers as they are.")] = False,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Show the event, the mapping, the reason, and every attempt with its request and answer.

    Exit codes: 0 shown; 2 nothing is known of it, or the store does not answer.

    Examples:
      msg91-destination dead-letters show order-1234
    """
    with connected(data_dir) as connection:
        keys = keys_of(connection, [wanted], operations.STATES)
        destinations = useful(connection.settings)
        shown = [operations.describe(connection.core, destinations, key, reveal=reveal) for key in keys]
    if json_:
        print_json(shown)
        return
    for one in shown:
        for line in lines_of(one):
            stdout.print(line, soft_wrap=True)


@app.command()
def replay(
    ids: Ids = None,
    all_: All = False,
    state: StateFilter = None,
    reason: ReasonFilter = "",
    destination: DestinationFilter = "",
    action: ActionFilter = "",
    since: Since = "",
    until: Until = "",
    yes: YesOption = False,
    data_dir: DataDir = None,
) -> None:
    """Send them again, as they were kept, with a budget of attempts as if they were new.

    What was refused for its fields has nothing that could be sent: it is made anew from its event by the present
    mapping. Says first how many sends and SMS parts that is, and how many were once in doubt, and asks. Two replays of
    the same letters send them once.

    Examples:
      msg91-destination dead-letters replay --all --reason 503 --since 2h
      msg91-destination dead-letters replay order-1234 --yes
    """
    with connected(data_dir) as connection:
        core = connection.core
        selection = _chosen(connection, ids, all_, state, reason, destination, action, since, until)
        destinations = needed(connection.settings)
        with progress("looking", count(core, selection)) as advance:
            plan = operations.plan_replay(core, destinations, selection, on_progress=advance)
        _say_plan(plan)
        if plan.sends == 0:
            stdout.print("Nothing to send.")
            raise typer.Exit(Exit.OK if not plan.obstacles else Exit.PROBLEM)
        ask(f"Send {plural(plan.sends, 'delivery', 'deliveries')} ({plural(plan.parts, 'SMS part')})?", yes=yes)
        with progress("replaying", count(core, selection)) as advance:
            result = operations.replay(core, destinations, selection, by=by(), on_progress=advance)
    stdout.print(Text(f"{plural(result.replayed, 'delivery', 'deliveries')} will be sent"))
    if result.elsewhere:
        stdout.print(Text(f"{plural(result.elsewhere, 'delivery', 'deliveries')} not dead or rejected any more"))


@app.command()
def discard(
    ids: Ids = None,
    all_: All = False,
    state: StateFilter = None,
    reason: ReasonFilter = "",
    destination: DestinationFilter = "",
    action: ActionFilter = "",
    since: Since = "",
    until: Until = "",
    yes: YesOption = False,
    data_dir: DataDir = None,
) -> None:
    """Forget what is kept of them: event, fields and attempts. They stay counted, and can never be sent again.

    Exit codes: 0 done; 1 the answer was no; 2 wrong usage, nothing is known of one, or the store does not answer.

    Examples:
      msg91-destination dead-letters discard --all --until 7d
    """
    with connected(data_dir) as connection:
        core = connection.core
        selection = _chosen(connection, ids, all_, state, reason, destination, action, since, until)
        found = sum(len(letters) for letters in select(core, selection))
        if found == 0:
            stdout.print("Nothing to discard.")
            return
        ask(f"Forget what is kept of {plural(found, 'delivery', 'deliveries')}, for good?", yes=yes)
        with progress("discarding", count(core, selection)) as advance:
            discarded = operations.discard(core, selection, by=by(), on_progress=advance)
    stdout.print(Text(f"{plural(discarded, 'delivery', 'deliveries')} discarded"))


def _selection(
    connection: Connection,
    keys: tuple[str, ...],
    state: State | None,
    reason: str,
    destination: str,
    action: str,
    since: str,
    until: str,
) -> Selection:
    if state is not None and state not in operations.STATES:
        fail(f"{state.value} is no state of a dead letter", "Give dead or rejected")
    now_ms = connection.core.store.now_ms()
    return Selection(
        (state,) if state else operations.STATES,
        keys,
        reason,
        action,
        destination,
        moment_of(since, now_ms) if since else None,
        moment_of(until, now_ms) if until else None,
    )


def _chosen(
    connection: Connection,
    ids: list[str] | None,
    all_: bool,
    state: State | None,
    reason: str,
    destination: str,
    action: str,
    since: str,
    until: str,
) -> Selection:
    if bool(ids) == all_:
        fail("give either the ids of deliveries, or --all (with filters, if you like)")
    keys = keys_of(connection, ids or (), operations.STATES)
    return _selection(connection, keys, state, reason, destination, action, since, until)


def _say_plan(plan: operations.ReplayPlan) -> None:
    for (destination, action), sends in plan.by_action.items():
        stdout.print(Text(f"{plural(sends, 'send')} by {action} through {destination}"))
    if plan.parts:
        stdout.print(Text(f"{plural(plan.parts, 'SMS part')} in all"))
    if plan.resolved_again:
        words = "made anew from their events by the present mappings: they were refused for their fields"
        stdout.print(Text(f"{plan.resolved_again:,} {words}"), soft_wrap=True)
    if plan.once_in_doubt:
        words = "once in doubt: whoever got the first message gets it twice"
        stdout.print(Text(f"{plan.once_in_doubt:,} {words}", "yellow"), soft_wrap=True)
    listed(plan.obstacles, head="not sent:")
