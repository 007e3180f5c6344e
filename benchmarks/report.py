"""The tables of a run: the same for the terminal and for the documentation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.scenarios import FLOOR, NAIVE


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        title: Above it.
        head: Names of its columns.
        rows: Its cells.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(found: dict[str, Any]) -> list[Table]:
    """All tables of a run, as ``benchmarks.scenarios.measure`` gives it."""
    return [_throughput(found), _latency(found), _growth(found), _mappings(found), _memory(found), _doors(found)]


def about(found: dict[str, Any]) -> str:
    """What it was measured on, in one line."""
    machine = found["machine"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}, Valkey {found['server']}; {found['when']}"
    )


def rate(rows: Sequence[dict[str, Any]]) -> float:
    """Median events per second."""
    return statistics.median(row["events_per_second"] for row in rows)


def cpu(rows: Sequence[dict[str, Any]], part: str) -> str:
    """Median microseconds of a part per event, ``–`` where it was not measured."""
    values = [row["cpu_us_per_event"][part] for row in rows if part in row["cpu_us_per_event"]]
    return f"{statistics.median(values):,.1f}" if values else "–"


def spread(rows: Sequence[dict[str, Any]]) -> str:
    """Lowest and highest events per second."""
    rates = [row["events_per_second"] for row in rows]
    return f"{min(rates):,} – {max(rates):,}"


def _throughput(found: dict[str, Any]) -> Table:
    runs = found["throughput"]
    naive_rate, floor_rate = max(rate(runs[name]) for name in NAIVE), rate(runs[FLOOR])
    return Table(
        "End to end",
        ("", "events/s", "spread", "× naive", "× floor", "worker µs", "store µs", "sandbox µs"),
        [
            (
                name,
                f"{rate(rows):,.0f}",
                spread(rows),
                f"{rate(rows) / naive_rate:.1f}",
                f"{rate(rows) / floor_rate:.2f}",
                *(cpu(rows, part) for part in ("worker", "store", "sandbox")),
            )
            for name, rows in runs.items()
        ],
    )


def _latency(found: dict[str, Any]) -> Table:
    return Table(
        "From the queue to MSG91",
        ("", "load, events/s", "p50 ms", "p95 ms", "p99 ms"),
        [
            (name, f"{row['events_per_second']:,}", *(f"{row[f'p{p}_ms']}" for p in (50, 95, 99)))
            for name, row in found["latency"].items()
        ],
    )


def _growth(found: dict[str, Any]) -> Table:
    return Table(
        "More events",
        ("events", "events/s", "worker µs", "store µs", "worker memory, MB a process"),
        [
            (
                f"{row['events']:,}",
                f"{row['events_per_second']:,}",
                cpu([row], "worker"),
                cpu([row], "store"),
                ", ".join(map(str, row["worker_memory_mb"])),
            )
            for row in found["growth"]
        ],
    )


def _mappings(found: dict[str, Any]) -> Table:
    return Table(
        "More mappings, 100 a request, 1 process",
        ("mappings", "events/s", "spread", "worker µs"),
        [(name, f"{rate(rows):,.0f}", spread(rows), cpu(rows, "worker")) for name, rows in found["mappings"].items()],
    )


def _memory(found: dict[str, Any]) -> Table:
    return Table(
        "The store's memory, settled deliveries",
        ("recipients a request", "bytes a delivery", "MB a million"),
        [
            (name, f"{row['bytes_per_delivery']:,.0f}", f"{row['bytes_per_delivery']:,.0f}")
            for name, row in found["memory"].items()
        ],
    )


def _doors(found: dict[str, Any]) -> Table:
    parts = ("door", "worker", "store", "sandbox")
    return Table(
        "Single events through each door, 1 worker process",
        ("", "events/s", "spread", *(f"{part} µs" for part in parts)),
        [
            (name, f"{rate(rows):,.0f}", spread(rows), *(cpu(rows, part) for part in parts))
            for name, rows in found["doors"].items()
        ],
    )
