"""Scripts that share a round trip and shortcuts inside them: half executed, repeated, with records of every kind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.delivery.conftest import ABOUT, Bench, slip, slips
from worker.delivery import (
    Call,
    Ending,
    Expectation,
    LaneLimits,
    NotAllowed,
    Outcome,
    Record,
    Slip,
    State,
    StoreUnavailable,
    Verdict,
    Waiting,
    new_id,
)

LANE = "msg91:sms"
LIMITS = LaneLimits(concurrency=1, rate=1.0, burst=2.0)


def entering(bench: Bench, deliveries: Sequence[Slip], token: str) -> tuple[Call, Call]:
    """The two calls before a request."""
    lease_end_ms = bench.store.now_ms() + 60_000
    acquiring = bench.lanes.acquiring(
        LANE, LIMITS, token=token, lease_end_ms=lease_end_ms, cost=1, slot=False, waiter=""
    )
    claiming = bench.ledger.claiming(
        deliveries,
        token=token,
        lease_end_ms=lease_end_ms,
        origin="origin",
        from_batch="",
        about=ABOUT,
        items=b"[]",
        lane=LANE,
    )
    return acquiring, claiming


@pytest.mark.parametrize("before", [(0,), (1,), (0, 1), (1, 0), (0, 1, 0), (0, 1, 0, 1)])
def test_entering_may_be_half_done_before_it_is_repeated(bench: Bench, before: Sequence[int]) -> None:
    """Whatever of lane and claim was executed before, both together take one slot, its rate once, and one claim."""
    token = new_id()
    calls = entering(bench, slips(3), token)
    for at in before:
        bench.store.run(calls[at])
    bench.store.run(*calls)
    assert bench.lanes.grant(calls[0]).verdict is Verdict.GO
    assert bench.ledger.blocked(calls[1]) == {}
    assert bench.states() == {"sending": 3}
    assert bench.ledger.under_way() == [token]
    assert bench.lanes.status(LANE).busy == 1
    bench.lanes.release(LANE, LIMITS, token=token, ending=Ending.OK)
    # One of two units of the burst is left.
    second, third = entering(bench, [slip(10)], new_id())[0], entering(bench, [slip(11)], new_id())[0]
    bench.store.run(second)
    assert bench.lanes.grant(second).verdict is Verdict.GO
    bench.lanes.release(LANE, LIMITS, token=str(second.args[1]), ending=Ending.OK)
    bench.store.run(third)
    assert bench.lanes.grant(third).verdict is Verdict.SLOT


def test_without_a_slot_nothing_is_claimed(bench: Bench) -> None:
    """A full lane keeps the claim in the same trip from being made, and nobody takes that for a claim."""
    bench.store.run(*entering(bench, [slip(0)], new_id()))
    calls = entering(bench, [slip(1)], new_id())
    bench.store.run(*calls)
    assert bench.lanes.grant(calls[0]).verdict is Verdict.FULL
    assert bench.ledger.lacks_slot(calls[1])
    with pytest.raises(NotAllowed):
        bench.ledger.blocked(calls[1])
    assert bench.states() == {"sending": 1}


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize("outcome", [Outcome(State.ACCEPTED), Outcome(State.SCHEDULED, "503"), Outcome(State.REJECTED)])
@pytest.mark.parametrize("before", ["settle", "release", "both"])
def test_leaving_may_be_half_done_before_it_is_repeated(
    bench: Bench, ending: Ending, outcome: Outcome, before: str
) -> None:
    """Whatever of settlement and release was executed before, both together settle once and tell the lane once."""
    token, waiting = new_id(), Waiting(bench.store.now_ms(), b"[]", 3)
    bench.store.run(*entering(bench, slips(3), token))
    releasing = bench.lanes.releasing(LANE, LIMITS, token=token, ending=ending, reason="why", pause=2.0, latency=0.1)

    def settle(then: Call | None) -> None:
        bench.ledger.settle(
            slips(3),
            [outcome] * 3,
            expect=Expectation("si", token),
            about=ABOUT,
            token=token,
            waiting=[waiting] if outcome.state is State.SCHEDULED else [],
            then=then,
        )

    if before == "settle":
        settle(None)
    elif before == "release":
        bench.store.run(releasing)
    else:
        settle(releasing)
    told = bench.lanes.status(LANE)
    settle(releasing)
    if before != "settle":
        assert bench.lanes.status(LANE) == told
    assert bench.states() == {outcome.state.value: 3}
    assert bench.lanes.status(LANE).busy == 0
    assert bench.ledger.under_way() == []
    assert bench.schedule.depth() == (outcome.state is State.SCHEDULED)


def test_a_claim_sorts_records_of_every_kind(bench: Bench) -> None:
    """New, its own, waiting in its batch, waiting in another, somebody else's and over, in one call and twice."""
    own, mine, other, foreign, over, new = slips(6)
    batch = bench.postpone([mine])
    bench.postpone([other])
    bench.claim([foreign])
    bench.send([over], Outcome(State.ACCEPTED))
    token, _ = bench.claim([own])
    for _ in range(2):
        _, blocked = bench.claim([new, other, own, foreign, mine, over], token=token, batch=batch)
        assert {at: one.state for at, one in blocked.items()} == {
            1: State.SCHEDULED,
            3: State.SENDING,
            5: State.ACCEPTED,
        }
        assert bench.states() == {"sending": 4, "scheduled": 1, "accepted": 1}
    claim = bench.ledger.request(token)
    assert claim is not None
    assert set(claim.deliveries.values()) == {new.key, own.key, mine.key}
    assert [bench.record(one).attempts for one in (new, own, mine)] == [1, 1, 2]


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("kind", ["second attempt", "another token", "in doubt", "never seen"])
def test_one_that_differs_among_those_that_are_alike(bench: Bench, kind: str, place: int) -> None:
    """A request is mostly settled in one sweep; what is not like the others is looked at by itself, wherever it is."""
    deliveries = slips(5)
    odd = deliveries[place]
    batch = bench.postpone([odd]) if kind == "second attempt" else ""
    others = deliveries if batch else [one for one in deliveries if one is not odd]
    token, blocked = bench.claim(others, batch=batch)
    assert not blocked
    if kind == "another token":
        bench.claim([odd])
    elif kind == "in doubt":
        bench.doubt([odd])
    refused = bench.settle(deliveries, Outcome(State.ACCEPTED), token=token)
    assert set(refused) == (set() if batch else {place})
    assert (
        bench.states()
        == {
            "second attempt": {"accepted": 5},
            "another token": {"accepted": 4, "sending": 1},
            "in doubt": {"accepted": 4, "in_doubt": 1},
            "never seen": {"accepted": 4},
        }[kind]
    )
    assert [bench.record(one).attempts for one in others] == [2 if batch and one is odd else 1 for one in others]
    lines = [line for line in bench.journal.newest_first() if line.state is State.ACCEPTED]
    assert {line.key for line in lines} == {one.key for one in others}


@pytest.mark.parametrize("form", [1, 2])
def test_a_report_before_the_answer_to_one_of_many(bench: Bench, form: int) -> None:
    """Its answer says to send all again: that one is delivered and is not, in either format of the index."""
    bench.store.format = form
    deliveries = slips(5)
    token, _ = bench.claim(deliveries)
    early = deliveries[2]
    assert bench.ledger.report(recipient=early.recipient, delivered=True, token=token).outcome == "pending"
    bench.store.format = 2
    waiting = Waiting(bench.store.now_ms(), b"[]", 5)
    bench.settle(deliveries, Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting])
    assert bench.states() == {"scheduled": 4, "delivered": 1}
    assert bench.record(early).state is State.DELIVERED


def test_a_report_that_was_taken_does_not_hide_one_that_says_delivered(bench: Bench) -> None:
    """Two reports come before the answer, by token and by request id: what is known of its fate stays."""
    (one,) = deliveries = slips(1)
    token, _ = bench.claim(deliveries)
    assert bench.ledger.report(recipient=one.recipient, delivered=True, token=token).outcome == "pending"
    assert bench.ledger.report(recipient=one.recipient, delivered=None, request_id="r1").outcome == "early"
    bench.settle(deliveries, Outcome(State.ACCEPTED), token=token, request_id="r1")
    assert bench.states() == {"delivered": 1}


@pytest.mark.parametrize("store", ["valkey"], indirect=True)
def test_a_server_whose_memory_is_full_does_half_at_most(bench: Bench) -> None:
    """What may only delete works on a full server, so a slot is freed and nothing settled: repeating it mends that."""
    token, client = new_id(), bench.store.client
    calls = entering(bench, slips(3), token)
    outcome = Outcome(State.REJECTED, "202", b"{}")
    releasing = bench.lanes.releasing(LANE, LIMITS, token=token, ending=Ending.OK, latency=0.1)

    def settle() -> dict[int, Record | None]:
        return bench.ledger.settle(
            slips(3), [outcome] * 3, expect=Expectation("si", token), about=ABOUT, token=token, then=releasing
        )

    try:
        client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable):
            bench.store.run(*calls)
        client.config_set("maxmemory", "0")
        assert bench.states() == {}
        bench.store.run(*calls)
        client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable):
            settle()
        client.config_set("maxmemory", "0")
        assert bench.states() == {"sending": 3}
        assert settle() == {}
    finally:
        client.config_set("maxmemory", "0")
    assert bench.states() == {"rejected": 3}
    assert bench.lanes.status(LANE).busy == 0
    assert bench.ledger.under_way() == []


@pytest.mark.parametrize("store", ["valkey"], indirect=True)
def test_a_request_may_wait_in_as_many_batches_as_it_has_deliveries(bench: Bench) -> None:
    """Each of a thousand deliveries expires in another second, so each is a batch of its own."""
    now, count = bench.store.now_ms(), 1000
    waiting = [Waiting(now + 1000 * at, b"[]", 1) for at in range(count)]
    refused = bench.ledger.settle(
        slips(count),
        [Outcome(State.SCHEDULED, "lane pause", waiting=at, counts=False) for at in range(count)],
        expect=Expectation("-w", "batch"),
        about=ABOUT,
        origin="origin",
        waiting=waiting,
    )
    assert refused == {}
    assert bench.states() == {"scheduled": count}
    assert bench.schedule.depth() == count
    assert [bench.record(slip(at)).ref for at in (0, 499, 999)] == [waiting[at].id for at in (0, 499, 999)]
