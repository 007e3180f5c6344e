"""Assembles the commands and turns every known error into one clean message.

A command's module is imported when the command is used: ``--help`` of one does not wait for the imports of all.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from worker import __version__
from worker.cli.help_text import refill
from worker.cli.output import Exit, fail

#: Every command, in the order of the help text, and where it is defined.
COMMANDS: dict[str, str] = {
    "demo": "worker.cli.demo:demo",
    "up": "worker.cli.up:up",
    "worker": "worker.cli.worker_:worker",
    "intake": "worker.cli.intake:intake",
    "sandbox": "worker.cli.sandbox:app",
    "send": "worker.cli.send:send",
    "whatsapp": "worker.cli.whatsapp:app",
    "sms": "worker.cli.sms:app",
    "otp": "worker.cli.otp:app",
    "segmento": "worker.cli.segmento:app",
    "campaigns": "worker.cli.campaigns:app",
    "explain": "worker.cli.explain:explain",
    "deliveries": "worker.cli.deliveries:app",
    "reports": "worker.cli.reports:reports",
    "reconcile": "worker.cli.reconcile:reconcile",
    "in-doubt": "worker.cli.in_doubt:app",
    "dead-letters": "worker.cli.dead_letters:app",
    "schedule": "worker.cli.schedule:app",
    "lanes": "worker.cli.lanes:app",
    "recovery": "worker.cli.recovery:app",
    "forget": "worker.cli.forget:forget",
    "mappings": "worker.cli.mappings_:app",
    "config": "worker.cli.config:app",
    "doctor": "worker.cli.doctor:doctor",
}


class Commands(TyperGroup):
    """The commands, each loaded at its first use."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Load one command."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        loaded: Any = getattr(importlib.import_module(module), name)
        if not isinstance(loaded, typer.Typer):
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(cmd_name, context_settings=CONTEXT)(loaded)
            loaded = single
        command = typer.main.get_command(loaded)
        command.name = cmd_name
        # Every Typer application offers to complete itself; ours is completed as a whole.
        command.params = [one for one in command.params if one.name not in ("install_completion", "show_completion")]
        command.context_settings.update(CONTEXT)
        refill(command)
        return command


CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="msg91-destination",
    cls=Commands,
    help="Segment-style events in, MSG91 messages out: nothing lost, nothing sent twice, every one explained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
    epilog="Exit codes: 0 all well, 1 a problem was found, 2 wrong usage or configuration.",
)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"msg91-destination {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # its callback acts
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def run() -> None:
    """Run the command line; the entry point of the ``msg91-destination`` script."""
    try:
        app()
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(int(Exit.OK))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = _known(error)
        if known is None:
            raise
        try:
            fail(*known)
        except typer.Exit as leaving:
            sys.exit(leaving.exit_code)


def _known(error: Exception) -> tuple[str, str | None] | None:
    """The message (and what to do) of an error that is not a bug of ours."""
    from mappings import MappingsError  # noqa: PLC0415 - slow imports, and errors are rare
    from worker.configuration import ConfigurationError  # noqa: PLC0415
    from worker.delivery import DeliveryError, StoreUnavailable  # noqa: PLC0415
    from worker.msg91 import Msg91Error  # noqa: PLC0415

    if isinstance(error, StoreUnavailable):
        return (
            f"the store does not answer: {error}",
            "Is it running, and is REDIS_URL right? `msg91-destination doctor` checks.",
        )
    if isinstance(error, ConfigurationError | MappingsError | Msg91Error | DeliveryError):
        return str(error), None
    return None


if __name__ == "__main__":
    run()
