"""Events through the whole system: queue, worker, MSG91's answer, every guarantee on.

``make bench``, or ``python -m benchmarks.end_to_end --events 100000 --processes 1``. Everything runs on this machine: a
real Valkey with its append-only file, the sandbox in place of MSG91, real worker processes. The clock runs from the
moment the workers are ready and the first batch is published until the last delivery is settled.
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
import yaml

from tests.system import System, wait_until
from worker.events import join


def event(number: int) -> dict[str, Any]:
    """A track event of about 700 bytes, as real clients send them."""
    return {
        "type": "track",
        "event": "Order Shipped",
        "messageId": f"ajs-next-{number:012d}-6f0b3ac2-58f1-4a71-8f5f-0c3a7e1d9b55",
        "anonymousId": "507f191e-810c-4972-9de8-60ea00000000",
        "userId": f"user-{number}",
        "timestamp": "2026-01-15T10:00:00.000Z",
        "sentAt": "2026-01-15T10:00:00.100Z",
        "context": {
            "library": {"name": "analytics.js", "version": "2.11.1"},
            "page": {"path": "/orders", "referrer": "", "title": "Orders", "url": "https://shop.example/orders"},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0",
            "locale": "en-IN",
            "ip": "203.0.113.7",
        },
        "integrations": {"All": True},
        "properties": {
            "phone": 919_000_000_000 + number % 900_000_000,
            "firstName": "Asha",
            "message": f"Hi Asha, your order {number} has been shipped.",
            "senderID": "MSGIND",
            "orderId": f"o-{number}",
            "total": 1499.5,
        },
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def mapping_file(folder: Path, count: int) -> dict[str, Any]:
    """A mapping file with ``count`` mappings, of which one matches; the preset when ``count`` is 1."""
    if count == 1:
        return {}
    fields = {name: {"@path": f"$.properties.{name}"} for name in ("phone", "message", "senderID")}
    mappings = [
        {
            "name": f"mapping-{number}",
            "action": "send_sms",
            "trigger": f'type = "track" and event = "{"Order Shipped" if number == count - 1 else f"Event {number}"}"',
            "mapping": fields,
        }
        for number in range(count)
    ]
    file = folder / "mappings.yaml"
    file.write_text(yaml.safe_dump({"mappings": mappings}), encoding="utf-8")
    return {"mappings": str(file)}


def run(
    *,
    events: int = 50_000,
    batch: int = 500,
    processes: int = 1,
    concurrency: int = 4,
    recipients: int = 100,
    latency_ms: int = 0,
    mappings: int = 1,
) -> dict[str, Any]:
    """One run; everything in the result was measured in it.

    Args:
        events: How many events.
        batch: Events in a batch.
        processes: Worker processes.
        concurrency: Threads each.
        recipients: Recipients in a request, at most.
        latency_ms: How long the provider takes to answer.
        mappings: Mappings in force; one of them matches, the others' triggers do not.
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
        ids = []
        for start in range(0, events, batch):
            size = min(batch, events - start)
            lines = [orjson.dumps(event(number)) for number in range(start, start + size)]
            ids.append(system.core.batches.accept(join(lines), size, door="bench"))
        store = system.core.store
        base_memory = int(store.client.info("memory")["used_memory"])
        for number in range(processes):
            system.start_worker()
            wait_until(lambda want=number + 1: system.log.count(" ready.") == want, what="the workers are ready")
        pids = [worker.process.pid for worker in system.workers]
        cpu_before = [cpu_seconds(pid) for pid in pids]
        began = time.perf_counter()
        for batch_id in ids:
            system.queueing.publish(batch_id, "events")
        wait_until(system.idle, seconds=600, what="all settled")
        seconds = time.perf_counter() - began
        cpu = sum(cpu_seconds(pid) for pid in pids) - sum(cpu_before)
        found = system.reconcile()
        stats = system.sandbox.stats()
        memory = int(store.client.info("memory")["used_memory"])
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
            "worker_cpu_us_per_event": round(cpu / events * 1e6, 1),
            "worker_memory_mb": [round(resident_mb(pid)) for pid in pids],
            "store_memory_mb_before": round(base_memory / 1e6, 1),
            "store_memory_mb_after": round(memory / 1e6, 1),
            "identity_holds": found.holds,
            "accepted": found.as_json()["states"]["accepted"],
            "provider_duplicates": stats["duplicates"],
        }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--recipients", type=int, default=100)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--mappings", type=int, default=1)
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
                f"{one['events']} events in {one['seconds']} s: {one['events_per_second']} events/s, "
                f"{one['worker_cpu_us_per_event']} µs of worker CPU per event; accepted {one['accepted']}, "
                f"provider duplicates {one['provider_duplicates']}, identity holds: {one['identity_holds']}; "
                f"worker {one['worker_memory_mb']} MB, store {one['store_memory_mb_after']} MB"
            )
    return 0 if all(one["identity_holds"] and one["provider_duplicates"] == 0 for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
