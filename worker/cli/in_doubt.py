"""``msg91-destination in-doubt``: what may have been sent, and nobody knows: a person decides."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer
from rich.text import Text

from worker.cli.connection import Connection, DataDir, connected
from worker.cli.letter_report import COLUMNS, as_json, first, row
from worker.cli.operating import (
    JsonOption,
    LimitOption,
    YesOption,
    ask,
    by,
    duration,
    keys_of,
    listed,
    needed,
    plural,
    progress,
)
from worker.cli.output import Exit, fail, print_json, stderr, stdout, table
from worker.delivery import State
from worker.operations import in_doubt as operations
from worker.operations.in_doubt import Decided
from worker.operations.letters import Progress, Selection, count, select

app = typer.Typer(help="Decide about deliveries that may have been sent.", no_args_is_help=True)

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Deliveries as `list` names them, or messageIds.")
]
All = Annotated[bool, typer.Option("--all", help="All that fit the filters.")]
DestinationFilter = Annotated[str, typer.Option("--destination", "-d", help="Only those of this destination.")]
ActionFilter = Annotated[str, typer.Option("--action", "-a", help="Only those of this action.")]
OlderThan = Annotated[
    float | None,
    typer.Option("--older-than", parser=duration, metavar="TIME", help="Only those in doubt for longer, like 1h."),
]


@app.command("list")
def list_(
    destination: DestinationFilter = "",
    action: ActionFilter = "",
    older_than: OlderThan = None,
    limit: LimitOption = 50,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """List deliveries in doubt, oldest first.

    Exit codes: 0 listed; 2 wrong usage, or the store does not answer.

    Examples:
      msg91-destination in-doubt list --older-than 1h
    """
    with connected(data_dir) as connection:
        core = connection.core
        selection = _selection(connection, (), destination, action, older_than)
        letters = first(select(core, selection), limit)
        total = count(core, Selection((State.IN_DOUBT,)))
        now_ms = core.store.now_ms()
    if json_:
        print_json({"in_doubt": total, "deliveries": [as_json(one) for one in letters]})
        return
    table(COLUMNS, [row(one, now_ms) for one in letters])
    stderr.print(f"{total:,} in doubt in all")


@app.command()
def resend(
    ids: Ids = None,
    all_: All = False,
    destination: DestinationFilter = "",
    action: ActionFilter = "",
    older_than: OlderThan = None,
    yes: YesOption = False,
    data_dir: DataDir = None,
) -> None:
    """Send again: whoever got the first message gets it twice.

    Says first how many sends and SMS parts that is, and asks.

    Examples:
      msg91-destination in-doubt resend --all --action send_sms --older-than 1h
      msg91-destination in-doubt resend order-1234 --yes
    """
    with connected(data_dir) as connection:
        selection = _chosen(connection, ids, all_, destination, action, older_than)
        destinations, settings = needed(connection.settings), connection.settings
        with _bar(connection, "looking", selection) as advance:
            plan = operations.plan_resend(connection.core, destinations, selection, on_progress=advance)
        _say_plan(plan)
        if plan.sends == 0:
            stdout.print("Nothing to send.")
            raise typer.Exit(Exit.OK if not plan.obstacles else Exit.PROBLEM)
        ask(f"Send {plural(plan.sends, 'delivery', 'deliveries')} again ({plural(plan.parts, 'SMS part')})?", yes=yes)
        with _bar(connection, "sending again", selection) as advance:
            result = operations.resend(
                connection.core,
                destinations,
                selection,
                by=by(),
                quiet=settings.claim_lease + settings.request_deadline,
                on_progress=advance,
            )
    _say(result, "will be sent again")


@app.command()
def drop(
    ids: Ids = None,
    all_: All = False,
    destination: DestinationFilter = "",
    action: ActionFilter = "",
    older_than: OlderThan = None,
    yes: YesOption = False,
    data_dir: DataDir = None,
) -> None:
    """Give up: they are dead, with their payload kept.

    Exit codes: 0 done; 1 the answer was no; 2 wrong usage, nothing is known of one, or the store does not answer.

    Examples:
      msg91-destination in-doubt drop --all --older-than 1d
    """
    with connected(data_dir) as connection:
        selection = _chosen(connection, ids, all_, destination, action, older_than)
        ask(f"Give up {_how_many(connection, selection)}?", yes=yes)
        with _bar(connection, "dropping", selection) as advance:
            result = operations.drop(connection.core, selection, by=by(), on_progress=advance)
    _say(result, "dead now")


@app.command()
def accept(
    ids: Ids = None,
    all_: All = False,
    destination: DestinationFilter = "",
    action: ActionFilter = "",
    older_than: OlderThan = None,
    yes: YesOption = False,
    data_dir: DataDir = None,
) -> None:
    """Take as accepted: somebody has seen in MSG91's panel that they went out. A later report can still say more.

    Exit codes: 0 done; 1 the answer was no; 2 wrong usage, nothing is known of one, or the store does not answer.

    Examples:
      msg91-destination in-doubt accept order-1234
    """
    with connected(data_dir) as connection:
        selection = _chosen(connection, ids, all_, destination, action, older_than)
        ask(f"Take {_how_many(connection, selection)} as accepted?", yes=yes)
        with _bar(connection, "accepting", selection) as advance:
            result = operations.accept(connection.core, selection, by=by(), on_progress=advance)
    _say(result, "accepted now")


def _selection(
    connection: Connection, keys: tuple[str, ...], destination: str, action: str, older_than: float | None
) -> Selection:
    until = None if older_than is None else connection.core.store.now_ms() - round(older_than * 1000)
    return Selection((State.IN_DOUBT,), keys, "", action, destination, None, until)


def _chosen(
    connection: Connection,
    ids: list[str] | None,
    all_: bool,
    destination: str,
    action: str,
    older_than: float | None,
) -> Selection:
    if bool(ids) == all_:
        fail("give either the ids of deliveries, or --all (with filters, if you like)")
    keys = keys_of(connection, ids or (), (State.IN_DOUBT,))
    return _selection(connection, keys, destination, action, older_than)


def _how_many(connection: Connection, selection: Selection) -> str:
    found = sum(len(letters) for letters in select(connection.core, selection))
    if found == 0:
        stdout.print("Nothing of that is in doubt.")
        raise typer.Exit(Exit.OK)
    return f"{plural(found, 'delivery', 'deliveries')} in doubt"


def _bar(connection: Connection, what: str, selection: Selection) -> AbstractContextManager[Progress]:
    total = count(connection.core, selection)
    return progress(what, total) if total else nullcontext(lambda _count: None)


def _say_plan(plan: operations.ResendPlan) -> None:
    for (destination, action), sends in plan.by_action.items():
        stdout.print(Text(f"{plural(sends, 'send')} by {action} through {destination}"))
    if plan.parts:
        stdout.print(Text(f"{plural(plan.parts, 'SMS part')} in all"))
    listed(plan.obstacles, head="not sent, and still in doubt:")


def _say(result: Decided, what: str) -> None:
    stdout.print(Text(f"{plural(result.decided, 'delivery', 'deliveries')} {what}"))
    if result.elsewhere:
        stdout.print(Text(f"{plural(result.elsewhere, 'delivery', 'deliveries')} not in doubt any more"))
    listed(result.obstacles, head="left in doubt:")
