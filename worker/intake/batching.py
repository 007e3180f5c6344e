"""Requests that arrive together share one claim check and one broker message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.app import QUEUE
from worker.delivery import PRIORITY_QUEUE, Batches, StoreUnavailable, may_carry
from worker.events import join
from worker.intake.refusals import Refused, later

log = logging.getLogger(__name__)

#: Seconds a sender is asked to wait while the store is away.
STORE_PAUSE = 5
#: Events after which a shared batch is full.
FULL = 500
#: Seconds that a request waits for the store; Segment's clients wait 10.
PATIENCE = 8.0
#: Bytes of events that may wait for the store at the same time.
HELD = 64 * 1024 * 1024
#: Batches that wait to be published; more than these are left to the schedule.
UNPUBLISHED = 64
#: Seconds in which what is unpublished at the end is published, or else left to the schedule.
CLOSING = 3.0
#: Seconds of quiet after which nobody is waited for any more.
_QUIET = 0.001

Publish = Callable[[str, str], object]


class _Waiting(NamedTuple):
    """What one request brings, and whom to tell."""

    body: bytes
    events: int
    accepted: asyncio.Future[str]
    trace: str


@dataclass(slots=True)
class _Group:
    """What waits to be handed over for the same destinations."""

    door: str
    destination: str
    waiting: list[_Waiting] = field(default_factory=list)
    events: int = 0
    running: bool = False


class Gathering:
    """Hands events over to the store, those of requests that arrive together in one batch.

    An idle door waits for nothing: a request that finds nobody on the way is handed over at once. Those that arrive
    meanwhile wait for it, then for each other, as long as more keep coming and never longer than `linger`.

    Args:
        batches: The store's batches.
        publish: Tells the broker of a batch.
        executor: Threads that write to the store.
        linger: Seconds, see above.
        limit: Bytes of events that may wait for the store.
    """

    def __init__(
        self, batches: Batches, publish: Publish, executor: Executor, *, linger: float, limit: int = HELD
    ) -> None:
        self._batches = batches
        self._publish = publish
        self._executor = executor
        self._linger = linger
        self._limit = limit
        self._held = 0
        self._groups: dict[tuple[str, str], _Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # A broker that hangs holds up nobody: what it is not told now, the schedule tells it later.
        self._publishers = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._room = threading.BoundedSemaphore(UNPUBLISHED)

    async def hand_over(self, body: bytes, count: int, *, door: str, destination: str, trace: str = "") -> str:
        """Hand one request's events over; they stay together.

        Args:
            body: One JSON text each, joined by ``worker.events.join``.
            count: How many they are.
            door: Where they came in.
            destination: Names of the destinations they are for, joined by commas.
            trace: The request's ``traceparent``; that of a batch is its first request's.

        Returns:
            The id of the batch that has them, once it is in the store.

        Raises:
            Refused: the store does not answer, or too much waits for it; nothing is known to be accepted.
        """
        self.check(len(body))
        loop = asyncio.get_running_loop()
        group = self._groups.get((door, destination))
        if group is None:
            group = self._groups[door, destination] = _Group(door, destination)
        accepted: asyncio.Future[str] = loop.create_future()
        group.waiting.append(_Waiting(body, count, accepted, trace))
        self._held += len(body)
        group.events += count
        if not group.running:
            group.running = True
            task = loop.create_task(self._run(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(PATIENCE):
                return await accepted
        except TimeoutError:
            raise later(
                "store_away", "the store does not answer: nothing is known to be accepted", STORE_PAUSE
            ) from None

    def check(self, size: int = 1) -> None:
        """Refuse what is too much.

        Args:
            size: Bytes that would wait for the store, too.

        Raises:
            Refused: 429; come back in a second.
        """
        if self._held and self._held + size > self._limit:
            raise later("busy", "more comes in than can be taken at this moment", 1)

    async def close(self) -> None:
        """Wait until everything that was taken in is handed over."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await asyncio.to_thread(self._publishers.shutdown)
        self._publishers.shutdown(wait=False, cancel_futures=True)

    async def _run(self, group: _Group) -> None:
        loop = asyncio.get_running_loop()
        alone = True
        try:
            while group.waiting:
                if not alone:
                    await self._wait_for_more(group)
                alone = False
                taken = self._take(group)
                if taken:
                    try:
                        await loop.run_in_executor(self._executor, self._accept, loop, group, taken)
                    finally:
                        self._held -= sum(len(one.body) for one in taken)
        finally:
            group.running = False

    async def _wait_for_more(self, group: _Group) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._linger
        seen = 0
        while seen < group.events < FULL and loop.time() < until:
            seen = group.events
            await asyncio.sleep(_QUIET)

    def _take(self, group: _Group) -> list[_Waiting]:
        taken, count, seen = [], 0, 0
        for one in group.waiting:
            seen += 1
            group.events -= one.events
            # Who has been refused meanwhile sends again: taking it now as well could double it.
            if one.accepted.done():
                self._held -= len(one.body)
            else:
                taken.append(one)
                count += one.events
                if count >= FULL:
                    break
        del group.waiting[:seen]
        return taken

    def _accept(
        self,
        loop: asyncio.AbstractEventLoop,
        group: _Group,
        taken: list[_Waiting],
    ) -> None:
        count = sum(one.events for one in taken)
        futures = [one.accepted for one in taken]
        body = join([one.body for one in taken])
        # Somebody may be waiting for a one-time password: it overtakes what waits already.
        urgent = may_carry(body)
        queue = PRIORITY_QUEUE if urgent else QUEUE
        try:
            batch_id = self._batches.accept(
                body,
                count,
                door=group.door,
                destination=group.destination,
                queue=queue,
                sealed=urgent,
                trace=taken[0].trace,
            )
        except StoreUnavailable as error:
            log.warning("%d events of %d requests are refused: the store is away (%s)", count, len(taken), error)
            loop.call_soon_threadsafe(_fail, futures, "store_away", "the store is away: nothing can be accepted")
            return
        except Exception:
            log.exception("%d events of %d requests could not be accepted", count, len(taken))
            loop.call_soon_threadsafe(_fail, futures, "not_accepted", "the events could not be accepted")
            return
        # The store has them: the senders need not wait for the broker. The schedule publishes what is lost here.
        loop.call_soon_threadsafe(_tell, futures, batch_id)
        if self._room.acquire(blocking=False):
            self._publishers.submit(self._publish_one, batch_id, queue)

    def _publish_one(self, batch_id: str, queue: str) -> None:
        try:
            self._publish(batch_id, queue)
        except Exception:
            log.exception("batch %s could not be published; the schedule does it", batch_id)
        finally:
            self._room.release()


def _tell(futures: list[asyncio.Future[str]], batch_id: str) -> None:
    for future in futures:
        if not future.done():
            future.set_result(batch_id)


def _fail(futures: list[asyncio.Future[str]], code: str, message: str) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(_refusal(code, message))


def _refusal(code: str, message: str) -> Refused:
    return later(code, message, STORE_PAUSE)
