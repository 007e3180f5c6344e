"""The schedule in an operator's hands: hurried or given up, with every event and delivery accounted for."""

from __future__ import annotations

import pytest

from tests.stores import holding
from tests.unit.operations.conftest import DOWN, SILENT, A, Desk, track
from worker.delivery import Kind, State
from worker.operations import dead_letters, schedule
from worker.operations.letters import Selection


def drop(desk: Desk, *batch_ids: str) -> list[tuple[str, int]]:
    """Drop batches; gives what became of each."""
    results = schedule.drop(desk.core, desk.destinations, batch_ids, by="asha")
    assert [one.batch_id for one in results] == list(batch_ids)
    return [(one.outcome, one.deliveries) for one in results]


def waiting(desk: Desk, *numbers: int) -> str:
    """Deliveries that wait for a retry; gives their batch."""
    desk.configure(actions={"send_sms": {"backoff_base": 60}})
    desk.bring(DOWN, *numbers)
    desk.configure()
    (entry,) = [one for one in desk.core.schedule.entries() if one.kind is Kind.DELIVERIES]
    return entry.batch_id


def events(desk: Desk) -> dict[str, int]:
    """The event counters, without the empty ones."""
    return {name: count for name, count in holding(desk.store).counts.events.items() if count}


def test_lines_say_what_waits_where_and_why(desk: Desk) -> None:
    """Kind, size, destination, and the reason of what waits."""
    batch_id = waiting(desk, A, A + 1)
    queued = desk.house.accept(track(A, "q"), destination="msg91")
    anywhere = desk.house.accept(track(A, "r"))
    found = {line.entry.batch_id: line for line in schedule.lines(desk.core, limit=10)}
    assert found[batch_id].destinations == ("msg91",)
    assert "503" in found[batch_id].why
    assert 5 < found[batch_id].due_in < 61
    assert (found[queued].entry.kind, found[queued].entry.items, found[queued].destinations) == (
        Kind.EVENTS,
        1,
        ("msg91",),
    )
    assert found[anywhere].destinations == ("*",)
    assert len(schedule.lines(desk.core, limit=2)) == 2


def test_a_hurried_batch_goes_now(desk: Desk) -> None:
    """Named by its id it is due at once; an unknown id is named in the answer."""
    batch_id = waiting(desk, A)
    result = schedule.hurry(desk.core, [batch_id, "nothing", batch_id], by="asha")
    assert (result.batches, result.missing) == (1, ["nothing"])
    assert desk.run_due() == 1
    assert desk.states() == {"accepted": 1}
    assert desk.done() == ["schedule now"]


def test_hurrying_all_leaves_timers_alone(desk: Desk) -> None:
    """A doubt is not decided before its time because somebody is in a hurry; what runs is not run twice."""
    desk.configure(actions={"send_sms": {"in_doubt": "resend", "in_doubt_grace": 3600}})
    desk.bring(SILENT, A)
    batch_id = waiting(desk, A + 1)
    running = desk.core.batches.begin(desk.house.accept(track(A, "z")))
    assert running is not None
    result = schedule.hurry_all(desk.core, by="asha")
    assert (result.batches, result.timers) == (2, 1)
    assert [one for one, _ in desk.core.schedule.promote(10)] == [batch_id]
    assert desk.core.batches.begin(running.id) is None
    assert desk.core.batches.postpone(running, desk.store.now_ms())


def test_hurrying_many(desk: Desk) -> None:
    """More than one page, each made due once; what is due already keeps its place."""
    for _ in range(1203):
        desk.house.accept(track(A, "same"))
    seen: list[int] = []
    assert schedule.hurry_all(desk.core, by="x", on_progress=seen.append).batches == 1203
    assert sum(seen) == 1203
    assert len(desk.core.schedule.promote(2000)) == 1203
    assert events(desk) == {"received": 1203, "queued": 1203}


def test_dropped_deliveries_are_dead_letters(desk: Desk) -> None:
    """What waits becomes dead, says why, keeps its payload, and the batch is gone."""
    batch_id = waiting(desk, A, A + 1)
    assert drop(desk, batch_id) == [("dropped", 2)]
    assert desk.states() == {"dead": 2}
    assert desk.core.schedule.depth() == 0
    assert {desk.record(key).reason for key in desk.core.ledger.attention(State.DEAD)} == {"dropped by operator"}
    assert drop(desk, batch_id) == [("gone", 0)]
    assert desk.done() == ["schedule drop"]


def test_dropped_events_are_counted_and_kept(desk: Desk) -> None:
    """A queued batch of events is parsed, mapped and counted as ever; what it would have sent is dead instead."""
    bad = b"{not json"
    batch_id = desk.house.accept(track(A, "1"), track(A + 1, "2"), track(A, "1"), bad, track("12345", "3"))
    assert drop(desk, batch_id) == [("dropped", 2)]
    assert desk.states() == {"dead": 2, "rejected": 1}
    assert events(desk) == {"received": 5, "parsed": 4, "malformed": 1, "duplicate": 1, "parent": 3}
    assert desk.house.requests == []


def test_what_was_dropped_can_be_replayed(desk: Desk) -> None:
    """A replay sends exactly what the batch would have sent."""
    drop(desk, desk.house.accept(track(A, "1", "first"), track(A + 1, "2", "second")))
    result = dead_letters.replay(desk.core, desk.destinations, Selection((State.DEAD,)), by="asha")
    assert result.replayed == 2
    desk.run_due()
    assert sorted(desk.house.sent) == [(str(A), "first"), (str(A + 1), "second")]
    assert desk.states() == {"accepted": 2}


def test_dropped_payloads_are_dead_letters(desk: Desk) -> None:
    """A batch of payloads that a producer gave itself is dropped like one of events."""
    item = {"action": "send_sms", "messageId": "p", "payload": {"phone": str(A), "message": "hi"}}
    batch_id = desk.house.accept(item, kind=Kind.PAYLOADS, destination="msg91")
    assert drop(desk, batch_id) == [("dropped", 1)]
    assert events(desk) == {"received": 1, "parsed": 1, "parent": 1}


def test_what_was_sent_already_is_not_dropped(desk: Desk) -> None:
    """Of a batch that a lost worker had half done, the other half is dropped."""
    desk.house.configure(
        {"name": "msg91", "authkey": "k", "default_sender": "MSGIND", "lanes": {"sms": {"recipients": 1}}}
    )
    batch_id = desk.house.accept(track(A, "1"), track(A + 1, "2"))
    first = desk.core.batches.begin(batch_id)
    assert first is not None
    resolved = desk.house.forwarder._resolve_events(first, desk.destinations)
    desk.house.sender.deliver(resolved.deliveries[:1], desk.destinations.all[0], first)
    desk.store.pass_time(61)
    assert drop(desk, batch_id) == [("dropped", 1)]
    assert desk.states() == {"accepted": 1, "dead": 1}
    assert events(desk) == {"received": 2, "parsed": 2, "parent": 2}


def test_a_running_batch_is_not_dropped(desk: Desk) -> None:
    """A worker is at it: nothing is done, and the answer says so."""
    batch = desk.core.batches.begin(desk.house.accept(track(A, "1")))
    assert batch is not None
    assert drop(desk, batch.id) == [("running", 0)]
    assert events(desk) == {"received": 1, "queued": 1}
    assert desk.done() == []


def test_a_timer_is_not_dropped(desk: Desk) -> None:
    """Doubts are decided by `in-doubt`, not by taking away their clock."""
    desk.configure(actions={"send_sms": {"in_doubt": "drop", "in_doubt_grace": 600}})
    desk.bring(SILENT, A)
    (entry,) = desk.core.schedule.entries()
    assert drop(desk, entry.batch_id, "nothing") == [("timer", 0), ("gone", 0)]
    assert desk.core.schedule.depth() == 1
    (line,) = schedule.lines(desk.core, limit=5)
    assert line.why == "timer of 1 deliveries in doubt"


@pytest.mark.parametrize("order", ["drop first", "run first"])
def test_a_dropped_batch_and_its_worker(desk: Desk, order: str) -> None:
    """Whoever begins the batch first has it; nothing is both sent and dropped."""
    batch_id = desk.house.accept(track(A, "1"))
    if order == "drop first":
        drop(desk, batch_id)
        assert not desk.house.forwarder.run(batch_id)
        assert desk.states() == {"dead": 1}
    else:
        desk.house.forwarder.run(batch_id)
        assert drop(desk, batch_id) == [("gone", 0)]
        assert desk.states() == {"accepted": 1}
