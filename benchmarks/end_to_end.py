"""Events through the whole system: queue, worker, MSG91's answer, every guarantee on.

``python -m benchmarks.end_to_end --events 100000 --processes 1``. Everything runs on this machine: a real Valkey with
its append-only file, the sandbox in place of MSG91, real worker processes. The clock runs from the moment the workers
are ready and the first batch is published until the last delivery is settled.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

from benchmarks.machine import Meter, resident_mb
from benchmarks.workload import batches, mapping_file
from tests.system import System, wait_until


def run(
    *,
    events: int = 50_000,
    batch: int = 500,
    processes: int = 1,
    concurrency: int = 4,
    recipients: int = 100,
    latency_ms: int = 0,
    mappings: int = 0,
) -> dict[str, Any]:
    """One run; everything in the result was measured in it.

    Args:
        events: How many events.
        batch: Events in a batch.
        processes: Worker processes.
        concurrency: Threads each.
        recipients: Recipients in a request, at most.
        latency_ms: How long the provider takes to answer.
        mappings: Mappings in force; one of them matches, the others' triggers do not. 0 for the preset with its four.
    """
    faults = [f"slow={latency_ms}"] if latency_ms else []
    destination: dict[str, Any] = {"lanes": {"sms": {"recipients": recipients, "concurrency": 100}}}
    with (
        tempfile.TemporaryDirectory() as folder,
        System(
            workers=0,
            concurrency=concurrency,
            sandbox={"faults": faults},
            destination=destination | mapping_file(Path(folder), mappings),
        ) as system,
    ):
        ids = [system.core.batches.accept(body, size, door="bench") for body, size in batches(events, batch)]
        store = system.core.store
        start_workers(system, processes)
        pids = [worker.process.pid for worker in system.workers]
        meter = Meter(store, {"worker": pids, "sandbox": [system.sandbox.pid or 0]})
        began = time.perf_counter()
        for batch_id in ids:
            system.queueing.publish(batch_id, "events")
        until_idle(system)
        seconds = time.perf_counter() - began
        cpu = meter.per_event(events)
        found = system.reconcile()
        stats = system.sandbox.stats()
        return {
            "events": events,
            "batch": batch,
            "processes": processes,
            "concurrency": concurrency,
            "recipients": recipients,
            "latency_ms": latency_ms,
            "mappings": mappings,
            "seconds": round(seconds, 3),
            "events_per_second": round(events / seconds),
            "cpu_us_per_event": cpu,
            "worker_memory_mb": [round(resident_mb(pid)) for pid in pids],
            "store_memory_mb": round(int(store.client.info("memory")["used_memory"]) / 1e6, 1),
            "identity_holds": found.holds,
            "accepted": found.as_json()["states"]["accepted"],
            "provider_duplicates": stats["duplicates"],
        }


def start_workers(system: System, processes: int) -> None:
    """Start that many worker processes, and wait until each takes work."""
    for number in range(processes):
        system.start_worker()
        wait_until(lambda want=number + 1: system.log.count(" ready.") == want, what="the workers are ready")


def until_idle(system: System, *, seconds: float = 900.0) -> None:
    """Wait until nothing is queued, being sent or waiting; looks often, since short runs are measured too."""
    deadline = time.monotonic() + seconds
    while not system.idle():
        assert time.monotonic() < deadline, "not all was settled in time"
        time.sleep(0.01)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end", description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--recipients", type=int, default=100)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--mappings", type=int, default=0, help="0: the preset with its four")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    repeat, as_json = options.pop("repeat"), options.pop("json")
    results = [run(**options) for _ in range(repeat)]
    if as_json:
        sys.stdout.write(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        for one in results:
            print(
                f"{one['events']} events in {one['seconds']} s: {one['events_per_second']} events/s, CPU µs per event "
                f"{one['cpu_us_per_event']}; accepted {one['accepted']}, provider duplicates "
                f"{one['provider_duplicates']}, identity holds: {one['identity_holds']}; "
                f"worker {one['worker_memory_mb']} MB, store {one['store_memory_mb']} MB"
            )
    return 0 if all(one["identity_holds"] and one["provider_duplicates"] == 0 for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
