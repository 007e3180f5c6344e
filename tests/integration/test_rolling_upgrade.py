"""A rolling upgrade by one format: old and new workers on one store, nothing lost, nothing sent twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from tests.chaos.__main__ import EAGER
from tests.chaos.run import settle
from tests.chaos.verdict import judge
from tests.chaos.world import RESEND, SHORT_LEASES, Sample, WorkerProcess, World, samples
from tests.system import wait_until
from tests.upgrade.next_version import MARK, NEXT
from worker.delivery import FORMAT, State, reconcile

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MODULE = "tests.upgrade.next_version"


@pytest.fixture
def world() -> Iterator[World]:
    """Two workers of the present version."""
    with World(7, workers=2, settings=SHORT_LEASES, actions=EAGER, slow="20-80") as made:
        made.wait_ready()
        yield made


class Feed:
    """Sends events evenly until it is told to stop, a part of them twice."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = threading.Event()
        self.sent: list[Sample] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        everything = samples(100_000)
        while not self._stop.wait(0.1):
            at = len(self.sent)
            self.sent += everything[at : at + 20]
            self._world.send(everything[at : at + 20])
            if at:
                self._world.send(everything[at - 20 : at])

    def stop(self) -> list[Sample]:
        """Send nothing more; gives what was sent."""
        self._stop.set()
        self._thread.join()
        return self.sent


def format_of(world: World) -> int:
    """What the store is written in."""
    store = world.core.store
    return int(store.client.hget(store.keys.meta, "format") or 0)


def new_worker(world: World) -> WorkerProcess:
    """Start a worker of the next version, and wait until it takes work."""
    worker = WorkerProcess(MODULE, world.environ, world.concurrency, world.folder / "workers.log")
    world.fleet.append(worker)
    wait_until(lambda: worker.ready, what=f"the new worker is ready:\n{world.log[-1000:]}")
    return worker


def test_workers_are_replaced_one_by_one(world: World) -> None:
    """Old and new work beside each other under failures; the store moves on when the last old one has gone."""
    olds = list(world.fleet)
    store = world.core.store
    wait_until(lambda: store.client.hlen(store.keys.workers) == len(olds), what="the old workers beat")
    before = store.client.hkeys(store.keys.workers)
    feed = Feed(world)
    # Failures of every kind, so that both versions find work that the other one has left.
    world.fault("503,count=3", "429,retry-after=1,count=2", "close-after,count=2")
    for number, old in enumerate(olds):
        new_worker(world)
        taken = len(world.sandbox.requests())
        wait_until(lambda taken=taken: len(world.sandbox.requests()) > taken + 20, what="both versions work")
        assert format_of(world) == FORMAT
        world.fault("503,count=2", "close-after,count=2")
        if number == 0:
            old.send(signal.SIGTERM)
            assert old.process.wait(60) == 0
        else:
            old.kill()  # the last one says no goodbye, and leaves its requests behind
        world.fleet.remove(old)
    sent = feed.stop()
    world.calm()
    assert settle(world, seconds=60), world.log[-2000:]
    verdict = judge(world, sent)
    assert not verdict.offences, verdict.offences[:5]
    assert verdict.states[State.ACCEPTED.value] > len(sent) * 0.8
    assert reconcile(world.core.store).holds
    assert "Traceback" not in world.log
    # The killed one may only be silent: it is waited for, a minute long. Here that minute is over at once.
    assert format_of(world) == FORMAT
    store.client.hdel(store.keys.workers, *before)
    wait_until(lambda: format_of(world) == NEXT, what="the store moves on")
    _work_in_the_new_form(world)
    _the_old_version_is_refused(world)


def _work_in_the_new_form(world: World) -> None:
    """What has to be kept now is kept in the new form, and its way goes on from there."""
    ledger, numbers = world.core.ledger, count(99_999, -2)

    def kept_newly() -> Sample | None:
        # Each worker learns at its next look that the store has moved on: the first message may come sooner.
        extra = Sample(next(numbers), RESEND)
        world.fault("close-after,count=1")
        world.send([extra])
        blob = wait_until(lambda: ledger.kept([extra.key])[0], what="it is in doubt, and kept")
        return extra if blob.get(MARK) == NEXT else None

    extra = wait_until(kept_newly, what="it is kept in the new form")

    def accepted() -> bool:
        record = ledger.records([extra.key])[0]
        return record is not None and record.state is State.ACCEPTED

    wait_until(accepted, what="it is sent again by policy")


def _the_old_version_is_refused(world: World) -> None:
    """It names both formats and what to do, and touches nothing."""
    old = WorkerProcess("worker.celery_worker", world.environ, 2, world.folder / "refused.log")
    world.fleet.append(old)
    assert old.process.wait(60) == 2
    said = (world.folder / "refused.log").read_text(encoding="utf-8")
    assert f"data of format {NEXT}, this version knows formats up to {FORMAT}" in said
    assert "Traceback" not in said
