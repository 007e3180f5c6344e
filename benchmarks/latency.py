"""Latency from the queue to MSG91's answer, when idle and at a given load.

Every batch carries the moment of its publication in its texts; the sandbox's record says when each message arrived.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import datetime
from typing import Any

import orjson

from benchmarks.end_to_end import start_workers
from benchmarks.workload import event
from tests.system import System, wait_until
from worker.events import join


def run(*, events_per_second: float, batch: int, seconds: float, processes: int, concurrency: int) -> dict[str, Any]:
    """Send batches at an even pace and measure each message's way to the provider.

    Args:
        events_per_second: The load.
        batch: Events in a batch.
        seconds: How long.
        processes: Worker processes.
        concurrency: Threads each.
    """
    with System(
        workers=0, concurrency=concurrency, destination={"lanes": {"sms": {"concurrency": 100, "recipients": batch}}}
    ) as system:
        start_workers(system, processes)
        warm_up(system)
        pause = batch / events_per_second
        published: dict[str, float] = {}
        number = 1_000_000
        began = time.time()
        for tick in range(round(seconds / pause)):
            wait = began + tick * pause - time.time()
            if wait > 0:
                time.sleep(wait)
            moment = time.time()
            lines = []
            for _ in range(batch):
                one = event(number)
                one["properties"]["message"] = f"t{tick}"
                lines.append(orjson.dumps(one))
                number += 1
            batch_id = system.core.batches.accept(join(lines), batch, door="bench")
            published[f"t{tick}"] = moment
            system.queueing.publish(batch_id, "events")
        wait_until(system.idle, seconds=120, what="all sent")
        taken: list[float] = []
        for request in system.sandbox.requests():
            at = datetime.fromisoformat(request["time"]).timestamp()
            taken += [
                (at - published[message["text"]]) * 1000
                for message in request.get("messages", ())
                if message["text"] in published
            ]
        cuts = statistics.quantiles(taken, n=100)
        return {
            "events_per_second": round(events_per_second),
            "batch": batch,
            "messages": len(taken),
            "p50_ms": round(cuts[49], 1),
            "p95_ms": round(cuts[94], 1),
            "p99_ms": round(cuts[98], 1),
            "max_ms": round(max(taken), 1),
            "identity_holds": system.reconcile().holds,
        }


def warm_up(system: System) -> None:
    """Let every import and connection happen before the clock runs."""
    for number in range(20):
        system.send([event(number)])
    wait_until(system.settled, what="warm")


if __name__ == "__main__":
    result = run(events_per_second=5000, batch=100, seconds=5, processes=1, concurrency=4)
    sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
