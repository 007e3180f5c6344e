"""What faults make of an answer."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from tests.unit.sandbox.calls import EVENTS, SENDSMS, call, event, provider, said, sms
from worker.sandbox.answers import Reply
from worker.sandbox.calls import Verdict
from worker.sandbox.faultboard import FaultBoard, Plan
from worker.sandbox.faults import KINDS
from worker.sandbox.script import Close, Send, Wait, faulty_reply, steps, takes

RAW = b"HTTP/1.1 200 \r\nContent-Length: 10\r\n\r\n0123456789"
NOW = 1_800_000_000.25


def plan(*faults: str) -> Plan:
    """Plan one request with these faults standing."""
    board = FaultBoard(1)
    board.add(faults)
    return board.plan(SENDSMS, 0.0)


def good() -> Verdict:
    """Judge a good request."""
    return provider().judge(call(SENDSMS, sms()), 0.0)


def bad() -> Verdict:
    """Judge a request that is refused."""
    return provider().judge(call(SENDSMS, sms(sender=None)), 0.0)


def reply(*faults: str) -> Reply:
    """Give the answer to a good request with these faults standing."""
    return faulty_reply(good(), plan(*faults), NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_fault_takes_what_it_says_it_takes(kind: str) -> None:
    """Whether MSG91 takes a good request is what the table of faults says; no fault makes it take a bad one."""
    text = {"status": "503", "rate": "503", "code": "code=301"}.get(kind, kind)
    expected = KINDS[kind].takes is not False
    assert takes(good(), plan(text)) is expected
    assert not takes(bad(), plan(text))


def test_taken_turns_a_refusal_into_a_lie() -> None:
    """With taken=yes the request counts as sent although the answer is an error."""
    assert takes(good(), plan("500,taken=yes"))
    assert takes(good(), plan("code=601,taken=yes"))
    assert not takes(good(), plan("invalid-json,taken=no"))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_bare_status_is_a_gateways_page(status: int) -> None:
    """A gateway's error is a page of HTML that says nothing of the request."""
    answer = reply(str(status))
    assert (answer.status, answer.content_type) == (status, "text/html")
    assert str(status).encode() in answer.body
    assert b"<html>" in answer.body


def test_a_status_may_bring_another_body() -> None:
    """The body may be MSG91's own failure, nothing, or the good answer."""
    assert said(reply("500,body=json").body)["errors"] == "Something went wrong"
    assert reply("503,body=none").body == b""
    assert said(reply("503,body=success").body)["type"] == "success"
    assert reply("204").body == b""
    assert b"418" in reply("418").body
    assert b"599" in reply("599").body


def test_a_429_says_when_to_come_back() -> None:
    """Retry-After is in seconds, a date, or not there at all."""
    assert said(reply("429").body) == {"message": "Too many Attempts"}
    assert reply("429").headers == (("Retry-After", "1"),)
    assert reply("429,retry-after=7").headers == (("Retry-After", "7"),)
    assert reply("429,retry-after=none").headers == ()
    assert reply("503").headers == ()
    ((name, date),) = reply("503,retry-after-date=5").headers
    assert (name, parsedate_to_datetime(date).timestamp()) == ("Retry-After", 1_800_000_006)


def test_a_code_is_answered_in_the_endpoints_own_words() -> None:
    """The same fault is an SMS error with status 200, and another shape for the newer services."""
    events = provider().judge(call(EVENTS, {"data": [event()]}), 0.0)
    assert said(reply("code=301").body) == {
        "message": "Insufficient balance to send SMS",
        "type": "error",
        "code": "301",
    }
    by_service = faulty_reply(events, plan("code=301"), NOW)
    assert (by_service.status, said(by_service.body)["code"]) == (200, "301")
    blocked = faulty_reply(events, plan("code=418"), NOW)
    assert (blocked.status, said(blocked.body)["apiError"]) == (401, "418")
    assert said(reply("code=999").body)["code"] == "999"


def test_invalid_json_cannot_be_parsed() -> None:
    """The body of a good status is no JSON."""
    with pytest.raises(ValueError, match="unexpected end"):
        said(reply("invalid-json").body)


def test_a_redirect_points_where_it_was_told() -> None:
    """A redirect has a Location and no body."""
    answer = reply("redirect=/x")
    assert (answer.status, answer.headers, answer.body) == (302, (("Location", "/x"),), b"")


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([], [Send(RAW)]),
        (["503"], [Send(RAW)]),
        (["slow=100"], [Wait(0.1), Send(RAW)]),
        (["close-before"], [Close()]),
        (["close-after,reset"], [Close(reset=True)]),
        (["half-answer"], [Send(RAW[:-5]), Close()]),
        (["hang-before=3"], [Wait(3.0), Close()]),
        (["hang-after=3"], [Wait(3.0), Send(RAW)]),
        (["slow=100", "close-after"], [Wait(0.1), Close()]),
    ],
)
def test_each_fault_plays_out_on_the_connection(faults: list[str], expected: list[object]) -> None:
    """Waits, bytes and the end of the connection come in this order."""
    assert list(steps(RAW, plan(*faults))) == expected


def test_a_drip_sends_every_byte_alone() -> None:
    """All bytes come, one at a time, with a wait after each."""
    played = list(steps(RAW, plan("drip=10")))
    assert b"".join(step.data for step in played if isinstance(step, Send)) == RAW
    assert [step for step in played if not isinstance(step, Send)] == [Wait(0.01)] * len(RAW)


def test_half_an_answer_ends_inside_its_body() -> None:
    """The head is whole, so that the client has a status and is owed the rest; even one byte of body is cut."""
    for body in (b"x", b"xy", b"x" * 1000):
        raw = RAW[:-10] + body
        sent = next(step.data for step in steps(raw, plan("half-answer")) if isinstance(step, Send))
        assert raw.startswith(sent)
        assert sent.startswith(RAW[:-10])
        assert len(sent) < len(raw)
