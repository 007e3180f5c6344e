"""``msg91-destination recovery``: whether sending is held because the store may have lost claims, and going on."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.connection import DataDir, connected
from worker.cli.output import Exit, print_json, stdout
from worker.delivery import confirm, why_held

app = typer.Typer(
    help="Whether sending is held after a restart of the store that may have lost claims, and how to go on.",
    no_args_is_help=True,
)


@app.command("status")
def status(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether sending is held, and why.

    Exit codes: 0 messages are sent; 1 sending is held; 2 the store does not answer.

    Examples:
      msg91-destination recovery status
    """
    with connected(data_dir) as connection:
        reason = why_held(connection.core.store)
    if as_json:
        print_json({"held": bool(reason), "reason": reason})
    elif reason:
        stdout.print(f"held: {reason}", soft_wrap=True)
    else:
        stdout.print("not held: messages are sent")
    raise typer.Exit(int(Exit.PROBLEM if reason else Exit.OK))


@app.command("confirm")
def confirm_command(
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Go on sending. Messages whose claims the store has lost may be sent twice: nobody can tell which.

    What was lost can only be seen at MSG91: compare its log of the last minutes before the restart with
    `msg91-destination deliveries`, if a message sent twice would do harm.

    Examples:
      msg91-destination recovery confirm
    """
    with connected(data_dir) as connection:
        reason = why_held(connection.core.store)
        if reason and not yes and not as_json:
            typer.confirm(f"Held because {reason}. Go on sending?", abort=True)
        confirm(connection.core.store)
    if as_json:
        print_json({"confirmed": bool(reason), "reason": reason})
    else:
        stdout.print("sending goes on within a few seconds" if reason else "sending was not held")
