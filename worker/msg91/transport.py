"""What httpx sends through: our own connections, which know whether a byte of a request has left.

A request carries its `Exchange` in ``extensions[EXCHANGE]``; when it failed, ``Exchange.sent`` says whether anything
of it may have been read. httpx's own transport cannot tell: it reports the same write error before and after the
first byte, and its timeouts are for single reads, which a server that drips bytes never exceeds.
"""

import contextlib
import functools
import ssl
from collections.abc import Iterator
from typing import Final, NoReturn

import httpcore
import httpx

from worker.msg91.network import Backend, Current, Exchange, HandedBack, NothingWritten
from worker.msg91.pool import Connect, Pool
from worker.msg91.urls import checked_proxy

#: Key of a request's `Exchange` among its extensions.
EXCHANGE: Final = "msg91.exchange"

#: Each attempt beyond the first needs a pooled connection that was found closed before it took a byte.
_MAX_CONNECTIONS_TRIED: Final = 4

_AS_HTTPX: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
}
_HTTPCORE: Final = tuple(_AS_HTTPX)

#: What any HTTP transport of httpx is, by a name of ours.
BaseTransport = httpx.BaseTransport


class PooledTransport(httpx.BaseTransport):
    """Kept connections to one origin, directly or through a proxy.

    Args:
        origin: such as ``https://control.msg91.com``; where a request's URL points besides is not looked at.
        proxy: URL of an HTTP proxy, may name a user; empty connects directly.
        max_connections: connections kept and used at once.
        keepalive_expiry: seconds an idle connection is kept.
        ssl_context: None shares one with the system's and certifi's authorities.

    Raises:
        ClientSettingError: `proxy` cannot be used.
    """

    def __init__(
        self,
        origin: str,
        *,
        proxy: str,
        max_connections: int,
        keepalive_expiry: float,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._current: Final = Current()
        options = {
            "ssl_context": ssl_context or _shared_ssl_context(),
            "keepalive_expiry": keepalive_expiry,
            "network_backend": Backend(self._current),
        }
        maker: httpcore.ConnectionPool
        if proxy:
            url, auth = checked_proxy(proxy)
            maker = httpcore.HTTPProxy(proxy_url=url, proxy_auth=auth, **options)  # type: ignore[arg-type]
        else:
            maker = httpcore.ConnectionPool(**options)  # type: ignore[arg-type]
        connect: Connect = functools.partial(maker.create_connection, httpcore.URL(origin).origin)
        self._pool: Final = Pool(connect, max_connections)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's stream gives the connection back when it is closed.

        Raises:
            httpx.TransportError: as httpx's own transport does.
            HandedBack, NothingWritten, NameNotResolved, TlsFailed, PoolClosed: nothing was sent.
        """
        exchange: Exchange = request.extensions[EXCHANGE]
        timeouts = request.extensions["timeout"]
        # httpcore runs a request on the caller's thread from beginning to end, the reading of the answer included.
        self._current.exchange = exchange
        url = request.url
        wire = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": timeouts},
        )
        for tried in range(1, _MAX_CONNECTIONS_TRIED + 1):
            connection = self._take(exchange, timeouts["pool"])
            try:
                response = connection.handle_request(wire)
                stream = _Stream(response, connection, self._pool, exchange)
                return httpx.Response(response.status, headers=response.headers, stream=stream)
            except NothingWritten:
                # Nothing was written: another connection may be tried without a doubt.
                self._pool.give(connection, reusable=False)
                if tried == _MAX_CONNECTIONS_TRIED:
                    raise
            except _HTTPCORE as error:
                self._pool.give(connection, reusable=False)
                _raise_as_httpx(error)
            except BaseException:
                self._pool.give(connection, reusable=False)
                raise
        raise AssertionError("unreachable")  # pragma: no cover

    def close(self) -> None:
        """Close the connections; requests from now on raise `PoolClosed`."""
        self._pool.close()

    def _take(self, exchange: Exchange, timeout: float) -> httpcore.ConnectionInterface:
        try:
            return self._pool.take(exchange.left(timeout, httpcore.ConnectTimeout))
        except httpcore.ConnectTimeout as error:
            _raise_as_httpx(error)


class ForeignTransport(httpx.BaseTransport):
    """A transport of somebody else's, of which only its exceptions tell whether anything was sent.

    Args:
        transport: any transport of httpx.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport: Final = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; what failed counts as sent unless there was no connection.

        Raises:
            httpx.TransportError: as the transport does.
            HandedBack: the time to write the first byte has passed.
        """
        exchange: Exchange = request.extensions[EXCHANGE]
        left = exchange.left(None, httpx.ConnectTimeout)
        if not exchange.leaves():
            raise HandedBack
        timeouts = request.extensions["timeout"]
        request.extensions["timeout"] = {step: min(timeout, left) for step, timeout in timeouts.items()}
        exchange.sent = True
        try:
            return self._transport.handle_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            exchange.sent = False
            raise

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


class _Stream(httpx.SyncByteStream):
    """The body of an answer; its connection is kept only when it carried this answer and nothing more."""

    def __init__(
        self,
        response: httpcore.Response,
        connection: httpcore.ConnectionInterface,
        pool: Pool,
        exchange: Exchange,
    ) -> None:
        self._response = response
        self._connection = connection
        self._pool = pool
        self._exchange = exchange
        self._size = 0
        self._whole = False
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._response.iter_stream():
                self._size += len(chunk)
                yield chunk
        except _HTTPCORE as error:
            _raise_as_httpx(error)
        self._whole = True

    def close(self) -> None:
        """Give the connection back, once."""
        if self._closed:
            return
        self._closed = True
        try:
            with contextlib.suppress(*_HTTPCORE):
                self._response.close()
        finally:
            # What is left over on a connection would be taken for the next request's answer.
            self._pool.give(self._connection, reusable=self._whole and self._ends_clean())

    def _ends_clean(self) -> bool:
        """Tell whether what was read from the connection was this answer and nothing more."""
        rest = bytes(self._exchange.raw)
        while rest.startswith(b"HTTP/1.1 1"):
            rest = rest.partition(b"\r\n\r\n")[2]
        rest = rest.partition(b"\r\n\r\n")[2]
        if any(name.lower() == b"transfer-encoding" for name, _ in self._response.headers):
            return rest.endswith(b"\r\n\r\n") and b"HTTP/1." not in rest
        return len(rest) == self._size


def _raise_as_httpx(error: Exception) -> NoReturn:
    """Raise httpx's name for an error of httpcore; our own kinds say more and pass as they are."""
    kind = _AS_HTTPX.get(type(error))
    if kind is None:
        raise error
    raise kind(str(error)) from error


@functools.cache
def _shared_ssl_context() -> ssl.SSLContext:
    return httpcore.default_ssl_context()
