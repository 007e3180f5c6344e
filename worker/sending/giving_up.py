"""Giving up a request while it is under way, when a worker is told to stop at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from worker.msg91.answers import Answer, AnswerClass

#: What a request counts as that a worker has no time to wait for.
GIVEN_UP = Answer(
    AnswerClass.UNKNOWN, code="given_up", message="the worker was stopped while the request was under way"
)
KEPT_BACK = Answer(AnswerClass.RETRY, code="handed_back", message="the worker was stopped", sent=False)
#: Seconds that a claim under way is waited for when everything is given up.
GIVE_UP_WAIT = 2.0


class UnderWay:
    """A request, from the moment its deliveries are about to be claimed until its outcome is written.

    Attributes:
        left: Whether its first byte may have been written.
        over: Set when its outcome is written, or nothing of it was claimed.
    """

    def __init__(self) -> None:
        self.left = False
        self.over = threading.Event()
        self._kept_back = False
        self._settle: Callable[[Answer], None] | None = None
        self._lock = threading.Lock()

    def claimed(self, settle: Callable[[Answer], None]) -> bool:
        """Its deliveries are claimed; ``False`` when it has been given up meanwhile and must not be made."""
        with self._lock:
            self._settle = settle
            return not self._kept_back

    def may_leave(self) -> bool:
        """Asked just before the first byte is written."""
        with self._lock:
            self.left = self.left or not self._kept_back
            return not self._kept_back

    def end(self) -> None:
        """Its outcome is written, or nothing of it was claimed: let go of its deliveries."""
        with self._lock:
            # Else it holds them, and all of their events, until somebody looks for reference cycles.
            self._settle = None
        self.over.set()

    def give_up(self) -> None:
        """Wait no longer: what has not left never will, and what has is in doubt unless its answer comes after all."""
        with self._lock:
            self._kept_back = True
            answer, settle = GIVEN_UP if self.left else KEPT_BACK, self._settle
        if settle is None:
            # It is just being claimed: its own thread hands it back as soon as that is done.
            self.over.wait(GIVE_UP_WAIT)
        else:
            settle(answer)
