"""One client for one MSG91 account: sends a request and says what became of it.

Whatever the network and the provider do ends in an `Answer`, never in an exception.
"""

import functools
import math
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import orjson

from worker.msg91.answers import MAX_BODY, Answer, AnswerClass, mask_numbers, read_answer, text_of_body, unpacked
from worker.msg91.errors import ClientSettingError
from worker.msg91.network import Exchange, HandedBack, NameNotResolved, NothingWritten, TlsFailed
from worker.msg91.pool import PoolClosed
from worker.msg91.transport import EXCHANGE, ForeignTransport, PooledTransport
from worker.msg91.urls import checked_origin, environment_proxy

#: Bytes of a body that `Msg91Client.fetch` reads unless told otherwise.
MAX_DOCUMENT: Final = 8 * 1024 * 1024

_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]+")
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
    """A request to MSG91, without the authkey. Its text form shows neither whom it is for nor what it says.

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
    body: bytes | None = field(default=None, repr=False)
    query: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    sample: dict[str, Any] = field(default_factory=dict)
    empty_is_success: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back to a question.

    Attributes:
        answer: what it means.
        document: the body as JSON, None when it is none.
        body: the body as it came, with the authkey taken out.
    """

    answer: Answer
    document: Any = field(repr=False)
    body: bytes = field(repr=False)


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
        transport: sends instead of connections of its own, for tests (``httpx.MockTransport``). A request that it
            fails counts as sent unless it raises ``httpx.ConnectError``, ``ConnectTimeout`` or ``PoolTimeout``; what is
            left of the total timeout caps each of its timeouts, but not their sum.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._origin = checked_origin(base_url)
        if not _HEADER_VALUE.fullmatch(authkey):
            raise ClientSettingError(
                "authkey: expected printable ASCII characters without spaces (check quotes and line ends)"
            )
        self._authkey = authkey
        self._total_timeout = total_timeout
        self._treat_503_as_unknown = treat_503_as_unknown
        sending: httpx.BaseTransport
        if transport is None:
            sending = PooledTransport(
                self._origin,
                proxy=environment_proxy(self._origin) if proxy is None else proxy,
                max_connections=max_connections,
                keepalive_expiry=keepalive_expiry,
                ssl_context=ssl_context,
            )
        else:
            sending = ForeignTransport(transport)
        headers = {
            "authkey": authkey,
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "msg91-destination",
        }
        timeout = httpx.Timeout(connect=connect_timeout, write=write_timeout, read=read_timeout, pool=pool_timeout)
        self._http = _Client(
            transport=sending,
            base_url=self._origin,
            headers=headers,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
        )
        # What httpx would put together anew for every request.
        host = self._origin.split("://", 1)[1].encode()
        self._headers = [(b"host", host), *self._http.headers.raw]
        self._timeouts = timeout.as_dict()
        self._url = functools.lru_cache(256)(httpx.URL)

    def __repr__(self) -> str:
        return f"Msg91Client(base_url={self._origin!r})"

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
            RETRY with ``sent=False`` when not a byte of the request left; UNKNOWN when it may have been
            read and no answer says what became of it; otherwise what `read_answer` makes of the answer.
        """
        return self._exchange(request, deadline, write_by, MAX_BODY, may_leave)[0]

    def fetch(self, request: Request, *, deadline: float | None = None, limit: int = MAX_DOCUMENT) -> Fetched:
        """Ask for something and give what came back whole, for questions whose answer is a list.

        Args:
            request: the question.
            deadline: as `send`.
            limit: bytes of the body that are read; the rest is not waited for.

        Returns:
            The answer as `send` judges it, with its document. It is the provider's own text: numbers in it are not
            masked.
        """
        answer, body = self._exchange(request, deadline, None, limit)
        try:
            document = orjson.loads(text_of_body(body))
        except orjson.JSONDecodeError:
            document = None
        return Fetched(answer, document, body)

    def _exchange(
        self,
        request: Request,
        deadline: float | None,
        write_by: float | None,
        limit: int,
        may_leave: Callable[[], bool] | None = None,
    ) -> tuple[Answer, bytes]:
        start = time.monotonic()
        stop = start + self._total_timeout
        if deadline is not None:
            stop = min(stop, deadline)
        exchange = Exchange(stop, math.inf if write_by is None else write_by)
        if may_leave is not None:
            exchange.may_leave = may_leave
        wire = self._wire(request, exchange)
        try:
            response = self._http.send(wire, stream=True)
        except _FAILURE_TYPES as error:
            return self._failed(error, exchange, start), b""
        except RuntimeError:
            if not self._http.is_closed:
                raise
            return self._failed(PoolClosed(), exchange, start), b""
        try:
            return self._read(request, response, start, limit)
        finally:
            response.close()

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
        self._http.close()

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
        body = body.replace(self._authkey.encode(), b"***")
        answer = read_answer(
            response.status_code,
            headers,
            body,
            now=time.time(),
            treat_503_as_unknown=self._treat_503_as_unknown,
            empty_is_success=request.empty_is_success,
            complete=complete,
            elapsed=time.monotonic() - start,
        )
        return answer, body

    def _failed(self, error: Exception, exchange: Exchange, start: float) -> Answer:
        code, sentence = next(entry for kind, entry in _FAILURES.items() if isinstance(error, kind))
        now = time.monotonic()
        if code.endswith("_timeout") and code != "pool_timeout" and now >= exchange.deadline:
            code, sentence = "deadline", "the total deadline passed without an answer"
        detail = mask_numbers(str(error)).replace(self._authkey, "***")
        message = f"{sentence}: {detail}" if isinstance(error, _TOLD) and detail else sentence
        klass = AnswerClass.UNKNOWN if exchange.sent else AnswerClass.RETRY
        return Answer(klass, code=code, message=message, sent=exchange.sent, elapsed=now - start)


class _NoCookies(httpx.Cookies):
    """Keeps none: the API sets none that matter, and looking for them costs a tenth of a request."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave them where they are."""


class _Client(httpx.Client):
    """An httpx client without cookies."""

    @property  # type: ignore[misc]  # httpx lets them be set; here nothing may
    def cookies(self) -> httpx.Cookies:
        """None, ever."""
        return _NO_COOKIES


_NO_COOKIES: Final = _NoCookies()
