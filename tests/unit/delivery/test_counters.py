"""The identity, the recount behind it, and records whose life ends."""

from __future__ import annotations

import pytest

from tests.stores import ClockedStore, holding
from tests.unit.delivery.conftest import ABOUT, Bench, slip, slips
from worker.delivery import (
    EventCounts,
    Expectation,
    Keys,
    Outcome,
    State,
    Waiting,
    fold,
    read_counts,
    reconcile,
    sweep,
)
from worker.delivery import counters as module

ACCEPTED = Outcome(State.ACCEPTED)
LONG_AGO = -100 * 86_400.0


def test_an_empty_store_adds_up(bench: Bench) -> None:
    """Nothing came in, nothing went out; the public form has every name."""
    found = reconcile(bench.store)
    assert found.holds
    document = found.as_json()
    assert document["holds"] is True
    assert document["created"] == 0
    assert set(document["states"]) == {state.value for state in State}
    assert set(document["events"]) == {
        "received",
        "queued",
        "parsed",
        "malformed",
        "filtered",
        "duplicate",
        "parent",
    }


def test_every_state_is_counted(bench: Bench) -> None:
    """One delivery in each state that a worker can bring about."""
    bench.claim([slip(0)])
    bench.postpone([slip(1)])
    bench.doubt([slip(2)])
    token = bench.send(slips(3, 3), ACCEPTED)
    bench.ledger.report(recipient=slip(4).recipient, delivered=True, token=token)
    bench.ledger.report(recipient=slip(5).recipient, delivered=False, token=token)
    for number, state in ((6, State.DEAD), (7, State.REJECTED), (8, State.EXPIRED)):
        bench.send([slip(number)], Outcome(state, "why", b"{}"))
    bench.ledger.settle([slip(9)], [Outcome(State.SUPPRESSED, "dry")], expect=Expectation("-"), about=ABOUT)
    assert bench.states() == {state.value: 1 for state in State}
    assert holding(bench.store).counts.created == 10


@pytest.mark.parametrize(
    ("field", "amount", "word"),
    [
        ("state:a", 1, "created"),
        ("created", 1, "created"),
        ("events:parsed", 1, "events"),
        ("events:received", -1, "events"),
    ],
)
def test_a_wrong_counter_is_found(bench: Bench, field: str, amount: int, word: str) -> None:
    """A counter that does not fit breaks the identity, and the problem says which."""
    bench.send(slips(2), ACCEPTED)
    bench.store.client.hincrby(bench.store.keys.counters, field, amount)
    found = reconcile(bench.store)
    assert not found.holds
    assert word in " ".join(found.problems)
    bench.store.client.hincrby(bench.store.keys.counters, field, -amount)


def test_a_lost_record_is_found(bench: Bench) -> None:
    """The counters add up, but a record is missing: the recount says so."""
    bench.send(slips(2), ACCEPTED)
    name = bench.store.keys.record(slip(0).key)
    value = bench.store.client.get(name)
    assert value is not None
    bench.store.client.delete(name)
    found = reconcile(bench.store)
    assert found.problems == ("accepted: the counter says 2, 1 were found",)
    bench.store.client.set(name, value)


def test_a_lost_batch_is_found(bench: Bench) -> None:
    """Events whose batch is gone are missing from the queue."""
    batch = bench.events(3)
    name = bench.store.keys.batch(batch.id)
    bench.store.client.hset(name, "count", 1)
    assert reconcile(bench.store).problems == ("queued: the counter says 3, 1 were found",)
    bench.store.client.hset(name, "count", 3)


def test_other_namespaces_are_not_counted(bench: Bench) -> None:
    """Two installations on one server know nothing of each other."""
    bench.send(slips(2), ACCEPTED)
    other = ClockedStore(bench.store.client, bench.store.keys.namespace + "x")
    assert reconcile(other).counts.created == 0
    assert Keys("a").record("k") != Keys("b").record("k")


def test_what_moves_and_comes_back_is_seen_to_move(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the records are counted one goes out and another comes back: the counters look as before, the count is off.

    That is motion, not a broken identity.
    """
    batch_id = bench.postpone([slip(0)])
    token, _ = bench.claim([slip(1)])
    count = module._count_records

    def count_while_moving(*arguments: object) -> object:
        letters, queued = count(*arguments)  # type: ignore[arg-type]
        bench.claim([slip(0)], batch=batch_id)
        waiting = Waiting(bench.store.now_ms() + 1000, b"[]", 1)
        bench.settle([slip(1)], Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting])
        letters["w"] += 1  # as if it had been seen before and after
        letters["s"] -= 1
        return letters, queued

    monkeypatch.setattr(module, "_count_records", count_while_moving)
    found = reconcile(bench.store)
    assert found.moving
    assert found.holds, found.problems
    monkeypatch.undo()


def test_records_that_end_while_they_are_counted_count_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the full hour a record counted as alive becomes one of the past: it is counted again."""
    bench.send(slips(2), ACCEPTED)
    count, calls = module._count_records, 0

    def count_until_the_hour(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        result = count(*arguments)  # type: ignore[arg-type]
        if calls == 1:
            (field,) = bench.store.client.hkeys(bench.store.keys.folding)
            bench.store.client.hset(bench.store.keys.folding, "1:a", 2)
            bench.store.client.hdel(bench.store.keys.folding, field)
            bench.store.client.delete(*[bench.store.keys.record(slip(n).key) for n in range(2)])
        return result

    monkeypatch.setattr(module, "_count_records", count_until_the_hour)
    found = reconcile(bench.store)
    assert calls == 2
    assert found.holds, found.problems
    assert found.recounted[State.ACCEPTED] == 2


def test_expired_records_stay_in_the_sum(bench: Bench) -> None:
    """Records that the server has dropped are counted by the hour they ended in; nothing is recounted away."""
    bench.store.pass_time(LONG_AGO)
    bench.send(slips(3), ACCEPTED)
    bench.send([slip(3)], Outcome(State.DEAD, "x", b"{}"))
    bench.store.pass_time(-LONG_AGO)
    assert bench.ledger.records([slip(0).key]) == [None]
    assert bench.states() == {"accepted": 3, "dead": 1}
    assert sum(holding(bench.store).counts.folded.values()) == 4


def test_folding_moves_past_hours_to_the_total(bench: Bench) -> None:
    """The hours that are over become one number for each state, and the identity does not notice."""
    for day in (-100, -99, -98):
        bench.store.ahead_ms = day * 86_400_000
        bench.send([slip(day)], ACCEPTED)
    bench.store.ahead_ms = 0
    bench.send([slip(0)], ACCEPTED)
    before = read_counts(bench.store)
    assert bench.store.client.hlen(bench.store.keys.folding) == 4
    assert fold(bench.store) == 3
    assert bench.store.client.hlen(bench.store.keys.folding) == 2
    assert bench.store.client.hget(bench.store.keys.folding, "past:a") == b"3"
    after = read_counts(bench.store)
    assert (before.states, before.folded) == (after.states, after.folded)
    assert fold(bench.store) == 0
    assert bench.states() == {"accepted": 4}


def test_the_same_event_after_its_life_is_a_new_delivery(bench: Bench) -> None:
    """When the record is gone the event is sent again, and both are counted."""
    bench.store.pass_time(LONG_AGO)
    bench.send([slip(0)], ACCEPTED)
    bench.store.pass_time(-LONG_AGO)
    bench.send([slip(0)], ACCEPTED)
    assert bench.states() == {"accepted": 2}


def test_a_report_moves_the_hour_along(bench: Bench) -> None:
    """A terminal record that changes its state lives from then on; its old hour is not counted any more."""
    token = bench.send([slip(0)], ACCEPTED)
    bench.store.pass_time(7200)
    bench.ledger.report(recipient=slip(0).recipient, delivered=True, token=token)
    (field,) = bench.store.client.hgetall(bench.store.keys.folding).items()
    assert field[0].endswith(b":d")
    assert field[1] == b"1"


def test_what_has_expired_needs_no_attention(bench: Bench) -> None:
    """Dead letters whose records are gone leave the list; the others stay, and so does what is in doubt."""
    bench.store.pass_time(LONG_AGO)
    for number in range(5):
        bench.send([slip(number)], Outcome(State.DEAD, "x", b"{}"))
    bench.store.pass_time(-LONG_AGO)
    bench.send([slip(5)], Outcome(State.DEAD, "x", b"{}"))
    bench.doubt([slip(6)])
    assert sweep(bench.store, size=2) == 5
    assert bench.ledger.attention(State.DEAD) == [slip(5).key]
    assert bench.ledger.attention(State.IN_DOUBT) == [slip(6).key]
    assert sweep(bench.store) == 0


def test_events_of_every_kind_add_up(bench: Bench) -> None:
    """Received is queued, parsed and malformed; parsed is filtered, duplicate and parent."""
    for _ in range(2):
        batch = bench.events(10)
        bench.batches.finish(batch, EventCounts(parsed=8, malformed=2, filtered=3, duplicate=1, parent=4))
    bench.events(5)
    counts = holding(bench.store).counts
    assert counts.events == {
        "received": 25,
        "queued": 5,
        "parsed": 16,
        "malformed": 4,
        "filtered": 6,
        "duplicate": 2,
        "parent": 8,
    }
