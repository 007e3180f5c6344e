"""``msg91-destination demo``: the whole system on this machine, with sample events."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from worker.cli.output import Exit, fail, stderr, stdout
from worker.demo.progress import Progress
from worker.demo.report import print_report
from worker.demo.story import DemoFailed, Interrupted, Stage, play, staged
from worker.machine import Machine
from worker.sandbox.errors import SandboxError
from worker.supervisor import StopSignals

#: Columns when nobody's terminal says how many there are.
WIDTH: Final = 110


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything up at the end, to look around, until Ctrl-C.")
    ] = False,
) -> None:
    """Show the whole system at work: no account, no server and no configuration needed.

    Starts a Valkey server, a stand-in for MSG91 and a real Celery worker, sends some 270 sample events of all kinds,
    good and bad, while MSG91 throttles and fails now and then; and shows what became of every one of them. Ends
    everything it has started and leaves no file.

    Exit codes: 0 everything came to the end it has to; 1 something did not; 2 it cannot run here.
    """
    console = Console(highlight=False, width=None if stdout.is_terminal else WIDTH)
    problems: list[str] = []
    with StopSignals() as signals:
        try:
            with Machine() as machine:
                problems = _show(console, machine, signals, keep=keep)
        except Interrupted:
            stderr.print("interrupted; everything that was started has been stopped")
            sys.exit(128 + (signals.first or signal.SIGINT))
        except (DemoFailed, SandboxError) as error:
            fail(str(error), code=Exit.PROBLEM)
    for problem in problems:
        stderr.print(Text.assemble(("problem: ", "bold red"), problem), soft_wrap=True)
    if problems:
        raise typer.Exit(int(Exit.PROBLEM))
    console.print("\nEverything came to the end it has to. Nothing is left running, and no file is left.")


def _show(console: Console, machine: Machine, signals: StopSignals, *, keep: bool) -> list[str]:
    """Run it and print the report; what is not as it has to be."""
    console.print(
        Text.assemble(("msg91-destination demo", "bold"), ": sample events, a stand-in for MSG91, no account")
    )
    with Progress(console) as progress, staged(machine, progress, signals) as stage:
        result = play(stage, machine, progress, signals)
        progress.close()
        problems = print_report(console, result)
        if keep:
            console.print(Text(_look_around(stage, machine)), soft_wrap=True)
            while not signals.wait(0.2):
                machine.check()
        machine.stop(signals)
        return problems


def _look_around(stage: Stage, machine: Machine) -> str:
    sandbox = machine.sandbox
    assert sandbox is not None  # noqa: S101 - it is up
    return f"""
Everything stays up until Ctrl-C. To look around, in another terminal:
  export MSG91_DESTINATION_DATA_DIR={stage.home} MSG91_SANDBOX_URL={sandbox.url}
  export DESTINATIONS_FILE={stage.home}/destinations.yaml MSG91_AUTHKEY={sandbox.authkey} MSG91_BASE_URL={sandbox.url}
  msg91-destination deliveries
  msg91-destination reconcile
  msg91-destination sandbox requests
  msg91-destination explain {stage.home}/shop.ndjson
  msg91-destination send --wait {stage.home}/shop.ndjson
  less {stage.home}/worker.log"""
