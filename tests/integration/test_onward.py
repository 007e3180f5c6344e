"""Publishing onward from end to end: real workers, a real store, and receivers that fail and come back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import orjson
import pytest

from tests.intake import WRITE_KEY as INTAKE_KEY
from tests.intake import Intake
from tests.receiver import SECRET, WRITE_KEY, Receiver
from tests.system import System, many, sms, wait_until
from worker.delivery import State, read_counts
from worker.destinations import load_destinations
from worker.msg91.reports import Inbound, Report, Verdict
from worker.onward import Publisher
from worker.sandbox.whatsapp import DEFAULT_NUMBER

pytestmark = pytest.mark.integration

STRANGER = "447400123456"
#: Retries follow each other quickly, and a few failures close no lane.
QUICKLY = {
    "lanes": {"onward": {"breaker_failures": 1000}},
    "actions": {name: {"backoff_base": 0.1, "backoff_cap": 0.5} for name in ("publish_event", "post_callback")},
}


def onward(receiver: Receiver, **tracking: Any) -> dict[str, Any]:
    """The receiver as a tracking API and as one that takes callbacks."""
    return {
        "tracking": [{"name": "segment", "url": receiver.url, "write_key": WRITE_KEY, **tracking}],
        "callbacks": [
            {
                "name": "clevertap",
                "report_url": f"{receiver.url}/reports?token=abc",
                "inbound_url": f"{receiver.url}/inbound",
                "secret": SECRET,
                "channels": ["sms", "whatsapp"],
            }
        ],
    }


def publish(system: System, *read: Report | Inbound, channel: Any = "sms") -> int:
    """Publish what a callback holds, as a door does it."""
    core = system.core
    destinations = load_destinations(None, system.environ, settings=system.settings)
    publisher = Publisher(core.store, core.batches, core.ledger.retention, system.queueing.publish)
    return publisher.publish(destinations.all[0], read, channel=channel, destinations=destinations)


def reports(system: System) -> list[Report]:
    """What MSG91 says of every SMS that it took."""
    return [
        Report(Verdict.DELIVERED, "1", recipient=str(message["to"]), token=request["correlation"]["CRQID"])
        for request in system.sandbox.requests()
        if request.get("taken")
        for message in request["messages"]
    ]


def wrote(number: str, message_id: str) -> Inbound:
    """A message of a customer."""
    return Inbound(number, str(DEFAULT_NUMBER), "text", "Hello", message_id=message_id)


def is_closed(system: System, lane: str) -> bool:
    """Whether a lane lets nothing through, or one request as a probe."""
    status = system.core.lanes.status(lane)
    return status.paused_until_ms is not None or status.probing


def fails_first(body: bytes, before: int) -> int:
    """Fail each body once, one of three ways, and then take it."""
    return 200 if before else (500, 429, 0)[sum(body) % 3]


def test_each_event_arrives_once_although_receivers_fail() -> None:
    """Every report reaches both receivers, proved, with the user of its message; what MSG91 repeats changes nothing."""
    events = [{**one, "userId": f"user-{n}"} for n, one in enumerate(many(30))]
    with Receiver(fails_first) as receiver, System(destination={"onward": onward(receiver), **QUICKLY}) as system:
        system.send(events)
        assert system.wait_settled() == {"accepted": 30}
        found = reports(system)
        assert len(found) == 30
        for _ in range(3):
            assert publish(system, *found) == 60
        wait_until(lambda: len(receiver.taken) == 60, seconds=60, what="60 requests taken")
        assert system.wait_settled() == {"accepted": 90}
        told = [one.document for one in receiver.taken if one.path == "/v1/track"]
        called = [one.document for one in receiver.taken if one.path == "/reports?token=abc"]
        assert sorted(one["userId"] for one in told) == sorted(one["userId"] for one in events)
        assert {one["event"] for one in told} == {"SMS Delivered"}
        assert len({one["messageId"] for one in told}) == 30
        ids = [status["msgId"] for one in called for status in one["statuses"]]
        assert sorted(ids) == sorted(one["messageId"] for one in events)
        assert all(one.proved for one in receiver.told)
        assert len(receiver.told) == 120, "each was refused once and taken once"
        counts = read_counts(system.core.store).events
        assert (counts["duplicate"], counts["malformed"]) == (120, 0)


def test_a_dead_receiver_leaves_the_messages_alone() -> None:
    """It never answers: its lane closes, the SMS go out, and it gets its events when it is back."""
    closed = {"lanes": {"onward": {"breaker_failures": 2, "concurrency": 2}}, "actions": QUICKLY["actions"]}
    with Receiver(lambda _body, _before: None) as receiver:
        keys = {"onward": {"tracking": onward(receiver, timeout=0.5)["tracking"]}, **closed}
        with System(destination=keys, concurrency=4) as system:
            publish(system, *[wrote(str(919000000000 + n), f"u-{n}") for n in range(20)], channel="whatsapp")
            wait_until(lambda: receiver.told, what="the receiver was asked")
            system.send(many(200))
            wait_until(
                lambda: sum(len(one["messages"]) for one in system.sandbox.requests() if one.get("taken")) == 200,
                seconds=15,
                what="200 SMS",
            )
            wait_until(lambda: is_closed(system, "msg91:onward:segment"), what="the receiver's lane is closed")
            assert system.core.lanes.status("msg91:sms").paused_until_ms is None
            assert receiver.taken == []
            receiver.answer = lambda _body, _before: 200
            wait_until(lambda: len(receiver.taken) == 20, seconds=60, what="all events after all")
            assert system.wait_settled() == {"accepted": 220}


def test_a_stranger_is_answered_once() -> None:
    """Through the ordinary gate and MSG91; whoever an event has named is not answered."""
    answer = {"auto_reply": {"text": "A colleague answers by tomorrow."}}
    with System(destination={"onward": answer, "whatsapp": {"numbers": [str(DEFAULT_NUMBER)]}}) as system:
        system.send([sms(918818888758, "order-1")])
        assert system.wait_settled() == {"accepted": 1}
        strangers = [wrote(STRANGER, "u-1"), wrote(STRANGER, "u-1"), wrote(STRANGER, "u-2")]
        for one in (*strangers, wrote("918818888758", "u-3")):
            publish(system, one, channel="whatsapp")
        assert system.wait_settled() == {"accepted": 2}
        [request] = [one for one in system.sandbox.requests() if one["kind"] == "whatsapp" and one["taken"]]
        (message,) = request["messages"]
        assert str(message["to"]) == STRANGER
        assert "A colleague answers by tomorrow." in message["text"]


def test_what_was_refused_is_found_and_sent_again_by_hand() -> None:
    """A receiver that refuses makes a rejected delivery, which an operator can look at and replay."""
    with Receiver(lambda _body, _before: 401) as receiver:
        keys = {"onward": {"tracking": onward(receiver)["tracking"]}}
        with System(destination=keys) as system:
            publish(system, wrote(STRANGER, "u-1"), channel="whatsapp")
            assert wait_until(lambda: system.settled() and system.counts()) == {"rejected": 1}
            (key,) = system.core.ledger.attention(State.REJECTED)
            (kept,) = system.core.ledger.kept([key])
            assert kept is not None
            assert kept["history"][-1]["status"] == 401
            assert WRITE_KEY not in orjson.dumps(kept).decode()
            receiver.answer = lambda _body, _before: 200
            command = [sys.executable, "-m", "worker.cli.main", "dead-letters", "replay", key, "--yes"]
            done = subprocess.run(command, env=system.environ, cwd=system.folder, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
            assert system.wait_settled() == {"accepted": 1}
            assert len(receiver.taken) == 1


def test_what_comes_in_at_the_door_goes_onward() -> None:
    """MSG91 calls back over HTTP, twice: the delivery is settled, and the tracking API hears of it once."""
    secret = "secret-of-the-callbacks-in-tests"
    with Receiver(lambda _body, _before: 200) as receiver:
        keys = {
            "onward": {"tracking": onward(receiver)["tracking"]},
            "callbacks": {"secrets": [secret]},
            "write_keys": [INTAKE_KEY],
        }
        with System(destination=keys) as system, Intake(system) as door:
            system.send([{**sms(919000000001, "order-1"), "userId": "user-1"}])
            assert system.wait_settled() == {"accepted": 1}
            (request,) = [one for one in system.sandbox.requests() if one.get("taken")]
            report = {"number": "919000000001", "status": "1", "CRQID": request["correlation"]["CRQID"]}
            for _ in range(2):
                answer = door.post("/v1/callbacks/msg91/sms", report, key=None, x_webhook_secret=secret)
                assert answer.status_code == 200, answer.text
            assert system.wait_settled() == {"accepted": 1, "delivered": 1}
            (told,) = [one.document for one in receiver.taken]
            assert (told["event"], told["userId"]) == ("SMS Delivered", "user-1")
            assert system.reconcile().holds
