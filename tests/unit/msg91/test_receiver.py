"""The client for those who are told: the status decides, and no key of ours goes astray."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import httpx
import pytest

from worker.msg91.answers import AnswerClass
from worker.msg91.client import Request
from worker.msg91.receiver import ReceiverClient, read_receiver_answer

ORIGIN = "https://receiver.example"
POST = Request("POST", "/v1/track", b"{}", headers={"Authorization": "Basic d3JpdGUta2V5Og=="}, receiver=ORIGIN)


def client_over(handler: Callable[[httpx.Request], httpx.Response]) -> ReceiverClient:
    """Make a client whose requests go to a function."""
    return ReceiverClient(ORIGIN, transport=httpx.MockTransport(handler))


@pytest.mark.parametrize(
    ("status", "klass"),
    [
        *((status, AnswerClass.ACCEPTED) for status in (200, 201, 202, 204)),
        *((status, AnswerClass.REQUEST) for status in (301, 302, 307, 400, 401, 403, 404, 410, 413, 422)),
        *((status, AnswerClass.RETRY) for status in (408, 425, 500, 501, 502, 503, 504, 520)),
        (429, AnswerClass.THROTTLED),
    ],
)
def test_the_status_decides(status: int, klass: AnswerClass) -> None:
    """Whatever the body says: a receiver is no MSG91, whose bodies decide."""
    for text in ("", '{"type": "error", "code": "201"}', '{"type": "success"}'):
        assert read_receiver_answer(status, {}, text, now=0.0).klass is klass


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(status: int) -> None:
    """In seconds or as a date."""
    assert read_receiver_answer(status, {"retry-after": "7"}, "", now=0.0).retry_after == 7
    later = {"retry-after": formatdate(1_000_030, usegmt=True)}
    assert read_receiver_answer(status, later, "", now=1_000_000.0).retry_after == 30


def test_a_receiver_never_gets_the_authkey() -> None:
    """A request carries what its receiver is to know, and nothing of the account's."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    assert client_over(handler).send(POST).klass is AnswerClass.ACCEPTED
    (request,) = seen
    assert "authkey" not in request.headers
    assert str(request.url) == f"{ORIGIN}/v1/track"
    assert request.headers["authorization"] == "Basic d3JpdGUta2V5Og=="
    assert request.headers["content-type"] == "application/json"


def test_what_is_repeated_shows_no_key() -> None:
    """A receiver that says in its answer what it was sent gives nothing away, nor any number."""

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text=f"bad {request.headers['authorization']} d3JpdGUta2V5Og== of 919876543210")

    assert client_over(handler).send(POST).body == "bad *** *** of *******210"


def test_an_address_that_is_as_good_as_a_key_is_not_shown() -> None:
    """Web frameworks say which address they do not know, and tracking APIs which write key: neither is kept."""
    request = Request(
        "POST",
        "/hooks/9f8e7d6c5b",
        b"{}",
        query={"token": "top&secret", "v": "2"},
        headers={"Authorization": "Basic d3JpdGUta2V5Og=="},
        receiver=ORIGIN,
    )

    def handler(request: httpx.Request) -> httpx.Response:
        said = f"Cannot POST {request.url.raw_path.decode()}: top&secret, top&amp;secret, write-key, step 2"
        return httpx.Response(404, text=said)

    assert client_over(handler).send(request).body == "Cannot POST ***?token=***&v=2: ***, ***, ***, step 2"


def test_redirects_are_not_followed() -> None:
    """Where a receiver points is not where the configuration points."""
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(307, headers={"location": "http://169.254.169.254/latest"})

    assert client_over(handler).send(POST).klass is AnswerClass.REQUEST
    assert seen == [f"{ORIGIN}/v1/track"]


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("slow"), httpx.ConnectError("refused"), httpx.RemoteProtocolError("cut")]
)
def test_without_an_answer_it_is_sent_again(error: Exception) -> None:
    """Whether a byte has left or not: a receiver knows what it has had already."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    assert client_over(handler).send(POST).klass is AnswerClass.RETRY
