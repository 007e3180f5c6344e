"""What is measured for people, over all processes: processor time, latencies, refusals.

Every process adds up what it measures and writes the sums to the store about once a second: a process that is killed
takes at most that with it. Nothing depends on these numbers; what must be exact is in ``counters.py``.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import Final

from .store import Store

#: Upper bounds of the latency histogram's buckets, seconds; what is longer falls into a last one.
LATENCY_BOUNDS: Final = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Latency:
    """How long deliveries took from the acceptance of their event until MSG91 had taken them.

    Attributes:
        buckets: How many fell under each of ``LATENCY_BOUNDS`` and beyond the last; not cumulative.
        seconds: The sum.
    """

    buckets: tuple[int, ...]
    seconds: float


class Measures:
    """One process's measurements.

    Args:
        store: Where `flush` adds them.
        process: What kind of process this is, for its processor time: ``worker`` or ``intake``.
    """

    def __init__(self, store: Store, process: str) -> None:
        self._store = store
        self._process = process
        self._sums: Counter[str] = Counter()
        self._cpu = 0.0
        self._lock = threading.Lock()

    def taken(self, about: str, count: int, milliseconds: int) -> None:
        """MSG91 has taken deliveries.

        Args:
            about: ``<destination>|<action>``.
            count: How many.
            milliseconds: Since the acceptance of their events.
        """
        milliseconds = max(0, milliseconds)
        bucket = bisect_left(LATENCY_BOUNDS, milliseconds / 1000)
        with self._lock:
            self._sums[f"latency:{bucket}|{about}"] += count
            self._sums[f"latency:ms|{about}"] += count * milliseconds

    def refused(self, door: str, code: str) -> None:
        """A door has refused a request."""
        with self._lock:
            self._sums[f"refused:{code}|{door}"] += 1

    def called_back(self, destination: str, kind: str, outcome: str) -> None:
        """MSG91 has called back.

        Args:
            destination: For which destination.
            kind: What a report says (``delivered``, …), or ``inbound``.
            outcome: What came of it.
        """
        with self._lock:
            self._sums[f"callback:{outcome}|{destination}|{kind}"] += 1

    def flush(self) -> None:
        """Add everything to the store.

        Raises:
            StoreUnavailable: nothing is forgotten; it is added next time.
        """
        with self._lock:
            sums, self._sums = self._sums, Counter()
        cpu = time.process_time()
        sums[f"cpu:{self._process}"] += round((cpu - self._cpu) * 1e6)
        name = self._store.keys.measures

        def write() -> None:
            pipe = self._store.client.pipeline(transaction=True)
            for field, change in sums.items():
                pipe.hincrby(name, field, change)
            pipe.execute()

        try:
            self._store.ask(write)
        except Exception:
            del sums[f"cpu:{self._process}"]
            with self._lock:
                self._sums.update(sums)
            raise
        self._cpu = cpu


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of all processes.

    Attributes:
        cpu: Processor time by kind of process, seconds.
        latencies: By destination and action.
        refused: Requests by door and code.
        callbacks: What MSG91 called back, by destination, kind and outcome.
    """

    cpu: dict[str, float]
    latencies: dict[tuple[str, str], Latency]
    refused: dict[tuple[str, str], int]
    callbacks: dict[tuple[str, str, str], int]


def read_measures(store: Store) -> Measured:
    """All measurements at one moment."""
    found = store.ask(lambda: store.client.hgetall(store.keys.measures))
    cpu: dict[str, float] = {}
    refused: dict[tuple[str, str], int] = {}
    callbacks: dict[tuple[str, str, str], int] = {}
    buckets: dict[tuple[str, str], list[int]] = {}
    sums: dict[tuple[str, str], float] = {}
    for raw, value in found.items():
        kind, _, rest = raw.decode().partition(":")
        what, _, about = rest.partition("|")
        if kind == "cpu":
            cpu[what] = int(value) / 1e6
        elif kind == "refused":
            refused[about, what] = int(value)
        elif kind == "callback":
            destination, _, said = about.partition("|")
            callbacks[destination, said, what] = int(value)
        elif kind == "latency":
            destination, _, action = about.partition("|")
            if what == "ms":
                sums[destination, action] = int(value) / 1000
            elif int(what) <= len(LATENCY_BOUNDS):
                row = buckets.setdefault((destination, action), [0] * (len(LATENCY_BOUNDS) + 1))
                row[int(what)] = int(value)
    latencies = {about: Latency(tuple(row), sums.get(about, 0.0)) for about, row in buckets.items()}
    return Measured(cpu, latencies, refused, callbacks)
