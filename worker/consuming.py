"""Taking messages from a broker that answers and does not serve: one that is full, a replica, or asks for a password.

Celery connects again at once, and again; without a pause that is a loop as fast as the broker answers.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.worker import consumer, state

#: Seconds of the first pause; it doubles with each failure that follows soon.
PAUSE = 0.25
#: Longest pause, seconds.
PAUSE_CAP = 5.0
#: Seconds without a failure after which the next one is the first again.
CALM = 30.0


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's, except that it rests between failures that follow one another."""

    _failed_at = 0.0
    _pause = 0.0

    def on_connection_error_before_connected(self, exc: Exception) -> Any:
        """Say it, and rest when the last failure was not long ago."""
        super().on_connection_error_before_connected(exc)
        self._rest()

    def on_connection_error_after_connected(self, exc: Exception) -> Any:
        """Give up the connection, and rest when the last failure was not long ago."""
        with warnings.catch_warnings():
            # It announces each time what a later version will do.
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)
        self._rest()

    def _rest(self) -> None:
        now = time.monotonic()
        self._pause = min(self._pause * 2 or PAUSE, PAUSE_CAP) if now - self._failed_at < CALM else 0.0
        end = now + self._pause
        while time.monotonic() < end and state.should_stop is None and state.should_terminate is None:
            time.sleep(0.1)
        self._failed_at = time.monotonic()
