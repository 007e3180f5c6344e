"""The thread of a worker that takes events from the stream."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from worker.delivery import DeliveryError
from worker.intake.stream import QUEUE, EventStream
from worker.intake.stream_entries import Entry, sort_entries

log = logging.getLogger(__name__)

#: How long a read waits for the first entry, ms; also how long it takes to notice that it is to stop.
WAIT_MS = 1000
#: Bytes of events in one batch, about; blocks get smaller when events are large.
BLOCK_BYTES = 4 << 20
#: Entries in the first block: nobody knows yet how large they are.
FIRST_COUNT = 64
#: Seconds between two looks at a queue that is too long.
QUEUE_POLL = 0.05
#: Seconds between two searches for consumers that have gone.
SWEEP_INTERVAL = 600.0
#: Seconds before the next try when something is wrong; doubles up to the cap.
PAUSE, PAUSE_CAP = 0.2, 5.0


class StreamReader:
    """Reads an event stream and hands it over, block by block.

    Args:
        stream: The stream.
        publish: Tells Celery of a batch: its id and its queue.
        batch: Entries in a block, at most.
        linger: Seconds in which events that come singly gather, so that one batch carries them; an event that comes
            after a pause does not wait.
        claim_after: Seconds after which entries are taken over from a consumer that holds them.
        queue_limit: No block is read while this many events, of all doors, wait to be worked on.
    """

    def __init__(
        self,
        stream: EventStream,
        publish: Callable[[str, str], object],
        *,
        batch: int = 500,
        linger: float = 0.05,
        claim_after: float = 15.0,
        queue_limit: int = 20_000,
    ) -> None:
        self.stream = stream
        self._publish = publish
        self._batch = batch
        self._linger = linger
        self._claim_after = claim_after
        self._queue_limit = queue_limit
        self._count = min(batch, FIRST_COUNT)
        self._is_full = False
        self._queued = queue_limit  # unknown: ask first
        self._is_open = False
        self._look_back = False
        self._next_claim = 0.0
        self._next_sweep = 0.0
        self._trouble = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    def begin_stop(self) -> None:
        """Read no further block; what has been read is still handed over."""
        self._stop.set()

    def stop(self) -> None:
        """Stop the thread; entries that could not be handed over stay in the stream."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * WAIT_MS / 1000)

    def round(self, *, wait_ms: int = WAIT_MS) -> int:
        """Take one block; gives how many entries it had.

        Raises:
            StoreUnavailable: nothing is lost; the next round begins with what this one had read.
            RedisError: the same.
        """
        try:
            return self._round(wait_ms)
        except Exception:
            self._is_open, self._look_back = False, True
            raise

    def _round(self, wait_ms: int) -> int:
        if not self._is_open:
            self.stream.open()
            self._is_open = True
        if self._look_back:
            # A read whose answer was lost has given us entries that nobody has seen.
            while entries := self.stream.mine(self._count):
                self._take(entries)
            self._look_back = False
        if self._queued >= self._queue_limit:
            self._queued = self.stream.queued()
            if self._queued >= self._queue_limit:
                return 0
        asked = self._count
        entries = self._claim() or self.stream.read(asked, wait_ms=wait_ms)
        self._is_full = len(entries) >= asked
        if entries:
            self._take(entries)
        return len(entries)

    def _claim(self) -> list[Entry]:
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_INTERVAL
            self.stream.sweep()
        if now < self._next_claim:
            return []
        entries = self.stream.claim(self._count, idle_ms=round(self._claim_after * 1000))
        if entries:
            log.warning("%d entries of a lost consumer are taken over", len(entries))
        else:
            self._next_claim = now + self._claim_after / 3
        return entries

    def _take(self, entries: Sequence[Entry]) -> None:
        size = sum(sum(map(len, fields)) for _, fields in entries if fields)
        self._count = min(self._batch, self._count * 2, max(1, len(entries) * BLOCK_BYTES // max(size, 1)))
        done = self.stream.hand_over(sort_entries(entries))
        self._queued = done.queued
        if done.malformed:
            key = self.stream.store.keys.malformed
            log.warning("%d entries of the stream cannot be read; %s has them, with the reasons", done.malformed, key)
        if done.elsewhere:
            log.warning("%d entries of the stream were taken by another worker in the meantime", done.elsewhere)
        if done.batch_id is not None:
            self._publish(done.batch_id, QUEUE)

    def _run(self) -> None:
        pause = PAUSE
        while not self._stop.is_set():
            try:
                count = self.round()
            except Exception as error:  # noqa: BLE001 - the thread must live, whatever the server says
                self._say_trouble(error)
                self._stop.wait(pause)
                pause = min(pause * 2, PAUSE_CAP)
                continue
            if self._trouble:
                self._trouble = ""
                log.warning("the stream is read again")
            pause = PAUSE
            if self._queued >= self._queue_limit:
                self._stop.wait(QUEUE_POLL)
            elif count and not self._is_full:
                self._stop.wait(self._linger)
        self._end()

    def _say_trouble(self, error: Exception) -> None:
        trouble = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
        if trouble == self._trouble:
            return
        self._trouble = trouble
        expected = isinstance(error, RedisError | DeliveryError)
        log.warning("the stream cannot be read, trying again: %s", trouble, exc_info=None if expected else error)

    def _end(self) -> None:
        try:
            self.stream.leave()
        except (RedisError, DeliveryError) as error:
            log.info("the stream was left without a word: %s", error)
        self.stream.close()
