"""All measurements side by side: ``make bench``.

Every figure is measured beside its references in the same run, interleaved, several times; the table shows medians and
the spread. ``--json`` writes the numbers for machines, ``--chart`` draws them, ``--quick`` makes a short run of it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import end_to_end, floor, latency, naive


@dataclass(frozen=True, slots=True)
class Scenario:
    """One measurement."""

    name: str
    run: Callable[[], dict[str, Any]]


def scenarios(events: int) -> list[Scenario]:
    """What is measured; ``events`` is the size of an end-to-end run."""

    def ours(name: str, **arguments: Any) -> Scenario:
        return Scenario(name, lambda: end_to_end.run(**{"events": events, **arguments}))

    return [
        Scenario("bare loop (floor)", lambda: floor.run(events=events, batch=500)),
        ours("batches of 500, 1 process", batch=500, processes=1, recipients=500),
        ours("batches of 500, 2 processes", batch=500, processes=2, recipients=500),
        ours("batches of 100, 1 process", batch=100, processes=1),
        ours("batches of 100, 2 processes", batch=100, processes=2),
        ours("the default 100 recipients a request", batch=500, processes=2),
        ours("100 ms provider latency", batch=500, processes=2, recipients=500, concurrency=16, latency_ms=100),
        ours("20 mappings", batch=500, processes=1, recipients=500, mappings=20),
        Scenario("naive, threads", lambda: naive.run(events=2000, pool="threads", concurrency=20)),
        Scenario("naive, prefork", lambda: naive.run(events=2000, pool="prefork", concurrency=2)),
    ]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def measure(rounds: int, events: int, console: Console) -> dict[str, Any]:
    """Run everything, interleaved."""
    chosen = scenarios(events)
    results: dict[str, list[dict[str, Any]]] = {one.name: [] for one in chosen}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=rounds * len(chosen) + 2)
        for _ in range(rounds):
            for one in chosen:
                progress.update(task, description=one.name)
                results[one.name].append(one.run())
                progress.advance(task)
        progress.update(task, description="latency")
        ours = results["batches of 500, 2 processes"]
        half = statistics.median(row["events_per_second"] for row in ours) / 2
        loaded = latency.run(events_per_second=half, batch=500, seconds=10, processes=2, concurrency=4)
        progress.advance(task)
        idle = latency.run(events_per_second=20, batch=1, seconds=10, processes=1, concurrency=4)
        progress.advance(task)
    return {"machine": machine(), "rounds": rounds, "results": results, "latency": {"half load": loaded, "idle": idle}}


def show(found: dict[str, Any], console: Console) -> None:
    """The table for people."""
    about = found["machine"]
    console.print(f"{about['cpu']}, {about['cores']} cores, {about['system']}, Python {about['python']}")
    table = Table("", "events/s", "spread", "worker CPU µs/event", "× naive", "× floor", title="End to end")
    naive_rate = max(median(rows) for name, rows in found["results"].items() if name.startswith("naive"))
    floor_rate = median(found["results"]["bare loop (floor)"])
    for name, rows in found["results"].items():
        rates = [row["events_per_second"] for row in rows]
        cpu = statistics.median(row["worker_cpu_us_per_event"] for row in rows)
        table.add_row(
            name,
            f"{median(rows):,.0f}",
            f"{min(rates):,} – {max(rates):,}",
            f"{cpu:,.1f}",
            f"{median(rows) / naive_rate:.1f}",
            f"{median(rows) / floor_rate:.2f}",
        )
    console.print(table)
    table = Table("", "load, events/s", "p50 ms", "p95 ms", "p99 ms", title="From the queue to MSG91")
    for name, row in found["latency"].items():
        table.add_row(name, f"{row['events_per_second']:,}", *(f"{row[f'p{p}_ms']}" for p in (50, 95, 99)))
    console.print(table)


def median(rows: list[dict[str, Any]]) -> float:
    """Median events per second."""
    return statistics.median(row["events_per_second"] for row in rows)


def draw(found: dict[str, Any], path: Path) -> None:
    """A bar chart, as SVG or PNG by the file's ending."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(found["results"])
    rates = [median(found["results"][name]) for name in names]
    low = [
        rate - min(row["events_per_second"] for row in found["results"][name])
        for name, rate in zip(names, rates, strict=True)
    ]
    high = [
        max(row["events_per_second"] for row in found["results"][name]) - rate
        for name, rate in zip(names, rates, strict=True)
    ]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(names) + 1.2))
    colours = ["#9e9e9e" if name.startswith(("naive", "bare")) else "#1f6feb" for name in names]
    bars = axes.barh(names, rates, xerr=[low, high], color=colours, error_kw={"ecolor": "#444", "capsize": 3})
    axes.bar_label(bars, labels=[f" {rate:,.0f}" for rate in rates], padding=4)
    axes.invert_yaxis()
    axes.set_xlabel("events per second (median; lines show the spread)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path)


def holds(found: dict[str, Any]) -> bool:
    """Whether every run kept the identity and sent nothing twice."""
    rows = [row for rows in found["results"].values() for row in rows] + list(found["latency"].values())
    return all(row.get("identity_holds", True) and row.get("provider_duplicates", 0) == 0 for row in rows)


def main() -> int:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=100_000, help="events in an end-to-end run")
    parser.add_argument("--quick", action="store_true", help="one round of 20,000 events")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--chart", type=Path, help="draw them to this file (.svg or .png; needs matplotlib)")
    options = parser.parse_args()
    console = Console(stderr=True)
    found = measure(1 if options.quick else options.rounds, 20_000 if options.quick else options.events, console)
    show(found, Console())
    if options.json:
        options.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if options.chart:
        draw(found, options.chart)
    if not holds(found):
        sys.stderr.write("the identity did not hold, or something was sent twice: see the numbers\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
