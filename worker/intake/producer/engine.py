"""The buffer of a producer and the thread that empties it: one of each in every process."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from worker.intake.producer.errors import BufferFull, NotAccepted, ProducerClosed, QueueTooLong
from worker.intake.producer.ways import Way

log = logging.getLogger(__name__)

#: Bytes of events in one batch, about.
BATCH_BYTES = 4 << 20
#: Seconds before the next try, doubled up to the cap.
PAUSE, PAUSE_CAP = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held, and for how long; see `Producer`."""

    batch_size: int
    linger: float
    max_buffer: int
    on_full: Literal["block", "raise"]
    block_timeout: float | None
    exit_timeout: float


class Engine:
    """Holds events until they are accepted.

    Args:
        open_way: Makes the way out; called in the thread.
        limits: How much is held.
    """

    def __init__(self, open_way: Callable[[], Way], limits: Limits) -> None:
        self._open_way = open_way
        self._limits = limits
        # Reentrant: a producer may be finalised, and a signal handled, by a thread that is in here.
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)  # for the thread
        self._moved = threading.Condition(self._lock)  # for those who wait for room, or for acceptance
        self._waiting: deque[bytes] = deque()
        self._under_way: list[bytes] = []
        self._added = 0
        self._accepted = 0
        self._hurry_until = 0  # events up to this one do not linger
        self._is_closing = False
        self._given_up = threading.Event()
        self._sending = threading.Lock()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def exit_timeout(self) -> float:
        """Seconds that the end of the process may wait for it."""
        return self._limits.exit_timeout

    def hold(self, timeout: float) -> bool:
        """Keep the thread out of the libraries that it sends with, until `let_go`; ``False`` when it does not come out.

        They have locks of their own, and a child that is forked while the thread holds one could never take it.
        """
        return self._sending.acquire(timeout=timeout)

    def let_go(self) -> None:
        """Undo `hold`."""
        self._sending.release()

    @property
    def pending(self) -> int:
        """Events that are not accepted yet."""
        with self._lock:
            return self._added - self._accepted

    def add(self, line: bytes) -> None:
        """Take one event.

        Raises:
            BufferFull: it was not taken.
            ProducerClosed: it was not taken.
        """
        with self._lock:
            self._check_open()
            if self._added - self._accepted >= self._limits.max_buffer:
                self._wait_for_room()
            self._waiting.append(line)
            self._added += 1
            if len(self._waiting) in (1, self._limits.batch_size):
                self._wake.notify()

    def flush(self, timeout: float | None) -> None:
        """Wait until all events taken so far are accepted.

        Raises:
            NotAccepted: some are not; they stay in the buffer.
        """
        with self._lock:
            target = self._added
            self._hurry_until = target
            self._wake.notify()
            self._moved.wait_for(lambda: self._accepted >= target or self._given_up.is_set(), timeout)
            if self._accepted < target:
                raise NotAccepted(self._open_lines(target), self._error)

    def begin_close(self) -> None:
        """Take nothing more; the thread ends when everything is accepted."""
        with self._lock:
            self._is_closing = True
            self._hurry_until = self._added
            self._wake.notify()
            self._moved.notify_all()

    def close(self, timeout: float | None) -> None:
        """Take nothing more, wait until everything is accepted, and end the thread; again does nothing.

        Raises:
            NotAccepted: some events are not accepted, and are not tried again.
        """
        self.begin_close()
        if self._given_up.is_set():
            return
        try:
            self.flush(timeout)
        finally:
            with self._lock:
                self._given_up.set()
                self._wake.notify()
                self._moved.notify_all()
            self._thread.join(timeout=1.0)

    def _check_open(self) -> None:
        if self._is_closing:
            raise ProducerClosed("the producer is closed: make a new one")

    def _wait_for_room(self) -> None:
        limits = self._limits

        def has_room() -> bool:
            return self._is_closing or self._added - self._accepted < limits.max_buffer

        if limits.on_full == "raise" or not self._moved.wait_for(has_room, limits.block_timeout):
            cause = f" ({type(self._error).__name__}: {str(self._error)[:200]})" if self._error else ""
            raise BufferFull(f"{limits.max_buffer} events wait to be accepted{cause}") from self._error
        self._check_open()

    def _open_lines(self, target: int) -> list[bytes]:
        """Events up to ``target`` that are not accepted; under the lock."""
        return [*self._under_way, *self._waiting][: target - self._accepted]

    def _run(self) -> None:
        way: Way | None = None
        while lines := self._take():
            batch_id = secrets.token_hex(8)
            pause = PAUSE
            while not self._given_up.is_set():
                try:
                    with self._sending:
                        way = way or self._open_way()
                        way.send(batch_id, lines)
                except QueueTooLong as error:
                    self._note(error)
                    self._given_up.wait(PAUSE)
                except Exception as error:  # noqa: BLE001 - whatever it is, the events are kept and flush says it
                    self._note(error)
                    self._given_up.wait(pause)
                    pause = min(pause * 2, PAUSE_CAP)
                else:
                    self._confirm(lines)
                    with self._sending:
                        way.tell(batch_id)
                    break
        if way is not None:
            way.close()

    def _take(self) -> list[bytes]:
        """Wait for events and take a batch of them; empty when the end has come."""
        limits = self._limits
        with self._lock:
            self._wake.wait_for(lambda: self._waiting or self._is_closing or self._given_up.is_set())
            if self._given_up.is_set() or not self._waiting:
                return []
            until = time.monotonic() + limits.linger
            while len(self._waiting) < limits.batch_size and self._accepted >= self._hurry_until:
                left = until - time.monotonic()
                if left <= 0 or not self._wake.wait(left):
                    break
            size = 0
            while self._waiting and len(self._under_way) < limits.batch_size and size < BATCH_BYTES:
                line = self._waiting.popleft()
                size += len(line)
                self._under_way.append(line)
            return list(self._under_way)

    def _confirm(self, lines: list[bytes]) -> None:
        with self._lock:
            if self._error is not None:
                log.warning("events are accepted again")
                self._error = None
            self._accepted += len(lines)
            self._under_way.clear()
            self._moved.notify_all()

    def _note(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                log.warning("events wait in the buffer: %s: %s", type(error).__name__, error)
            self._error = error
