"""A batch on its way through the house: what is sent, what is counted, what is kept."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.unit.forwarding.conftest import ACCEPTED, House, track
from worker.delivery import Kind, State
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request

A = 918818888758


def answer(klass: AnswerClass, **values: object) -> Answer:
    """An answer of some class."""
    return Answer(klass, **values)  # type: ignore[arg-type]


def test_the_four_calls_become_sms(house: House) -> None:
    """Identify reads traits, the other three calls read properties; all become one SMS each."""
    fields = {"phone": A, "firstName": "John", "message": "Thanks", "senderID": "MSGIND"}
    house.forward(
        {"type": "identify", "messageId": "1", "traits": fields},
        {"type": "track", "event": "E", "messageId": "2", "properties": {**fields, "phone": A + 1}},
        {"type": "page", "name": "Home", "messageId": "3", "properties": {**fields, "phone": A + 2}},
        {"type": "screen", "name": "Home", "messageId": "4", "properties": {**fields, "phone": A + 3}},
    )
    assert house.states() == {"accepted": 4}
    assert [(str(A + n), "Thanks") for n in range(4)] == house.sent
    assert len(house.requests) == 1


def test_a_request_carries_no_number_twice(house: House) -> None:
    """Two messages to one number go in two requests, so that a report can be joined by number."""
    house.forward(track(A, "1", "one"), track(A, "2", "two"))
    assert [[(str(A), "one")], [(str(A), "two")]] == [
        [(to, sms["message"]) for sms in one["sms"] for to in sms["to"]] for one in house.requests
    ]


def test_requests_are_as_large_as_the_lane_says(house: House) -> None:
    """No request has more recipients than the lane's ``recipients``."""
    house.configure({"name": "msg91", "authkey": "k", "lanes": {"sms": {"recipients": 3}}})
    house.forward(*[track(A + n, str(n)) for n in range(7)])
    assert [len([to for sms in one["sms"] for to in sms["to"]]) for one in house.requests] == [3, 3, 1]


def test_a_bad_event_does_not_touch_its_neighbours(house: House) -> None:
    """What cannot be read is malformed, what cannot be sent is rejected, the others are sent."""
    house.forward(
        track(A, "1"),
        b"{not json",
        {"type": "purchase", "messageId": "2"},
        {"type": "track", "messageId": "3"},
        track(12345, "4"),
        {"type": "group", "groupId": "g", "messageId": "5"},
    )
    assert house.states() == {"accepted": 1, "rejected": 1}
    assert house.events() == {"received": 6, "parsed": 3, "malformed": 3, "filtered": 1, "parent": 2}
    malformed = house.store.client.xrange(house.store.keys.malformed)
    assert len(malformed) == 3


def test_a_rejected_event_keeps_its_reason_and_event(house: House) -> None:
    """A payload that fails validation is a delivery in ``rejected`` with every field error and the event."""
    house.forward(track("12345", "m"))
    (kept,) = house.ledger.kept(house.ledger.attention(State.REJECTED))
    assert kept is not None
    assert {"phone"} == {error["field"] for error in kept["history"][0]["errors"]}
    assert kept["event"]["type"] == "track"
    assert "12345" not in str(kept["history"])


def test_the_same_event_twice_is_sent_once(house: House) -> None:
    """Duplicates in a batch and across batches are counted, not sent."""
    house.forward(track(A, "m"), track(A, "m"))
    house.forward(track(A, "m"))
    assert [(str(A), "hello")] == house.sent
    assert house.events() == {"received": 3, "parsed": 3, "parent": 1, "duplicate": 2}


def test_equal_events_without_ids_stay_two(house: House) -> None:
    """Two equal events without a ``messageId`` are two events."""
    house.forward(track(A), track(A))
    assert len(house.sent) == 2


def test_the_integrations_object_is_honoured(house: House) -> None:
    """``All: false`` blocks unless the destination is named; an object is yes; the own name wins over MSG91."""
    house.forward(
        track(A, "1", "no", integrations={"All": False}),
        track(A + 1, "2", "yes", integrations={"All": False, "MSG91": True}),
        track(A + 2, "3", "no", integrations={"MSG91": False}),
        track(A + 3, "4", "yes", integrations={"All": False, "msg91": {"flash": 1}}),
        track(A + 4, "5", "no", integrations={"MSG91": True, "msg91": False}),
    )
    assert [(str(A + 1), "yes"), (str(A + 3), "yes")] == house.sent
    assert house.events()["filtered"] == 3


def test_a_dry_destination_sends_nothing(house: House) -> None:
    """In ``dry`` mode every delivery is suppressed; on an allow list only those outside it."""
    house.configure(
        {"name": "dry", "authkey": "k", "mode": "dry"},
        {"name": "test", "authkey": "k", "mode": "allow-list", "allow_list": [str(A)]},
    )
    house.forward(track(A, "1"), track(A + 1, "2"))
    assert house.states() == {"suppressed": 3, "accepted": 1}
    assert [(str(A), "hello")] == house.sent


def test_a_stale_event_expires(house: House) -> None:
    """The time to live runs from the event's own timestamp."""
    house.configure({"name": "msg91", "authkey": "k", "actions": {"send_sms": {"time_to_live": "5m"}}})
    house.forward(track(A, "old", timestamp="2024-01-01T00:00:00Z"))
    assert house.states() == {"expired": 1}
    assert house.requests == []


def test_waiting_for_a_lane_is_bounded_by_the_time_to_live(house: House) -> None:
    """What waits for a closed lane longer than its time to live expires instead of being sent late."""
    house.configure({"name": "msg91", "authkey": "k", "actions": {"send_sms": {"time_to_live": "5m"}}})
    house.lanes.pause("msg91:sms", "maintenance", seconds=600)
    house.forward(track(A, "m"))
    assert house.states() == {"scheduled": 1}
    house.run_due(601)
    assert house.states() == {"expired": 1}
    assert house.requests == []


def test_throttling_pauses_the_lane_and_costs_no_attempt(house: House) -> None:
    """After a 429 nothing leaves before Retry-After, for no batch, and the attempt is not counted."""
    house.answers = [answer(AnswerClass.THROTTLED, status=429, retry_after=30.0)]
    house.forward(track(A, "1"))
    house.forward(track(A + 1, "2"))
    assert len(house.requests) == 1
    assert house.states() == {"scheduled": 2}
    house.run_due(29)
    assert len(house.requests) == 1
    house.run_due(2)
    assert house.states() == {"accepted": 2}
    assert [record.attempts for record in house.ledger.records(all_keys(house)) if record] == [1, 1]


def all_keys(house: House) -> list[str]:
    """Keys of all deliveries."""
    return [
        name.decode()[-20:] for name in house.store.client.keys(house.store.keys.record_prefix.replace("{", "?") + "*")
    ]


def test_a_retry_sends_the_text_of_the_first_attempt(house: House) -> None:
    """A changed mapping does not change what is waiting: the resolved payload is kept."""
    house.answers = [answer(AnswerClass.RETRY, status=503)]
    house.forward(track(A, "1", "before"))
    (house.folder / "new.yaml").write_text(
        'mappings:\n  - name: track\n    action: send_sms\n    trigger: type = "track"\n'
        "    mapping: {phone: {'@path': $.properties.phone}, message: after, senderID: MSGIND}\n"
    )
    house.configure({"name": "msg91", "authkey": "k", "mappings": str(house.folder / "new.yaml")})
    house.run_due(120)
    assert [(str(A), "before"), (str(A), "before")] == house.sent
    assert house.states() == {"accepted": 1}


@pytest.mark.parametrize("klass", [AnswerClass.RECIPIENT, AnswerClass.REQUEST])
def test_one_culprit_is_found_by_splitting(house: House, klass: AnswerClass) -> None:
    """A refusal that one recipient may have caused splits the request until the culprit stands alone."""
    bad = str(A + 5)

    def judge(request: Request) -> Answer:
        return answer(klass, status=200, code="202") if bad.encode() in (request.body or b"") else ACCEPTED

    house.answers = [judge] * 40
    house.forward(*[track(A + n, str(n)) for n in range(16)])
    while house.run_due(1):
        pass
    assert house.states() == {"accepted": 15, "rejected": 1}
    (kept,) = house.ledger.kept(house.ledger.attention(State.REJECTED))
    assert kept is not None
    assert bad == kept["recipient"]
    assert len(house.requests) <= 10


def test_unknown_outcomes_are_in_doubt_and_held(house: House) -> None:
    """A message that may have been taken is in doubt, with payload and event, and is not sent again by time alone."""
    house.answers = [answer(AnswerClass.UNKNOWN, code="read_timeout")]
    house.forward(track(A, "1"))
    house.run_due(7 * 86400)
    assert house.states() == {"in_doubt": 1}
    assert len(house.requests) == 1
    (kept,) = house.ledger.kept(house.ledger.attention(State.IN_DOUBT))
    assert kept is not None
    assert kept["payload"]["message"] == "hello"


@pytest.mark.parametrize(("policy", "expected", "requests"), [("resend", "accepted", 2), ("drop", "dead", 1)])
def test_doubt_ends_by_policy_after_the_grace_time(house: House, policy: str, expected: str, requests: int) -> None:
    """``resend`` sends again, ``drop`` gives up, neither before the grace time."""
    house.configure(
        {"name": "msg91", "authkey": "k", "actions": {"send_sms": {"in_doubt": policy, "in_doubt_grace": "10m"}}}
    )
    house.answers = [answer(AnswerClass.UNKNOWN, code="read_timeout")]
    house.forward(track(A, "1"))
    house.run_due(300)
    assert house.states() == {"in_doubt": 1}
    house.run_due(600)
    house.run_due(1)
    assert {expected: 1} == house.states()
    assert requests == len(house.requests)


def test_a_report_settles_doubt(house: House) -> None:
    """A delivery report proves an in-doubt send: it is delivered, and a timer that fires later changes nothing."""
    house.configure({"name": "msg91", "authkey": "k", "actions": {"send_sms": {"in_doubt": "resend"}}})
    house.answers = [answer(AnswerClass.UNKNOWN, code="read_timeout")]
    house.forward(track(A, "1"))
    token = house.requests[0]["CRQID"]
    assert house.ledger.report(recipient=str(A), delivered=True, token=token).outcome == "settled"
    house.run_due(3600)
    assert house.states() == {"delivered": 1}
    assert len(house.requests) == 1


def test_what_is_safe_to_repeat_is_retried_instead_of_doubted(house: House) -> None:
    """User events and contacts whose outcome is unknown are sent again."""
    house.configure(
        {"name": "msg91", "authkey": "k", "mappings": "segmento-user-events", "segmento": {"phonebook_id": "7"}}
    )
    house.answers = [answer(AnswerClass.UNKNOWN, code="read_timeout")]
    house.forward({"type": "track", "event": "Order", "userId": "u-1", "messageId": "1", "properties": {"a": 1}})
    assert house.states() == {"scheduled": 1}
    house.run_due(3600)
    assert house.states() == {"accepted": 1}


@pytest.mark.parametrize(("policy", "state"), [("hold", "in_doubt"), ("drop", "dead")])
def test_what_is_safe_to_repeat_is_doubted_where_somebody_said_so(house: House, policy: str, state: str) -> None:
    """A policy set for user events is obeyed as for everything else."""
    house.configure(
        {
            "name": "msg91",
            "authkey": "k",
            "mappings": "segmento-user-events",
            "segmento": {"phonebook_id": "7"},
            "actions": {"record_user_events": {"in_doubt": policy}},
        }
    )
    house.answers = [answer(AnswerClass.UNKNOWN, code="read_timeout")]
    house.forward({"type": "track", "event": "Order", "userId": "u-1", "messageId": "1", "properties": {"a": 1}})
    assert house.states() == {"in_doubt": 1}
    house.run_due(3600)
    assert house.states() == {state: 1}
    assert len(house.requests) == 1


def test_311_is_accepted_only_after_an_attempt_of_the_same_delivery(house: House) -> None:
    """A duplicate refusal proves an earlier attempt only if that attempt may have left within ten seconds."""
    duplicate = answer(AnswerClass.DUPLICATE, status=200, code="311", retry_after=10.0)
    house.answers = [duplicate]
    house.forward(track(A, "1"))
    assert house.states() == {"scheduled": 1}
    house.run_due(60)
    assert house.states() == {"accepted": 1}
    assert len(house.requests) == 2


def test_a_doubled_batch_id_ends_at_once(house: House) -> None:
    """A batch runs under one token; its id arriving again, during or after, does nothing."""
    batch_id = house.accept(track(A, "1"))
    house.answers = [lambda _r: (house.forwarder.run(batch_id), ACCEPTED)[1]]
    assert house.forwarder.run(batch_id)
    assert not house.forwarder.run(batch_id)
    assert len(house.requests) == 1


def test_a_batch_that_died_half_way_is_finished_without_sending_twice(house: House) -> None:
    """A second run of a batch sends only what the first did not, and counts the events once."""
    house.configure({"name": "msg91", "authkey": "k", "lanes": {"sms": {"recipients": 1}}})
    batch_id = house.accept(track(A, "1"), track(A + 1, "2"), track(A + 2, "3"))

    def die(_request: Request) -> Answer:
        raise KeyboardInterrupt

    house.answers = [ACCEPTED, die]
    with pytest.raises(KeyboardInterrupt):
        house.forwarder.run(batch_id)
    assert house.states() == {"accepted": 1, "sending": 1}
    house.run_due(61)
    assert house.events()["queued"] == 3  # the lost request is still somebody's: the batch stays
    from worker.recovery import recover_abandoned

    house.store.ahead_ms += 61_000
    assert house.destinations is not None
    recover_abandoned(house.sender, house.destinations)
    assert house.states() == {"accepted": 2, "in_doubt": 1}
    (kept,) = house.ledger.kept(house.ledger.attention(State.IN_DOUBT))
    assert kept is not None
    assert kept["event"]["messageId"] == "2"
    house.run_due(200)
    assert house.events() == {"received": 3, "parsed": 3, "parent": 3}
    assert sorted([(str(A), "hello"), (str(A + 1), "hello"), (str(A + 2), "hello")]) == sorted(house.sent)


def test_a_full_lane_wakes_the_batch_that_waits(house: House) -> None:
    """What waits for a free slot is woken when one is freed."""
    house.configure({"name": "msg91", "authkey": "k", "lanes": {"sms": {"concurrency": 1}}})
    second = house.accept(track(A + 1, "2"))
    house.answers = [lambda _r: (house.forwarder.run(second), ACCEPTED)[1]]
    house.forward(track(A, "1"))
    assert house.states() == {"accepted": 1, "scheduled": 1}
    assert len(house.woken) == 1
    assert house.forwarder.run(house.woken[0])
    assert house.states() == {"accepted": 2}


def test_a_rate_is_kept_by_reserving_slots(house: House) -> None:
    """With 2 requests a second the third waits for exactly its time, and pays only once."""
    house.configure({"name": "msg91", "authkey": "k", "lanes": {"sms": {"recipients": 1, "rate": 2, "burst": 1}}})
    house.forward(*[track(A + n, str(n)) for n in range(4)])
    assert len(house.requests) == 1
    due = [entry.due_ms for entry in house.schedule.entries()]
    assert [round((after - before) / 10) * 10 for before, after in pairwise(due)] == [500, 500]
    house.run_due(0.51)
    assert len(house.requests) == 2
    house.run_due(5)
    assert house.states() == {"accepted": 4}


def test_a_destination_that_left_the_configuration_makes_its_deliveries_dead(house: House) -> None:
    """What waits for a destination that is no longer configured is dead and says so, with its payload."""
    house.answers = [answer(AnswerClass.RETRY, status=503)]
    house.forward(track(A, "1"))
    house.configure({"name": "other", "authkey": "k"})
    house.run_due(3600)
    assert house.states() == {"dead": 1}
    (kept,) = house.ledger.kept(house.ledger.attention(State.DEAD))
    assert kept is not None


def test_events_for_an_unknown_destination_wait_for_it(house: House) -> None:
    """A batch for a destination that is not configured stays in the schedule and goes out once it is."""
    house.forward(track(A, "1"), destination="later")
    assert house.events()["queued"] == 1
    assert house.requests == []
    house.configure({"name": "later", "authkey": "k"})
    house.run_due(60)
    assert house.states() == {"accepted": 1}


def test_a_failing_batch_comes_back_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the way loses nothing: the batch stays and runs again."""
    batch_id = house.accept(track(A, "1"))
    with monkeypatch.context() as patch:
        patch.setattr(house.sender, "deliver", lambda *_a, **_k: 1 / 0)
        house.forwarder.run(batch_id)
    assert house.events()["queued"] == 1
    house.run_due(60)
    assert house.states() == {"accepted": 1}


def test_payloads_of_other_producers_take_the_same_way(house: House) -> None:
    """Resolved payloads are checked, sent once, and counted like events."""
    item = {"action": "send_sms", "messageId": "p-1", "payload": {"phone": A, "message": "hi", "senderID": "MSGIND"}}
    bad = {"action": "send_smoke", "payload": {}}
    house.forward(item, bad, kind=Kind.PAYLOADS, destination="msg91")
    house.forward(item, kind=Kind.PAYLOADS, destination="msg91")
    assert [(str(A), "hi")] == house.sent
    assert house.events() == {"received": 3, "parsed": 2, "malformed": 1, "parent": 1, "duplicate": 1}


def test_shutdown_hands_back_what_has_not_left(house: House) -> None:
    """Once the worker stops, no new request leaves, and the batch is due again at once."""
    house.configure({"name": "msg91", "authkey": "k", "lanes": {"sms": {"recipients": 1}}})
    house.answers = [lambda _r: (house.sender.stopping.set(), ACCEPTED)[1]]
    house.forward(*[track(A + n, str(n)) for n in range(3)])
    assert house.states() == {"accepted": 1}
    house.sender.stopping.clear()
    house.run_due(0.01)
    assert house.states() == {"accepted": 3}
    assert len(house.sent) == 3


def test_a_report_that_comes_before_the_answer_waits_for_it(house: House) -> None:
    """A report by MSG91's request id may overtake the answer that tells us the id: it is applied when that comes."""

    def report_first(_request: Request) -> Answer:
        found = house.ledger.report(recipient=str(A), delivered=True, request_id=ACCEPTED.request_id or "").outcome
        assert found == "early"
        return ACCEPTED

    house.answers = [report_first]
    house.forward(track(A, "1"))
    assert house.states() == {"delivered": 1}


def test_a_report_without_a_number_joins_a_request_of_one(house: House) -> None:
    """Reports that carry the correlation id alone are joined where it can mean one message only."""
    house.forward(track(A, "1"))
    house.forward(track(A + 1, "2"), track(A + 2, "3"))
    one, two = (request["CRQID"] for request in house.requests)
    assert house.ledger.report(recipient="", delivered=False, token=one, reason="absent").outcome == "recorded"
    assert house.ledger.report(recipient="", delivered=True, token=two).outcome == "unmatched"
    assert house.states() == {"accepted": 2, "undelivered": 1}
