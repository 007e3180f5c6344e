"""``msg91-destination lanes``: how fast, how many at once, and whether at all; closed, opened and limited by hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.connection import DataDir, connected
from worker.cli.delivery_report import moment
from worker.cli.operating import JsonOption, by, duration, plural, rate, span, useful
from worker.cli.output import fail, print_json, stdout, table
from worker.masking import mask_text
from worker.operations import lanes as operations

app = typer.Typer(help="Show lanes; pause, resume and limit them.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="<destination>:<family>, like msg91:sms.")]

_COLOURS = {"open": "green", "probing": "yellow", "paused": "bold yellow", "held": "bold red"}


@app.callback()
def lanes(context: typer.Context, json_: JsonOption = False, data_dir: DataDir = None) -> None:
    """Show lanes; pause, resume and limit them. Alone it shows them all.

    A lane is a destination and a family of endpoints. It is open; paused until a time, after a 429 or a run of
    failures; probing, when one request tries whether it works again; or held, until `lanes resume`.

    Examples:
      msg91-destination lanes
      msg91-destination lanes pause msg91:sms --for 10m --reason audit
    """
    if context.invoked_subcommand is not None:
        return
    with connected(data_dir) as connection:
        found = operations.overview(connection.core, useful(connection.settings))
        now_ms = connection.core.store.now_ms()
    if json_:
        print_json({"lanes": [_as_json(one) for one in found]})
        return
    table(
        ("lane", "state", "rate", "burst", "at once", "in flight", "waiting", "why"),
        [
            (
                one.name,
                Text(_state(one, now_ms), _COLOURS[one.state]),
                _rate(one),
                "" if one.burst is None else f"{one.burst:g}",
                _concurrency(one),
                one.status.busy,
                one.status.waiting,
                mask_text(one.status.reason) if one.state != "open" else "",
            )
            for one in found
        ],
    )


@app.command()
def pause(
    name: Name,
    for_: Annotated[
        float | None,
        typer.Option("--for", parser=duration, metavar="TIME", help="How long, like 10m. Without it: until `resume`."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="What others read while it is closed.")
    ] = "paused by operator",
    data_dir: DataDir = None,
) -> None:
    """Close a lane: requests under way finish, everything else waits and costs no attempt.

    Exit codes: 0 closed; 2 there is no such lane, or the store does not answer.

    Examples:
      msg91-destination lanes pause msg91:sms --for 2h --reason "festival hours"
    """
    with connected(data_dir) as connection:
        lane = operations.pause(
            connection.core, useful(connection.settings), name, reason=reason, seconds=for_, by=by()
        )
    until = "until it is resumed" if lane.status.held else f"for {span(for_ or 0)}"
    stdout.print(Text(f"{name} is closed {until}; {plural(lane.status.busy, 'request')} under way"))


@app.command()
def resume(name: Name, data_dir: DataDir = None) -> None:
    """Open a lane, forget its failures, and wake what waits for it.

    Exit codes: 0 open; 2 there is no such lane, or the store does not answer.

    Examples:
      msg91-destination lanes resume msg91:sms
    """
    with connected(data_dir) as connection:
        _, woken = operations.resume(connection.core, useful(connection.settings), name, by=by())
    stdout.print(Text(f"{name} is open; {plural(woken, 'batch', 'batches')} due now"))


@app.command("set")
def set_(
    name: Name,
    rate_: Annotated[
        float | None,
        typer.Option("--rate", parser=rate, metavar="RATE", help="Like 20/s or 600/min; 0 lifts the limit."),
    ] = None,
    burst: Annotated[int | None, typer.Option("--burst", min=1, help="How much may go at once.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, max=1000, help="Requests under way at most.")
    ] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Go back to the configured limits.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Put other limits in force for the whole fleet at once, until they are unset.

    Exit codes: 0 in force; 2 wrong usage, there is no such lane, or the store does not answer.

    Examples:
      msg91-destination lanes set msg91:sms --rate 20/s --concurrency 5
      msg91-destination lanes set msg91:sms --unset
    """
    given = any(one is not None for one in (rate_, burst, concurrency))
    if given == unset:
        fail("give limits to set, or --unset, and not both")
    with connected(data_dir) as connection:
        destinations = useful(connection.settings)
        if unset:
            lane = operations.unset_limits(connection.core, destinations, name, by=by())
        else:
            lane = operations.set_limits(
                connection.core, destinations, name, rate=rate_, burst=burst, concurrency=concurrency, by=by()
            )
    stdout.print(Text(f"{name}: rate {_rate(lane) or 'no limit'}, at once {_concurrency(lane)}"))


def _state(lane: operations.Lane, now_ms: int) -> str:
    if lane.state == "paused" and lane.status.paused_until_ms is not None:
        return f"paused for {span((lane.status.paused_until_ms - now_ms) / 1000)}"
    return lane.state


def _rate(lane: operations.Lane) -> str:
    if lane.rate is None:
        return "no limit" if lane.configured is None or lane.overridden else ""
    mark = " (set)" if lane.status.rate is not None else ""
    return f"{lane.rate:g} {lane.unit}/s{mark}"


def _concurrency(lane: operations.Lane) -> str:
    if lane.concurrency is None:
        return ""
    mark = " (set)" if lane.status.concurrency is not None else ""
    limit = lane.status.limit
    lowered = limit is not None and int(limit) < lane.concurrency and lane.configured and lane.configured.adaptive
    return f"{int(limit)} of {lane.concurrency}{mark}" if lowered and limit is not None else f"{lane.concurrency}{mark}"


def _as_json(lane: operations.Lane) -> dict[str, Any]:
    status = lane.status
    return {
        "lane": lane.name,
        "state": lane.state,
        "paused_until": None if status.paused_until_ms is None else moment(status.paused_until_ms),
        "reason": mask_text(status.reason) or None,
        "rate": lane.rate,
        "unit": lane.unit,
        "burst": lane.burst,
        "concurrency": lane.concurrency,
        "adaptive_limit": status.limit,
        "in_flight": status.busy,
        "waiting": status.waiting,
        "failures": status.failures,
        "set_by_hand": lane.overridden,
    }
