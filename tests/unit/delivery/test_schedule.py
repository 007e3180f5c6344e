"""Claim checks and the schedule: nothing accepted is ever out of sight, and nothing runs twice at once."""

from __future__ import annotations

import pytest

from tests.stores import holding
from tests.unit.delivery.conftest import LEASE, Bench, slip, slips
from worker.delivery import PRIORITY_QUEUE, RETRY_QUEUE, EventCounts, Kind, Outcome, State, Waiting

COUNTS = EventCounts(parsed=2, malformed=1, filtered=1, duplicate=0, parent=1)


def events(bench: Bench) -> dict[str, int]:
    """The event counters, without the empty ones; the identity must hold."""
    return {name: count for name, count in holding(bench.store).counts.events.items() if count}


def test_an_accepted_batch_is_queued_and_scheduled(bench: Bench) -> None:
    """Bytes, schedule entry and counters are there together."""
    batch_id = bench.batches.accept(b"1\n2\n3", 3, door="http", destination="msg91", queue="events.priority")
    assert events(bench) == {"received": 3, "queued": 3}
    (entry,) = bench.schedule.entries()
    assert (entry.batch_id, entry.kind, entry.items, entry.queue, entry.running) == (
        batch_id,
        Kind.EVENTS,
        3,
        "events.priority",
        False,
    )


def test_the_same_arrival_makes_one_batch(bench: Bench) -> None:
    """Accepting again under the same id, as a redelivered task does, changes nothing."""
    for body in (b"1", b"2"):
        bench.batches.accept(body, 1, batch_id="task")
    batch = bench.batches.begin("task")
    assert batch is not None
    assert batch.body == b"1"
    assert events(bench) == {"received": 1, "queued": 1}


def test_a_batch_is_taken_with_everything_it_was_accepted_with(bench: Bench) -> None:
    """A run gets the bytes, the counts and where they came from."""
    batch_id = bench.batches.accept(b"1\n2", 2, door="file", destination="msg91", queue="events.priority")
    batch = bench.batches.begin(batch_id)
    assert batch is not None
    assert (batch.body, batch.count, batch.door, batch.destination, batch.queue, batch.kind, batch.runs) == (
        b"1\n2",
        2,
        "file",
        "msg91",
        "events.priority",
        Kind.EVENTS,
        1,
    )


def test_a_doubled_id_ends_at_once(bench: Bench) -> None:
    """While one run has a batch no other gets it; a batch that is gone is nobody's."""
    batch = bench.events()
    assert bench.batches.begin(batch.id) is None
    assert bench.batches.finish(batch, COUNTS)
    assert bench.batches.begin(batch.id) is None
    assert events(bench) == {"received": 3, "parsed": 2, "malformed": 1, "filtered": 1, "parent": 1}


def test_a_lost_run_is_taken_over_and_fenced(bench: Bench) -> None:
    """When the lease has run out another run takes the batch, and the first can neither extend nor finish it."""
    first = bench.events()
    bench.store.pass_time(LEASE + 1)
    second = bench.batches.begin(first.id)
    assert second is not None
    assert second.runs == 2
    assert not bench.batches.extend(first)
    assert not bench.batches.postpone(first, 0)
    assert not bench.batches.finish(first, COUNTS, [b"{}"])
    assert events(bench) == {"received": 3, "queued": 3}
    assert bench.batches.finish(second, COUNTS)


def test_finishing_counts_once(bench: Bench) -> None:
    """The script that removes the batch counts its events; the same call again counts nothing."""
    batch = bench.events()
    assert bench.batches.finish(batch, COUNTS, [b'{"raw":"x"}'])
    assert not bench.batches.finish(batch, COUNTS, [b'{"raw":"x"}'])
    assert events(bench) == {"received": 3, "parsed": 2, "malformed": 1, "filtered": 1, "parent": 1}
    assert bench.store.client.xlen(bench.store.keys.malformed) == 1
    assert bench.schedule.depth() == 0


def test_a_lease_is_pushed_on(bench: Bench) -> None:
    """A run that says it is at work keeps its batch."""
    batch = bench.events()
    bench.store.pass_time(LEASE - 1)
    assert bench.batches.extend(batch)
    bench.store.pass_time(LEASE - 1)
    assert bench.batches.begin(batch.id) is None


def test_a_postponed_batch_comes_back_at_its_time(bench: Bench) -> None:
    """Handed back, it belongs to nobody and is promoted when it is due, not before."""
    batch = bench.events()
    assert bench.batches.postpone(batch, bench.store.now_ms() + 5000)
    assert bench.schedule.promote(10) == []
    bench.store.pass_time(5)
    assert bench.schedule.promote(10) == [(batch.id, RETRY_QUEUE)]
    assert bench.batches.begin(batch.id) is not None


def test_promotion_leases_longer_each_time(bench: Bench) -> None:
    """A promoted batch that nobody begins is promoted again, after 15, 30, 60 and again 60 s (the cap)."""
    batch_id = bench.batches.accept(b"1", 1)
    bench.store.pass_time(15)
    waits = []
    for _ in range(4):
        assert bench.schedule.promote(10) == [(batch_id, "events")]
        assert bench.schedule.promote(10) == []
        waits.append(round((bench.schedule.entries()[0].due_ms - bench.store.now_ms()) / 1000))
        bench.store.pass_time(waits[-1] + 0.1)
    assert waits == [15, 30, 60, 60]


def test_promotion_takes_no_more_than_there_is_room_for(bench: Bench) -> None:
    """Of many due batches the oldest go first, as many as were asked for."""
    ids = []
    for _ in range(5):
        ids.append(bench.batches.accept(b"1", 1))
        bench.store.pass_time(1)
    bench.store.pass_time(20)
    assert [one for one, _ in bench.schedule.promote(2)] == ids[:2]
    assert [one for one, _ in bench.schedule.promote(10)] == ids[2:]


def test_a_full_queue_keeps_nobody_from_another_one(bench: Bench) -> None:
    """While the queue of new events is full, retries and what somebody waits for are promoted all the same."""
    new = [bench.batches.accept(b"1", 1) for _ in range(3)]
    bench.store.pass_time(20)
    urgent = bench.batches.accept(b"1", 1, queue=PRIORITY_QUEUE)
    waiting = bench.postpone([slip(0)], seconds=1)
    bench.store.pass_time(20)
    room = {"events": 0, RETRY_QUEUE: 5, PRIORITY_QUEUE: 5}
    assert sorted(bench.schedule.promote(10, room)) == sorted([(urgent, PRIORITY_QUEUE), (waiting, RETRY_QUEUE)])
    assert bench.schedule.promote(10, {**room, "events": 5}) == []
    bench.store.pass_time(15)
    room = {"events": 5, RETRY_QUEUE: 0, PRIORITY_QUEUE: 0}
    assert sorted(one for one, _ in bench.schedule.promote(10, room)) == sorted(new)


def test_a_new_batch_whose_queue_is_full_is_not_told_of_again(bench: Bench) -> None:
    """Its message is most likely in that queue; after some minutes it counts as lost and comes back as a retry."""
    batch_id = bench.batches.accept(b"1", 1)
    bench.store.pass_time(15)
    waits = []
    while not (told := bench.schedule.promote(10, {"events": 0, RETRY_QUEUE: 5})):
        waits.append(round((bench.schedule.entries()[0].due_ms - bench.store.now_ms()) / 1000))
        bench.store.pass_time(waits[-1] + 0.1)
    assert told == [(batch_id, RETRY_QUEUE)]
    assert waits == [15, 30, 60, 60, 60, 60, 60, 60]


def test_what_was_begun_before_is_in_no_queue_any_more(bench: Bench) -> None:
    """A batch of a lost worker, or one that was handed back, does not wait for the queue of new events to be short."""
    lost = bench.events()
    handed_back = bench.batches.accept(b"1", 1)
    bench.batches.hand_back(handed_back)
    room = {"events": 0, RETRY_QUEUE: 5}
    assert bench.schedule.promote(10, room) == [(handed_back, RETRY_QUEUE)]
    bench.store.pass_time(LEASE + 0.1)
    assert (lost.id, RETRY_QUEUE) in bench.schedule.promote(10, room)


def test_handing_back_what_is_gone_makes_no_batch(bench: Bench) -> None:
    """A batch that was finished meanwhile stays finished."""
    batch = bench.events()
    assert bench.batches.finish(batch, COUNTS)
    bench.batches.hand_back(batch.id)
    assert bench.schedule.depth() == 0
    assert bench.batches.begin(batch.id) is None


def test_each_queue_gets_as_much_as_it_has_room_for(bench: Bench) -> None:
    """Of what waits the oldest go first, and what found no room stays due."""
    waiting = []
    for number in range(4):
        waiting.append(bench.postpone([slip(number)], seconds=1))
        bench.store.pass_time(1)
    bench.store.pass_time(5)
    assert bench.schedule.promote(10, {"events": 9, RETRY_QUEUE: 1}) == [(waiting[0], RETRY_QUEUE)]
    assert [one for one, _ in bench.schedule.promote(10, {"events": 9, RETRY_QUEUE: 2})] == waiting[1:3]


def test_what_has_room_is_found_behind_everything_that_has_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is due and stuck before it, a one-time password is promoted within a few rounds."""
    monkeypatch.setattr("worker.delivery.schedule.PAGE", 3)
    monkeypatch.setattr("worker.delivery.schedule.PAGES", 2)
    for number in range(17):
        bench.postpone([slip(number)], seconds=1)
    bench.store.pass_time(5)
    urgent = bench.batches.accept(b"1", 1, queue=PRIORITY_QUEUE)
    bench.store.pass_time(20)
    room = {"events": 9, RETRY_QUEUE: 0, PRIORITY_QUEUE: 9}
    rounds = [bench.schedule.promote(10, room) for _ in range(8)]
    assert [one for one in rounds if one] == [[(urgent, PRIORITY_QUEUE)]]


def test_a_batch_of_an_unknown_queue_is_promoted_to_the_common_one(bench: Bench) -> None:
    """What was accepted under a routing key of somebody else's goes where workers listen."""
    batch_id = bench.batches.accept(b"1", 1, queue="shop.events")
    bench.store.pass_time(15)
    assert bench.schedule.promote(10, {"events": 1, RETRY_QUEUE: 1, PRIORITY_QUEUE: 1}) == [(batch_id, "events")]


def test_what_runs_is_not_promoted(bench: Bench) -> None:
    """Somebody made a running batch due: it is put back to the end of its lease."""
    batch = bench.events()
    assert bench.schedule.make_due(batch.id)
    bench.store.pass_time(1)
    assert bench.schedule.promote(10) == []
    (entry,) = bench.schedule.entries()
    assert entry.running
    assert entry.due_ms > bench.store.now_ms() + 50_000


def test_a_batch_that_is_gone_leaves_the_schedule(bench: Bench) -> None:
    """An entry without a batch is struck out when it is due, or begun."""
    for ghost in ("ghost", "spirit"):
        bench.store.client.zadd(bench.store.keys.schedule, {ghost: 1})
    assert bench.batches.begin("ghost") is None
    assert bench.schedule.promote(10) == []
    assert bench.schedule.depth() == 0


def test_making_due_says_whether_there_is_such_a_batch(bench: Bench) -> None:
    """An unknown id makes no entry."""
    assert not bench.schedule.make_due("nothing")
    assert bench.schedule.depth() == 0
    batch_id = bench.postpone([slip(0)], seconds=3600)
    assert bench.schedule.make_due(batch_id)
    assert bench.schedule.promote(10) == [(batch_id, RETRY_QUEUE)]


def test_waiting_deliveries_are_scheduled_in_the_settling_step(bench: Bench) -> None:
    """The batch for those that wait holds what was given, and knows the lane it has paid."""
    waiting = Waiting(bench.store.now_ms() + 1000, b"body", 2, queue="events.priority", slot="msg91:sms")
    bench.send(slips(2), Outcome(State.SCHEDULED, "lane slot", counts=False), waiting=[waiting])
    (entry,) = bench.schedule.entries()
    assert (entry.kind, entry.items, entry.queue) == (Kind.DELIVERIES, 2, "events.priority")
    batch = bench.batches.begin(waiting.id)
    assert batch is not None
    assert (batch.body, batch.slot, batch.count) == (b"body", "msg91:sms", 0)
    assert bench.batches.finish(batch, EventCounts())
    assert bench.states() == {"scheduled": 2}


def test_looking_takes_nothing(bench: Bench) -> None:
    """A look shows a batch and whether it runs; it stays as free as it was."""
    batch_id = bench.batches.accept(b"1\n2", 2, destination="msg91")
    before, gone = bench.batches.look([batch_id, "nothing"])
    assert gone is None
    assert before is not None
    assert (before.batch.body, before.batch.destination, before.running) == (b"1\n2", "msg91", False)
    assert bench.batches.begin(batch_id) is not None
    (after,) = bench.batches.look([batch_id])
    assert after is not None
    assert after.running


def test_rewriting_replaces_exactly_what_was_looked_at(bench: Bench) -> None:
    """Other bytes take the place of those that were read; had they changed meanwhile, nothing happens."""
    batch_id = bench.batches.accept(b"one", 1)
    (look,) = bench.batches.look([batch_id])
    assert look is not None
    assert bench.batches.rewrite(look.batch, b"two")
    assert not bench.batches.rewrite(look.batch, b"three")
    batch = bench.batches.begin(batch_id)
    assert batch is not None
    assert batch.body == b"two"
    bench.batches.finish(batch, EventCounts(parsed=1, filtered=1))
    assert not bench.batches.rewrite(batch, b"four")
    assert bench.batches.look([batch_id]) == [None]
