"""What must not go wrong when something else does: unbuildable requests, lost workers, stopping, clocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

import orjson
import pytest
from celery.exceptions import Reject

from tests.stores import real_store, states
from tests.unit.forwarding.conftest import House, track
from worker import tasks
from worker.actions import ACTIONS
from worker.actions.base import ActionContext
from worker.deliveries import Delivery, dump_claim, load_claim
from worker.delivery import (
    RETRY_QUEUE,
    Batches,
    Call,
    Claim,
    Ending,
    Kind,
    LaneLimits,
    Lanes,
    Ledger,
    State,
    StoreHeld,
    StoreUnavailable,
    delivery_key,
)
from worker.destinations import Destination
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.pipeline import Over
from worker.recovery import recover_abandoned
from worker.sending import Sender

NUMBER = "919000000001"
SOON = Answer(AnswerClass.RETRY, status=503)
SILENCE = Answer(AnswerClass.UNKNOWN, code="read_timeout")


class Died(BaseException):
    """The worker is gone in the middle of a request."""


def die(_: Request) -> Answer:
    """Answer by ending the worker."""
    raise Died


def lose_worker(house: House, *events: dict[str, Any]) -> str:
    """Let a worker die with a request under way; gives the batch."""
    house.answers = [die]
    batch_id = house.accept(*events)
    with pytest.raises(Died):
        house.forwarder.run(batch_id)
    return batch_id


def recover(house: House, seconds: float = 61.0) -> int:
    """Let leases run out and settle what was abandoned."""
    house.store.ahead_ms += round(seconds * 1000)
    assert house.destinations is not None
    return recover_abandoned(house.sender, house.destinations)


@pytest.fixture
def broken_text(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An action that cannot build a request with the text ``poison`` in it."""
    build = type(ACTIONS["send_sms"]).build

    def fail(self: Any, items: Any, context: ActionContext, token: str) -> Request:
        if any(item["message"] == "poison" for item in items):
            raise KeyError("message")
        return build(self, items, context, token)

    monkeypatch.setattr(type(ACTIONS["send_sms"]), "build", fail)
    return


def test_what_cannot_be_built_is_rejected_and_harms_no_neighbour(house: House, broken_text: None) -> None:
    """A payload that no request can be built of is found by splitting and rejected with its payload; the rest goes."""
    house.forward(*[track(f"91900000000{n}", f"m{n}", "poison" if n == 3 else "hello") for n in range(8)])
    while house.run_due():
        pass
    assert house.states() == {"accepted": 7, "rejected": 1}
    (kept,) = house.ledger.kept(house.ledger.attention(State.REJECTED))
    assert kept is not None
    assert kept["message_id"] == "m3"
    assert house.ledger.under_way() == []


def test_a_lost_worker_leaves_the_event_with_what_is_in_doubt(house: House) -> None:
    """A delivery in doubt keeps its event, also when the request that was lost was a retry."""
    house.answers = [SOON]
    house.forward(track(NUMBER, "m1"))
    house.store.ahead_ms += 10_000
    ((batch_id, _),) = house.schedule.promote(10)
    house.answers = [die]
    with pytest.raises(Died):
        house.forwarder.run(batch_id)
    # Another worker takes the batch up before the lost request's lease is over, and must not throw it away.
    house.store.ahead_ms += 60_500
    house.forwarder.run(batch_id)
    recover(house, 1.0)
    assert house.states() == {"in_doubt": 1}
    (kept,) = house.ledger.kept(house.ledger.attention(State.IN_DOUBT))
    assert kept is not None
    assert kept["event"]["messageId"] == "m1"
    assert [one["class"] for one in kept["history"]] == ["retry", "unknown"]
    house.run_due(120)
    assert house.schedule.depth() == 0


def test_what_is_repeated_after_lost_workers_ends_in_dead(house: House) -> None:
    """What is safe to repeat is repeated when its worker is lost, but a request that kills workers ends sometime."""
    house.configure(
        {
            "name": "msg91",
            "authkey": "key",
            "segmento": {"phonebook_id": "book"},
            "mappings": "segmento-user-events",
            "actions": {"record_user_events": {"attempts": 3}},
        }
    )
    lose_worker(house, {"type": "track", "event": "Seen", "messageId": "m1", "userId": "u1"})
    for _ in range(2):
        assert recover(house) == 1
        assert house.states() == {"scheduled": 1}
        house.store.ahead_ms += 1_000_000
        for batch_id, _queue in house.schedule.promote(10):
            house.answers = [die]
            with suppress(Died):
                house.forwarder.run(batch_id)
    assert recover(house) == 1
    assert house.states() == {"dead": 1}


@pytest.mark.parametrize(("policy", "state"), [("drop", "dead"), ("hold", "in_doubt"), ("resend", "accepted")])
def test_a_lost_worker_leaves_user_events_to_the_policy_that_is_set(house: House, policy: str, state: str) -> None:
    """What is safe to repeat is in doubt all the same where somebody said so, and then dropped or held."""
    house.configure(
        {
            "name": "msg91",
            "authkey": "key",
            "segmento": {"phonebook_id": "book"},
            "mappings": "segmento-user-events",
            "actions": {"record_user_events": {"in_doubt": policy, "in_doubt_grace": 30}},
        }
    )
    lose_worker(house, {"type": "track", "event": "Seen", "messageId": "m1", "userId": "u1"})
    house.answers = []
    assert recover(house) == 1
    assert house.states() == {"scheduled" if policy == "resend" else "in_doubt": 1}
    for _ in range(3):
        house.run_due(120)
    assert house.states() == {state: 1}
    assert len(house.requests) == (2 if policy == "resend" else 1)
    # the batch that the worker was at finds its only delivery decided about
    assert house.events() == {"received": 1, "parsed": 1, "parent": 1}


def test_one_claim_that_cannot_be_settled_does_not_stop_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A claim nobody can read is looked at again later, and the claims behind it are settled now."""
    lose_worker(house, track(NUMBER, "m1"))
    (token,) = house.ledger.under_way()
    keys = house.store.keys
    house.store.client.hset(keys.request("f" * 16), mapping={"_about": "msg91|send_sms", "_items": b"\xff not JSON"})
    house.store.client.zadd(keys.claims, {"f" * 16: 1})
    assert recover(house) == 1
    assert house.states() == {"in_doubt": 1}
    assert token not in house.ledger.under_way()
    assert "cannot be settled" in caplog.text
    assert recover(house, 1.0) == 0


def test_claims_of_a_newer_version_can_be_read(house: House) -> None:
    """What a newer version adds to a claim's entries is left out, so that an upgrade can go one worker at a time."""
    lose_worker(house, track(NUMBER, "m1"))
    (token,) = house.ledger.under_way()
    claim = house.ledger.request(token)
    assert isinstance(claim, Claim)
    batch_id, *rows = orjson.loads(claim.items)
    assert load_claim(orjson.dumps([batch_id, *[[*row, {"new": 1}] for row in rows]])) == load_claim(claim.items)
    assert dump_claim(*load_claim(claim.items)) == claim.items


def test_a_worker_that_stops_begins_nothing_and_hands_it_on(house: House) -> None:
    """A batch that reaches a worker that is stopping is not begun; another worker is told of it at once."""
    batch_id = house.accept(track(NUMBER, "m1"))
    house.sender.stopping.set()
    assert house.forwarder.run(batch_id) is False
    assert house.requests == []
    assert house.schedule.entries()[0].runs == 0
    assert house.schedule.promote(10) == [(batch_id, RETRY_QUEUE)]


def test_a_lost_reply_of_the_settlement_is_no_alarm(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settling script ran and its reply was lost: repeating it changes nothing and says nothing."""
    run = house.store.run
    calls = 0

    def twice(*scripts: Call) -> None:
        nonlocal calls
        if scripts[0].name == "settle":
            calls += 1
            run(*scripts)
        run(*scripts)

    monkeypatch.setattr(house.store, "run", twice)
    house.answers = [SOON]
    house.forward(track(NUMBER, "m1"))
    assert house.states() == {"scheduled": 1}
    house.run_due(10)
    assert house.states() == {"accepted": 1}
    assert calls == 2
    assert "somebody else" not in caplog.text


def test_a_claim_refused_after_its_reply_was_lost_is_taken_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim was written, its reply was lost, and another server answers the repeat: nothing is in doubt."""

    def lose(claiming: Call) -> Any:
        assert claiming.answer == [b"claimed"]
        monkeypatch.undo()
        raise StoreHeld("another server answers")

    monkeypatch.setattr(house.ledger, "blocked", lose)
    house.forward(track(NUMBER, "m1"))
    assert house.requests == []
    assert house.states() == {"scheduled": 1}
    assert house.ledger.under_way() == []
    house.run_due(6)
    assert house.states() == {"accepted": 1}
    assert len(house.requests) == 1


def one_after_the_other(house: House, monkeypatch: pytest.MonkeyPatch, between: Callable[[int], None]) -> None:
    """Let a lane be asked and its deliveries be claimed twice, as when a reply is lost; and something in between."""
    run = house.store.run

    def twice(*scripts: Call) -> None:
        if scripts[0].name != "acquire":
            run(*scripts)
            return
        monkeypatch.undo()
        for attempt in range(2):
            for script in scripts:
                run(script)
                between(attempt)

    monkeypatch.setattr(house.store, "run", twice)


def test_a_slot_that_ran_out_before_the_claim_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane said go, and its slot was cleared away before anything was claimed: the message waits, and goes once."""
    slots = house.store.keys.lane_busy("msg91:sms")
    one_after_the_other(house, monkeypatch, lambda _: house.store.client.delete(slots))
    house.forward(track(NUMBER, "m1"))
    assert house.requests == []
    assert house.states() == {"scheduled": 1}
    house.run_due(1)
    assert house.states() == {"accepted": 1}
    assert len(house.requests) == 1


def test_a_claim_whose_lane_is_full_by_the_time_of_its_repeat_is_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lane and claim were written and the reply lost until the lease was over: it never left, so it is in no doubt."""
    house.configure(
        {"name": "msg91", "authkey": "key", "default_sender": "MSGIND", "lanes": {"sms": {"concurrency": 1}}}
    )
    slots = house.store.keys.lane_busy("msg91:sms")

    def taken_by_another(attempt: int) -> None:
        if attempt == 0 and house.ledger.under_way():
            house.store.client.delete(slots)
            house.store.client.zadd(slots, {"another": house.store.now_ms() + 60_000})

    one_after_the_other(house, monkeypatch, taken_by_another)
    house.forward(track(NUMBER, "m1"))
    assert house.requests == []
    assert house.ledger.under_way() == []
    assert house.states() == {"scheduled": 1}
    house.run_due(61)
    assert house.states() == {"accepted": 1}
    assert len(house.requests) == 1


def test_a_slot_freed_before_the_waiting_batch_is_written_wakes_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane is full, and free again before what waits for it is in the schedule: it does not wait for nothing."""
    house.configure(
        {"name": "msg91", "authkey": "key", "default_sender": "MSGIND", "lanes": {"sms": {"concurrency": 1}}}
    )
    limits = LaneLimits(concurrency=1)
    now_ms = house.store.now_ms()
    house.lanes.acquire("msg91:sms", limits, token="t", lease_end_ms=now_ms + 60_000, cost=1)
    run = house.store.run

    def free(*scripts: Call) -> None:
        run(*scripts)
        if scripts[0].name == "acquire":
            monkeypatch.undo()
            assert house.lanes.release("msg91:sms", limits, token="t", ending=Ending.OK) == ""

    monkeypatch.setattr(house.store, "run", free)
    house.forward(track(NUMBER, "m1"))
    assert house.states() == {"scheduled": 1}
    assert house.run_due() == 1
    assert house.states() == {"accepted": 1}


@pytest.mark.parametrize("kind", ["events", "payloads"])
def test_a_destination_that_is_named_twice_gets_its_events_once(house: House, kind: str) -> None:
    """A producer's list of destinations may name one twice; also where a request may carry a person twice."""
    house.configure(
        {
            "name": "msg91",
            "authkey": "key",
            "segmento": {"phonebook_id": "book"},
            "mappings": "segmento-user-events",
        }
    )
    event: dict[str, Any] = {"type": "track", "event": "Seen", "messageId": "m1", "userId": "u1"}
    if kind == "payloads":
        payload = {"visitorId": "u1", "eventName": "Seen"}
        event = {"action": "record_user_events", "messageId": "m1", "payload": payload}
    house.forward(event, kind=Kind(kind), destination="msg91,msg91")
    assert house.states() == {"accepted": 1}
    assert house.reconcile().counts.created == 1


def test_a_timer_decides_about_its_own_request_alone(house: House) -> None:
    """A worker that was frozen sets a second timer; that must not cut short the grace time of the next attempt."""
    policy = {"in_doubt": "resend", "in_doubt_grace": 60}
    house.configure({"name": "msg91", "authkey": "key", "default_sender": "MSGIND", "actions": {"send_sms": policy}})

    def freeze(_: Request) -> Answer:
        assert recover(house) == 1
        house.store.ahead_ms += 39_000
        return SILENCE

    house.answers = [freeze, SILENCE]
    house.forward(track(NUMBER, "m1"))
    house.run_due(41)  # the first timer: it is sent again, on another batch
    house.run_due()
    assert len(house.requests) == 2
    house.run_due(20)  # the second timer, of the same request
    house.run_due()
    assert house.states() == {"in_doubt": 1}
    house.run_due(121)
    house.run_due()
    assert house.states() == {"accepted": 1}
    assert len(house.requests) == 3


def test_setting_this_machine_s_clock_moves_no_lease(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody sets the clock of the worker's machine, the store's clock is asked again."""
    before = house.store.now_ms()
    wall = time.time
    monkeypatch.setattr(house.store.client, "time", lambda: (int(wall()), 0))
    monkeypatch.setattr(time, "time", lambda: wall() + 7200)
    assert abs(house.store.now_ms() - before) < 5_000


class Broken:
    """Batches on a store that is away."""

    def accept(self, *_: Any, **__: Any) -> str:
        """Take nothing."""
        raise StoreUnavailable("gone")


def test_events_in_a_message_go_back_to_the_broker_while_the_store_is_away() -> None:
    """Events sent inline are not acknowledged before their claim check is taken."""
    with pytest.raises(Reject) as caught, tasks._unaccepted():
        Broken().accept()
    assert caught.value.requeue is True


def test_the_outcome_of_a_lost_request_names_its_time(house: House) -> None:
    """The attempt of a lost worker is dated when it left, not when it was missed."""
    began = house.store.now_ms()
    lose_worker(house, track(NUMBER, "m1"))
    recover(house, 3600)
    (kept,) = house.ledger.kept(house.ledger.attention(State.IN_DOUBT))
    assert kept is not None
    assert abs(kept["history"][0]["at"] - began) < 10_000


def test_a_batch_of_any_length_may_be_over_before_it_began(valkey_url: str) -> None:
    """Ten thousand events of a batch are all suppressed, and written down once, also when the batch is run again."""
    store, count = real_store(valkey_url), 10_000
    store.open()
    batches = Batches(store)
    batch = batches.begin(batches.accept(b"{}", 1))
    assert batch is not None
    sender = Sender(store, Ledger(store), Lanes(store), no_client)
    over = [
        Over(
            Delivery(
                delivery_key("msg91", f"m{at}", "track"), f"m{at}", "track", destination="msg91", action="send_sms",
                position=at,
            ),
            State.SUPPRESSED,
            "dry",
        )
        for at in range(count)
    ]  # fmt: skip
    for _ in range(2):
        assert sender.record(over, batch) == set(range(count))
        assert states(store) == {"suppressed": count}


def no_client(_destination: Destination, _family: str) -> NoReturn:
    """Nothing is to be sent."""
    raise AssertionError
