"""Assembles the commands and turns every known error into one clean message."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from mappings import MappingsError
from worker import __version__
from worker.cli import (
    config,
    deliveries,
    demo,
    doctor,
    explain,
    mappings_,
    reconcile,
    sandbox,
    send,
    up,
    worker_,
)
from worker.cli.output import Exit, fail
from worker.configuration import ConfigurationError
from worker.delivery import DeliveryError, StoreUnavailable
from worker.msg91 import Msg91Error

app = typer.Typer(
    name="msg91-destination",
    help="Segment-style events in, MSG91 messages out: nothing lost, nothing sent twice, every one explained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all well, 1 a problem was found, 2 wrong usage or configuration.",
)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"msg91-destination {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("worker")(worker_.worker)
app.command("send")(send.send)
app.command("explain")(explain.explain)
app.command("reconcile")(reconcile.reconcile)
app.command("doctor")(doctor.doctor)
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(mappings_.app, name="mappings")
app.add_typer(config.app, name="config")
app.add_typer(sandbox.app, name="sandbox")


def run() -> None:
    """Run the command line; the entry point of the ``msg91-destination`` script."""
    try:
        app()
    except (ConfigurationError, MappingsError, Msg91Error) as error:
        _leave(str(error))
    except StoreUnavailable as error:
        _leave(f"the store does not answer: {error}", "Is it running? `msg91-destination doctor` checks REDIS_URL.")
    except DeliveryError as error:
        _leave(str(error))
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(int(Exit.OK))
    except KeyboardInterrupt:
        sys.exit(130)


def _leave(message: str, hint: str | None = None) -> None:
    try:
        fail(message, hint)
    except typer.Exit as leaving:
        sys.exit(leaving.exit_code)


if __name__ == "__main__":
    run()
