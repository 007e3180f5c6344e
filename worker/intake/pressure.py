"""Whether anything can be accepted now: how much waits, and whether store and broker answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from worker.delivery import Store, StoreUnavailable
from worker.intake.batching import STORE_PAUSE
from worker.intake.refusals import later

log = logging.getLogger(__name__)

#: Seconds a sender is asked to wait while too much is queued, and while the broker is away.
QUEUE_PAUSE = 10
BROKER_PAUSE = 5
#: Seconds after which a store that has not answered counts as away.
ANSWERS_WITHIN = 2.0


class Pressure:
    """What the door knows of store and broker; looked at from time to time, asked at every request.

    Args:
        store: The store.
        queue_length: How many messages wait at the broker; None when it cannot be asked.
        limit: Events that may wait.
    """

    def __init__(self, store: Store, queue_length: Callable[[], int | None], *, limit: int) -> None:
        self._store = store
        self._queue_length = queue_length
        self._limit = limit
        self.queued: int | None = 0
        self.messages: int | None = 0
        self._asked: float | None = None

    @property
    def store_answers(self) -> bool:
        """Whether the store answered when it was asked last, or can still be expected to."""
        asked = self._asked
        return self.queued is not None and (asked is None or time.monotonic() - asked < ANSWERS_WITHIN)

    @property
    def broker_answers(self) -> bool:
        """Whether the broker answered when it was asked last."""
        return self.messages is not None

    def look_at_store(self) -> None:
        """Ask the store; blocks."""
        was = self.queued is not None
        client, name = self._store.client, self._store.keys.counters
        self._asked = time.monotonic()
        try:
            self.queued = int(self._store.ask(lambda: client.hget(name, "events:queued")) or 0)
        except StoreUnavailable:
            self.queued = None
        finally:
            self._asked = None
        _say("store", was=was, answers=self.queued is not None)

    def look_at_broker(self) -> None:
        """Ask the broker; blocks."""
        was = self.broker_answers
        self.messages = self._queue_length()
        _say("broker", was=was, answers=self.broker_answers)

    def check(self) -> None:
        """Refuse when nothing can be accepted.

        Raises:
            Refused: 429, with the seconds to wait.
        """
        queued = self.queued
        if queued is None or not self.store_answers:
            raise later("store_away", "the store is away: nothing can be accepted", STORE_PAUSE)
        if queued > self._limit:
            raise later("queue_full", f"{queued} events wait already; at most {self._limit} may", QUEUE_PAUSE)
        if self.messages is None:
            raise later("broker_away", "the broker is away: nothing is sent on", BROKER_PAUSE)


def _say(what: str, *, was: bool, answers: bool) -> None:
    if was != answers:
        log.warning("the %s is %s", what, "back" if answers else "away: events are refused until it is back")
