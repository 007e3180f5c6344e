"""Where every microsecond goes: worker, store and sandbox, by what they do.

``python -m benchmarks.profile`` runs batches as a worker does, in this process and on
one thread, against a real Valkey with its append-only file and the sandbox, without Celery. Processor time is counted,
not the clock's, so that a busy machine disturbs it little. Each part's time is its own: what it calls and is listed
itself, is not counted twice. ``--functions`` adds the costliest Python functions, by cProfile, which slows them down.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import pstats
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

import worker.forwarding
from benchmarks.machine import cpu_seconds
from benchmarks.workload import batches
from tests.system import System
from worker.actions.send_sms import SendSms
from worker.delivery import Batches, Ledger, Store
from worker.destinations import load_destinations
from worker.msg91.client import Msg91Client
from worker.runtime import build_runtime
from worker.sending import requests as sending_requests

#: What is timed: owner, attribute, how it is called in the table.
PARTS: tuple[tuple[Any, str, str], ...] = (
    (worker.forwarding, "parse", "parse the batch"),
    (worker.forwarding, "resolve_events", "triggers, mappings, checks"),
    (Batches, "begin", "begin the batch"),
    (Batches, "finish", "finish the batch"),
    (Ledger, "claiming", "claim: pack"),
    (Ledger, "settle", "settle: pack"),
    (Store, "run", "scripts: redis-py, socket"),
    (Store, "script", "scripts: redis-py, socket"),
    (SendSms, "build", "build the request"),
    (Msg91Client, "send", "HTTP"),
    (sending_requests.Requests, "make", "one request: the rest"),
    (sending_requests, "dump_claim", "what the claim remembers"),
    (sending_requests.Requests, "_decide", "decide"),
    (sending_requests, "plan", "plan"),
    (worker.forwarding.Forwarder, "run", "the rest"),
)


class Stopwatch:
    """Adds up the processor time of functions, without that of timed functions they call."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed under this name."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.thread_time() - began
                self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time ``PARTS`` while the block runs."""
        with pytest.MonkeyPatch.context() as patch:
            for owner, attribute, name in PARTS:
                patch.setattr(owner, attribute, self.timed(name, getattr(owner, attribute)))
            yield


def run(*, events: int, batch: int, recipients: int, functions: int = 0) -> dict[str, Any]:
    """One run; microseconds per event.

    Args:
        events: How many.
        batch: Events in a batch.
        recipients: Recipients in a request, at most.
        functions: How many of the costliest functions are listed; 0 for none, which measures undisturbed.
    """
    destination = {"lanes": {"sms": {"recipients": recipients, "concurrency": 100}}}
    with System(workers=0, destination=destination) as system:
        settings = system.settings
        destinations = load_destinations(settings.destinations_file, system.environ, settings=settings)
        runtime = build_runtime(settings, system.valkey.url, lambda: destinations, wake=lambda *_: None, patience=30.0)
        runtime.trust.look()
        store = system.core.store
        ids = [system.core.batches.accept(body, size, door="bench") for body, size in batches(events, batch)]
        warm = [system.core.batches.accept(body, size, door="bench") for body, size in batches(100, 10, first=events)]
        for batch_id in warm:
            runtime.forwarder.run(batch_id)
        calm()
        stopwatch, profiler = Stopwatch(), cProfile.Profile()
        store.client.config_resetstat()
        before, began = readings(system), time.perf_counter()
        with stopwatch.watching():
            if functions:
                profiler.enable()
            for batch_id in ids:
                runtime.forwarder.run(batch_id)
            profiler.disable()
        seconds, after = time.perf_counter() - began, readings(system)
        spent = {name: after[name] - before[name] for name in after}
        found = system.reconcile()
        assert found.holds, found.problems
        result = {
            "events": events,
            "batch": batch,
            "recipients": recipients,
            "seconds": round(seconds, 3),
            "cpu_us_per_event": {name: per_event(value, events) for name, value in spent.items()},
            "worker_us_per_event": {name: per_event(value, events) for name, value in stopwatch.seconds.items()},
            "store_us_per_event": commands(store, events),
            "provider_duplicates": system.sandbox.stats()["duplicates"],
            "accepted": found.as_json()["states"]["accepted"],
        }
        if functions:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(functions)
        runtime.clients.close()
        return result


def calm() -> None:
    """Look for reference cycles as rarely as a worker does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def readings(system: System) -> dict[str, float]:
    """Processor time so far, seconds."""
    cpu: dict[str, Any] = system.core.store.client.info("cpu")
    return {
        "worker": time.process_time(),
        "store": float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]),
        "sandbox": cpu_seconds(system.sandbox.pid or 0),
    }


def commands(store: Store, events: int) -> dict[str, float]:
    """What the store's commands took, µs an event; those inside a script are part of its ``evalsha``."""
    found: dict[str, Any] = store.client.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): round(row["usec"] / events, 2)
        for name, row in sorted(found.items(), key=lambda one: -one[1]["usec"])
        if row["usec"] / events >= 0.05
    }


def per_event(seconds: float, events: int) -> float:
    """Microseconds an event."""
    return round(seconds / events * 1e6, 2)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--recipients", type=int, nargs="+", default=[500, 100])
    parser.add_argument("--functions", type=int, default=0, help="list this many of the costliest functions")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = vars(parser.parse_args())
    path, sizes = options.pop("json"), options.pop("recipients")
    runs = [run(**options, recipients=recipients) for recipients in sizes]
    if path:
        path.write_bytes(orjson.dumps(runs, option=orjson.OPT_INDENT_2) + b"\n")
    for found in runs:
        print(f"{found['events']:,} events in batches of {found['batch']}, {found['recipients']} recipients a request")
        for name, value in found["cpu_us_per_event"].items():
            print(f"{name:10}{value:8.2f} µs an event")
        for title in ("worker", "store"):
            print(f"{title}, by what it does:")
            for name, value in sorted(found[f"{title}_us_per_event"].items(), key=lambda one: -one[1]):
                print(f"  {name:34}{value:8.2f}")
    return 0


if __name__ == "__main__":
    os.environ.pop("OTEL_TRACES_EXPORTER", None)
    sys.exit(main())
