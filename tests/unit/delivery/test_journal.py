"""The journal: every outcome in order, what operators did, and lines that are rewritten where they stand."""

from __future__ import annotations

import pytest

from tests.unit.delivery.conftest import ABOUT, Bench, slip, slips
from worker.delivery import Expectation, Journal, Ledger, Outcome, Retention, State

ACCEPTED = Outcome(State.ACCEPTED)


def blank(key: str) -> object:
    """A change that takes the message id from the lines of one delivery."""

    def change(lines: list[list[str]]) -> int:
        mine = [line for line in lines if line[2] == key and line[0]]
        for line in mine:
            line[0] = ""
        return len(mine)

    return change


def test_newest_first_and_oldest_first(bench: Bench) -> None:
    """The whole journal is read backwards, block by block; one delivery's life forwards."""
    for number in range(7):
        bench.send([slip(number)], ACCEPTED)
    assert [line.message_id for line in bench.journal.newest_first(block=2)] == [f"m{n}" for n in reversed(range(7))]
    token = bench.doubt([slip(9)])
    bench.ledger.report(recipient=slip(9).recipient, delivered=True, token=token)
    assert [line.state for line in bench.journal.of(slip(9).key)] == [State.IN_DOUBT, State.DELIVERED]


def test_what_was_refused_is_not_in_the_journal(bench: Bench) -> None:
    """A settlement of two, one of which was somebody else's, has one line."""
    token, _ = bench.claim([slip(0)])
    bench.claim([slip(1)])
    bench.settle(slips(2), ACCEPTED, token=token)
    assert [line.message_id for line in bench.journal.newest_first()] == ["m0"]


def test_the_journal_is_bounded(bench: Bench) -> None:
    """The oldest entries go first; about as many stay as the retention says."""
    ledger = Ledger(bench.store, Retention(journal=100))
    for number in range(1000):
        ledger.settle([slip(number)], [Outcome(State.SUPPRESSED, "dry")], expect=Expectation("-"), about=ABOUT)
    assert 100 <= bench.store.client.xlen(bench.store.keys.journal) <= 300
    assert next(bench.journal.newest_first()).message_id == "m999"


def test_what_operators_did_is_noted(bench: Bench) -> None:
    """A note stands between the outcomes and is no outcome itself."""
    bench.send([slip(0)], ACCEPTED)
    bench.journal.note("lanes pause", "asha", lane="msg91:sms", seconds=600)
    bench.send([slip(1)], ACCEPTED)
    (note,) = bench.journal.notes()
    assert (note.did, note.by, note.detail) == ("lanes pause", "asha", {"lane": "msg91:sms", "seconds": 600})
    assert [line.message_id for line in bench.journal.newest_first()] == ["m1", "m0"]


def test_lines_are_rewritten_where_they_stand(bench: Bench) -> None:
    """Order, times, states and all other lines stay; what is written afterwards comes after."""
    for number in range(5):
        bench.send([slip(number), slip(number + 10)], ACCEPTED)
    bench.journal.note("x", "y")
    before = list(bench.journal.newest_first())
    ids = [one for one, _ in bench.store.client.xrange(bench.store.keys.journal)]
    change = blank(slip(2).key)
    assert bench.journal.rewrite(change, dry=True) == 1  # type: ignore[arg-type]
    assert list(bench.journal.newest_first()) == before
    assert bench.journal.rewrite(change, block=2) == 1  # type: ignore[arg-type]
    after = list(bench.journal.newest_first())
    assert [one for one, _ in bench.store.client.xrange(bench.store.keys.journal)] == ids
    assert [line.message_id for line in after] == ["" if b.message_id == "m2" else b.message_id for b in before]
    assert [(line.at_ms, line.state, line.key) for line in after] == [(b.at_ms, b.state, b.key) for b in before]
    assert bench.journal.rewrite(change) == 0  # type: ignore[arg-type]
    bench.send([slip(99)], ACCEPTED)
    assert next(bench.journal.newest_first()).message_id == "m99"
    assert bench.store.client.ttl(bench.store.keys.journal) == -1
    assert [
        name for name in bench.store.client.scan_iter(match="*journal:*") if bench.store.keys.prefix.encode() in name
    ] == []


def test_what_is_written_during_a_rewrite_is_not_lost(bench: Bench) -> None:
    """Entries that come while the copy is made are in the new journal too."""
    bench.send([slip(0)], ACCEPTED)
    wrote = []

    def change(lines: list[list[str]]) -> int:
        if len(wrote) < 3:
            wrote.append(bench.send([slip(100 + len(wrote))], ACCEPTED))
        return blank(slip(0).key)(lines)  # type: ignore[operator, no-any-return]

    assert bench.journal.rewrite(change) == 1
    assert {line.message_id for line in bench.journal.newest_first()} == {"", "m100", "m101", "m102"}


def test_two_rewrites_at_once_both_take_effect(bench: Bench) -> None:
    """The slower one finds that the journal was swapped meanwhile, and begins again with the new one."""
    bench.send(slips(2), ACCEPTED)
    other = Journal(bench.store)
    calls = 0

    def change(lines: list[list[str]]) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:  # the first copy is under way
            assert other.rewrite(blank(slip(1).key)) == 1  # type: ignore[arg-type]
        return blank(slip(0).key)(lines)  # type: ignore[operator, no-any-return]

    assert bench.journal.rewrite(change) == 1
    assert calls > 2
    assert {line.message_id for line in bench.journal.newest_first()} == {""}


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_change_is_nothing_written(bench: Bench, count: int) -> None:
    """An empty journal, and one without the delivery, stay untouched."""
    bench.send(slips(count), ACCEPTED) if count else None
    assert bench.journal.rewrite(blank("nobody")) == 0  # type: ignore[arg-type]
    assert bench.store.client.hget(bench.store.keys.meta, "journal") is None
