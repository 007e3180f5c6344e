"""A person is erased from everything, nobody else is touched, and every count still adds up."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.stores import holding
from tests.unit.operations.conftest import DOWN, REFUSED, SILENT, A, Desk, track
from worker.delivery import Kind, State
from worker.msg91.answers import Answer
from worker.msg91.client import Request
from worker.operations.forgetting import Erased, forget
from worker.operations.forgetting_batches import TOMBSTONE
from worker.operations.person import Person

OTHER = A + 1


def erase(desk: Desk, *, phone: str = "+91 88188 88758", user: str = "", **options: Any) -> Erased:
    """Forget somebody; the number is written unlike it was in the events."""
    person = Person.known_to(desk.destinations, phone=phone, user=user)
    return forget(desk.core, desk.destinations, person, by="asha", **options)


def wait_for_retry(desk: Desk, *numbers: int, seconds: float = 60) -> None:
    """Messages that wait for another attempt."""
    desk.configure(actions={"send_sms": {"backoff_base": seconds}})
    desk.bring(DOWN, *numbers, prefix="w")
    desk.configure()


def traces(desk: Desk) -> list[str]:
    """Where the number still stands."""
    return [line[:200] for line in desk.everything().split("\n") if "8818888758" in line or "88188 88758" in line]


def test_nothing_of_anybody_is_nothing(desk: Desk) -> None:
    """In a store that does not know them nothing is touched, and that it was asked for is noted."""
    desk.bring(DOWN, OTHER)
    before = desk.everything()
    erased = erase(desk)
    assert erased.total == 0
    assert desk.done() == ["forget"]
    assert desk.core.ledger.kept(desk.core.ledger.attention(State.DEAD)) != [None]
    assert len(desk.everything()) > len(before)  # the note


def test_what_waits_is_never_sent(desk: Desk) -> None:
    """A delivery that waits is suppressed; its neighbours in the same batch go out as ever."""
    wait_for_retry(desk, A, OTHER, A + 2)
    erased = erase(desk)
    assert erased.waiting == 1
    assert desk.states() == {"scheduled": 2, "suppressed": 1}
    (entry,) = desk.core.schedule.entries()
    assert entry.items == 2
    desk.run_due(61)
    assert desk.states() == {"accepted": 2, "suppressed": 1}
    assert [number for number, _ in desk.house.sent].count(str(A)) == 1
    assert traces(desk) == []


def test_a_batch_of_theirs_alone_goes(desk: Desk) -> None:
    """Nothing is left in the schedule when nothing is left to send."""
    wait_for_retry(desk, A)
    erase(desk)
    assert desk.core.schedule.depth() == 0
    assert desk.states() == {"suppressed": 1}
    (record,) = [desk.record(line.key) for line in list(desk.core.journal.newest_first())[:1]]
    assert record.reason == "forgotten"


@pytest.mark.parametrize(
    ("answer", "state", "count"),
    [(DOWN, "dead", "over"), (REFUSED, "rejected", "over"), (SILENT, "dead", "in_doubt")],
)
def test_what_was_kept_is_gone(desk: Desk, answer: Answer, state: str, count: str) -> None:
    """Dead and rejected stay what they are, doubts are dead, and nothing is kept of any; others keep theirs."""
    desk.bring(answer, A)
    (theirs,) = [line.key for line in desk.core.journal.newest_first()]
    (other,) = desk.bring(answer, OTHER)
    erased = erase(desk)
    assert getattr(erased, count) == 1
    assert erased.in_doubt + erased.over == 1
    assert desk.core.ledger.kept([theirs]) == [None]
    assert desk.record(theirs).state.value == state
    assert desk.core.ledger.kept([other]) != [None]
    listed = [key for one in (State.DEAD, State.REJECTED, State.IN_DOUBT) for key in desk.core.ledger.attention(one)]
    assert listed == [other]
    assert traces(desk) == []


def test_queued_events_are_replaced_in_their_places(desk: Desk) -> None:
    """Theirs become events that go nowhere; the others keep their place, and so their identity, and are sent."""
    events = [
        track(OTHER, message="one"),
        track("+91 88188-88758"),
        track(A + 2, message="three"),
        b"{broken 8818888758",
    ]
    batch_id = desk.house.accept(*events)
    erased = erase(desk)
    assert erased.queued == 2
    assert desk.states() == {"suppressed": 1}
    assert traces(desk) == []
    (look,) = desk.core.batches.look([batch_id])
    assert look is not None
    assert look.batch.body.split(b"\n") == [
        orjson.dumps(events[0]),
        TOMBSTONE,
        orjson.dumps(events[2]),
        TOMBSTONE,
    ]
    desk.house.forwarder.run(batch_id)
    assert desk.states() == {"accepted": 2, "suppressed": 1}
    assert holding(desk.store).counts.events == {
        "received": 4,
        "queued": 0,
        "parsed": 4,
        "malformed": 0,
        "filtered": 2,
        "duplicate": 0,
        "parent": 2,
    }
    assert [number for number, _ in desk.house.sent] == [str(OTHER), str(A + 2)]


def test_a_half_done_batch_sends_nothing_twice(desk: Desk) -> None:
    """Events without an id are known by their place: erasing one does not make another look new."""
    desk.configure(lanes={"sms": {"recipients": 1}})
    batch_id = desk.house.accept(*[track(n, message=str(n)) for n in (OTHER, A, A + 2)])
    first = desk.core.batches.begin(batch_id)
    assert first is not None
    resolved = desk.house.forwarder._resolve_events(first, desk.destinations)
    desk.house.sender.deliver(
        [one for one in resolved.deliveries if one.position != 1], desk.destinations.all[0], first
    )
    desk.store.pass_time(61)
    erase(desk)
    desk.house.forwarder.run(batch_id)
    assert sorted(number for number, _ in desk.house.sent) == [str(OTHER), str(A + 2)]
    assert desk.states() == {"accepted": 2, "suppressed": 1}
    assert holding(desk.store).counts.events["parent"] == 2


def test_the_same_arrival_again_finds_them_forgotten(desk: Desk) -> None:
    """A redelivery of the same events after the erasure sends nothing to them."""
    batch_id = desk.house.accept(track(A, "m"), track(OTHER, "n"))
    erase(desk)
    desk.house.forwarder.run(batch_id)
    desk.house.forward(track(A, "m"), track(OTHER, "n"))
    assert [number for number, _ in desk.house.sent] == [str(OTHER)]


def test_queued_payloads_are_emptied(desk: Desk) -> None:
    """What another producer resolved itself: its delivery is suppressed, its event stays that delivery's parent."""
    batch_id = desk.house.accept(
        {"action": "send_sms", "messageId": "p1", "payload": {"phone": "+918818888758", "message": "hi"}},
        {"action": "send_sms", "messageId": f"to-{A}", "payload": {"phone": "88188 88758", "message": "hi"}},
        {"action": "send_sms", "messageId": "p3", "payload": {"phone": str(OTHER), "message": "hi"}},
        b'"8818888758"',
        kind=Kind.PAYLOADS,
        destination="msg91",
    )
    assert erase(desk).queued == 3
    assert traces(desk) == []
    desk.house.forwarder.run(batch_id)
    assert [number for number, _ in desk.house.sent] == [str(OTHER)]
    assert desk.states() == {"accepted": 1, "suppressed": 3}
    counts = holding(desk.store).counts.events
    assert (counts["parsed"], counts["malformed"], counts["parent"]) == (3, 1, 3)


def test_the_journal_keeps_its_lines_without_their_names(desk: Desk) -> None:
    """What happened stays told; which message it was, by an id that names them, does not."""
    desk.house.forward(track(A, "m-918818888758"), track(OTHER, "n"))
    desk.house.forward(track(A, "plain"))
    erased = erase(desk)
    assert (erased.journal, erased.reports) == (2, 2)
    lines = list(desk.core.journal.newest_first())
    assert [line.message_id for line in lines] == ["", "n", ""]
    assert {line.state for line in lines} == {State.ACCEPTED}
    assert traces(desk) == []


def test_reports_on_them_are_nobodys(desk: Desk) -> None:
    """The index that joins a report to its delivery no longer knows them; it still knows the others."""
    desk.bring(Answer(REFUSED.klass.__class__.ACCEPTED, request_id="abcdefgh12345678"), A, OTHER)
    token = desk.record(next(desk.core.journal.newest_first()).key).ref
    erase(desk)
    assert desk.core.ledger.report(recipient=str(A), delivered=True, token=token).outcome == "unmatched"
    assert desk.core.ledger.report(recipient=str(OTHER), delivered=True, token=token).outcome == "recorded"
    assert desk.states() == {"accepted": 1, "delivered": 1}


def test_malformed_events_of_theirs_go(desk: Desk) -> None:
    """What could not be read and names them goes, and the count of malformed events stays."""
    desk.house.forward(
        b'{"type": "track", "properties": {"phone": "88188 88758"}',
        {"type": "purchase", "phone": A},
        {"type": "purchase", "phone": OTHER},
    )
    assert erase(desk).malformed == 2
    assert desk.store.client.xlen(desk.store.keys.malformed) == 1
    assert holding(desk.store).counts.events["malformed"] == 3
    assert traces(desk) == []


def test_a_user_is_erased_by_id(desk: Desk) -> None:
    """By the id alone: events, contacts and user events that bear it; the message to their number with them."""
    slow = {name: {"backoff_base": 60} for name in ("send_sms", "record_user_events")}
    desk.house.configure(
        {"name": "msg91", "authkey": "k", "default_sender": "MSGIND", "actions": slow},
        {
            "name": "crm",
            "authkey": "k",
            "mappings": ["segmento-user-events"],
            "segmento": {"phonebook_id": "book"},
            "actions": slow,
        },
    )
    desk.house.answers = [DOWN] * 2
    desk.house.forward(track(A, "e1", userId="user-2847"), track(OTHER, "e2", userId="user-28471"))
    assert desk.states() == {"scheduled": 4}
    erased = erase(desk, phone="", user="user-2847")
    assert erased.waiting == 2
    assert desk.states() == {"scheduled": 2, "suppressed": 2}
    assert not [line for line in desk.everything().split("\n") if '"user-2847"' in line]
    assert "user-28471" in desk.everything()


def test_a_dry_run_counts_and_touches_nothing(desk: Desk) -> None:
    """It says what would be erased, and does so exactly."""
    desk.bring(DOWN, A)
    desk.bring(SILENT, A + 2)
    wait_for_retry(desk, A + 3, OTHER)
    desk.house.forward(track(A, "done"), b"{8818888758")
    desk.house.accept(track(A, "queued"))
    before = desk.everything()
    would = erase(desk, dry=True)
    assert desk.everything() == before
    assert would.total == erase(desk).total
    assert (would.over, would.queued, would.malformed, would.reports) == (1, 1, 1, 1)


def test_erasing_again_finds_nothing(desk: Desk) -> None:
    """Idempotent: the second time there is nothing left."""
    desk.bring(DOWN, A)
    wait_for_retry(desk, A + 5, A)
    desk.house.accept(track(A, "queued"))
    assert erase(desk).total > 0
    assert erase(desk).total == 0


def test_what_is_being_sent_is_waited_for(desk: Desk) -> None:
    """A request under way cannot be called back: the erasure waits for it and then takes what it left."""
    calls: list[int] = []
    results: list[Erased] = []

    def while_sending(_request: Request) -> Answer:
        # The worker is in the middle of its request: look, then let it end without an answer.
        results.append(erase(desk, wait=lambda under_way: calls.append(under_way) or False))  # type: ignore[func-returns-value]
        return SILENT

    desk.house.answers = [while_sending]
    desk.house.forward(track(A, "m"))
    assert calls
    assert results[0].under_way > 0
    assert desk.states() == {"in_doubt": 1}
    last = erase(desk)
    assert (last.in_doubt, last.under_way) == (1, 0)
    assert desk.states() == {"dead": 1}
    assert traces(desk) == []


def test_waiting_ends_with_the_request(desk: Desk) -> None:
    """The second look comes by itself when the request is over."""
    desk.configure(lanes={"sms": {"recipients": 1}})
    batch = desk.core.batches.begin(desk.house.accept(track(A, "m")))
    assert batch is not None
    resolved = desk.house.forwarder._resolve_events(batch, desk.destinations)
    looks = 0

    def wait(_under_way: int) -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            desk.core.batches.postpone(batch, desk.store.now_ms())
        return looks < 5

    claimed: list[Erased] = []

    def while_sending(_request: Request) -> Answer:
        return SILENT

    desk.house.answers = [while_sending]
    desk.house.sender.deliver(resolved.deliveries, desk.destinations.all[0], batch)
    claimed.append(erase(desk, wait=wait))
    assert looks == 1
    assert claimed[0].under_way == 0
    assert desk.states() == {"dead": 1}
    assert traces(desk) == []


def test_a_worker_that_has_read_the_batch_finds_them_suppressed(desk: Desk) -> None:
    """It runs with the old bytes in its hands, and still sends nothing to them."""
    batch = desk.core.batches.begin(desk.house.accept(track(A, "m"), track(OTHER, "n")))
    assert batch is not None
    erased = erase(desk)
    assert erased.under_way == 1
    desk.house.forwarder._run(batch)
    assert [number for number, _ in desk.house.sent] == [str(OTHER)]
    assert desk.states() == {"accepted": 1, "suppressed": 1}
    assert erase(desk).under_way == 0
    assert traces(desk) == []
    assert holding(desk.store).counts.events["parent"] == 2


def test_many_people_and_one_goes(desk: Desk) -> None:
    """Out of hundreds, in every place, exactly one is gone."""
    people = range(A - 150, A + 150)
    for start in range(0, 300, 100):
        desk.bring(DOWN, *people[start : start + 100])
    wait_for_retry(desk, *range(A - 50, A + 1))
    desk.house.accept(*[track(n, f"q{n - A}") for n in people])
    erased = erase(desk)
    assert (erased.over, erased.waiting, erased.queued) == (1, 1, 1)
    assert traces(desk) == []
    assert len(desk.core.ledger.attention(State.DEAD)) == 299
