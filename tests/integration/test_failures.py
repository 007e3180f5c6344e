"""What MSG91 and the network do wrong, against a real worker: each leads to the right state, and the identity holds."""

from __future__ import annotations

import pytest

from tests.system import System, many, sends_by_text, sms, wait_until
from worker.delivery import State
from worker.embedded import EmbeddedValkey
from worker.sandbox.magic import number_for

pytestmark = pytest.mark.integration

QUICK = {"send_sms": {"backoff_base": 0.2, "backoff_cap": 1, "attempts": 4}}


def run(faults: list[str], events: int = 5, **arguments: object) -> tuple[dict[str, int], System]:
    """Run some events against a sandbox with faults; gives the states and the (ended) system's requests."""
    with System(sandbox={"faults": faults}, destination={"actions": QUICK}, **arguments) as system:  # type: ignore[arg-type]
        system.send(many(events))
        counts = system.wait_settled(40)
        system.sent = sends_by_text(system.sandbox.requests())  # type: ignore[attr-defined]
        system.took = system.sandbox.requests()  # type: ignore[attr-defined]
        return counts, system


@pytest.mark.parametrize(
    "fault",
    [
        "429,retry-after=1,count=1",
        "503,count=2",
        "503,body=none,count=1",
        "code=601,count=1",
        "code=001,count=1",
    ],
)
def test_passing_trouble_ends_in_accepted_once(fault: str) -> None:
    """Trouble that surely kept the message from being taken is retried until it is accepted, once."""
    counts, system = run([fault])
    assert counts == {"accepted": 5}
    assert {1} == set(system.sent.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "fault",
    [
        "close-before,count=1",
        "close-after,count=1",
        "half-answer,count=1",
        "invalid-json,count=1",
        "500,count=1",
        "502,count=1,taken=yes",
        "504,count=1",
    ],
)
def test_what_may_have_been_sent_is_in_doubt_and_stays_there(fault: str) -> None:
    """A request that MSG91 may have taken is not repeated: its deliveries are in doubt."""
    counts, system = run([fault])
    assert counts == {"in_doubt": 5}
    assert len(system.took) == 1  # type: ignore[attr-defined]


def test_a_hanging_provider_ends_in_doubt_at_the_deadline() -> None:
    """A request without an answer ends at its deadline, in doubt."""
    settings = {"MSG91_DESTINATION_REQUEST_DEADLINE": "1"}
    counts, _ = run(["hang-after=30,count=1"], settings=settings)
    assert counts == {"in_doubt": 5}


@pytest.mark.parametrize("code", ["103", "203", "211"])
def test_a_refused_request_rejects_its_deliveries(code: str) -> None:
    """A refusal of what all recipients share rejects them at once, with one request."""
    counts, system = run([f"code={code}"])
    assert counts == {"rejected": 5}
    assert len(system.took) == 1  # type: ignore[attr-defined]


def test_a_broken_account_closes_the_lane_and_keeps_the_messages() -> None:
    """Without balance nothing is rejected: the lane closes, the messages wait, and go when the account works again."""
    with System(sandbox={"faults": ["code=301"]}) as system:
        system.send(many(250))
        wait_until(lambda: system.counts().get("scheduled") == 250, what="all wait")
        status = system.core.lanes.status("msg91:sms")
        assert status.paused_until_ms is not None
        assert "301" in status.reason
        before = len(system.sandbox.requests())
        assert before <= 4
        system.sandbox.clear_faults()
        for batch in system.core.lanes.resume("msg91:sms"):
            system.core.schedule.make_due(batch)
        for entry in system.core.schedule.entries():
            system.core.schedule.make_due(entry.batch_id)
        assert system.wait_settled(40) == {"accepted": 250}
        assert {1} == set(sends_by_text(system.sandbox.requests()).values())


def test_one_bad_number_is_found_by_splitting() -> None:
    """A refusal that one recipient may have caused splits the batch until the culprit stands alone."""
    with System() as system:
        bad = sms(number_for("202"), "bad")  # passes our own checks; the sandbox refuses it
        system.send([*many(20), bad])
        assert system.wait_settled(40) == {"accepted": 20, "rejected": 1}
        assert {1} == set(sends_by_text(system.sandbox.requests()).values())


def test_a_refused_connection_is_retried_when_the_provider_is_back() -> None:
    """While nobody listens nothing is in doubt; when MSG91 is back everything is accepted once."""
    with System(
        destination={"actions": {"send_sms": {"backoff_base": 0.2, "backoff_cap": 0.5, "attempts": 1000}}}
    ) as s:
        s.sandbox.kill()
        s.send(many(30))
        wait_until(lambda: s.counts().get("scheduled") == 30, what="all wait")
        s.sandbox.restart()
        s.core.lanes.resume("msg91:sms")
        assert s.wait_settled(40) == {"accepted": 30}
        assert {1} == set(sends_by_text(s.sandbox.requests()).values())


def test_retries_end_in_dead_with_payload_event_and_attempts() -> None:
    """When the attempts are used up a delivery is dead, and everything about it is kept."""
    with System(
        sandbox={"faults": ["code=601"]},
        destination={
            "actions": {"send_sms": {"backoff_base": 0.05, "backoff_cap": 0.1, "attempts": 3}},
            "lanes": {"sms": {"breaker_failures": 1000}},
        },
    ) as system:
        system.send(many(2))
        assert system.wait_settled(40) == {"dead": 2}
        kept = system.core.ledger.kept(system.core.ledger.attention(State.DEAD))
        assert [one["event"]["type"] for one in kept if one] == ["track", "track"]
        assert [len(one["history"]) for one in kept if one] == [3, 3]
        assert {"601"} == {attempt["code"] for one in kept if one for attempt in one["history"]}


def test_a_broker_without_its_queue_loses_nothing() -> None:
    """Batches whose Celery messages never arrive are promoted by the schedule."""
    with System(workers=0) as system:
        system.send(many(50), size=10, publish=False)
        client = system.core.store.client
        client.zadd(
            system.core.store.keys.schedule,
            dict.fromkeys(client.zrange(system.core.store.keys.schedule, 0, -1), 0),
        )
        system.start_worker()
        assert system.wait_settled(40) == {"accepted": 50}


def test_the_same_events_again_are_duplicates() -> None:
    """Events that come twice, at once and later, through several workers, are sent once."""
    with System(workers=2) as system:
        events = many(300)
        for _ in range(3):
            system.send(events, size=50)
        assert system.wait_settled(40) == {"accepted": 300}
        system.send(events, size=70)
        assert system.wait_settled(40) == {"accepted": 300}
        events_now = system.reconcile().counts.events
        assert (events_now["received"], events_now["parent"], events_now["duplicate"]) == (1200, 300, 900)
        assert {1} == set(sends_by_text(system.sandbox.requests()).values())


def test_valkey_is_real() -> None:
    """The tests run against a real server, not a fake one."""
    with EmbeddedValkey() as valkey:
        assert valkey.url.startswith("redis://")
