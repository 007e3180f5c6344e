"""All measurements side by side: ``make bench``.

Every figure is measured beside its references in the same run, interleaved, several times; the tables show medians and
the spread. ``--json`` writes the numbers for machines, ``--chart`` draws them, ``--quick`` makes a short run of it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import rich.table
from rich.console import Console
from rich.progress import Progress

from benchmarks import report, scenarios
from benchmarks.chart import draw
from benchmarks.machine import machine

MILLION = 1_000_000


def measure(plan: scenarios.Plan, console: Console) -> dict[str, Any]:
    """Run everything."""
    found: dict[str, Any] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=scenarios.steps(plan))
        for name, found in scenarios.measure(plan):
            progress.update(task, description=name, advance=0 if not any(found.values()) else 1)
    server = found["memory"]["500"]["server"]
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return {"machine": machine(), "server": server, "when": when, "rounds": plan.rounds, **found}


def show(found: dict[str, Any], console: Console) -> None:
    """The tables for people."""
    console.print(report.about(found))
    for one in report.tables(found):
        table = rich.table.Table(*one.head, title=one.title)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in one.rows:
            table.add_row(*row)
        console.print(table)


def main() -> int:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, help="of the interleaved measurements; 3 unless given")
    parser.add_argument("--events", type=int, help="events in an end-to-end run; 60,000 unless given")
    parser.add_argument("--quick", action="store_true", help="one round of little, within two minutes")
    parser.add_argument("--million", action="store_true", help="show growth up to a million events, not 300,000")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--chart", type=Path, help="draw them to this file (.svg or .png; needs matplotlib)")
    options = parser.parse_args()
    plan = scenarios.QUICK if options.quick else scenarios.Plan()
    given = {name: getattr(options, name) for name in ("rounds", "events") if getattr(options, name)}
    plan = replace(plan, **given)
    if options.million:
        plan = replace(plan, growth=(*plan.growth, MILLION))
    found = measure(plan, Console(stderr=True))
    show(found, Console(width=None if sys.stdout.isatty() else 120))
    if options.json:
        options.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    if options.chart:
        draw(found, options.chart)
    if not scenarios.holds(found):
        sys.stderr.write("the identity did not hold, or something was sent twice: see the numbers\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
