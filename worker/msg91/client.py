"""One client for one MSG91 account: sends a request and says what became of it.

Whatever the network and the provider do ends in an `Answer`, never in an exception.
"""

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
import orjson

from worker.msg91.answers import Answer, AnswerClass, read_answer, text_of_body
from worker.msg91.errors import ClientSettingError
from worker.msg91.http import HttpClient, Request

__all__ = ["MAX_DOCUMENT", "Fetched", "Msg91Client", "Request"]

#: Bytes of a body that `Msg91Client.fetch` reads unless told otherwise.
MAX_DOCUMENT: Final = 8 * 1024 * 1024

_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]+")


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


class Msg91Client(HttpClient):
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
        if not _HEADER_VALUE.fullmatch(authkey):
            raise ClientSettingError(
                "authkey: expected printable ASCII characters without spaces (check quotes and line ends)"
            )
        super().__init__(
            base_url,
            headers={"authkey": authkey},
            secrets=(authkey,),
            connect_timeout=connect_timeout,
            write_timeout=write_timeout,
            read_timeout=read_timeout,
            pool_timeout=pool_timeout,
            total_timeout=total_timeout,
            max_connections=max_connections,
            keepalive_expiry=keepalive_expiry,
            proxy=proxy,
            ssl_context=ssl_context,
            transport=transport,
        )
        self._treat_503_as_unknown = treat_503_as_unknown

    def judge(
        self, request: Request, status: int, headers: Mapping[str, str], body: bytes, *, complete: bool, elapsed: float
    ) -> Answer:
        """Judge an answer by body and status; see `read_answer`."""
        return read_answer(
            status,
            headers,
            body,
            now=time.time(),
            treat_503_as_unknown=self._treat_503_as_unknown,
            empty_is_success=request.empty_is_success,
            complete=complete,
            elapsed=elapsed,
        )

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
        answer, body = self.exchange(request, deadline, None, limit)
        try:
            document = orjson.loads(text_of_body(body))
        except orjson.JSONDecodeError:
            document = None
        return Fetched(answer, document, body)

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
