"""``msg91-destination doctor``: is everything there, does it work, and what is to be done about what does not?"""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from worker.cli.connection import DataDir
from worker.cli.operating import JsonOption, plural
from worker.cli.output import Exit, print_json, stderr, stdout, table
from worker.operations.doctor import Finding, Verdict, examine

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
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Check this machine, the store, the broker, the configuration and every authkey. Changes and sends nothing.

    Exit codes: 0 it can run, perhaps with warnings; 1 there is a problem.

    Examples:
      msg91-destination doctor

      msg91-destination doctor --offline --json
    """
    with stderr.status("checking") if stderr.is_terminal else nullcontext():
        findings = list(examine(os.environ, file=file, data_dir=data_dir, offline=offline))
    problems = sum(one.verdict is Verdict.PROBLEM for one in findings)
    warnings = sum(one.verdict is Verdict.WARNING for one in findings)
    if json_:
        print_json({"ok": problems == 0, "checks": [one.as_json() for one in findings]})
    else:
        table(("check", "", "found", "what to do"), [_row(one) for one in findings])
        stdout.print(
            Text(
                f"{plural(problems, 'problem')}, {plural(warnings, 'warning')}",
                "bold red" if problems else "bold green",
            )
        )
    if problems:
        raise typer.Exit(Exit.PROBLEM)


def _row(finding: Finding) -> tuple[str, Text, str, str]:
    return finding.check, Text(*_MARKS[finding.verdict]), finding.detail, finding.cure
