"""Steering callbacks of a running sandbox: settings, reports on demand, inbound messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.sandbox.calls import SENDSMS, call, said, sms
from worker.sandbox.answers import Reply
from worker.sandbox.callbacks.outbox import Post
from worker.sandbox.record import read_record
from worker.sandbox.settings import Settings
from worker.sandbox.stand_in import StandIn

TO = "to=http://127.0.0.1:1/x"
A, B = "919812345678", "919812345679"


def ask(stand_in: StandIn, method: str, path: str, document: Any = None) -> tuple[int, Any]:
    """Make one request and give its status and JSON."""
    answers: list[Reply] = []

    def render(reply: Reply) -> bytes:
        answers.append(reply)
        return reply.body

    headers = {"host": "127.0.0.1"}
    list(stand_in.exchange(call(path, document, method=method, headers=headers), "127.0.0.1", 1000.0, render))
    return answers[0].status, said(answers[0].body)


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    """A sandbox that took one message to each of two numbers, and holds their reports."""
    started = StandIn(Settings(callbacks=(TO, "hold=yes"), callback_secret="s3cret"), tmp_path / "record.ndjson")
    ask(started, "POST", SENDSMS, sms(CRQID="tok", sms=[{"message": "Hello", "to": [A, B]}]))
    return started


def due(stand_in: StandIn) -> list[Post]:
    """What is to be posted now."""
    return stand_in.outbox.due(1e12)[0]


def reported(stand_in: StandIn) -> list[tuple[str, str]]:
    """Who is reported on now, and what is said of them."""
    return [(item.report.sent.number, item.report.status.name) for post in due(stand_in) for item in post.items]


def test_the_summary_shows_settings_and_no_secret(stand_in: StandIn) -> None:
    """How it calls back, what is held, and that there is a secret."""
    status, summary = ask(stand_in, "GET", "/sandbox/callbacks")
    assert status == 200
    assert (summary["settings"], summary["secret"], summary["held"]) == ([TO, "hold=yes"], True, 2)
    assert "s3cret" not in str(summary)


def test_settings_are_replaced_and_switched_off(stand_in: StandIn) -> None:
    """A wrong one changes nothing; off forgets what was owed."""
    assert ask(stand_in, "PUT", "/sandbox/callbacks", {"settings": [TO, "delay=0"], "secret": None})[0] == 200
    assert ask(stand_in, "PUT", "/sandbox/callbacks", {"settings": ["delay=x"]})[0] == 400
    assert ask(stand_in, "PUT", "/sandbox/callbacks", {"settings": "delay=0"})[0] == 400
    assert ask(stand_in, "GET", "/sandbox/callbacks")[1]["settings"] == [TO, "delay=0"]
    assert ask(stand_in, "DELETE", "/sandbox/callbacks") == (200, {"cleared": 2})
    ask(stand_in, "POST", SENDSMS, sms(CRQID="tok"))
    assert due(stand_in) == []


def test_held_reports_are_posted_when_asked_for(stand_in: StandIn) -> None:
    """Those of one recipient, then the rest."""
    assert ask(stand_in, "POST", "/sandbox/reports", {"held": True, "to": "+91 98123 45678"}) == (200, {"messages": 1})
    assert reported(stand_in) == [(A, "delivered")]
    assert ask(stand_in, "POST", "/sandbox/reports", {"held": True}) == (200, {"messages": 1})
    assert reported(stand_in) == [(B, "delivered")]


@pytest.mark.parametrize(
    ("which", "numbers"),
    [({"crqid": "tok"}, [A, B]), ({"crqid": "tok", "to": A}, [A]), ({"to": B}, [B])],
)
def test_a_message_on_record_is_reported_as_one_likes(
    stand_in: StandIn, which: dict[str, str], numbers: list[str]
) -> None:
    """By request all its numbers, by number the last message to it, with everything the record knows."""
    status, answer = ask(stand_in, "POST", "/sandbox/reports", {**which, "status": "dnd"})
    assert (status, answer) == (200, {"messages": len(numbers)})
    posts = due(stand_in)
    assert [item.report.sent.number for post in posts for item in post.items] == numbers
    (line,) = read_record(stand_in.recorder.path)
    document = posts[0].body(stand_in.outbox.callbacks).document
    assert (document["requestId"], document["CRQID"], document["status"]) == (line["request_id"], "tok", "9")
    assert document["senderId"] == "SEGMNT"


def test_a_message_that_was_never_taken_can_be_reported(stand_in: StandIn) -> None:
    """A report that nobody can place is posted as it was asked for."""
    assert ask(stand_in, "POST", "/sandbox/reports", {"to": A, "request_id": "nobody's"})[0] == 200
    ((item,),) = [post.items for post in due(stand_in)]
    assert (item.report.sent.request_id, item.report.sent.number) == ("nobody's", A)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({}, "say of which message"),
        ({"request_id": "x"}, "no such message on record"),
        ({"to": "919999999999"}, "no such message on record"),
        ({"crqid": "tok", "status": "gone"}, "expected one of delivered"),
        ({"crqid": "tok", "status": "read"}, "cannot say read"),
        ({"held": True, "status": "failed"}, "leave one of the two out"),
        ({"to": A, "crqid": "x", "channel": "fax"}, "sms or whatsapp"),
        ({"number": A}, "'number'"),
    ],
)
def test_a_report_that_cannot_be_is_refused(stand_in: StandIn, which: dict[str, Any], expected: str) -> None:
    """The answer is 400 and says what is expected; nothing is posted."""
    status, answer = ask(stand_in, "POST", "/sandbox/reports", which)
    assert status == 400
    assert expected in answer["error"]
    assert due(stand_in) == []


def test_an_inbound_message_is_posted(stand_in: StandIn) -> None:
    """It comes to the sandbox's own integrated number, and its id is told."""
    status, answer = ask(stand_in, "POST", "/sandbox/inbound", {"from": A, "text": "STOP"})
    assert status == 200
    (post,) = due(stand_in)
    assert post.body(stand_in.outbox.callbacks).document["uuid"] == answer["id"]
    assert ask(stand_in, "POST", "/sandbox/inbound", {"text": "STOP"})[0] == 400


def test_without_an_address_nothing_can_be_posted(tmp_path: Path) -> None:
    """The refusal names the setting that is missing."""
    started = StandIn(Settings(), tmp_path / "record.ndjson")
    ask(started, "POST", SENDSMS, sms())
    assert "set sms=URL" in ask(started, "POST", "/sandbox/reports", {"to": A})[1]["error"]
    assert "set inbound=URL" in ask(started, "POST", "/sandbox/inbound", {"from": A, "text": "x"})[1]["error"]


def test_the_secret_travels_on_no_command_line() -> None:
    """What one process writes another reads, without the secret."""
    settings = Settings(callbacks=(TO,), callback_secret="s3cret")
    assert "s3cret" not in settings.to_json()
    assert "s3cret" not in repr(settings)
    assert Settings.from_json(settings.to_json(), callback_secret="s3cret") == settings
