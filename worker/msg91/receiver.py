"""One client for one receiver of what is published onward: a tracking API, or whoever takes callbacks.

A receiver is no MSG91: its body proves nothing, so the status decides alone. It takes the same thing twice without
harm, since every request carries the id of its message; so whatever got no answer is sent again.
"""

import ssl
import time
from base64 import b64decode
from collections.abc import Mapping
from html import escape
from typing import Any, Final
from urllib.parse import quote_plus

import httpx

from worker.msg91.answers import MAX_EXCERPT, Answer, AnswerClass, mask_numbers, retry_after_of
from worker.msg91.http import HttpClient, Request

__all__ = ["ReceiverClient", "read_receiver_answer"]

#: Statuses below 500 by which a receiver asks to be tried again.
_AGAIN: Final = frozenset({408, 425})
_THROTTLED: Final = 429
#: Characters; what is shorter guards nothing, and stands in every other text.
_SHORTEST_PROOF: Final = 4


class ReceiverClient(HttpClient):
    """Sends requests to one receiver; safe to share between threads.

    Args:
        origin: the receiver's origin, from the configuration; no redirect leads away from it.
        total_timeout: seconds for everything together; a request may have fewer.
        proxy: as `HttpClient`.
        ssl_context: as `HttpClient`.
        transport: as `HttpClient`.
    """

    def __init__(
        self,
        origin: str,
        *,
        total_timeout: float = 20.0,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(
            origin,
            headers={},
            read_timeout=total_timeout,
            total_timeout=total_timeout,
            proxy=proxy,
            ssl_context=ssl_context,
            transport=transport,
        )

    def judge(
        self, request: Request, status: int, headers: Mapping[str, str], body: bytes, *, complete: bool, elapsed: float
    ) -> Answer:
        """Judge an answer by its status; what proves who we are is shown to nobody, should it be repeated."""
        del complete
        text = body.decode("utf-8", "replace")
        for proof in _proofs(request):
            text = text.replace(proof, "***")
        return read_receiver_answer(status, headers, text, now=time.time(), elapsed=elapsed)

    def without_answer(self, *, sent: bool) -> AnswerClass:
        """Whatever got no answer is sent again."""
        del sent
        return AnswerClass.RETRY


def _proofs(request: Request) -> list[str]:
    """What a request is known by, longest first, in the forms in which a receiver may repeat it.

    An address may be as good as a key: its path and the parameters of its query count, unless they are short.
    """
    found = [request.path]
    for value in (request.headers or {}).values():
        kind, _, credentials = value.rpartition(" ")
        found += [value, credentials]
        if kind.lower() == "basic":
            found.append(b64decode(credentials).decode("utf-8", "replace").strip(":"))
    for value in (request.query or {}).values():
        found += [value, quote_plus(value), escape(value)]
    return sorted((one for one in set(found) if len(one) >= _SHORTEST_PROOF), key=len, reverse=True)


def read_receiver_answer(
    status: int, headers: Mapping[str, str], text: str, *, now: float, elapsed: float = 0.0
) -> Answer:
    """Judge the answer of a receiver by its status.

    2xx is taken. 429 waits as long as ``Retry-After`` says, 408, 425 and 5xx are sent again. Anything else, redirects
    among it, is refused for good.

    Args:
        status: HTTP status.
        headers: header names in lower case.
        text: the body; its start is kept, phone numbers masked.
        now: seconds since the epoch, to read a ``Retry-After`` date against.
        elapsed: seconds the request took, kept in the answer.
    """
    common: dict[str, Any] = {"status": status, "body": mask_numbers(text[:MAX_EXCERPT]), "elapsed": elapsed}
    if 200 <= status < 300:
        return Answer(AnswerClass.ACCEPTED, message="taken by the receiver", **common)
    retry_after = retry_after_of(headers, now)
    if status == _THROTTLED:
        return Answer(AnswerClass.THROTTLED, message="the receiver is sent too much", retry_after=retry_after, **common)
    if status in _AGAIN or status >= 500:
        return Answer(AnswerClass.RETRY, message="the receiver cannot take it now", retry_after=retry_after, **common)
    if 300 <= status < 400:
        message = "the receiver points elsewhere, and redirects are not followed"
        return Answer(AnswerClass.REQUEST, message=message, **common)
    return Answer(AnswerClass.REQUEST, message="the receiver refused it", **common)
