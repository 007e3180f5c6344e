"""Single events through each door, end to end: HTTP, the Redis stream, a Celery producer, a file.

``python -m benchmarks.doors`` sends events one by one, as a program does that has one at a time, with one worker, and
measures until the last is settled. What makes them wait for each other is the door's own doing: requests that come
together share a batch, a stream is read in batches, a file is cut into batches; a Celery message is one task.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks import intake, stream
from benchmarks.end_to_end import start_workers
from benchmarks.machine import Meter
from benchmarks.workload import event
from tests.system import System, wait_until
from worker.app import QUEUE
from worker.delivery import read_counts

#: What a lane lets through at once.
LANES = {"lanes": {"sms": {"concurrency": 100}}}


def http(events: int) -> dict[str, Any]:
    """One event a request, 64 connections, each with one request under way."""
    found = intake.run(events=events, size=1, connections=64, concurrency=4, settings={})
    return {
        "events": events,
        "events_per_second": found["events_per_second_delivered"],
        "cpu_us_per_event": found["cpu_us_per_event"],
        "identity_holds": found["identity_holds"],
        "provider_duplicates": found["provider_duplicates"],
    }


def redis_stream(events: int) -> dict[str, Any]:
    """One event an ``XADD``; all are in the stream when the worker begins."""
    return stream.run(events=events, processes=1, concurrency=4, recipients=100, batch=500, rate=0, in_flight=1)


def celery(events: int) -> dict[str, Any]:
    """One event a task; all are on the queue when the worker begins."""
    with System(workers=0, destination=LANES) as system:
        for number in range(events):
            system.celery.send_task("worker.forward_events", args=[[event(number)]], queue=QUEUE, ignore_result=True)
        began = time.perf_counter()
        system.start_worker()
        wait_until(lambda: read_counts(system.core.store).events["received"], what="the first event")
        return _measured(system, events, began=began)


def file(events: int) -> dict[str, Any]:
    """A file of one event a line, sent by the command."""
    with System(workers=0, destination=LANES) as system, tempfile.TemporaryDirectory() as folder:
        start_workers(system, 1)
        path = Path(folder, "events.ndjson")
        with path.open("wb") as lines:
            lines.writelines(orjson.dumps(event(number)) + b"\n" for number in range(events))
        command = [sys.executable, "-m", "worker.cli.main", "send", "--json", str(path)]
        began = time.perf_counter()
        sending = subprocess.Popen(
            command, cwd=folder, env=system.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        found = _measured(system, events, began=began)
        _, status, used = os.wait4(sending.pid, 0)
        sending.returncode = os.waitstatus_to_exitcode(status)
        assert sending.returncode == 0
        found["cpu_us_per_event"]["door"] = round((used.ru_utime + used.ru_stime) / events * 1e6, 1)
        return found


def _measured(system: System, events: int, *, began: float) -> dict[str, Any]:
    """Wait until all are settled; the clock runs from ``began`` less what was received by then."""
    store = system.core.store
    first = read_counts(store).events["received"]
    began = time.perf_counter() if first else began
    pids = [one.process.pid for one in system.workers]
    meter = Meter(store, {"worker": pids, "sandbox": [system.sandbox.pid or 0]})
    deadline = time.monotonic() + 600
    while read_counts(store).events["received"] < events or not system.idle():
        assert time.monotonic() < deadline, "not all was settled in time"
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    found = system.reconcile()
    return {
        "events": events,
        "events_per_second": round((events - first) / seconds),
        "cpu_us_per_event": meter.per_event(events - first),
        "identity_holds": found.holds,
        "provider_duplicates": system.sandbox.stats()["duplicates"],
    }


#: Name → the measurement, and its events in a full run.
DOORS: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
    "HTTP, one event a request": (http, 20_000),
    "stream, one event an XADD": (redis_stream, 50_000),
    "Celery producer, one event a task": (celery, 6_000),
    "file, one event a line": (file, 50_000),
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.doors", description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of events")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {name: run(round(events * options.share)) for name, (run, events) in DOORS.items()}
    if options.json:
        sys.stdout.write(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    for name, one in results.items():
        print(f"{name:36}{one['events_per_second']:>8,} events/s; CPU µs per event {one['cpu_us_per_event']}")
    return 0 if all(one["identity_holds"] and one["provider_duplicates"] == 0 for one in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
