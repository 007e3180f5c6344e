"""What every worker does on the side: promote what is due, settle what lost workers left, watch the configuration."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from worker.delivery import PRIORITY_QUEUE, Awaiting, Schedule, StoreUnavailable, fold
from worker.destinations import Destinations
from worker.recovery import recover_abandoned
from worker.sending import Sender

log = logging.getLogger(__name__)

#: Seconds between two looks at hours that are over.
FOLD_INTERVAL = 600.0
#: Seconds between two looks at requests whose report window is over.
REPORTS_INTERVAL = 15.0


class Maintenance:
    """A thread that keeps unfinished work moving.

    Args:
        schedule: The schedule.
        sender: The way out, for requests that lost workers left.
        destinations: The present configuration.
        awaiting: Requests whose delivery reports are awaited.
        publish: Tells Celery of a batch; ``False`` when the broker is away.
        queue_lengths: How many messages wait in each queue of the broker; ``None`` when it cannot be asked.
        refresh: Looks whether the configuration has changed.
        interval: Seconds between two rounds.
        limit: Batches promoted in one round, at most.
        queue_limit: Nothing is promoted to a queue of the broker that is longer than this.
    """

    def __init__(
        self,
        schedule: Schedule,
        sender: Sender,
        destinations: Callable[[], Destinations],
        awaiting: Awaiting,
        *,
        publish: Callable[[str, str], bool],
        queue_lengths: Callable[[], Mapping[str, int] | None],
        refresh: Callable[[], object],
        interval: float = 1.0,
        limit: int = 1000,
        queue_limit: int = 200,
    ) -> None:
        self._schedule = schedule
        self._sender = sender
        self._destinations = destinations
        self._publish = publish
        self._queue_lengths = queue_lengths
        self._refresh = refresh
        self._interval = interval
        self._limit = limit
        self._queue_limit = queue_limit
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._next_fold = 0.0
        self._awaiting = awaiting
        self._next_reports = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; does not wait longer than one round takes."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def round(self) -> int:
        """One round; returns how many batches were promoted."""
        recover_abandoned(self._sender, self._destinations())
        promoted = self._promote()
        if time.monotonic() >= self._next_fold:
            self._next_fold = time.monotonic() + FOLD_INTERVAL
            fold(self._schedule.store)
        if time.monotonic() >= self._next_reports:
            self._next_reports = time.monotonic() + REPORTS_INTERVAL
            self._awaiting.look()
        return promoted

    def _promote(self) -> int:
        waiting = self._queue_lengths()
        if waiting is None:
            return 0
        room = {queue: self._queue_limit - length for queue, length in waiting.items()}
        if not any(one > 0 for one in room.values()):
            return 0
        due = self._schedule.promote(self._limit, room)
        due.sort(key=lambda one: one[1] != PRIORITY_QUEUE)
        for number, (batch_id, queue) in enumerate(due):
            if not self._publish(batch_id, queue):
                # The rest is promoted again when its lease is over; a broker that is away must not hold up recovery.
                return number
        return len(due)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self._refresh()
                self.round()
            except StoreUnavailable:
                log.warning("maintenance waits for the store")
            except Exception:
                log.exception("maintenance failed; it tries again in %.1f s", self._interval)
