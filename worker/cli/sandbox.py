"""``msg91-destination sandbox``: a stand-in for MSG91 on this machine, and its faults."""

from __future__ import annotations

import errno
import ipaddress
import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.panel import Panel
from rich.text import Text
from typer.core import TyperGroup

from worker.cli.output import fail, is_terminal, print_json, stdout, table
from worker.cli.sandbox_asking import LOCAL_URL, AsJson, Token, Url, ask
from worker.cli.sandbox_callbacks import (
    CALLBACKS_HELP,
    INBOUND_HELP,
    REPORT_HELP,
    callbacks,
    checked_callbacks,
    inbound,
    report,
)
from worker.sandbox.callbacks.settings import SECRET_VARIABLE
from worker.sandbox.client import SandboxClient
from worker.sandbox.errors import SandboxError
from worker.sandbox.faults import KINDS, read_fault
from worker.sandbox.record import last_lines, masked
from worker.sandbox.server import serve
from worker.sandbox.settings import (
    DEFAULT_AUTHKEY,
    DEFAULT_HOST,
    DEFAULT_PORT,
    TOKEN_VARIABLE,
    Settings,
)
from worker.sandbox.stand_in import StandIn

_KINDS = "\n".join(f"  {kind.example:<21}{kind.summary}" for kind in KINDS.values())

_SANDBOX_HELP = f"""Run a stand-in for MSG91: its wire format, its refusals, and faults on demand.

It takes the authkey "{DEFAULT_AUTHKEY}" and records every request, phone numbers included, before it answers.
Nothing it takes reaches anyone.

\b
Examples:
  msg91-destination sandbox --record requests.ndjson
  msg91-destination sandbox --latency 50-200 --rate 50/s --fault 503,p=0.05
  msg91-destination sandbox fault 429,retry-after=5,count=10
  msg91-destination sandbox --callback to=http://127.0.0.1:8080/v1/callbacks/shop
  msg91-destination sandbox requests --last 5

\b
To send to it instead of MSG91:
  export MSG91_BASE_URL=http://127.0.0.1:{DEFAULT_PORT}
  export MSG91_AUTHKEY={DEFAULT_AUTHKEY}
  msg91-destination up
"""

_FAULT_HELP = f"""Give a running sandbox faults, list them, take them away.

\b
Examples:
  msg91-destination sandbox fault 503,p=0.1
  msg91-destination sandbox fault close-after,p=0.02 slow=50-200
  msg91-destination sandbox fault code=301,count=20,path=/api/v2
  msg91-destination sandbox fault list
  msg91-destination sandbox fault clear

\b
Faults:
{_KINDS}

\b
Options, after commas:
  p=0.1                hit one matching request in ten (default: every one)
  count=20             hit 20 requests, then no more
  path=/api/v5/flow    only paths that begin so; * stands for anything
  seed=7               the same dice every time
  taken=yes            MSG91 takes the request, whatever the answer says
  retry-after=5        Retry-After in seconds, or "none"
  retry-after-date=5   Retry-After as the date in 5 seconds
  body=json            html (a gateway's page), json (MSG91's own), none, or
                       success (MSG91's good answer under a bad status)
  reset                end the connection with a reset

Faults are asked in the order they were added; the first that ends the answer wins, and delays add up.
"""


class _FaultGroup(TyperGroup):
    """Lets ``fault SPEC…`` stand for ``fault add SPEC…``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Look the command up; what is none is a fault to add."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["add", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(help=_SANDBOX_HELP, invoke_without_command=True, rich_markup_mode=None)
fault_app = typer.Typer(help=_FAULT_HELP, cls=_FaultGroup, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(fault_app, name="fault")

app.command("callbacks", help=CALLBACKS_HELP)(callbacks)
app.command("report", help=REPORT_HELP)(report)
app.command("inbound", help=INBOUND_HELP)(inbound)


@app.callback()
def sandbox(
    context: typer.Context,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Beyond this machine, control calls need a token.")
    ] = DEFAULT_HOST,
    record: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Append every request to this file (NDJSON). Default: a temporary one."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="A fault from the start; may be given again. See: sandbox fault --help."),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(help="Wait before every answer, in milliseconds: 100, or a range like 50-200."),
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Answer 429 beyond this many requests: 50/s or 120/min.")] = None,
    authkey: Annotated[
        list[str] | None,
        typer.Option(help=f"An authkey to take; may be given again. Default: {DEFAULT_AUTHKEY}."),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="A template id to know; may be given again. Default: every id of 24 hexadecimal digits."),
    ] = None,
    unknown_template: Annotated[
        list[str] | None, typer.Option(help="A template id not to know; may be given again.")
    ] = None,
    callback: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING",
            help="Post delivery reports, like to=http://…; may be given again. See: sandbox callbacks --help.",
        ),
    ] = None,
    duplicate_window: Annotated[
        float,
        typer.Option(min=0, help="Seconds in which the same request again is refused with code 311; 0: never."),
    ] = 10.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Roll the faults' dice the same way every time.")] = None,
    fsync: Annotated[bool, typer.Option("--fsync", help="Force every record to the disk before the answer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    faults = list(fault or [])
    faults += [f"rate={rate}"] if rate else []
    faults += [f"slow={latency}"] if latency else []
    settings = Settings(
        host=host,
        port=port,
        record=None if record is None else str(record),
        authkeys=tuple(authkey or [DEFAULT_AUTHKEY]),
        templates=None if template is None else tuple(template),
        unknown_templates=tuple(unknown_template or ()),
        faults=tuple(faults),
        callbacks=checked_callbacks(callback, os.environ.get(SECRET_VARIABLE)),
        callback_secret=os.environ.get(SECRET_VARIABLE),
        duplicate_window=duplicate_window,
        seed=seed,
        fsync=fsync,
        control_token=_control_token(host),
    )
    try:
        left = serve(settings, _announce_json if as_json else _announce)
    except SandboxError as wrong:
        fail(str(wrong))
    except OSError as wrong:
        if wrong.errno == errno.EADDRINUSE:
            fail(f"port {port} of {host} is taken", "take another with --port, or a free one with --port 0")
        fail(f"the sandbox cannot start: {wrong}")
    _say_goodbye(left, as_json=as_json)


@fault_app.command("add")
def add(
    specs: Annotated[list[str], typer.Argument(metavar="FAULT...", help="Faults, like 503,p=0.1.")],
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Add faults to a running sandbox: all of them, or none where one cannot be read.

    Examples:
      msg91-destination sandbox fault add 503,p=0.1 slow=50-200
    """
    added = ask(lambda: _add(SandboxClient(url, token), specs))
    if as_json:
        print_json(added)
    else:
        stdout.print("\n".join(f"fault {one['number']}: {one['fault']}" for one in added), soft_wrap=True)


@fault_app.command("list")
def list_(url: Url = LOCAL_URL, token: Token = None, as_json: AsJson = False) -> None:
    """List the standing faults and how often each has hit.

    Examples:
      msg91-destination sandbox fault list --json
    """
    standing = ask(lambda: SandboxClient(url, token).faults())
    if as_json:
        print_json(standing)
    elif not standing:
        stdout.print("no faults")
    else:
        table(
            ("number", "fault", "hits", "left"),
            [(one["number"], one["fault"], one["hits"], _left(one["left"])) for one in standing],
        )


@fault_app.command("clear")
def clear(
    number: Annotated[int | None, typer.Argument(min=1, help="Only the fault with this number.")] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Take every fault away, or one.

    Examples:
      msg91-destination sandbox fault clear
      msg91-destination sandbox fault clear 2
    """
    cleared = ask(lambda: SandboxClient(url, token).clear_faults(number))
    if as_json:
        print_json({"cleared": cleared})
    else:
        stdout.print(f"{cleared} {'fault' if cleared == 1 else 'faults'} cleared")


@app.command()
def requests(
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many, counted from the end.")] = 20,
    record: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Read this record instead of asking a sandbox."),
    ] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show the last requests as MSG91 would have received them, phone numbers hidden.

    Examples:
      msg91-destination sandbox requests --last 5
      msg91-destination sandbox requests --record requests.ndjson --json
    """
    lines = (
        [masked(line) for line in last_lines(record, last)]
        if record is not None
        else ask(lambda: SandboxClient(url, token).requests(last))
    )
    if as_json:
        print_json(lines)
        return
    if not lines:
        stdout.print("no requests yet")
        return
    table(
        ("time", "for", "messages", "first recipient", "taken", "status", "code", "faults"),
        [_row(line) for line in lines],
    )


def _row(line: dict[str, Any]) -> tuple[Any, ...]:
    messages = line["messages"]
    taken = Text("yes", "green") if line["taken"] else Text("no", "yellow")
    if "post" in line:  # a report that went out, not a request that came in
        taken = Text("", "")
    return (
        line["time"][11:23],
        line["kind"],
        len(messages),
        messages[0]["to"] if messages else "",
        taken,
        line["status"] or "",
        line["code"] or "",
        " ".join([*line["faults"], *([line["error"]] if line.get("error") else [])]),
    )


def _left(left: int | None) -> str:
    return "" if left is None else str(left)


def _add(client: SandboxClient, specs: list[str]) -> list[dict[str, Any]]:
    # Read here first: what cannot be read needs no running sandbox to say so.
    for spec in specs:
        read_fault(spec)
    return client.add_faults(*specs)


def _control_token(host: str) -> str | None:
    """Control calls need a token once other machines can reach the sandbox."""
    given = os.environ.get(TOKEN_VARIABLE)
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    return given or (None if is_local else secrets.token_urlsafe(24))


def _announce(url: str, stand_in: StandIn) -> None:
    settings = stand_in.settings
    kept = "" if settings.record else " (goes when it stops; to keep one: --record FILE)"
    lines = [
        f"MSG91 sandbox at {url} (Ctrl-C stops it)",
        f"record   {stand_in.recorder.path}{kept}",
        f"authkey  {' '.join(settings.authkeys)}",
    ]
    lines += [f"reports  {setting}" for setting in stand_in.outbox.callbacks.shown()]
    lines += [f"fault    {one['fault']}" for one in stand_in.faults.summary()]
    if settings.faults:
        lines.append(f"seed     {stand_in.seed}")
    if settings.control_token and not os.environ.get(TOKEN_VARIABLE):
        lines.append(f"token    {settings.control_token} (for control calls: {TOKEN_VARIABLE})")
    text = Text("\n".join(lines))
    stdout.print(Panel.fit(text, border_style="dim") if is_terminal() else text, soft_wrap=True)


def _announce_json(url: str, stand_in: StandIn) -> None:
    print_json(
        {
            "url": url,
            "record": str(stand_in.recorder.path),
            "authkeys": stand_in.settings.authkeys,
            "faults": [one["fault"] for one in stand_in.faults.summary()],
            "callbacks": stand_in.outbox.callbacks.shown(),
            "seed": stand_in.seed,
        }
    )


def _say_goodbye(stand_in: StandIn, *, as_json: bool) -> None:
    stats = stand_in.stats.summary()
    if as_json:
        print_json(stats)
    else:
        stdout.print(f"stopped after {stats['requests']} requests; {stats['taken']} messages taken")
