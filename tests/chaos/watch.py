"""A watcher that looks at the ledger all the time: the identity at every look, and lost work moving again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Self

from tests.chaos.world import World
from worker.delivery import DeliveryError, Store, connect, reconcile
from worker.delivery import Patience as StorePatience

#: Seconds within which the work of a lost worker moves again or is in doubt.
BOUND = 90.0


@dataclass(slots=True)
class Watched:
    """Work that was under way when a worker was lost: a claimed request, or a batch in a run."""

    kind: str
    name: str
    token: str
    since: float


@dataclass(slots=True)
class Findings:
    """What the watcher saw.

    Attributes:
        looks: How often the identity was checked.
        still: How often nothing moved while it was, so that every state was compared.
        problems: What did not fit, at which second.
        slowest: The longest time in which lost work did not move, seconds without outages.
        watched: How many pieces of work were under way when a worker was lost.
        stuck: What has not moved within the bound.
    """

    looks: int = 0
    still: int = 0
    problems: list[str] = field(default_factory=list)
    slowest: float = 0.0
    watched: int = 0
    stuck: list[str] = field(default_factory=list)


class Watcher:
    """Looks until the end of its ``with`` block.

    Args:
        world: What is looked at; by a connection of its own that no fault touches.
        interval: Seconds between two looks at the identity.
    """

    def __init__(self, world: World, *, interval: float = 0.5) -> None:
        self._world = world
        self._interval = interval
        self._ended = threading.Event()
        self.findings = Findings()
        client = connect(world.valkey.url)
        patience = StorePatience(120.0, self._ended)
        self._store = Store(client, world.settings.namespace, patience)
        self._threads = [
            threading.Thread(target=self._run, args=(self._look,), name="watch-identity", daemon=True),
            threading.Thread(target=self._run, args=(self._look_at_lost_work,), name="watch-work", daemon=True),
        ]
        self._open: dict[tuple[str, str, str], Watched] = {}
        self._kills_seen = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)
        self._store.client.close()

    def _run(self, look: object) -> None:
        assert callable(look)
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                look()
            except DeliveryError:
                if not self._ended.is_set():
                    self.findings.problems.append("the store did not come back in two minutes")
                return
            self._ended.wait(max(0.05, self._interval - (time.monotonic() - began)))

    def _look(self) -> None:
        found = reconcile(self._store)
        self.findings.looks += 1
        self.findings.still += not found.moving
        if not found.holds:
            second = time.monotonic() - self._world.diary.began
            self.findings.problems.append(f"at {second:.2f} s: {'; '.join(found.problems)}")

    def _look_at_lost_work(self) -> None:
        kills = self._world.diary.kills
        now_open = self._under_way()
        now = time.monotonic()
        for key in [one for one in self._open if one not in now_open]:
            moved = self._open.pop(key)
            took = self._world.diary.moving_time(moved.since, now)
            self.findings.slowest = max(self.findings.slowest, took)
            if took > BOUND:
                self.findings.stuck.append(f"{moved.kind} {moved.name} moved after {took:.0f} s")
        if len(kills) > self._kills_seen:
            self._kills_seen = len(kills)
            for key, since in now_open.items():
                if key not in self._open:
                    self._open[key] = Watched(*key, since=min(since, now))
                    self.findings.watched += 1
        for one in self._open.values():
            if self._world.diary.moving_time(one.since, now) > BOUND + 10:
                self.findings.stuck.append(f"{one.kind} {one.name} has not moved for {BOUND + 10:.0f} s")
                one.since = now

    def _under_way(self) -> dict[tuple[str, str, str], float]:
        """Everything somebody is at: requests claimed, and batches in a run."""
        store, keys = self._store, self._store.keys
        now = time.monotonic()
        found = {
            ("request", token.decode(), ""): now for token in store.ask(lambda: store.client.zrange(keys.claims, 0, -1))
        }
        ids = [one.decode() for one in store.ask(lambda: store.client.zrange(keys.schedule, 0, -1))]
        if ids:

            def read() -> list[bytes | None]:
                pipe = store.client.pipeline(transaction=False)
                for one in ids:
                    pipe.hget(keys.batch(one), "token")
                return list(pipe.execute())

            for batch_id, token in zip(ids, store.ask(read), strict=True):
                if token is not None:
                    found["batch", batch_id, token.decode()] = now
        return found

    @property
    def still_open(self) -> list[str]:
        """Lost work that has not moved yet."""
        return [f"{one.kind} {one.name}" for one in self._open.values()]
