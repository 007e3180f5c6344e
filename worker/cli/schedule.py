"""``msg91-destination schedule``: all unfinished work, hurried or given up."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.connection import DataDir, connected
from worker.cli.operating import JsonOption, LimitOption, YesOption, ask, by, needed, plural, progress, span
from worker.cli.output import Exit, fail, print_json, stderr, stdout, table, warn
from worker.delivery import Kind
from worker.masking import mask_text
from worker.operations import schedule as operations

app = typer.Typer(help="List, hurry or drop unfinished work.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Batches, as `list` names them.")]

_LEFT_ALONE = {
    "gone": "is no unfinished batch (any more)",
    "running": "is being worked on: try again in a minute",
    "timer": "is the timer of deliveries in doubt: `in-doubt drop`, `resend` or `accept` decides about them",
    "failed": "could not be read: the log above says why; it stays in the schedule",
}


@app.command("list")
def list_(limit: LimitOption = 50, json_: JsonOption = False, data_dir: DataDir = None) -> None:
    """List unfinished batches, soonest due first.

    Events and payloads have just come in; deliveries wait, for the reason shown; timers decide about doubts.

    Examples:
      msg91-destination schedule list --limit 200
    """
    with connected(data_dir) as connection:
        lines = operations.lines(connection.core, limit=limit)
        depth = connection.core.schedule.depth()
    if json_:
        print_json({"depth": depth, "batches": [_as_json(one) for one in lines]})
        return
    table(
        ("batch", "due in", "kind", "items", "destination", "runs", "why"),
        [
            (
                one.entry.batch_id,
                Text("running", "cyan") if one.entry.running else _due(one.due_in),
                one.entry.kind.value,
                f"{one.entry.items:,}",
                "any" if one.destinations == ("*",) else ", ".join(one.destinations),
                one.entry.runs,
                mask_text(one.why),
            )
            for one in lines
        ],
    )
    stderr.print(f"{plural(depth, 'batch', 'batches')} in all")


@app.command()
def now(
    ids: Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything but timers of doubts.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make batches due now, instead of at their time.

    Rates, pauses and limits of their lanes still hold.

    Examples:
      msg91-destination schedule now 3f2a90c1d4e5b6a7
      msg91-destination schedule now --all
    """
    if bool(ids) == all_:
        fail("give either the ids of batches, or --all")
    with connected(data_dir) as connection:
        core = connection.core
        if ids:
            result = operations.hurry(core, ids, by=by())
        else:
            with progress("making due", core.schedule.depth()) as advance:
                result = operations.hurry_all(core, by=by(), on_progress=advance)
    for one in result.missing:
        warn(f"{one} {_LEFT_ALONE['gone']}")
    timers = f"; {plural(result.timers, 'timer')} of doubts left alone" if result.timers else ""
    stdout.print(Text(f"{plural(result.batches, 'batch', 'batches')} due now{timers}"))
    if result.missing:
        raise typer.Exit(Exit.PROBLEM)


@app.command()
def drop(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Batches, as `list` names them.")],
    yes: YesOption = False,
    data_dir: DataDir = None,
) -> None:
    """Give batches up: what they would have sent is dead, with its payload kept; `dead-letters replay` brings it back.

    Deliveries that wait become dead letters. Events that no worker has looked at yet are mapped and counted as ever,
    and every delivery they make becomes a dead letter instead of being sent: no count loses anything.

    Examples:
      msg91-destination schedule drop 3f2a90c1d4e5b6a7 --yes
    """
    with connected(data_dir) as connection:
        core = connection.core
        looks = [look for look in core.batches.look(ids) if look is not None]
        items = sum(look.batch.count for look in looks)
        waiting = sum(look.batch.kind is Kind.DELIVERIES for look in looks)
        what = ", ".join(
            part
            for part in (
                f"{plural(items, 'event')} not looked at yet" if items else "",
                f"{plural(waiting, 'batch', 'batches')} of deliveries that wait" if waiting else "",
            )
            if part
        )
        if looks:
            ask(f"Drop {plural(len(looks), 'batch', 'batches')}" + (f" ({what})" if what else "") + "?", yes=yes)
        results = operations.drop(core, needed(connection.settings), list(dict.fromkeys(ids)), by=by())
    for one in results:
        if one.outcome == "dropped":
            stdout.print(Text(f"{one.batch_id}: dropped, {plural(one.deliveries, 'delivery', 'deliveries')} dead"))
        else:
            warn(f"{one.batch_id} {_LEFT_ALONE[one.outcome]}")
    if any(one.outcome != "dropped" for one in results):
        raise typer.Exit(Exit.PROBLEM)


def _due(seconds: float) -> str:
    return span(seconds) if seconds >= 0 else f"overdue {span(-seconds)}"


def _as_json(one: operations.Line) -> dict[str, Any]:
    return {
        "batch": one.entry.batch_id,
        "due_in": round(one.due_in, 3),
        "kind": one.entry.kind.value,
        "items": one.entry.items,
        "destinations": list(one.destinations),
        "queue": one.entry.queue,
        "runs": one.entry.runs,
        "running": one.entry.running,
        "why": mask_text(one.why) or None,
    }
