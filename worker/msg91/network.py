"""Sockets that know whether a byte of the request has left, and how much time is left.

httpcore (what httpx sends through) runs a request on the caller's thread from beginning to end, so the exchange under
way is a thread-local. Every connect, write and read is capped by what is left of the exchange's total deadline; a
server that drips bytes or reads slowly cannot stretch it.
"""

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpcore

#: Bytes that fit into one TLS record: what is sent first is no longer.
FIRST_PIECE = 16 * 1024
#: Bytes of an answer that are remembered; more than the longest body that is read to its end.
MAX_RAW = 256 * 1024


class HandedBack(Exception):
    """The time to write the first byte had passed, or it may not leave any more."""


class NothingWritten(Exception):
    """The connection was found closed before it took the first byte of the request."""


class NameNotResolved(httpcore.ConnectError):
    """The host name has no address."""


class TlsFailed(httpcore.ConnectError):
    """The TLS handshake failed."""


@dataclass(slots=True)
class Exchange:
    """One request on its way.

    Attributes:
        deadline: `time.monotonic` after which nothing is waited for.
        write_by: `time.monotonic` after which the first byte must not be written.
        may_leave: asked just before the first byte is written; False keeps it back.
        sent: True once a socket took a byte of the request.
        raw: what was read from the socket, at most `MAX_RAW` bytes.
    """

    deadline: float
    write_by: float
    may_leave: Callable[[], bool] = lambda: True
    sent: bool = False
    raw: bytearray = field(default_factory=bytearray)

    def leaves(self) -> bool:
        """Whether the first byte may be written now."""
        return time.monotonic() < self.write_by and self.may_leave()

    def left(self, timeout: float | None, error: type[Exception]) -> float:
        """Seconds that the next step may take.

        Raises:
            Exception: of the given kind, when none are left.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise error("the total deadline has passed")
        return left if timeout is None or timeout > left else timeout


class Current(threading.local):
    """The exchange under way on this thread."""

    exchange: Exchange


class Backend(httpcore.NetworkBackend):
    """Opens TCP connections for the exchange of the calling thread."""

    def __init__(self, current: Current) -> None:
        self._current = current

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - httpcore's interface
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - httpcore's interface
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; name and all addresses share one timeout."""
        exchange = self._current.exchange
        stop = time.monotonic() + exchange.left(timeout, httpcore.ConnectTimeout)
        addresses = _resolve(host, port, stop)
        failure: Exception = NameNotResolved("the name has no address")
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            left = stop - time.monotonic()
            if left <= 0:
                raise httpcore.ConnectTimeout("no connection in time")
            try:
                # An address that swallows packets (broken IPv6) must leave time for the others.
                sock = _connected(family, kind, protocol, address, left / (len(addresses) - index))
            except TimeoutError:
                failure = httpcore.ConnectTimeout("no connection in time")
            except OSError as error:
                failure = httpcore.ConnectError(_reason(error))
            else:
                return Stream(sock, self._current)
        raise failure


class Stream(httpcore.NetworkStream):
    """A connection whose every step is capped by the exchange's deadline."""

    def __init__(self, sock: socket.socket, current: Current) -> None:
        self._socket = sock
        self._current = current
        self._head = b""  # kept until the body comes: most requests leave in one piece

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has arrived, at most `max_bytes`; empty at the end."""
        if self._head:
            self.write(b"", timeout)
        exchange = self._current.exchange
        self._socket.settimeout(exchange.left(timeout, httpcore.ReadTimeout))
        try:
            data = self._socket.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("no answer in time") from None
        except OSError as error:
            raise httpcore.ReadError(_reason(error)) from None
        if len(exchange.raw) < MAX_RAW:
            exchange.raw += data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write everything; the head of a request is kept until its body or its end is written.

        Raises:
            HandedBack: the first byte of the request would have been written too late.
            NothingWritten: the connection took no byte of the request.
            httpcore.WriteTimeout, httpcore.WriteError: as httpcore expects them.
        """
        exchange = self._current.exchange
        # A CONNECT opens a tunnel through a proxy; what matters is the request that follows.
        tunnel = buffer.startswith(b"CONNECT ")
        if buffer and not self._head and not exchange.sent and not tunnel:
            self._head = buffer
            return
        view = memoryview(self._head + buffer if self._head else buffer)
        self._head = b""
        if view and not exchange.sent and not tunnel and not exchange.leaves():
            raise HandedBack
        while view:
            self._socket.settimeout(exchange.left(timeout, httpcore.WriteTimeout))
            try:
                count = self._socket.send(view if exchange.sent else view[:FIRST_PIECE])
            except TimeoutError:
                raise httpcore.WriteTimeout("the request could not be written in time") from None
            except OSError as error:
                # The first piece is no longer than a TLS record: when it failed, a server behind TLS has at most a
                # part of a record, which it cannot decrypt.
                if not exchange.sent and not tunnel:
                    raise NothingWritten(_reason(error)) from None
                raise httpcore.WriteError(_reason(error)) from None
            exchange.sent = exchange.sent or not tunnel
            view = view[count:]

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Make it a TLS connection; the timeout is for the whole handshake."""
        exchange = self._current.exchange
        try:
            self._socket.settimeout(exchange.left(timeout, httpcore.ConnectTimeout))
            wrapped = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError:
            self.close()
            raise httpcore.ConnectTimeout("no TLS handshake in time") from None
        except OSError as error:
            self.close()
            raise TlsFailed(_reason(error)) from None
        exchange.raw.clear()  # what a proxy said before the tunnel is no part of the answer
        return Stream(wrapped, self._current)

    def get_extra_info(self, info: str) -> Any:
        """Answer what httpcore asks about the socket."""
        if info == "is_readable":
            return _is_readable(self._socket)
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return None


def _connected(family: int, kind: int, protocol: int, address: Any, timeout: float) -> socket.socket:
    """Connect to one address."""
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _is_readable(sock: socket.socket) -> bool:
    """True for an idle connection that the server has closed (or that is closed here)."""
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _resolve(host: str, port: int, stop: float) -> list[Any]:
    """Resolve a name, on a thread of its own: the resolver takes no timeout and may take half a minute."""
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    found: list[Any] = []
    failures: list[OSError] = []

    def resolve() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=resolve, name="msg91-resolver", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise NameNotResolved("no thread could be started for the resolver") from None
    thread.join(max(stop - time.monotonic(), 0.0))
    if thread.is_alive():
        raise httpcore.ConnectTimeout("the host name was not resolved in time")
    if failures:
        raise NameNotResolved(_reason(failures[0]))
    return found


def _reason(error: OSError) -> str:
    """A short reason that shows no address and no data."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return error.strerror or "unknown name"
    return os.strerror(error.errno) if error.errno else type(error).__name__
