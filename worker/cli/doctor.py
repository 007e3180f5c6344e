"""``msg91-destination doctor``: is everything there, does it work, and what is to be done about what does not?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.connection import DataDir
from worker.cli.live_checks import BY_HAND, Checked, check_live
from worker.cli.operating import JsonOption, plural
from worker.cli.output import Exit, fail, print_json, stderr, stdout, table
from worker.destinations import load_destinations
from worker.operations.doctor import Finding, Verdict, examine
from worker.settings import load_settings

_LIVE = {"as documented": "green", "refused": "bold red", "differs": "bold yellow", "not asked": "dim"}
_MARKS = {
    Verdict.OK: ("ok", "green"),
    Verdict.WARNING: ("warning", "bold yellow"),
    Verdict.PROBLEM: ("problem", "bold red"),
}


def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="The destinations file. Without it: DESTINATIONS_FILE, ./destinations.yaml, or the environment.",
            show_default=False,
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask MSG91 about the authkeys.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask each account what can be asked without sending anything.")
    ] = False,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Check this machine, the store, the broker, the configuration and every authkey. Changes and sends nothing.

    Exit codes: 0 it can run, perhaps with warnings; 1 there is a problem.

    Examples:
      msg91-destination doctor
      msg91-destination doctor --offline --json
      msg91-destination doctor --live
    """
    if live and offline:
        fail("--live asks MSG91, and --offline forbids it")
    with stderr.status("checking") if stderr.is_terminal else nullcontext():
        findings = list(examine(os.environ, file=file, data_dir=data_dir, offline=offline))
    problems = sum(one.verdict is Verdict.PROBLEM for one in findings)
    warnings = sum(one.verdict is Verdict.WARNING for one in findings)
    if json_:
        report: dict[str, Any] = {"ok": problems == 0, "checks": [one.as_json() for one in findings]}
        if live:
            report["live"] = [one.as_json() for one in _ask_accounts(file)]
        print_json(report)
    else:
        table(("check", "", "found", "what to do"), [_row(one) for one in findings])
        stdout.print(
            Text(
                f"{plural(problems, 'problem')}, {plural(warnings, 'warning')}",
                "bold red" if problems else "bold green",
            )
        )
        if live:
            _show_live(file)
    if problems:
        raise typer.Exit(Exit.PROBLEM)


def _ask_accounts(file: Path | None) -> Iterator[Checked]:
    for destination in load_destinations(file or load_settings().destinations_file, os.environ):
        yield from check_live(destination)


def _show_live(file: Path | None) -> None:
    """What each account says to questions that send nothing, and what is left to be tried by hand."""
    rows = ((one.destination, one.call, Text(one.result, _LIVE[one.result]), one.found) for one in _ask_accounts(file))
    table(("destination", "call", "", "found"), rows, title="asked of the live accounts; nothing was sent")
    table(("to be tried by hand: this sends", "msg91-destination …"), BY_HAND)


def _row(finding: Finding) -> tuple[str, Text, str, str]:
    return finding.check, Text(*_MARKS[finding.verdict]), finding.detail, finding.cure
