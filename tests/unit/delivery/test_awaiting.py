"""Accepted, and then silence: what is awaited, what is overdue, and what it costs."""

from __future__ import annotations

import pytest

from tests.unit.delivery.conftest import Bench, slip, slips
from worker.delivery import Awaiting, Outcome, State, Unmatched, Waiting

ACCEPTED = Outcome(State.ACCEPTED)
WINDOW = 3600.0


def expected(bench: Bench, count: int, outcome: Outcome = ACCEPTED) -> tuple[Awaiting, str]:
    """A request whose reports are expected; gives its token."""
    awaiting = Awaiting(bench.store, bench.ledger)
    token, _ = bench.claim(slips(count))
    awaiting.expect(token, WINDOW)
    bench.settle(slips(count), outcome, token=token)
    return awaiting, token


def report(bench: Bench, number: int, token: str) -> None:
    """The final word on one of its deliveries."""
    bench.ledger.report(recipient=slip(number).recipient, delivered=True, token=token)


def test_silence_is_found_when_the_window_is_over(bench: Bench) -> None:
    """What was accepted and never reported is listed and counted once; what was reported is not."""
    awaiting, token = expected(bench, 3)
    report(bench, 1, token)
    assert awaiting.look_at_all() == 0
    bench.store.pass_time(WINDOW + 1)
    assert (awaiting.look_at_all(), awaiting.look_at_all()) == (2, 0)
    (silence,) = awaiting.overdue()
    assert {key for key, _ in silence.deliveries} == {slip(0).key, slip(2).key}
    assert (silence.request.destination, silence.request.action) == ("msg91", "send_sms")
    assert awaiting.counts() == (0, 1)
    counters = bench.store.client.hgetall(bench.store.keys.counters)
    assert counters[b"unreported|msg91|send_sms"] == b"2"


def test_a_report_that_a_dying_worker_left_is_no_silence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came before the answer, and the worker died having written that down: the end of the window applies it."""
    awaiting = Awaiting(bench.store, bench.ledger)
    token, _ = bench.claim(slips(2))
    awaiting.expect(token, WINDOW)
    report(bench, 0, token)
    with monkeypatch.context() as dying:
        dying.setattr(bench.ledger, "apply_waiting_reports", lambda _token: None)
        bench.settle(slips(2), ACCEPTED, token=token)
    bench.store.pass_time(WINDOW + 1)
    assert awaiting.look_at_all() == 1
    assert [bench.record(one).state for one in slips(2)] == [State.DELIVERED, State.ACCEPTED]


def test_the_last_report_ends_the_waiting(bench: Bench) -> None:
    """A request leaves the list when all its deliveries are reported, in time or late; repeated reports count once."""
    awaiting, token = expected(bench, 2)
    for _ in range(3):
        report(bench, 0, token)
    assert awaiting.counts() == (1, 0)
    bench.store.pass_time(WINDOW + 1)
    awaiting.look_at_all()
    assert awaiting.counts() == (0, 1)
    report(bench, 1, token)
    assert awaiting.counts() == (0, 0)
    assert list(awaiting.overdue()) == []


def test_what_was_not_accepted_is_not_awaited(bench: Bench) -> None:
    """Refused, waiting again, in doubt or never claimed: the window ends, and nothing is unreported."""
    awaiting, _ = expected(bench, 1, Outcome(State.REJECTED, "203", b"{}"))
    awaiting.expect("never-claimed", WINDOW)
    token, _ = bench.claim([slip(7)])
    awaiting.expect(token, WINDOW)
    again = Waiting(bench.store.now_ms(), b"[]", 1)
    bench.settle([slip(7)], Outcome(State.SCHEDULED, "503"), token=token, waiting=[again])
    bench.store.pass_time(WINDOW + 1)
    assert awaiting.look_at_all() == 0
    assert awaiting.counts() == (0, 0)


def test_what_is_still_being_sent_is_looked_at_later(bench: Bench) -> None:
    """A window that ends during the request itself decides nothing."""
    awaiting = Awaiting(bench.store, bench.ledger)
    token, _ = bench.claim([slip(0)])
    awaiting.expect(token, 1)
    bench.store.pass_time(2)
    assert awaiting.look_at_all() == 0
    bench.settle([slip(0)], ACCEPTED, token=token)
    bench.store.pass_time(61)
    assert awaiting.look_at_all() == 1


def test_nothing_is_written_where_nothing_is_expected(bench: Bench) -> None:
    """Without a window there is no entry at all."""
    Awaiting(bench.store, bench.ledger).expect("token", None)
    assert bench.store.client.exists(bench.store.keys.awaiting) == 0


def test_the_list_forgets_with_the_records(bench: Bench) -> None:
    """Once the records are gone nobody can look at them: the request leaves the list."""
    awaiting, _ = expected(bench, 1)
    bench.store.pass_time(WINDOW + 1)
    awaiting.look_at_all()
    bench.store.pass_time(72 * 3600 + 3600)
    awaiting.look()
    assert awaiting.counts() == (0, 0)


def test_strays_are_kept_within_bounds(bench: Bench) -> None:
    """The newest come first, and the oldest go."""
    unmatched = Unmatched(bench.store)
    unmatched.keep([{"number": number} for number in range(1500)])
    found = [one.about["number"] for one in unmatched.newest_first()]
    assert found == list(range(1499, 1499 - len(found), -1))
    assert 1000 <= len(found) <= 1200
