"""A whole sandbox without sockets: judged, recorded, counted and steered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sandbox.calls import CONTACTS, EVENTS, FLOW, SENDSMS, TEMPLATE, call, event, flow, said, sms
from worker.sandbox.answers import Reply
from worker.sandbox.calls import Call
from worker.sandbox.errors import FaultError
from worker.sandbox.record import read_record
from worker.sandbox.script import Send
from worker.sandbox.settings import Settings
from worker.sandbox.stand_in import StandIn
from worker.sandbox.stats import Stats

Start = Callable[..., StandIn]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start sandboxes that share one record."""

    def begin(**settings: Any) -> StandIn:
        return StandIn(Settings(**settings), tmp_path / "record.ndjson")

    return begin


def ask(
    stand_in: StandIn, request: Call, *, client: str = "127.0.0.1", host: str = "127.0.0.1:9191", now: float = 0.0
) -> Reply | None:
    """Send one request and give its answer, ``None`` where the connection ends without one."""
    answers: list[Reply] = []

    def render(reply: Reply) -> bytes:
        answers.append(reply)
        return b"HTTP/1.1\r\n\r\n" + reply.body

    request = Call(
        request.method,
        request.path,
        request.query,
        {"host": host, **request.headers},
        request.body,
        request.document,
    )
    sent = [step for step in stand_in.exchange(request, client, now, render) if isinstance(step, Send)]
    return answers[0] if sent else None


def control(stand_in: StandIn, method: str, path: str, document: Any = None, **how: Any) -> tuple[int, Any]:
    """Send one control request and give its status and JSON."""
    headers = how.pop("headers", {})
    reply = ask(stand_in, call(f"/sandbox{path}", document, method=method, headers=headers, **how))
    assert reply is not None
    return reply.status, said(reply.body)


def test_a_request_is_on_record_before_its_answer_is_sent(start: Start) -> None:
    """Nothing of the answer has been played when the line is already in the file."""
    stand_in = start(faults=("slow=1000",))
    playing = stand_in.exchange(call(SENDSMS, sms()), "127.0.0.1", 0.0, lambda reply: reply.body)
    assert [line["taken"] for line in read_record(stand_in.recorder.path)] == [True]
    playing.close()


@pytest.mark.parametrize(
    ("fault", "taken", "answered"),
    [
        ("close-before", False, False),
        ("close-after", True, False),
        ("hang-before=0", False, False),
        ("hang-after=0", True, True),
        ("half-answer", True, True),
        ("invalid-json", True, True),
        ("503", False, True),
        ("429", False, True),
        ("code=601", False, True),
        ("redirect", False, True),
        ("rate=1/s", True, True),
        ("drip=0", True, True),
        ("slow=0", True, True),
    ],
)
def test_the_record_tells_what_was_taken_whatever_was_answered(
    start: Start, fault: str, *, taken: bool, answered: bool
) -> None:
    """A fault shows on the line with whether the messages count as sent."""
    stand_in = start(faults=(fault,))
    assert (ask(stand_in, call(SENDSMS, sms())) is not None) is answered
    (line,) = read_record(stand_in.recorder.path)
    assert line["taken"] is taken
    assert line["faults"] == ([] if fault.startswith("rate") else [fault])
    assert stand_in.stats.taken == taken


def test_a_magic_number_decides_for_the_whole_request(start: Start) -> None:
    """One recipient that always gives 202 refuses a request with a hundred others."""
    stand_in = start()
    numbers = [f"9198000000{n:02d}" for n in range(99)]
    body = sms(sms=[{"message": "Hello", "to": [*numbers, "12025550102"]}])
    reply = ask(stand_in, call(SENDSMS, body))
    assert reply is not None
    assert reply.code == "202"
    assert not any(line["taken"] for line in read_record(stand_in.recorder.path))
    assert ask(stand_in, call(SENDSMS, sms(sms=[{"message": "Hello", "to": numbers}]))).code is None  # type: ignore[union-attr]


def test_what_was_not_taken_is_not_remembered(start: Start) -> None:
    """A contact whose request was lost is unknown, and a message that was lost may come again at once."""
    stand_in = start(faults=("close-before,count=2",))
    ask(stand_in, call(CONTACTS, {"input": {"contact_id": "u-1"}}))
    ask(stand_in, call(SENDSMS, sms()))
    ask(stand_in, call(EVENTS, {"data": [event()]}))
    repeated = ask(stand_in, call(SENDSMS, sms()))
    assert repeated is not None
    assert repeated.code is None
    assert stand_in.stats.failed_events == 1


def test_a_sandbox_remembers_what_its_record_says(start: Start) -> None:
    """One that starts on an old record knows its contacts and counts repeats of its messages."""
    first = start(duplicate_window=0)
    ask(first, call(CONTACTS, {"input": {"contact_id": "u-1"}}))
    ask(first, call(SENDSMS, sms()))
    second = start(duplicate_window=0)
    ask(second, call(EVENTS, {"data": [event()]}))
    ask(second, call(SENDSMS, sms()))
    assert (second.stats.failed_events, second.stats.duplicates) == (0, 1)


def test_the_counts_tell_what_happened(start: Start) -> None:
    """Requests, messages, repeats, refusals and faults are all counted."""
    stand_in = start(faults=("503,count=1",), duplicate_window=10)
    for number in range(3):
        ask(stand_in, call(SENDSMS, sms(CRQID=str(number))))
    ask(stand_in, call(FLOW, flow(recipients=[{"mobiles": "919812345678"}] * 2)))
    status, stats = control(stand_in, "GET", "/stats")
    assert status == 200
    assert stats == {
        "requests": 4,
        "taken": 3,
        "duplicates": 1,
        "refused_duplicates": 1,
        "failed_events": 0,
        "faults": {"503,count=1": 1},
        "statuses": {"503": 1, "200": 3},
        "kinds": {"sms": 3, "flow": 1},
        "in_flight": 0,
        "max_in_flight": 1,
    }


def test_requests_in_flight_are_counted_until_their_answer_is_out(start: Start) -> None:
    """Three at once are three, also when one client leaves; control calls are none."""
    stand_in = start(faults=("hang-after=30",), duplicate_window=0)
    playing = [stand_in.exchange(call(SENDSMS, sms()), "127.0.0.1", 0.0, lambda reply: reply.body) for _ in range(3)]
    for one in playing:
        next(one)
    playing[0].close()
    list(playing[1])
    _, stats = control(stand_in, "GET", "/stats")
    assert (stats["in_flight"], stats["max_in_flight"]) == (1, 3)
    playing[2].close()


def test_repeats_are_counted_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what is remembered the count is unknown rather than wrong."""
    monkeypatch.setattr("worker.sandbox.stats.REMEMBERED_MESSAGES", 3)
    stats = Stats()
    stats.remember([{"to": str(n % 3), "text": "x"} for n in range(5)])
    assert stats.duplicates == 2
    stats.remember([{"to": "3", "text": "x"}])
    assert stats.duplicates is None
    stats.remember([{"to": "3", "text": "x"}])
    assert stats.duplicates is None


def test_faults_are_added_listed_and_taken_away(start: Start) -> None:
    """The board is steered from outside, and says what its faults did."""
    stand_in = start()
    assert control(stand_in, "POST", "/faults", {"faults": ["503,count=1", "slow=5"]})[0] == 200
    ask(stand_in, call(SENDSMS, sms()))
    assert control(stand_in, "GET", "/faults")[1]["faults"] == [
        {"number": 1, "fault": "503,count=1", "hits": 1, "left": 0},
        {"number": 2, "fault": "slow=5", "hits": 1, "left": None},
    ]
    assert control(stand_in, "DELETE", "/faults/1") == (200, {"cleared": 1})
    assert control(stand_in, "DELETE", "/faults/1")[0] == 404
    assert control(stand_in, "DELETE", "/faults") == (200, {"cleared": 1})


@pytest.mark.parametrize("document", [{}, {"faults": []}, {"faults": "503"}, {"faults": [503]}, {"faults": ["oops"]}])
def test_a_fault_that_cannot_be_read_is_refused(start: Start, document: Any) -> None:
    """The answer is 400 and says what is expected."""
    status, answer = control(start(), "POST", "/faults", document)
    assert status == 400
    assert "429" in answer["error"]


def test_the_known_templates_can_be_set(start: Start) -> None:
    """A list replaces what was known, and null takes every id again."""
    stand_in = start(duplicate_window=0)
    control(stand_in, "PUT", "/templates", {"templates": ["a" * 24]})
    assert control(stand_in, "GET", "/templates")[1] == {"templates": ["a" * 24]}
    refused = ask(stand_in, call(FLOW, flow(template_id=TEMPLATE)))
    control(stand_in, "PUT", "/templates", {"templates": None})
    taken = ask(stand_in, call(FLOW, flow(template_id=TEMPLATE)))
    assert refused is not None
    assert taken is not None
    assert (said(refused.body)["type"], said(taken.body)["type"]) == ("error", "success")
    assert control(stand_in, "PUT", "/templates", {"templates": "x"})[0] == 400


def test_the_last_requests_are_shown_with_numbers_hidden(start: Start) -> None:
    """Newest last, as many as were asked for, and no phone number."""
    stand_in = start(duplicate_window=0)
    for number in range(3):
        ask(stand_in, call(SENDSMS, sms(CRQID=str(number))))
    _, answer = control(stand_in, "GET", "/requests", query={"last": "2"})
    assert [line["correlation"]["CRQID"] for line in answer["requests"]] == ["1", "2"]
    assert "919812345678" not in str(answer)
    assert control(stand_in, "GET", "/requests", query={"last": "0"})[0] == 400
    assert control(stand_in, "GET", "/requests", query={"last": "x"})[0] == 400


def test_an_unknown_control_call_lists_the_known_ones(start: Start) -> None:
    """A wrong control path says which there are."""
    status, answer = control(start(), "GET", "/fault")
    assert status == 404
    assert "GET /sandbox/faults" in answer["error"]


@pytest.mark.parametrize(
    ("client", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:9191", 200),
        ("127.0.0.1", "localhost", 200),
        ("::1", "[::1]:9191", 200),
        ("192.168.1.5", "127.0.0.1:9191", 403),
        ("127.0.0.1", "evil.example:9191", 403),
        ("127.0.0.1", "", 403),
    ],
)
def test_control_is_for_this_machine_under_its_own_name(start: Start, client: str, host: str, status: int) -> None:
    """Another machine, or a web page that reached us through a name of its own, is refused."""
    reply = ask(start(), call("/sandbox/stats", method="GET"), client=client, host=host)
    assert reply is not None
    assert reply.status == status


def test_with_a_token_everyone_must_bring_it(start: Start) -> None:
    """The token opens from anywhere, nothing else opens, and only the health check needs none."""
    stand_in = start(control_token="t0ken")
    answers = []
    for path, headers in (
        ("stats", {"x-sandbox-token": "t0ken"}),
        ("stats", {"x-sandbox-token": "wrong"}),
        ("stats", {}),
        ("health", {}),
    ):
        for client in ("10.0.0.9", "127.0.0.1"):
            reply = ask(stand_in, call(f"/sandbox/{path}", method="GET", headers=headers), client=client)
            assert reply is not None
            answers.append(reply.status)
    assert answers == [200, 200, 403, 403, 403, 403, 200, 200]


def test_control_calls_are_not_on_record(start: Start) -> None:
    """The record is of MSG91's requests alone."""
    stand_in = start()
    assert control(stand_in, "GET", "")[1]["record"] == str(stand_in.recorder.path)
    assert list(read_record(stand_in.recorder.path)) == []


def test_a_sandbox_with_a_fault_it_cannot_read_does_not_start(start: Start) -> None:
    """A wrong fault in the settings is an error at once."""
    with pytest.raises(FaultError, match="oops"):
        start(faults=("oops",))


def test_settings_come_back_as_they_went() -> None:
    """What one process writes another reads; the token does not travel on a command line."""
    settings = Settings(port=0, faults=("503",), templates=("a" * 24,), control_token="t0ken", seed=3)
    text = settings.to_json()
    assert "t0ken" not in text
    assert Settings.from_json(text, control_token="t0ken") == settings


@pytest.mark.parametrize("text", ["[]", "{", '{"prot": 1}'])
def test_settings_that_cannot_be_read_are_refused(text: str) -> None:
    """No object, no JSON, or a setting that does not exist."""
    with pytest.raises((TypeError, ValueError)):
        Settings.from_json(text)
