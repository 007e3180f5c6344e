"""Puts the figures of a run into the documentation, so that a page says exactly what was measured.

The numbers are files in ``docs/measured/``, the tables stand between ``<!-- measured: NAME -->`` and
``<!-- end -->`` in the pages::

    make bench ARGS='--million --json docs/measured/results.json'
    python -m benchmarks.profile --json docs/measured/profile.json
    python -m benchmarks.scale_out --json docs/measured/scale_out.json
    python -m benchmarks.page           # writes tables and chart
    python -m benchmarks.page --check   # says whether a page says something else
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks import report
from benchmarks.scenarios import FLOOR, NAIVE

DOCS = Path(__file__).parents[1] / "docs"
MEASURED = DOCS / "measured"
PAGES = ("performance.md", "scaling.md")
CHART = MEASURED / "throughput.svg"

#: Events a second that deployments are computed for.
RATES = (1_000, 10_000, 100_000)
#: How busy a core is planned to be.
BUSY = 0.6
_SECTION = re.compile(r"(<!-- measured: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def results() -> dict[str, Any]:
    """The numbers of ``make bench``."""
    found: dict[str, Any] = orjson.loads((MEASURED / "results.json").read_bytes())
    return found


def markdown(table: report.Table) -> str:
    """A table as Markdown, numbers to the right."""
    rule = "| --- |" + " ---: |" * (len(table.head) - 1)
    rows = ["| " + " | ".join(row) + " |" for row in (table.head, *table.rows)]
    return "\n".join([rows[0], rule, *rows[1:]])


def machine() -> str:
    """What it was measured on."""
    return f"Measured on: {report.about(results())}; medians of {results()['rounds']} rounds."


def headline() -> str:
    """The best figure beside its references."""
    table = report.tables(results())[0]
    ours = [row for row in table.rows if row[0] not in (FLOOR, *NAIVE) and "latency" not in row[0]]
    best = max(ours, key=lambda row: float(row[1].replace(",", "")))
    return (
        f"**{best[1]} events/s** on {results()['machine']['cores']} cores ({best[0]}): {best[3]} times a naive Celery "
        f"worker, {best[4]} of a bare loop that guarantees nothing; {best[5]} µs of worker CPU an event."
    )


def profile() -> str:
    """Where each microsecond goes, for the two usual sizes of a request."""
    runs: list[dict[str, Any]] = orjson.loads((MEASURED / "profile.json").read_bytes())
    heads = [f"{run['recipients']} a request" for run in runs]
    rows: list[list[str]] = []
    for part in runs[0]["cpu_us_per_event"]:
        rows.append([f"**{part}**", *(f"**{run['cpu_us_per_event'][part]:.1f}**" for run in runs)])
        inside = [run.get(f"{part}_us_per_event", {}) for run in runs] if part == "worker" else []
        names = sorted(inside[0], key=lambda one: -inside[0][one]) if inside else []
        rows += [[f"&emsp;{name}", *(f"{one.get(name, 0):.1f}" for one in inside)] for name in names]
    return markdown(report.Table("", ("CPU µs an event", *heads), rows))


def scale_out() -> str:
    """Throughput and who is busy, by number of workers."""
    found = orjson.loads((MEASURED / "scale_out.json").read_bytes())
    rows = []
    for row in found["rows"]:
        cpu, busy = row["cpu_us_per_event"], row["cores_busy"]
        rows.append(
            (
                (
                    f"{row['workers']} {'machines' if row['machines'] else 'processes'}, broker: "
                    f"{'RabbitMQ' if row['broker'] == 'rabbitmq' else 'Valkey'}"
                ),
                f"{row['events_per_second']:,}",
                *(f"{cpu[part]:.1f}" if part in cpu else "–" for part in ("worker", "store", "sandbox", "broker")),
                f"{busy['worker']:.2f}",
                f"{busy['store']:.2f}",
                f"{row['store_ceiling']:,}",
            )
        )
    head = ("", "events/s", *(f"{part} µs" for part in ("worker", "store", "sandbox", "broker")))
    return markdown(report.Table("", (*head, "worker cores", "store cores", "store's limit, events/s"), rows))


def costs() -> tuple[float, float, float]:
    """Worker µs, store µs and store bytes of an event, at the default 100 recipients a request."""
    rows = [row for row in orjson.loads((MEASURED / "profile.json").read_bytes()) if row["recipients"] == 100]
    ours = results()["throughput"]["500 a batch, 100 a request, 2 processes"]
    worker = statistics.median(row["cpu_us_per_event"]["worker"] for row in ours)
    store = statistics.median([*(row["cpu_us_per_event"]["store"] for row in ours + rows)])
    return worker, store, results()["memory"]["100"]["bytes_per_delivery"]


def deployments() -> str:
    """What a load needs."""
    worker, store, size = costs()
    rows = []
    for rate in RATES:
        cores = rate * worker / 1e6
        busy = rate * store / 1e6
        rows.append(
            (
                f"{rate:,} events/s",
                f"{cores:.2f}",
                f"{max(1, -(-cores // BUSY)):.0f}",
                f"{busy:.2f}",
                f"{max(1, -(-busy // BUSY)):.0f}",
                f"{rate * 3600 * size / 1e9:.1f} GB",
            )
        )
    head = ("load", "worker cores", f"processes, {BUSY:.0%} busy", "store cores", f"stores, {BUSY:.0%} busy")
    return markdown(report.Table("", (*head, "records of an hour"), rows))


SECTIONS: dict[str, Callable[[], str]] = {
    "machine": machine,
    "headline": headline,
    "profile": profile,
    "scale out": scale_out,
    "deployments": deployments,
    **{
        name: (lambda index=index: markdown(report.tables(results())[index]))  # type: ignore[misc]
        for index, name in enumerate(("throughput", "latency", "growth", "mappings", "memory", "doors"))
    },
}


def rendered(text: str) -> str:
    """A page with its figures.

    Raises:
        KeyError: it asks for a section that there is not.
    """
    return _SECTION.sub(lambda match: f"{match[1]}{SECTIONS[match[2]]()}\n{match[3]}", text)


def differing(pages: Sequence[str] = PAGES) -> list[str]:
    """The pages that say something else than the numbers."""
    texts = {name: (DOCS / name).read_text(encoding="utf-8") for name in pages}
    return [name for name, text in texts.items() if rendered(text) != text]


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page differs")
    options = parser.parse_args()
    if options.check:
        found = differing()
        for name in found:
            print(f"docs/{name} says something else than docs/measured: run python -m benchmarks.page")
        return int(bool(found))
    for name in PAGES:
        page = DOCS / name
        page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")
    from benchmarks.chart import draw

    draw(results(), CHART)
    return 0


if __name__ == "__main__":
    sys.exit(main())
