"""One-time passwords through the whole house: where their digits are, and where they never are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.unit.forwarding.conftest import ACCEPTED, House
from worker import app
from worker.deliveries import restore
from worker.delivery import PRIORITY_QUEUE, RETRY_QUEUE, Batches, CannotOpen, Kind, Sealing, State
from worker.events import join
from worker.explaining import Verdict, explain_event
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.operations.obstacles import obstacle
from worker.recovery import recover_abandoned

DIGITS = "748193"
TEMPLATE = "5f1234567890abcdef123456"
NUMBER = "919812345678"
LOST = Answer(AnswerClass.UNKNOWN, code="read_timeout", message=f"no answer for {DIGITS}", sent=True)
REFUSED = Answer(AnswerClass.REQUEST, status=200, message="refused", body=f'{{"otp": "{DIGITS}"}}')

MAPPINGS = [
    {
        "name": "otp",
        "action": "send_otp",
        "trigger": 'type = "track" and event = "OTP Requested"',
        "mapping": {"phone": {"@path": "$.properties.phone"}, "otp": {"@path": "$.properties.secretDigits"}},
    },
    {
        "name": "what-happened",
        "action": "send_sms",
        "trigger": 'type = "track"',
        "mapping": {"phone": {"@path": "$.properties.phone"}, "message": "You asked for a code"},
    },
]


@pytest.fixture
def otp_house(house: House, tmp_path: Path) -> House:
    """A house whose destination sends one-time passwords, and an SMS for every event besides."""
    (tmp_path / "otp.yaml").write_text(yaml.safe_dump({"mappings": MAPPINGS}))
    house.configure(
        {
            "name": "msg91",
            "authkey": "key",
            "default_sender": "MSGIND",
            "mappings": "otp.yaml",
            "otp": {"template_id": TEMPLATE, "expiry": 10},
        }
    )
    return house


def asked(message_id: str = "m1", **properties: Any) -> dict[str, Any]:
    """An event that carries digits, once under a telling key and once inside a text."""
    given = {"phone": NUMBER, "secretDigits": DIGITS, "otp": DIGITS, "note": f"code {DIGITS} for you", **properties}
    return {"type": "track", "event": "OTP Requested", "messageId": message_id, "properties": given}


def answering(house: House, *answers: Answer) -> list[Request]:
    """Let the OTP requests get these answers, in order; gives the requests."""
    seen: list[Request] = []

    def give(answer: Answer) -> Callable[[Request], Answer]:
        def answer_one(request: Request) -> Answer:
            if request.path == "/api/v5/otp":
                seen.append(request)
                return answer
            house.answers.insert(0, answer_one)
            return ACCEPTED

        return answer_one

    house.answers = [give(one) for one in answers]
    return seen


def everything(house: House) -> bytes:
    """Every value in the store, as bytes."""
    client: Any = house.store.client
    found: list[bytes] = []
    for name in client.keys("*"):
        kind = client.type(name)
        if kind == b"string":
            found.append(client.get(name) or b"")
        elif kind == b"hash":
            found += [one for pair in client.hgetall(name).items() for one in pair]
        elif kind == b"stream":
            found += [one for _, entry in client.xrange(name) for pair in entry.items() for one in pair]
        elif kind == b"set":
            found += client.smembers(name)
        else:
            found += [one for one, _ in client.zrange(name, 0, -1, withscores=True)]
    return b"\n".join(found)


def test_digits_reach_msg91_and_stay_nowhere(otp_house: House) -> None:
    """The digits are in the one request, and in no value of the store before, while and after it is under way."""
    while_under_way: list[bytes] = []

    def look(request: Request) -> Answer:
        while_under_way.append(everything(otp_house))
        assert request.query is not None
        assert request.query["otp"] == DIGITS
        assert DIGITS not in str(request.sample)
        return ACCEPTED

    otp_house.answers = [look]
    batch_id = otp_house.accept(asked())
    assert DIGITS.encode() not in everything(otp_house)
    assert otp_house.forwarder.run(batch_id)
    assert len(while_under_way) == 1
    assert DIGITS.encode() not in while_under_way[0]
    assert DIGITS.encode() not in everything(otp_house)
    assert otp_house.states() == {"accepted": 2}


def test_a_retry_sends_the_same_digits_on_the_priority_queue(otp_house: House) -> None:
    """What waits for a retry is encrypted, waits on the queue that overtakes others, and sends the same digits."""
    seen = answering(otp_house, Answer(AnswerClass.RETRY, status=503), ACCEPTED)
    otp_house.forward(asked())
    assert DIGITS.encode() not in everything(otp_house)
    due = otp_house.schedule.promote(10)
    otp_house.store.ahead_ms += 60_000
    due += otp_house.schedule.promote(10)
    assert [queue for _, queue in due] == ["events.priority"]
    for batch_id, _ in due:
        otp_house.forwarder.run(batch_id)
    assert [request.query and request.query["otp"] for request in seen] == [DIGITS, DIGITS]
    assert otp_house.states() == {"accepted": 2}


def test_in_doubt_is_sent_again_with_the_same_digits(otp_house: House) -> None:
    """A request without an answer is repeated by policy, with the same digits, once a late answer is impossible."""
    seen = answering(otp_house, LOST, ACCEPTED)
    otp_house.forward(asked())
    assert otp_house.states() == {"accepted": 1, "in_doubt": 1}
    assert DIGITS.encode() not in everything(otp_house)
    otp_house.run_due(60)
    assert len(seen) == 1
    otp_house.run_due(30)
    otp_house.run_due(1)
    assert [request.query and request.query["otp"] for request in seen] == [DIGITS, DIGITS]
    assert otp_house.states() == {"accepted": 2}


def test_what_is_sent_again_from_doubt_overtakes_others(otp_house: House) -> None:
    """Somebody still waits for the code: the repeated request does not queue behind everything else."""
    answering(otp_house, LOST, ACCEPTED)
    otp_house.forward(asked())
    otp_house.run_due(90)
    assert [queue for _, queue in otp_house.schedule.promote(10)] == [PRIORITY_QUEUE]


def test_a_lost_worker_loses_no_digits(otp_house: House) -> None:
    """What a killed worker had claimed is sent again with the same digits; its event comes back without them."""
    killed: list[Request] = []

    def die(request: Request) -> Answer:
        killed.append(request)
        raise SystemExit

    otp_house.answers = [die]
    batch_id = otp_house.accept(asked())
    with pytest.raises(SystemExit):
        otp_house.forwarder.run(batch_id)
    otp_house.store.ahead_ms += 61_000
    assert otp_house.destinations is not None
    recover_abandoned(otp_house.sender, otp_house.destinations)
    [key] = otp_house.ledger.attention(State.IN_DOUBT)
    [kept] = otp_house.ledger.kept([key])
    assert kept is not None
    assert kept["event"]["properties"]["note"] == "code [redacted] for you"
    seen = answering(otp_house, ACCEPTED)
    for _ in range(4):
        otp_house.run_due(60)
    assert [request.query and request.query["otp"] for request in seen] == [DIGITS]
    assert DIGITS.encode() not in everything(otp_house)


def test_it_expires_with_the_one_time_password(otp_house: House) -> None:
    """After its ten minutes nothing sends it, and nothing in the store opens the digits."""
    seen = answering(otp_house, Answer(AnswerClass.RETRY, status=503, retry_after=3000.0))
    otp_house.forward(asked())
    otp_house.run_due(3700)
    assert len(seen) == 1
    assert otp_house.states() == {"accepted": 1, "expired": 1}


def test_a_dead_letter_has_no_digits_and_cannot_be_replayed(otp_house: House) -> None:
    """What is refused for good is kept without the digits, in payload, event and attempts, and says so."""
    answering(otp_house, REFUSED)
    otp_house.forward(asked())
    [key] = otp_house.ledger.attention(State.REJECTED)
    [kept] = otp_house.ledger.kept([key])
    assert kept is not None
    assert DIGITS not in orjson.dumps(kept).decode()
    assert kept["payload"]["otp"] == "[redacted]"
    assert kept["event"]["properties"]["otp"] == "[redacted]"
    assert otp_house.destinations is not None
    assert obstacle(restore(kept), otp_house.destinations, 0) == "its one-time password is gone"


def test_what_is_rejected_at_once_has_no_digits(otp_house: House) -> None:
    """A number that is none rejects the one-time password without keeping its digits, also beside other mappings."""
    otp_house.forward(asked(phone="12"))
    assert otp_house.states() == {"rejected": 2}
    assert DIGITS.encode() not in everything(otp_house)


def test_digits_that_are_none_are_not_shown(otp_house: House) -> None:
    """Letters in place of digits are refused in a sentence that does not repeat them."""
    otp_house.forward(asked(secretDigits="12ab34", otp="12ab34", note=""))
    [key] = otp_house.ledger.attention(State.REJECTED)
    [kept] = otp_house.ledger.kept([key])
    assert kept is not None
    assert "12ab34" not in orjson.dumps(kept).decode()
    assert kept["history"][0]["errors"][0]["field"] == "otp"


def test_explain_shows_no_digits(otp_house: House) -> None:
    """A dry run shows the request with the digits redacted."""
    assert otp_house.destinations is not None
    explained = explain_event(asked(), otp_house.destinations, now_ms=otp_house.store.now_ms(), arrival="a")
    one = explained.destinations[0].considered[0]
    assert one.verdict is Verdict.SENT
    assert DIGITS not in str(one)
    assert one.request is not None
    assert one.request.query is not None
    assert one.request.query["otp"] == "[redacted]"


def test_malformed_text_shows_no_digits(otp_house: House) -> None:
    """An event that cannot be read is recorded without what follows the name of a one-time password."""
    otp_house.forward(f'{{"type": "track", "properties": {{"otp": "{DIGITS}"}}'.encode())
    assert DIGITS.encode() not in everything(otp_house)


def test_a_payload_batch_is_sealed_and_its_time_runs_from_its_arrival(otp_house: House) -> None:
    """A one-time password handed over without an event expires that long after it was accepted."""
    item = {"action": "send_otp", "messageId": "p1", "payload": {"phone": NUMBER, "otp": DIGITS}}
    batch_id = otp_house.accept(item, kind=Kind.PAYLOADS, destination="msg91")
    assert DIGITS.encode() not in everything(otp_house)
    otp_house.store.ahead_ms += 601_000
    otp_house.forwarder.run(batch_id)
    assert otp_house.states() == {"expired": 1}


def test_it_goes_before_the_rest_of_its_batch(otp_house: House) -> None:
    """In a batch of other messages the one-time password leaves first."""
    others = [{**asked(f"o{n}", phone=f"98123456{n:02}"), "event": "Something Else"} for n in range(5)]
    paths: list[str] = []
    otp_house.answers = [lambda request: paths.append(request.path) or ACCEPTED for _ in range(9)]  # type: ignore[func-returns-value]
    otp_house.forward(*others, asked("last"))
    assert paths[0] == "/api/v5/otp"


def test_another_key_opens_nothing_and_loses_nothing(otp_house: House) -> None:
    """With another key a batch cannot be read, says why, and waits for a worker that has the right one."""
    sealed = Batches(otp_house.store, sealing=Sealing(otp_house.store, "a secret of sixteen or more"))
    batch_id = sealed.accept(join([orjson.dumps(asked())]), 1)
    assert not otp_house.forwarder.run(batch_id)
    with pytest.raises(CannotOpen, match="MSG91_DESTINATION_OTP_KEY"):
        otp_house.batches.look([batch_id])
    otp_house.store.ahead_ms += 61_000
    found = sealed.begin(batch_id)
    assert found is not None
    assert orjson.loads(found.body) == asked()
    otp_house.batches.hand_back(batch_id)
    otp_house.store.ahead_ms += 61_000
    otp_house.forwarder.batches = sealed
    answering(otp_house, ACCEPTED)
    assert otp_house.forwarder.run(batch_id)


def test_a_value_opens_until_its_hour_is_over(otp_house: House) -> None:
    """A sealed value opens for its life, and never again once the hour of its end is over."""
    sealing = Sealing(otp_house.store)
    sealed = sealing.seal(DIGITS, otp_house.store.now_ms() + 60_000)
    assert DIGITS not in sealed
    assert sealing.open(sealed) == DIGITS
    assert Sealing(otp_house.store).open(sealed) == DIGITS
    assert Sealing(otp_house.store, "another secret of mine").open(sealed) is None
    assert sealing.open(sealed[:-4] + "AAA=") is None
    otp_house.store.ahead_ms += 2 * 3_600_000
    assert sealing.open(sealed) is None


def test_the_key_of_a_value_leaves_the_store(otp_house: House) -> None:
    """What opens a value has a time to live of two hours at most beyond the value's own."""
    Sealing(otp_house.store).seal(DIGITS, otp_house.store.now_ms() + 60_000)
    [name] = [one for one in otp_house.store.client.keys("*") if b":salt:" in one]
    assert 0 < otp_house.store.client.pttl(name) <= 2 * 3_600_000


def test_a_batch_without_a_hint_is_not_encrypted(otp_house: House) -> None:
    """Batches in which nothing looks like a one-time password cost nothing: they lie as they came."""
    event = {"type": "track", "event": "Order Shipped", "messageId": "m1", "properties": {"phone": NUMBER}}
    plain = otp_house.accept(event)
    client: Any = otp_house.store.client
    assert client.hget(otp_house.store.keys.batch(plain), "body").startswith(b"{")
    otp_house.forwarder.run(plain)


def test_a_forgotten_answer_is_redacted(otp_house: House) -> None:
    """Digits that an answer repeats are not remembered with the attempt."""
    answering(otp_house, replace(LOST, klass=AnswerClass.RETRY))
    otp_house.forward(asked())
    assert DIGITS.encode() not in everything(otp_house)


def test_store_and_broker_name_the_queues_alike() -> None:
    """The queue that the store seals, and the one that it promotes retries to, are those that workers read."""
    assert PRIORITY_QUEUE == app.PRIORITY_QUEUE == app.QUEUES[0]
    assert RETRY_QUEUE == app.RETRY_QUEUE
    assert set(app.QUEUES) == {app.QUEUE, PRIORITY_QUEUE, RETRY_QUEUE}
