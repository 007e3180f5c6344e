"""One client for one MSG91 account: sends a request and says what became of it.

Whatever the network and the provider do ends in an `Answer`, never in an exception. Built on httpcore (the
transport beneath httpx) because only there can be known whether a byte of the request has left.
"""

import functools
import math
import re
import ssl
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

import httpcore

from worker.msg91 import transport
from worker.msg91.answers import MAX_BODY, Answer, AnswerClass, mask_numbers, read_answer
from worker.msg91.errors import ClientSettingError
from worker.msg91.pool import Connect, Pool, PoolClosed

#: Each attempt beyond the first needs a pooled connection that was found closed before it took a byte.
_MAX_CONNECTIONS_TRIED: Final = 4
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]+")
#: A host name or an address; a name in another script is to be given in its xn-- form.
_HOST: Final = re.compile(r"(?!.{254})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_SAFE_PATH: Final = re.compile(r"/[\x21\x24-\x3b\x3d\x40-\x5f\x61-\x7e%]*")

_NEVER_SENT: Final[dict[type[Exception], tuple[str, str]]] = {
    transport.HandedBack: ("handed_back", "handed back: too little time was left to send it safely"),
    transport.NothingWritten: ("connection_closed", "the connection was closed before it took a byte"),
    transport.NameNotResolved: ("name_not_resolved", "the host name could not be resolved"),
    transport.TlsFailed: ("tls_failed", "no secure connection could be made"),
    httpcore.ConnectTimeout: ("connect_timeout", "no connection could be made in time"),
    httpcore.ConnectError: ("connect_failed", "no connection could be made"),
    httpcore.ProxyError: ("proxy_refused", "the proxy refused to connect"),
    PoolClosed: ("closed", "the client was closed"),
    httpcore.PoolTimeout: ("pool_timeout", "no connection became free in time"),
}
_MAYBE_SENT: Final[dict[type[Exception], tuple[str, str]]] = {
    httpcore.ReadTimeout: ("read_timeout", "no answer came in time"),
    httpcore.WriteTimeout: ("write_timeout", "the request could not be written in time"),
    httpcore.RemoteProtocolError: (
        "bad_answer",
        "the connection ended or carried something that is not HTTP",
    ),
    httpcore.ReadError: ("connection_lost", "the connection was lost"),
    httpcore.WriteError: ("connection_lost", "the connection was lost"),
}
_FAILURES: Final = {**_NEVER_SENT, **_MAYBE_SENT}
_FAILURE_TYPES: Final = tuple(_FAILURES)


@dataclass(frozen=True, slots=True)
class Request:
    """A request to MSG91, without the authkey.

    Attributes:
        method: ``POST`` or ``GET``.
        path: absolute path below the base URL, percent-encoded.
        body: JSON, ready for the wire.
        query: query parameters.
        headers: more headers; ``authkey`` and ``host`` are not to be set.
        sample: JSON-able description for people (dead letters): no secrets, numbers masked.
        empty_is_success: an empty 2xx answer means success.
    """

    method: str
    path: str
    body: bytes | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    sample: dict[str, Any] = field(default_factory=dict)
    empty_is_success: bool = False


class Msg91Client:
    """Sends requests for one account; safe to share between threads.

    Args:
        base_url: origin of the API, such as ``https://control.msg91.com``.
        authkey: the account's key; sent as a header, never shown.
        connect_timeout: seconds for name, TCP connection, and TLS handshake (each).
        write_timeout: seconds a single write may block.
        read_timeout: seconds without a byte of the answer.
        pool_timeout: seconds to wait for a free connection.
        total_timeout: seconds for everything together.
        max_connections: connections kept and used at once.
        keepalive_expiry: seconds an idle connection is kept; below what servers keep them, so that few are
            found closed.
        treat_503_as_unknown: see `read_answer`.
        proxy: URL of an HTTP proxy; None takes it from ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``
            (never for this machine itself), empty uses none.
        ssl_context: None shares one with the system's and certifi's authorities.

    Raises:
        ClientSettingError: `base_url`, `authkey` or `proxy` cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        authkey: str,
        *,
        connect_timeout: float = 5.0,
        write_timeout: float = 10.0,
        read_timeout: float = 15.0,
        pool_timeout: float = 5.0,
        total_timeout: float = 20.0,
        max_connections: int = 100,
        keepalive_expiry: float = 15.0,
        treat_503_as_unknown: bool = False,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._origin = _checked_origin(base_url)
        if not _HEADER_VALUE.fullmatch(authkey):
            raise ClientSettingError(
                "authkey: expected printable ASCII characters without spaces (check quotes and line ends)"
            )
        self._authkey = authkey
        self._timeouts = {"connect": connect_timeout, "write": write_timeout, "read": read_timeout}
        self._total_timeout = total_timeout
        self._treat_503_as_unknown = treat_503_as_unknown
        self._headers = [
            (b"host", self._origin.split("://", 1)[1].encode()),
            (b"authkey", authkey.encode()),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"msg91-destination"),
        ]
        self._current = transport.Current()
        self._pool_timeout = pool_timeout
        connect = _connector(
            self._origin,
            _environment_proxy(self._origin) if proxy is None else proxy,
            ssl_context=ssl_context or _shared_ssl_context(),
            keepalive_expiry=keepalive_expiry,
            network_backend=transport.Backend(self._current),
        )
        self._pool = Pool(connect, max_connections)

    def __repr__(self) -> str:
        return f"Msg91Client(base_url={self._origin!r})"

    def send(self, request: Request, *, deadline: float | None = None, write_by: float | None = None) -> Answer:
        """Send a request and judge what comes back.

        Args:
            request: what to send.
            deadline: `time.monotonic` by which an answer is wanted; the total timeout applies as well.
            write_by: `time.monotonic` after which the first byte must not be written any more.

        Returns:
            RETRY with ``sent=False`` when not a byte of the request left; UNKNOWN when it may have been
            read and no answer says what became of it; otherwise what `read_answer` makes of the answer.
        """
        start = time.monotonic()
        stop = start + self._total_timeout
        if deadline is not None:
            stop = min(stop, deadline)
        exchange = transport.Exchange(stop, math.inf if write_by is None else write_by)
        self._current.exchange = exchange
        wire = self._wire(request)
        for tried in range(1, _MAX_CONNECTIONS_TRIED + 1):
            try:
                left = exchange.left(self._pool_timeout, httpcore.ConnectTimeout)
                connection = self._pool.take(left)
            except (httpcore.ConnectTimeout, httpcore.PoolTimeout, PoolClosed) as error:
                return self._failed(error, exchange, start)
            reusable = False
            try:
                response = connection.handle_request(wire)
                answer, reusable = self._read(request, response, exchange, start)
            except transport.NothingWritten as error:
                # Nothing was written: another connection may be tried without a doubt.
                if tried == _MAX_CONNECTIONS_TRIED:
                    return self._failed(error, exchange, start)
            except _FAILURE_TYPES as error:
                return self._failed(error, exchange, start)
            else:
                return answer
            finally:
                self._pool.give(connection, reusable=reusable)
        raise AssertionError("unreachable")  # pragma: no cover

    def probe(self) -> Answer:
        """Ask MSG91 whether it knows the authkey, by checking a made-up OTP, which sends nothing.

        Returns:
            ACCEPTED when MSG91 answered anything but a refusal of the key, ACCOUNT when it refused it;
            otherwise as `send`.
        """
        query = {"otp": "0000", "mobile": "910000000000"}
        answer = self.send(Request("GET", "/api/v5/otp/verify", query=query, sample={"probe": "authkey"}))
        refusals = (AnswerClass.REQUEST, AnswerClass.RECIPIENT, AnswerClass.DUPLICATE)
        if answer.by_provider and answer.klass in refusals:
            return replace(answer, klass=AnswerClass.ACCEPTED, message="MSG91 knows the authkey")
        return answer

    def close(self) -> None:
        """Close the connections; whatever is sent from now on is answered as surely not sent."""
        self._pool.close()

    def _wire(self, request: Request) -> httpcore.Request:
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
        return httpcore.Request(
            request.method,
            self._origin + path,
            headers=headers,
            content=body,
            extensions={"timeout": dict(self._timeouts)},
        )

    def _read(
        self, request: Request, response: httpcore.Response, exchange: transport.Exchange, start: float
    ) -> tuple[Answer, bool]:
        """Read and judge an answer; the flag says whether its connection may be used again."""
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        # An answer that ends where the connection ends cannot be told from one that was cut off.
        complete = "content-length" in headers or "transfer-encoding" in headers or response.status == 204
        chunks: list[bytes] = []
        size = 0
        try:
            for chunk in response.iter_stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY:
                    complete = False
                    break
        except _FAILURE_TYPES:
            complete = False
        body = b"".join(chunks)[:MAX_BODY]
        answer = read_answer(
            response.status,
            headers,
            body.replace(self._authkey.encode(), b"***"),
            now=time.time(),
            treat_503_as_unknown=self._treat_503_as_unknown,
            empty_is_success=request.empty_is_success,
            complete=complete,
            elapsed=time.monotonic() - start,
        )
        response.close()
        # What is left over on a connection would be taken for the next request's answer.
        return answer, complete and _ends_clean(headers, body, exchange.raw)

    def _failed(self, error: Exception, exchange: transport.Exchange, start: float) -> Answer:
        code, sentence = next(entry for kind, entry in _FAILURES.items() if isinstance(error, kind))
        now = time.monotonic()
        if code.endswith("_timeout") and code != "pool_timeout" and now >= exchange.deadline:
            code, sentence = "deadline", "the total deadline passed without an answer"
        detail = mask_numbers(str(error)).replace(self._authkey, "***")
        known_details = isinstance(
            error, httpcore.ConnectError | httpcore.ReadError | httpcore.WriteError | httpcore.ProxyError
        )
        message = f"{sentence}: {detail}" if known_details and detail else sentence
        klass = AnswerClass.UNKNOWN if exchange.sent else AnswerClass.RETRY
        return Answer(klass, code=code, message=message, sent=exchange.sent, elapsed=now - start)


def _ends_clean(headers: Mapping[str, str], body: bytes, raw: bytearray) -> bool:
    """Tell whether what was read from the connection was this answer and nothing more."""
    rest = bytes(raw)
    while rest.startswith(b"HTTP/1.1 1"):
        rest = rest.partition(b"\r\n\r\n")[2]
    rest = rest.partition(b"\r\n\r\n")[2]
    if "transfer-encoding" in headers:
        return rest.endswith(b"\r\n\r\n") and b"HTTP/1." not in rest
    return len(rest) == len(body)


def _split_url(text: str) -> SplitResult | None:
    """Take an HTTP URL apart; None when it is none."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _checked_origin(base_url: str) -> str:
    parts = _split_url(base_url)
    if parts is None:
        raise ClientSettingError("base_url: expected an origin such as https://control.msg91.com")
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path not in ("", "/"):
        sentence = "base_url: expected an origin alone, without user, path or query, such as https://control.msg91.com"
        raise ClientSettingError(sentence)
    return f"{parts.scheme}://{parts.netloc}"


@functools.cache
def _shared_ssl_context() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


def _environment_proxy(origin: str) -> str:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return ""  # a proxy elsewhere cannot mean this machine
    if urllib.request.proxy_bypass_environment(parts.netloc):  # type: ignore[attr-defined]
        return ""
    proxies = urllib.request.getproxies_environment()
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def _connector(origin: str, proxy: str, **options: Any) -> Connect:
    """Say how connections to an origin are made, directly or through a proxy."""
    url = httpcore.URL(origin)
    if not proxy:
        return functools.partial(httpcore.ConnectionPool(**options).create_connection, url.origin)
    parts = _split_url(proxy if "://" in proxy else f"http://{proxy}")
    if parts is None:
        raise ClientSettingError("proxy: expected the URL of an HTTP proxy such as http://proxy.example:3128")
    address = parts.netloc.rpartition("@")[2]
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    maker = httpcore.HTTPProxy(proxy_url=f"{parts.scheme}://{address}", proxy_auth=auth, **options)
    return functools.partial(maker.create_connection, url.origin)
