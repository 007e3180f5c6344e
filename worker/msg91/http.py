"""One client for one origin: sends a request and says what became of it.

Whatever the network and the other side do ends in an `Answer`, never in an exception. How an answer is judged, and what
it means that none came, is up to the subclasses: `worker.msg91.client` for MSG91, `worker.msg91.receiver` for those
that are told of what MSG91 reports.
"""

import functools
import math
import re
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from worker.msg91.answers import MAX_BODY, Answer, AnswerClass, mask_numbers, unpacked
from worker.msg91.network import Exchange, HandedBack, NameNotResolved, NothingWritten, TlsFailed
from worker.msg91.pool import PoolClosed
from worker.msg91.transport import EXCHANGE, ForeignTransport, PooledTransport
from worker.msg91.urls import checked_origin, environment_proxy

_SAFE_PATH: Final = re.compile(r"/[\x21\x24-\x3b\x3d\x40-\x5f\x61-\x7e%]*")

#: What an exception means; the first that fits counts.
_FAILURES: Final[dict[type[Exception], tuple[str, str]]] = {
    HandedBack: ("handed_back", "handed back: too little time was left to send it safely"),
    NothingWritten: ("connection_closed", "the connection was closed before it took a byte"),
    NameNotResolved: ("name_not_resolved", "the host name could not be resolved"),
    TlsFailed: ("tls_failed", "no secure connection could be made"),
    httpx.ConnectTimeout: ("connect_timeout", "no connection could be made in time"),
    httpx.ConnectError: ("connect_failed", "no connection could be made"),
    httpx.ProxyError: ("proxy_refused", "the proxy refused to connect"),
    PoolClosed: ("closed", "the client was closed"),
    httpx.PoolTimeout: ("pool_timeout", "no connection became free in time"),
    httpx.ReadTimeout: ("read_timeout", "no answer came in time"),
    httpx.WriteTimeout: ("write_timeout", "the request could not be written in time"),
    httpx.RemoteProtocolError: ("bad_answer", "the connection ended or carried something that is not HTTP"),
    httpx.NetworkError: ("connection_lost", "the connection was lost"),
}
_FAILURE_TYPES: Final = tuple(_FAILURES)
#: Failures whose text says more and shows nothing that is secret.
_TOLD: Final = (NameNotResolved, TlsFailed, httpx.NetworkError, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, without what proves who sends it to MSG91 (the authkey). Its text form shows nobody and no text.

    Attributes:
        method: ``POST`` or ``GET``.
        path: absolute path below the base URL, percent-encoded.
        body: JSON, ready for the wire.
        query: query parameters.
        headers: more headers; ``authkey`` and ``host`` are not to be set.
        sample: JSON-able description for people (dead letters): no secrets, numbers masked.
        empty_is_success: an empty 2xx answer means success.
        receiver: where it goes when it does not go to MSG91: an origin that the configuration names.
        timeout: seconds for everything together, where they are fewer than the client's.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    query: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    sample: dict[str, Any] = field(default_factory=dict)
    empty_is_success: bool = False
    receiver: str = ""
    timeout: float | None = None


class HttpClient(ABC):
    """Sends requests to one origin; safe to share between threads.

    Args:
        base_url: the origin, such as ``https://control.msg91.com``.
        headers: what every request carries.
        secrets: texts that are taken out of whatever is shown of an answer.
        connect_timeout: seconds for name, TCP connection, and TLS handshake (each).
        write_timeout: seconds a single write may block.
        read_timeout: seconds without a byte of the answer.
        pool_timeout: seconds to wait for a free connection.
        total_timeout: seconds for everything together.
        max_connections: connections kept and used at once.
        keepalive_expiry: seconds an idle connection is kept; below what servers keep them, so that few are
            found closed.
        proxy: URL of an HTTP proxy; None takes it from ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``
            (never for this machine itself), empty uses none.
        ssl_context: None shares one with the system's and certifi's authorities.
        transport: sends instead of connections of its own, for tests (``httpx.MockTransport``). A request that it
            fails counts as sent unless it raises ``httpx.ConnectError``, ``ConnectTimeout`` or ``PoolTimeout``; what is
            left of the total timeout caps each of its timeouts, but not their sum.

    Raises:
        ClientSettingError: `base_url` or `proxy` cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        secrets: tuple[str, ...] = (),
        connect_timeout: float = 5.0,
        write_timeout: float = 10.0,
        read_timeout: float = 15.0,
        pool_timeout: float = 5.0,
        total_timeout: float = 20.0,
        max_connections: int = 100,
        keepalive_expiry: float = 15.0,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._origin = checked_origin(base_url)
        self._secrets = secrets
        self._total_timeout = total_timeout
        self._closed = False
        # Requests go to the transport itself: cookies, redirects and authentication, for which httpx's client looks at
        # every request and answer, are never wanted here.
        self._transport: httpx.BaseTransport
        if transport is None:
            self._transport = PooledTransport(
                self._origin,
                proxy=environment_proxy(self._origin) if proxy is None else proxy,
                max_connections=max_connections,
                keepalive_expiry=keepalive_expiry,
                ssl_context=ssl_context,
            )
        else:
            self._transport = ForeignTransport(transport)
        timeout = httpx.Timeout(connect=connect_timeout, write=write_timeout, read=read_timeout, pool=pool_timeout)
        self._timeouts = timeout.as_dict()
        self._headers = [
            (b"host", self._origin.split("://", 1)[1].encode()),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"connection", b"keep-alive"),
            (b"user-agent", b"msg91-destination"),
            *((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()),
        ]
        self._url = functools.lru_cache(256)(httpx.URL)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._origin!r})"

    @abstractmethod
    def judge(
        self, request: Request, status: int, headers: Mapping[str, str], body: bytes, *, complete: bool, elapsed: float
    ) -> Answer:
        """Say what an answer means.

        Args:
            request: what was asked.
            status: HTTP status.
            headers: header names in lower case.
            body: the body as it came, secrets taken out.
            complete: False when the body was cut off.
            elapsed: seconds the request took.
        """

    def without_answer(self, *, sent: bool) -> AnswerClass:
        """Say what it means that no answer came.

        Args:
            sent: whether a byte of the request may have been read.
        """
        return AnswerClass.UNKNOWN if sent else AnswerClass.RETRY

    def send(
        self,
        request: Request,
        *,
        deadline: float | None = None,
        write_by: float | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Answer:
        """Send a request and judge what comes back.

        Args:
            request: what to send.
            deadline: `time.monotonic` by which an answer is wanted; the total timeout applies as well.
            write_by: `time.monotonic` after which the first byte must not be written any more.
            may_leave: asked just before the first byte is written, and again should a connection turn out to be
                closed; when it says no, nothing is sent.

        Returns:
            RETRY with ``sent=False`` when not a byte of the request left; `without_answer` when it may have been
            read and no answer says what became of it; otherwise what `judge` makes of the answer.
        """
        return self.exchange(request, deadline, write_by, MAX_BODY, may_leave)[0]

    def close(self) -> None:
        """Close the connections; whatever is sent from now on is answered as surely not sent."""
        self._closed = True
        self._transport.close()

    def exchange(
        self,
        request: Request,
        deadline: float | None,
        write_by: float | None,
        limit: int,
        may_leave: Callable[[], bool] | None = None,
    ) -> tuple[Answer, bytes]:
        """As `send`, and the first `limit` bytes of the body beside it."""
        start = time.monotonic()
        stop = start + min(self._total_timeout, request.timeout or math.inf)
        if deadline is not None:
            stop = min(stop, deadline)
        exchange = Exchange(stop, math.inf if write_by is None else write_by)
        if may_leave is not None:
            exchange.may_leave = may_leave
        wire = self._wire(request, exchange)
        if self._closed:
            return self._failed(PoolClosed(), exchange, start), b""
        try:
            response = self._transport.handle_request(wire)
        except _FAILURE_TYPES as error:
            return self._failed(error, exchange, start), b""
        try:
            return self._read(request, response, start, limit)
        finally:
            response.close()

    def _wire(self, request: Request, exchange: Exchange) -> httpx.Request:
        path = request.path
        if not _SAFE_PATH.fullmatch(path):
            raise ValueError(f"request path: expected an absolute, percent-encoded path, but it was {path!r}")
        if request.query:
            path = f"{path}?{urlencode(request.query)}"
        headers = list(self._headers)
        for name, value in (request.headers or {}).items():
            headers.append((name.lower().encode("ascii"), value.encode("latin-1")))
        body = request.body
        if body is not None:
            headers.append((b"content-type", b"application/json"))
            headers.append((b"content-length", str(len(body)).encode()))
        return httpx.Request(
            request.method,
            self._url(self._origin + path),
            headers=headers,
            stream=httpx.ByteStream(body or b""),
            extensions={"timeout": self._timeouts, EXCHANGE: exchange},
        )

    def _read(self, request: Request, response: httpx.Response, start: float, limit: int) -> tuple[Answer, bytes]:
        """Read and judge an answer."""
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers.raw}
        # An answer that ends where the connection ends cannot be told from one that was cut off.
        complete = "content-length" in headers or "transfer-encoding" in headers or response.status_code == 204
        chunks: list[bytes] = []
        size = 0
        try:
            # As it came: httpx would unpack what is compressed, to whatever size.
            for chunk in response.stream:  # type: ignore[union-attr]
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    complete = False
                    break
        except _FAILURE_TYPES:
            complete = False
        body = unpacked(b"".join(chunks)[:limit], headers.pop("content-encoding", ""), limit)
        for secret in self._secrets:
            body = body.replace(secret.encode(), b"***")
        elapsed = time.monotonic() - start
        return self.judge(request, response.status_code, headers, body, complete=complete, elapsed=elapsed), body

    def _failed(self, error: Exception, exchange: Exchange, start: float) -> Answer:
        code, sentence = next(entry for kind, entry in _FAILURES.items() if isinstance(error, kind))
        now = time.monotonic()
        if code.endswith("_timeout") and code != "pool_timeout" and now >= exchange.deadline:
            code, sentence = "deadline", "the total deadline passed without an answer"
        detail = mask_numbers(str(error))
        for secret in self._secrets:
            detail = detail.replace(secret, "***")
        message = f"{sentence}: {detail}" if isinstance(error, _TOLD) and detail else sentence
        klass = self.without_answer(sent=exchange.sent)
        return Answer(klass, code=code, message=message, sent=exchange.sent, elapsed=now - start)
