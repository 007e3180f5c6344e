"""What needs a person: listed oldest first, page by page, and discarded without touching a count."""

from __future__ import annotations

import pytest

from tests.unit.delivery.conftest import ABOUT, Bench, slip, slips
from worker.delivery import Attention, Expectation, Outcome, State, Waiting

DEAD = Outcome(State.DEAD, "gave up", b'{"n":1}')


@pytest.fixture
def attention(bench: Bench) -> Attention:
    """The lists of the bench's store."""
    return Attention(bench.store)


def test_pages_are_in_order_and_complete(bench: Bench, attention: Attention) -> None:
    """Oldest first, whatever the size of a page, also when many came at the same millisecond."""
    bench.send(slips(7), DEAD)
    bench.store.pass_time(1)
    bench.send(slips(3, 7), DEAD)
    for size in (1, 2, 3, 7, 100):
        found = [key for page in attention.pages(State.DEAD, size=size) for key, _ in page]
        assert len(found) == 10
        assert set(found[:7]) == {slip(n).key for n in range(7)}
    assert attention.count(State.DEAD) == 10


def test_a_span_of_time_is_respected(bench: Bench, attention: Attention) -> None:
    """Since and until are both included."""
    moments = []
    for number in range(4):
        bench.send([slip(number)], DEAD)
        (since,) = attention.since(State.DEAD, [slip(number).key])
        assert since is not None
        moments.append(since)
        bench.store.pass_time(10)
    span = {"since_ms": moments[1], "until_ms": moments[2]}
    assert [key for page in attention.pages(State.DEAD, **span) for key, _ in page] == [slip(1).key, slip(2).key]
    assert attention.count(State.DEAD, **span) == 2
    assert attention.since(State.DEAD, ["nothing", slip(0).key]) == [None, moments[0]]


def test_what_is_taken_between_pages_shifts_nothing(bench: Bench, attention: Attention) -> None:
    """Working a list off page by page reaches every entry exactly once."""
    for number in range(30):
        bench.send([slip(number)], DEAD)
        bench.store.pass_time(0.001 * (number % 3))
    seen: list[str] = []
    by_key = {slip(n).key: slip(n) for n in range(30)}
    for page in attention.pages(State.DEAD, size=4):
        seen += [key for key, _ in page]
        attention.discard([by_key[key] for key, _ in page], about=ABOUT, reason="x", journal={})
    assert sorted(seen) == sorted(by_key)


def test_discarding_keeps_the_record(bench: Bench, attention: Attention) -> None:
    """Payload and entry go, the state stays, and the journal says who did it."""
    bench.send(slips(2), DEAD)
    bench.send([slip(2)], Outcome(State.REJECTED, "bad", b"{}"))
    assert attention.discard(slips(3), about=ABOUT, reason="discarded by operator", journal={"by": "me"}) == 3
    assert bench.states() == {"dead": 2, "rejected": 1}
    assert bench.ledger.kept([slip(n).key for n in range(3)]) == [None] * 3
    assert attention.count(State.DEAD) + attention.count(State.REJECTED) == 0
    line = bench.journal.of(slip(0).key)[-1]
    assert (line.state, line.reason, line.about["by"]) == (State.DEAD, "discarded by operator", "me")


def test_discarding_twice_discards_once(bench: Bench, attention: Attention) -> None:
    """The same call again finds nothing and writes nothing."""
    bench.send([slip(0)], DEAD)
    assert attention.discard([slip(0)], about=ABOUT, reason="x", journal={}) == 1
    before = list(bench.journal.newest_first())
    assert attention.discard([slip(0)], about=ABOUT, reason="x", journal={}) == 0
    assert list(bench.journal.newest_first()) == before


def test_only_what_is_over_is_discarded(bench: Bench, attention: Attention) -> None:
    """What is in doubt, or was replayed meanwhile, keeps everything."""
    bench.doubt([slip(0)])
    bench.send([slip(1)], DEAD)
    waiting = Waiting(bench.store.now_ms(), b"[]", 1)
    bench.ledger.settle(
        [slip(1)], [Outcome(State.SCHEDULED, "replayed")], expect=Expectation("x"), about=ABOUT, waiting=[waiting]
    )
    assert attention.discard(slips(2), about=ABOUT, reason="x", journal={}) == 0
    assert bench.ledger.attention(State.IN_DOUBT) == [slip(0).key]
    assert bench.ledger.kept([slip(0).key]) == [{"kept": 1}]
    assert bench.states() == {"in_doubt": 1, "scheduled": 1}
