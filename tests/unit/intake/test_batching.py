"""Requests that arrive together share a batch; nobody is kept waiting for nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from worker.delivery import Keys, StoreUnavailable
from worker.events import join
from worker.intake import batching
from worker.intake.batching import FULL, Gathering
from worker.intake.pressure import Pressure
from worker.intake.refusals import Refused


class Batches:
    """Stands in for the store; each batch waits until it is let through."""

    def __init__(self) -> None:
        self.accepted: list[tuple[bytes, int, str, str]] = []
        self.queues: list[tuple[str, bool]] = []
        self.gate = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.error: Exception | None = None

    def accept(
        self, body: bytes, count: int, *, door: str, destination: str, trace: str, queue: str, sealed: bool
    ) -> str:
        """Take a batch, or fail."""
        self.asked.release()
        self.gate.acquire()
        if self.error is not None:
            raise self.error
        self.accepted.append((body, count, door, destination))
        self.queues.append((queue, sealed))
        return f"batch-{len(self.accepted)}"


class Doorway:
    """A gathering on a store that a test holds back."""

    def __init__(self, linger: float = 0.02) -> None:
        self.batches = Batches()
        self.published: list[str] = []
        self.executor = ThreadPoolExecutor(4)
        self.gathering = Gathering(
            self.batches,  # type: ignore[arg-type]
            lambda batch_id, _queue: self.published.append(batch_id),
            self.executor,
            linger=linger,
        )

    def send(self, *lines: bytes, destination: str = "d") -> asyncio.Task[str]:
        """Hand over what one request brings."""
        return asyncio.create_task(
            self.gathering.hand_over(join(lines), len(lines), door="http", destination=destination)
        )

    async def asked(self) -> None:
        """Wait until a batch is on its way to the store."""
        await asyncio.to_thread(self.batches.asked.acquire)

    def let(self, count: int) -> None:
        """Let so many batches through."""
        for _ in range(count):
            self.batches.gate.release()


@pytest.fixture
def doorway() -> Iterator[Doorway]:
    """A gathering; its threads end with the test."""
    found = Doorway()
    yield found
    found.let(100)
    found.executor.shutdown()


def test_more_than_can_be_held_is_refused_at_once(doorway: Doorway) -> None:
    """While much waits for the store, more is told to come back; what was handed over makes room again."""
    gathering = Gathering(
        doorway.batches,  # type: ignore[arg-type]
        lambda *_: None,
        doorway.executor,
        linger=0.02,
        limit=100,
    )

    async def send(size: int) -> str:
        return await gathering.hand_over(b"x" * size, 1, door="http", destination="d")

    async def run() -> None:
        first = asyncio.create_task(send(60))
        await doorway.asked()
        second = asyncio.create_task(send(40))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await send(1)
        assert (refused.value.status, refused.value.code, refused.value.retry_after) == (429, "busy", 1)
        doorway.let(3)
        assert (await first, await second) == ("batch-1", "batch-2")
        await asyncio.gather(*gathering._tasks)  # the room is given back just after the answer
        assert await send(1_000) == "batch-3"  # whatever its size, a request alone is taken

    asyncio.run(run())


def test_request_alone_waits_for_nothing(doorway: Doorway) -> None:
    """A request that finds nobody on the way is a batch by itself, and is published."""

    async def run() -> str:
        doorway.let(1)
        return await doorway.send(b"1")

    assert asyncio.run(run()) == "batch-1"
    assert doorway.batches.accepted == [(b"1", 1, "http", "d")]


def test_what_may_carry_a_one_time_password_overtakes(doorway: Doorway) -> None:
    """A batch with a word of one-time passwords is sealed and goes to the priority queue; others do not."""

    async def run() -> None:
        doorway.let(2)
        await doorway.send(b'{"properties": {"otpCode": "1234"}}')
        await doorway.send(b'{"properties": {"total": "1234"}}')

    asyncio.run(run())
    assert doorway.batches.queues == [("events.priority", True), ("events", False)]


def test_requests_that_arrive_meanwhile_share_a_batch(doorway: Doorway) -> None:
    """While one batch is on its way to the store, all that arrive become the next one, in order."""

    async def run() -> list[str]:
        first = doorway.send(b"1")
        await doorway.asked()
        others = [doorway.send(b"%d" % number) for number in range(2, 20)]
        await asyncio.sleep(0)
        doorway.let(2)
        found = [await first, *[await one for one in others]]
        await doorway.gathering.close()
        return found

    assert asyncio.run(run()) == ["batch-1", *["batch-2"] * 18]
    assert [count for _, count, *_ in doorway.batches.accepted] == [1, 18]
    assert doorway.batches.accepted[1][0] == b"\n".join(b"%d" % number for number in range(2, 20))
    assert doorway.published == ["batch-1", "batch-2"]


def test_destinations_do_not_mix(doorway: Doorway) -> None:
    """Events for different destinations are in different batches, and do not wait for each other."""

    async def run() -> None:
        doorway.let(2)
        await asyncio.gather(doorway.send(b"1", destination="a"), doorway.send(b"2", destination="b"))

    asyncio.run(run())
    assert sorted(one[3] for one in doorway.batches.accepted) == ["a", "b"]


def test_batches_are_bounded_and_requests_stay_whole(doorway: Doorway) -> None:
    """A shared batch ends once it is full; the events of one request are never torn apart."""

    async def run() -> None:
        first = doorway.send(b"0")
        await doorway.asked()
        others = [doorway.send(*[b"1"] * (FULL // 2 + 1)) for _ in range(4)]
        await asyncio.sleep(0)
        doorway.let(3)
        await asyncio.gather(first, *others)

    asyncio.run(run())
    assert [count for _, count, *_ in doorway.batches.accepted] == [1, FULL + 2, FULL + 2]


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable("away"), "store_away"), (ValueError("a bug"), "not_accepted")]
)
def test_what_cannot_be_stored_is_refused(doorway: Doorway, error: Exception, code: str) -> None:
    """Every request of a batch that the store did not take is told to come back; the next one is tried again."""

    async def run() -> list[Any]:
        doorway.batches.error = error
        doorway.let(1)
        failed = await asyncio.gather(doorway.send(b"1"), doorway.send(b"2"), return_exceptions=True)
        doorway.batches.error = None
        doorway.let(1)
        accepted = await doorway.send(b"3")
        await doorway.gathering.close()
        return [*failed, accepted]

    *failed, accepted = asyncio.run(run())
    for one in failed:
        assert isinstance(one, Refused)
        assert (one.status, one.code) == (429, code)
        assert one.retry_after
    assert accepted == "batch-1"
    assert doorway.published == ["batch-1"]


def test_request_that_was_refused_is_not_taken_later(doorway: Doorway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that waited too long for a store that hangs is refused, and not accepted behind its sender's back."""
    monkeypatch.setattr(batching, "PATIENCE", 0.05)

    async def run() -> Any:
        first = doorway.send(b"1")
        await doorway.asked()
        refused = await asyncio.gather(first, doorway.send(b"2"), return_exceptions=True)
        doorway.let(2)
        monkeypatch.setattr(batching, "PATIENCE", 8.0)
        return [*refused, await doorway.send(b"3")]

    *refused, accepted = asyncio.run(run())
    assert [one.code for one in refused] == ["store_away", "store_away"]
    assert accepted == "batch-2"
    assert [body for body, *_ in doorway.batches.accepted] == [b"1", b"3"]


def test_client_that_went_away_harms_nobody(doorway: Doorway) -> None:
    """A request that is given up while its batch is on its way does not disturb the others."""

    async def run() -> str:
        gone = doorway.send(b"1")
        await asyncio.sleep(0)
        stays = doorway.send(b"2")
        await asyncio.sleep(0)
        gone.cancel()
        doorway.let(2)
        return await stays

    assert asyncio.run(run())


class FakeStore:
    """A store that says how much is queued, or nothing at all."""

    def __init__(self, queued: bytes | None) -> None:
        self.queued = queued
        self.client = self
        self.keys = Keys()

    def ask(self, call: Any) -> Any:
        """Ask."""
        return call()

    def hget(self, *_: str) -> bytes:
        """The counter, or no answer."""
        if self.queued is None:
            raise StoreUnavailable
        return self.queued


@pytest.mark.parametrize(
    ("queued", "messages", "code"),
    [
        (b"100", 3, None),
        (None, 3, "store_away"),
        (b"101", 3, "queue_full"),
        (b"5", None, "broker_away"),
    ],
)
def test_pressure(queued: bytes | None, messages: int | None, code: str | None) -> None:
    """Nothing is accepted while the store or the broker is away or too much waits; the answer says how long to wait."""
    pressure = Pressure(FakeStore(queued), lambda: messages, limit=100)  # type: ignore[arg-type]
    pressure.look_at_store()
    pressure.look_at_broker()
    if code is None:
        pressure.check()
        return
    with pytest.raises(Refused) as caught:
        pressure.check()
    assert (caught.value.status, caught.value.code) == (429, code)
    assert isinstance(caught.value.retry_after, int)
    assert 1 <= caught.value.retry_after <= 300
