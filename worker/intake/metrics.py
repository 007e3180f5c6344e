"""What Prometheus reads: everything that the store knows of all processes, in its text format.

The numbers are those of the whole fleet, whichever process of the door is asked: they come from the store.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from worker.delivery import LATENCY_BOUNDS, Awaiting, Kind, State, read_measures
from worker.delivery.counters import EVENT_FIELDS
from worker.delivery.states import BY_LETTER
from worker.destinations import Destinations
from worker.runtime import Core

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
#: Entries of the schedule that are looked at for the oldest event.
_OLDEST_AMONG = 200


def exposition(core: Core, destinations: Destinations, messages: int | None) -> bytes:
    """The text of ``/metrics``.

    Args:
        core: The store.
        destinations: The present configuration.
        messages: How many messages wait at the broker; None when it does not answer.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    registry = CollectorRegistry()
    registry.register(_Collected([*metrics_of(core, destinations, messages)]))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def metrics_of(core: Core, destinations: Destinations, messages: int | None) -> Iterator[Metric]:
    """All metrics; as `exposition`."""
    store = core.store
    raw = store.ask(lambda: store.client.hgetall(store.keys.counters))
    counters = {name.decode(): int(value) for name, value in raw.items()}
    yield from _events(counters)
    yield from _deliveries(counters)
    yield from _unreported(core, counters)
    yield from _queue(core, counters, messages)
    yield from _lanes(core, destinations)
    yield from _measures(core, counters)


def _events(counters: dict[str, int]) -> Iterator[Metric]:
    total = CounterMetricFamily(
        "msg91_events", "Events by what became of them: parsed = filtered + duplicate + parent.", labels=["outcome"]
    )
    for name in EVENT_FIELDS:
        if name != "queued":
            total.add_metric([name], counters.get(f"events:{name}", 0))
    yield total
    doors = CounterMetricFamily("msg91_door_events", "Events by the door they came in at.", labels=["door", "outcome"])
    for name, value in sorted(counters.items()):
        kind, _, door = name.partition("|")
        if kind.startswith("door:"):
            doors.add_metric([door, kind.removeprefix("door:")], value)
    yield doors


def _deliveries(counters: dict[str, int]) -> Iterator[Metric]:
    now = GaugeMetricFamily(
        "msg91_deliveries_in_state", "Deliveries by the state they are in, since the beginning.", labels=["state"]
    )
    for state in State:
        now.add_metric([state.value], counters.get(f"state:{state.letter}", 0))
    yield now
    entered = CounterMetricFamily(
        "msg91_deliveries",
        "How often deliveries have entered a state.",
        labels=["destination", "action", "state"],
    )
    created = CounterMetricFamily("msg91_deliveries_created", "Deliveries.", labels=["destination", "action"])
    for name, value in sorted(counters.items()):
        kind, *about = name.split("|")
        if len(about) != 2:
            continue
        if kind.startswith("to:") and kind[3:] in BY_LETTER:
            entered.add_metric([*about, BY_LETTER[kind[3:]].value], value)
        elif kind == "created":
            created.add_metric(about, value)
    yield entered
    yield created


def _unreported(core: Core, counters: dict[str, int]) -> Iterator[Metric]:
    awaited, overdue = Awaiting(core.store, core.ledger).counts()
    yield GaugeMetricFamily(
        "msg91_requests_awaiting_report", "Requests whose delivery reports are awaited.", value=awaited
    )
    yield GaugeMetricFamily(
        "msg91_requests_unreported", "Requests with deliveries whose reports are overdue.", value=overdue
    )
    total = CounterMetricFamily(
        "msg91_deliveries_unreported",
        "Deliveries that were accepted and not reported within their report window.",
        labels=["destination", "action"],
    )
    for name, value in sorted(counters.items()):
        kind, *about = name.split("|")
        if kind == "unreported" and len(about) == 2:
            total.add_metric(about, value)
    yield total


def _queue(core: Core, counters: dict[str, int], messages: int | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "msg91_events_queued", "Events accepted and not yet worked on.", value=counters.get("events:queued", 0)
    )
    yield GaugeMetricFamily(
        "msg91_schedule_batches", "Unfinished batches in the schedule.", value=core.schedule.depth()
    )
    if messages is not None:
        yield GaugeMetricFamily("msg91_broker_messages", "Messages that wait at the broker.", value=messages)
    yield GaugeMetricFamily("msg91_broker_up", "Whether the broker answers.", value=int(messages is not None))
    now = core.store.now_ms()
    entries = core.schedule.entries(limit=_OLDEST_AMONG)
    accepted = [one for one in entries if one.kind in (Kind.EVENTS, Kind.PAYLOADS)]
    age = max((now - one.received_ms for one in accepted), default=0) / 1000
    yield GaugeMetricFamily("msg91_oldest_event_age_seconds", "Age of the oldest event in the queue.", value=age)
    late = max((now - one.due_ms for one in entries if not one.running), default=0) / 1000
    yield GaugeMetricFamily(
        "msg91_schedule_lateness_seconds", "How long the batch that is due longest has been due.", value=max(0.0, late)
    )


def _lanes(core: Core, destinations: Destinations) -> Iterator[Metric]:
    configured = {lane.name: lane.limits for one in destinations for lane in one.lanes.values()}
    names = ["lane"]
    rate = GaugeMetricFamily("msg91_lane_rate_limit", "Cost per second that a lane allows; 0: no limit.", labels=names)
    limit = GaugeMetricFamily("msg91_lane_concurrency_limit", "Requests at once that it allows now.", labels=names)
    busy = GaugeMetricFamily("msg91_lane_requests_in_flight", "Requests under way.", labels=names)
    waiting = GaugeMetricFamily("msg91_lane_batches_waiting", "Batches that wait for a free slot.", labels=names)
    paused = GaugeMetricFamily("msg91_lane_pause_seconds", "How long it stays closed; +Inf: by hand.", labels=names)
    failures = GaugeMetricFamily("msg91_lane_failures", "Failed requests in a row.", labels=names)
    now = core.store.now_ms()
    for name in core.lanes.names():
        status = core.lanes.status(name)
        limits = configured.get(name)
        rate.add_metric([name], status.rate if status.rate is not None else (limits.rate or 0.0) if limits else 0.0)
        most = status.concurrency or (limits.concurrency if limits else 0)
        limit.add_metric([name], min(status.limit, most) if status.limit is not None else most)
        busy.add_metric([name], status.busy)
        waiting.add_metric([name], status.waiting)
        left = (status.paused_until_ms - now) / 1000 if status.paused_until_ms else 0.0
        paused.add_metric([name], float("inf") if status.held else max(0.0, left))
        failures.add_metric([name], status.failures)
    yield from (rate, limit, busy, waiting, paused, failures)


def _measures(core: Core, counters: dict[str, int]) -> Iterator[Metric]:
    measured = read_measures(core.store)
    refused = CounterMetricFamily("msg91_door_refused", "Requests that a door has refused.", labels=["door", "code"])
    for (door, code), count in sorted(measured.refused.items()):
        refused.add_metric([door, code], count)
    yield refused
    callbacks = CounterMetricFamily(
        "msg91_callbacks",
        "Delivery reports and inbound messages that MSG91 called back, and what came of them.",
        labels=["destination", "kind", "outcome"],
    )
    for labels, count in sorted(measured.callbacks.items()):
        callbacks.add_metric(list(labels), count)
    yield callbacks
    latency = HistogramMetricFamily(
        "msg91_delivery_latency_seconds",
        "From the acceptance of an event until MSG91 has taken its message.",
        labels=["destination", "action"],
    )
    for about, one in sorted(measured.latencies.items()):
        seen, buckets = 0, []
        for bound, count in zip([*map(str, LATENCY_BOUNDS), "+Inf"], one.buckets, strict=True):
            seen += count
            buckets.append((bound, seen))
        latency.add_metric(list(about), buckets, one.seconds)
    yield latency
    cpu = CounterMetricFamily("msg91_process_cpu_seconds", "Processor time used.", labels=["process"])
    for process, seconds in sorted(measured.cpu.items()):
        cpu.add_metric([process], seconds)
    yield cpu
    parsed = counters.get("events:parsed", 0)
    yield GaugeMetricFamily(
        "msg91_worker_cpu_seconds_per_event",
        "Processor time of all workers, since the beginning, by event.",
        value=measured.cpu.get("worker", 0.0) / parsed if parsed else 0.0,
    )
