"""The client over a transport that a test brings along, and the boundary that keeps httpx in one place."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from worker.msg91.answers import AnswerClass
from worker.msg91.client import Msg91Client, Request

ORIGIN = "https://control.msg91.com"
KEY = "317085Akey0Secret61f7b2"
REQUEST_ID = "3462646e6c72616a61643234"
POST = Request("POST", "/api/v2/sendsms", b'{"sms":[]}')


def client_over(handler: Callable[[httpx.Request], httpx.Response], **options: float) -> Msg91Client:
    """Make a client whose requests go to a function."""
    return Msg91Client(ORIGIN, KEY, transport=httpx.MockTransport(handler), **options)  # type: ignore[arg-type]


def accept(_: httpx.Request) -> httpx.Response:
    """Accept a request as MSG91 does."""
    return httpx.Response(200, json={"type": "success", "message": REQUEST_ID})


def test_requests_go_to_the_transport() -> None:
    """A test's transport gets the whole request, key included, and its response is read as MSG91's answer."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return accept(request)

    answer = client_over(handler).send(Request("POST", "/api/v5/flow", b'{"a":1}', query={"x": "1 2"}))
    assert (answer.klass, answer.request_id, answer.sent) == (AnswerClass.ACCEPTED, REQUEST_ID, True)
    assert (seen[0].method, str(seen[0].url)) == ("POST", f"{ORIGIN}/api/v5/flow?x=1+2")
    assert (seen[0].headers["host"], seen[0].headers["authkey"]) == ("control.msg91.com", KEY)
    assert orjson.loads(seen[0].content) == {"a": 1}


@pytest.mark.parametrize(
    ("error", "code", "sent"),
    [
        (httpx.ConnectError("no route"), "connect_failed", False),
        (httpx.ConnectTimeout(""), "connect_timeout", False),
        (httpx.PoolTimeout(""), "pool_timeout", False),
        (httpx.WriteError("reset"), "connection_lost", True),
        (httpx.WriteTimeout(""), "write_timeout", True),
        (httpx.ReadError("reset"), "connection_lost", True),
        (httpx.CloseError(""), "connection_lost", True),
        (httpx.ReadTimeout(""), "read_timeout", True),
        (httpx.RemoteProtocolError(""), "bad_answer", True),
        (httpx.ProxyError(""), "proxy_refused", True),
    ],
)
def test_what_a_transport_raises(error: httpx.TransportError, code: str, sent: bool) -> None:
    """Only what says that there was no connection is surely not sent; everything else is in doubt."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    answer = client_over(handler).send(POST)
    klass = AnswerClass.UNKNOWN if sent else AnswerClass.RETRY
    assert (answer.klass, answer.code, answer.sent) == (klass, code, sent)


def test_mistakes_of_a_test_are_not_hidden() -> None:
    """What is no failure of a network comes out of the client as it is."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise RuntimeError("the test is wrong")

    with pytest.raises(RuntimeError, match="the test is wrong"):
        client_over(handler).send(POST)


@pytest.mark.parametrize(("limit", "code"), [("write_by", "handed_back"), ("deadline", "deadline")])
def test_too_late_for_a_transport(limit: str, code: str) -> None:
    """A request that comes too late does not reach the transport."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return accept(request)

    answer = client_over(handler).send(POST, **{limit: time.monotonic() - 1})
    assert (answer.klass, answer.code, answer.sent, seen) == (AnswerClass.RETRY, code, False, [])


def test_timeouts_of_a_transport() -> None:
    """A transport is told the timeouts, none longer than what is left of the whole."""
    seen: list[dict[str, float]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return accept(request)

    client = client_over(handler, connect_timeout=1.0, write_timeout=2.0, read_timeout=900.0, total_timeout=100.0)
    client.send(POST)
    client.send(POST, deadline=time.monotonic() + 0.5)
    assert (seen[0]["connect"], seen[0]["write"], seen[0]["pool"]) == (1.0, 2.0, 5.0)
    assert 2.0 < seen[0]["read"] <= 100.0
    assert all(0 < timeout <= 0.5 for timeout in seen[1].values())


def test_body_that_breaks_off_or_never_ends() -> None:
    """A body is read as far as it comes and no farther than needed."""
    given: list[int] = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                given.append(4096)
                yield b"x" * 4096

    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b'{"type":"succ'
            raise httpx.ReadError("reset")

    for stream in (Endless(), Broken()):
        answer = client_over(lambda _, stream=stream: httpx.Response(200, stream=stream)).send(POST)
        assert (answer.klass, answer.sent) == (AnswerClass.UNKNOWN, True)
    assert sum(given) < 100_000


def test_cookies_are_not_kept() -> None:
    """A cookie that an answer sets goes nowhere."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"type": "success", "message": REQUEST_ID}, headers={"set-cookie": "a=b"})

    client = client_over(handler)
    assert [client.send(POST).klass for _ in range(2)] == [AnswerClass.ACCEPTED] * 2
    assert "cookie" not in seen[1].headers


def test_closed_client_over_a_transport() -> None:
    """Closing the client closes the transport, and what comes later is surely not sent."""
    closed: list[bool] = []

    class Transport(httpx.MockTransport):
        def close(self) -> None:
            closed.append(True)

    client = Msg91Client(ORIGIN, KEY, transport=Transport(accept))
    client.close()
    answer = client.send(POST)
    assert (answer.klass, answer.code, answer.sent, closed) == (AnswerClass.RETRY, "closed", False, [True])


def test_only_the_client_knows_its_http_library() -> None:
    """No module but those of the client imports httpx or httpcore."""
    root = Path(__file__).parents[3]
    allowed = {f"worker/msg91/{name}.py" for name in ("client", "http", "receiver", "transport", "pool", "network")}
    found = {
        path.relative_to(root).as_posix()
        for room in ("worker", "mappings")
        for path in (root / room).rglob("*.py")
        if re.search(r"^\s*(?:import|from) (?:httpx|httpcore)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == allowed
