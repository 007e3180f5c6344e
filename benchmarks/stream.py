"""Events through the stream, written one per ``XADD``: store, worker, MSG91's answer, every guarantee on.

``python -m benchmarks.stream --events 100000``. Everything runs on this machine: a real Valkey with its append-only
file, the sandbox in place of MSG91, real worker processes, and the producer.

Without ``--rate`` the events are all in the stream when the workers begin, and the clock runs until the last delivery
is settled: the producer costs nothing in it. With a rate a producer process writes that many events a second, one per
``XADD``, with ``--in-flight`` of them on their way at a time; then the latency is measured too, from the moment an
event was written until the sandbox got its request.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import orjson
import redis

from benchmarks.machine import Meter, resident_mb
from benchmarks.workload import event
from tests.system import System, wait_until
from worker.delivery import Store, read_counts
from worker.intake.stream import GROUP


def write(url: str, key: str, *, events: int, rate: int, in_flight: int) -> None:
    """Write events one per ``XADD``, at a rate when it is not 0."""
    client = redis.Redis.from_url(url)
    began = time.perf_counter()
    for start in range(0, events, in_flight):
        if rate and (ahead := start / rate - (time.perf_counter() - began)) > 0:
            time.sleep(ahead)
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + in_flight, events)):
            one = event(number)
            if rate:
                one["properties"]["message"] = f"{time.time():.6f} {number}"
            pipe.xadd(key, {"event": orjson.dumps(one)})
        pipe.execute()


def run(
    *, events: int, processes: int, concurrency: int, recipients: int, batch: int, rate: int, in_flight: int
) -> dict[str, Any]:
    """One run; everything in the result was measured in it."""
    with System(
        workers=0,
        concurrency=concurrency,
        destination={"lanes": {"sms": {"recipients": recipients, "concurrency": 100}}},
        settings={"MSG91_DESTINATION_STREAM_BATCH": str(batch)},
    ) as system:
        store = system.core.store
        key = store.keys.stream()
        if not rate:
            store.client.xgroup_create(f"{key}.ahead", GROUP, id="0", mkstream=True)
            write(system.valkey.url, f"{key}.ahead", events=events, rate=0, in_flight=500)
        for number in range(processes):
            system.start_worker()
            wait_until(lambda want=number + 1: system.log.count(" ready.") == want, what="the workers are ready")
        pids = {"worker": [one.process.pid for one in system.workers], "sandbox": [system.sandbox.pid or 0]}
        meter = Meter(store, pids)
        began = time.perf_counter()
        if rate:
            spent = _cpu_of_children()
            writer = ("--write", system.valkey.url, key, f"--events={events}", f"--rate={rate}")
            command = [sys.executable, "-m", "benchmarks.stream", *writer, f"--in-flight={in_flight}"]
            subprocess.run(command, check=True)
            producer = _cpu_of_children() - spent
        else:
            store.client.rename(f"{key}.ahead", key)
            producer = 0.0
        wait_until(lambda: _settled(store, events), seconds=600, what="all settled")
        seconds = time.perf_counter() - began
        cpu = meter.per_event(events)
        found = system.reconcile()
        return {
            "events": events,
            "processes": processes,
            "concurrency": concurrency,
            "recipients": recipients,
            "batch": batch,
            "rate": rate,
            "in_flight": in_flight,
            "seconds": round(seconds, 3),
            "events_per_second": round(events / seconds),
            "cpu_us_per_event": {**cpu, "producer": round(producer / events * 1e6, 1)},
            "latency_ms": _latencies(system) if rate else {},
            "worker_memory_mb": [round(resident_mb(pid)) for pid in pids["worker"]],
            "identity_holds": found.holds,
            "accepted": found.as_json()["states"]["accepted"],
            "provider_duplicates": system.sandbox.stats()["duplicates"],
        }


def _settled(store: Store, events: int) -> bool:
    counts = read_counts(store)
    return counts.events["received"] >= events and counts.events["queued"] == 0 and counts.states_on_the_way == 0


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _latencies(system: System) -> dict[str, float]:
    """From the writing of an event to the arrival of its request, ms."""
    found: list[float] = []
    for request in system.sandbox.requests():
        at = datetime.fromisoformat(request["time"]).timestamp()
        found += [(at - float(message["text"].split()[0])) * 1000 for message in request["messages"]]
    cuts = statistics.quantiles(found, n=100)
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--recipients", type=int, default=100)
    parser.add_argument("--batch", type=int, default=500, help="entries read at a time")
    parser.add_argument("--rate", type=int, default=0, help="events a second; 0: all are there at the start")
    parser.add_argument("--in-flight", type=int, default=1, help="XADDs on their way at a time")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", nargs=2, metavar=("URL", "KEY"), help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    repeat, as_json, target = options.pop("repeat"), options.pop("json"), options.pop("write")
    if target:
        write(*target, events=options["events"], rate=options["rate"], in_flight=options["in_flight"])
        return 0
    results = [run(**options) for _ in range(repeat)]
    if as_json:
        sys.stdout.write(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        for one in results:
            print(
                f"{one['events']} events in {one['seconds']} s: {one['events_per_second']} events/s; CPU µs per event: "
                f"{one['cpu_us_per_event']}; latency ms: {one['latency_ms'] or '-'}; accepted {one['accepted']}, "
                f"provider duplicates {one['provider_duplicates']}, identity holds: {one['identity_holds']}; "
                f"worker {one['worker_memory_mb']} MB"
            )
    return 0 if all(one["identity_holds"] and one["provider_duplicates"] == 0 for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
