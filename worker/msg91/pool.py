"""Kept connections to one origin.

httpcore has a pool of its own, but that looks at every connection twice a request: with 50 threads a request took three
times the CPU. Here only the connection used last (the warmest) and the one idle longest are looked at.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import httpcore
import httpx

Connect = Callable[[], httpcore.ConnectionInterface]


class PoolClosed(Exception):
    """The pool was closed; nothing is sent any more."""


class Pool:
    """A bounded number of connections, the one used last first.

    Args:
        connect: makes a connection object; the TCP connection is made by its first request.
        max_connections: most connections in use at once.
    """

    def __init__(self, connect: Connect, max_connections: int) -> None:
        self._connect: Final = connect
        self._free: Final = threading.Semaphore(max_connections)
        self._idle: Final[deque[httpcore.ConnectionInterface]] = deque()
        self._lock: Final = threading.Lock()
        self._closed = False

    def take(self, timeout: float) -> httpcore.ConnectionInterface:
        """Take a connection out; give it back by `give`, whatever happens to it.

        Args:
            timeout: seconds to wait while all are in use.

        Raises:
            httpx.PoolTimeout: none became free.
            PoolClosed: the pool is closed.
        """
        if self._closed:
            raise PoolClosed
        if not self._free.acquire(timeout=max(timeout, 0.0)):
            raise httpx.PoolTimeout("all connections are in use")
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            if not connection.has_expired():
                return connection
            connection.close()

    def give(self, connection: httpcore.ConnectionInterface, *, reusable: bool) -> None:
        """Take a connection back, to be kept or closed."""
        stale: httpcore.ConnectionInterface | None = connection
        with self._lock:
            if reusable and not self._closed and connection.is_available():
                self._idle.append(connection)
                # Looking at one takes a system call; the one that was just used is looked at when it is taken again.
                stale = self._idle.popleft() if len(self._idle) > 1 and self._idle[0].has_expired() else None
        if stale is not None:
            stale.close()
        self._free.release()

    def close(self) -> None:
        """Close idle connections now and those in use when they are given back."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()
