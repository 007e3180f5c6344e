"""Following a run: counted by the records themselves, each delivery once, in bounded memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stores import ClockedStore
from worker.delivery import (
    Batches,
    EventCounts,
    Expectation,
    Journal,
    Lanes,
    Ledger,
    Outcome,
    Schedule,
    Slip,
    State,
    Waiting,
    delivery_key,
    new_id,
)
from worker.destinations import load_destinations
from worker.intake import follow
from worker.intake.follow import Follower
from worker.runtime import Core

ABOUT = "msg91|send_sms"


@pytest.fixture
def core(store: ClockedStore) -> Core:
    """An empty store and its parts."""
    return Core(store, Batches(store), Ledger(store), Lanes(store), Schedule(store), Journal(store))


@pytest.fixture
def follower(core: Core) -> Iterator[Follower]:
    """A follower of events for one destination with the preset ``segment-msg91``."""
    with Follower(core, load_destinations(None, {"MSG91_AUTHKEY": "a-key-for-tests"})) as made:
        yield made


def accept(core: Core, follower: Follower, *message_ids: str) -> str:
    """Accept a batch of events and note it."""
    batch_id = core.batches.accept(b"\n".join([b"{}"] * len(message_ids)), len(message_ids))
    follower.note(batch_id, message_ids)
    return batch_id


def settle(core: Core, batch_id: str, state: State, *message_ids: str, reason: str = "") -> None:
    """Make deliveries of a batch and bring them into a state, as a worker does."""
    slips = [Slip(delivery_key("msg91", one, "track"), one, "track", one) for one in message_ids]
    waiting = [Waiting(core.store.now_ms() + 60_000, b"[]", len(slips))] if state is State.SCHEDULED else []
    core.ledger.settle(
        slips,
        [Outcome(state, reason)] * len(slips),
        expect=Expectation("-w"),
        about=ABOUT,
        origin=batch_id[:8],
        waiting=waiting,
    )


def finish(core: Core, batch_id: str) -> None:
    """A worker is done with a batch."""
    batch = core.batches.begin(batch_id)
    assert batch is not None
    core.batches.finish(batch, EventCounts(parsed=batch.count, filtered=batch.count))


def outcomes(follower: Follower) -> dict[tuple[str, str], int]:
    """What was counted, by state and reason."""
    return {(one.state.value, one.reason): count for one, count in follower.result.outcomes.items()}


def test_each_delivery_is_counted_once_when_all_has_ended(core: Core, follower: Follower) -> None:
    """States and reasons are those of the records; an event without any delivery fits no mapping."""
    batch_id = accept(core, follower, "a", "b", "c", "d")
    settle(core, batch_id, State.SUPPRESSED, "a", "b", reason="dry")
    settle(core, batch_id, State.REJECTED, "c", reason="invalid: phone")
    finish(core, batch_id)
    result = follower.wait(5)
    assert result.finished
    assert (result.parents, result.filtered, result.queued, result.trouble) == (3, 1, 0, 1)
    assert outcomes(follower) == {("suppressed", "dry"): 2, ("rejected", "invalid: phone"): 1}


def test_a_repeated_id_is_a_duplicate_wherever_it_stands(core: Core, follower: Follower) -> None:
    """Twice in a batch, in two batches, or sent by somebody else before: one delivery, all others duplicates."""
    settle(core, "somebody", State.SUPPRESSED, "old")
    first = accept(core, follower, "a", "a", "old")
    second = accept(core, follower, "a", "b")
    settle(core, second, State.SUPPRESSED, "a", "b")
    for batch_id in (first, second):
        finish(core, batch_id)
    result = follower.wait(5)
    assert (result.parents, result.duplicates, result.filtered) == (2, 3, 0)
    assert sum(result.outcomes.values()) == 2


def test_what_is_not_over_is_waited_for(core: Core, follower: Follower) -> None:
    """A batch in the schedule, then a delivery that waits: neither is an end; the last of them ends the waiting."""
    batch_id = accept(core, follower, "a")
    looks: list[str] = []

    def move(result: Any) -> None:
        looks.append("look")
        if len(looks) == 2:
            settle(core, batch_id, State.SCHEDULED, "a", reason="HTTP 503")
        if len(looks) == 4:
            finish(core, batch_id)
        if len(looks) == 6:
            settle(core, batch_id, State.EXPIRED, "a", reason="time to live ran out")

    result = follower.wait(20, on_progress=move, pause=0.001)
    assert result.finished
    assert len(looks) >= 6
    assert outcomes(follower) == {("expired", "time to live ran out"): 1}


def test_when_time_is_up_everything_is_counted_as_it_stands(core: Core, follower: Follower) -> None:
    """What is queued, what waits and what has ended: all of it is in the result, and nothing twice."""
    accept(core, follower, "a", "b")
    begun = accept(core, follower, "c", "d")
    settle(core, begun, State.SUPPRESSED, "c")
    done = accept(core, follower, "e")
    settle(core, done, State.SCHEDULED, "e", reason="HTTP 503")
    finish(core, done)
    result = follower.wait(0.05, pause=0.001)
    assert not result.finished
    assert (result.queued, result.parents, result.filtered) == (3, 2, 0)
    assert result.by_state == {"scheduled": 1, "suppressed": 1}


def test_an_interrupt_counts_what_there_is(core: Core, follower: Follower) -> None:
    """Ctrl-C while waiting leaves the result as it stands then."""
    accept(core, follower, "a")

    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follower.wait(20, on_progress=interrupt)
    assert (follower.result.queued, follower.result.finished) == (1, False)


def test_many_open_blocks_are_looked_at_in_turn(
    core: Core, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stuck batch in front does not hide that those behind it have ended."""
    monkeypatch.setattr(follow, "BLOCK", 1)
    monkeypatch.setattr(follow, "UNDONE", 2)
    ids = [accept(core, follower, f"m{number}") for number in range(12)]
    for number in range(9, 12):
        settle(core, ids[number], State.SUPPRESSED, f"m{number}")
        finish(core, ids[number])
    seen: list[int] = []
    over = threading.Event()

    def look(result: Any) -> None:
        seen.append(result.settled)
        if result.settled == 3:
            over.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follower.wait(20, on_progress=look, pause=0.001)
    assert over.is_set()
    assert seen[0] == 0


def test_countless_different_reasons_are_counted_together(
    core: Core, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a bound reasons are not told apart any more, and no delivery is left out."""
    monkeypatch.setattr(follow, "OUTCOMES", 3)
    batch_id = accept(core, follower, *(f"m{number}" for number in range(10)))
    for number in range(10):
        settle(core, batch_id, State.SUPPRESSED, f"m{number}", reason=f"reason {number}")
    finish(core, batch_id)
    assert sum(follower.wait(5).outcomes.values()) == 10
    assert outcomes(follower)["suppressed", "(other reasons)"] == 7


@pytest.mark.parametrize("batch_size", [1, 500])
def test_memory_stays_small_however_many_events_there_are(follower: Follower, batch_size: int) -> None:
    """A hundred thousand message ids are on disk, not in memory, also where batches are tiny."""
    ids = [f"0123456789abcdef0123456789abcdef-{number}" for number in range(100_000)]
    tracemalloc.start()
    try:
        for start in range(0, len(ids), batch_size):
            follower.note(new_id(), ids[start : start + batch_size])
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 500_000
    assert peak < 2_000_000
