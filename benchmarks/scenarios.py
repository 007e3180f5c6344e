"""What ``make bench`` measures: each measurement by name, and how often."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import doors, end_to_end, floor, latency, memory, naive

#: The names of the references in the throughput table.
FLOOR = "bare loop (floor)"
NAIVE = ("naive, threads", "naive, prefork")
#: The run whose half is the load of the latency measurement.
BEST = "500 a batch and request, 2 processes"

Measure = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often the interleaved measurements are made.
        events: Events in an end-to-end run.
        naive: Events of the naive worker.
        growth: Events in the runs that show growth.
        mappings: Numbers of mappings that are compared.
        deliveries: Deliveries in the measurement of the store's memory.
        latency: Seconds of each latency measurement.
        doors: Share of the usual events through each door.
    """

    rounds: int = 3
    events: int = 60_000
    naive: int = 1_500
    growth: tuple[int, ...] = (10_000, 100_000, 300_000)
    mappings: tuple[int, ...] = (1, 5, 20)
    deliveries: int = 100_000
    latency: float = 10.0
    doors: float = 1.0


#: A run of less than two minutes.
QUICK = Plan(
    rounds=1,
    events=15_000,
    naive=600,
    growth=(10_000, 30_000),
    mappings=(1, 20),
    deliveries=20_000,
    latency=3.0,
    doors=0.1,
)


def throughput(plan: Plan) -> dict[str, Measure]:
    """End to end, beside the naive worker and the bare loop."""

    def ours(**arguments: Any) -> Measure:
        return lambda: end_to_end.run(events=plan.events, **arguments)

    return {
        FLOOR: lambda: floor.run(events=plan.events, batch=500),
        "500 a batch and request, 1 process": ours(batch=500, processes=1, recipients=500),
        BEST: ours(batch=500, processes=2, recipients=500),
        "500 a batch, 100 a request, 1 process": ours(batch=500, processes=1),
        "500 a batch, 100 a request, 2 processes": ours(batch=500, processes=2),
        "100 a batch and request, 1 process": ours(batch=100, processes=1),
        "100 a batch and request, 2 processes": ours(batch=100, processes=2),
        "100 ms provider latency, 500, 2 processes": ours(
            batch=500, processes=2, recipients=500, concurrency=16, latency_ms=100
        ),
        NAIVE[0]: lambda: naive.run(events=plan.naive, pool="threads", concurrency=20),
        NAIVE[1]: lambda: naive.run(events=plan.naive, pool="prefork", concurrency=2),
    }


def mapping_costs(plan: Plan) -> dict[str, Measure]:
    """The same events, with more and more mappings in force."""

    def ours(count: int) -> Measure:
        return lambda: end_to_end.run(events=plan.events, batch=500, processes=1, mappings=count)

    return {str(count): ours(count) for count in plan.mappings}


def through_doors(plan: Plan) -> dict[str, Measure]:
    """Single events."""
    return {
        name: lambda run=run, events=events: run(max(500, round(events * plan.doors)))  # type: ignore[misc]
        for name, (run, events) in doors.DOORS.items()
    }


def steps(plan: Plan) -> int:
    """How many measurements a run makes, for the progress bar."""
    interleaved = len(throughput(plan)) + len(mapping_costs(plan)) + len(through_doors(plan))
    return plan.rounds * interleaved + len(plan.growth) + 4


def measure(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Make every measurement, interleaved where there are rounds; gives what is next, and all there is so far."""
    found: dict[str, Any] = {"throughput": {}, "mappings": {}, "doors": {}, "growth": [], "latency": {}, "memory": {}}
    groups = {"throughput": throughput(plan), "mappings": mapping_costs(plan), "doors": through_doors(plan)}
    for _ in range(plan.rounds):
        for group, measures in groups.items():
            for name, run in measures.items():
                yield name, found
                found[group].setdefault(name, []).append(run())
    half = statistics.median(row["events_per_second"] for row in found["throughput"][BEST]) / 2
    loads = {"half load": (half, 500, 2), "idle": (20.0, 1, 1)}
    for name, (rate, batch, processes) in loads.items():
        yield f"latency, {name}", found
        found["latency"][name] = latency.run(
            events_per_second=rate, batch=batch, seconds=plan.latency, processes=processes, concurrency=4
        )
    for events in plan.growth:
        yield f"growth, {events:,} events", found
        found["growth"].append(end_to_end.run(events=events, batch=500, processes=2, recipients=500))
    for recipients in (500, 100):
        yield f"the store's memory, {recipients} a request", found
        row = memory.run(deliveries=plan.deliveries, recipients=recipients, journal=100)
        row["bytes_per_delivery"] = round((row["used"] - row["kinds"]["journal"][1]) / row["deliveries"], 1)
        row["kinds"] = {kind: size for kind, (_, size) in row["kinds"].items()}
        found["memory"][str(recipients)] = row
    yield "done", found


def holds(found: dict[str, Any]) -> bool:
    """Whether every run kept the identity and sent nothing twice."""
    rows = [*found["growth"], *found["latency"].values()]
    rows += [row for group in ("throughput", "mappings", "doors") for runs in found[group].values() for row in runs]
    return all(row.get("identity_holds", True) and row.get("provider_duplicates", 0) == 0 for row in rows)
