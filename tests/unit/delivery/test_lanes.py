"""Lanes: rate, concurrency, pauses, the breaker and the adaptive limit, for the whole fleet."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.unit.delivery.conftest import Bench, slip
from worker.delivery import RETRY_QUEUE, Ending, Grant, LaneLimits, Verdict, new_id

LANE = "msg91:sms"
STEADY = LaneLimits(adaptive=False)


def ask(
    bench: Bench,
    limits: LaneLimits = STEADY,
    *,
    cost: int = 1,
    slot: bool = False,
    waiter: str = "",
    token: str = "",
    lease: float = 60,
) -> tuple[str, Grant]:
    """Ask for leave; gives the token and the answer."""
    token = token or new_id()
    grant = bench.lanes.acquire(
        LANE,
        limits,
        token=token,
        lease_end_ms=bench.store.now_ms() + round(lease * 1000),
        cost=cost,
        slot=slot,
        waiter=waiter,
    )
    return token, grant


def end(bench: Bench, token: str, ending: Ending, limits: LaneLimits = STEADY, **options: object) -> str:
    """Say how a request went."""
    return bench.lanes.release(LANE, limits, token=token, ending=ending, **options)  # type: ignore[arg-type]


def once(bench: Bench, ending: Ending, limits: LaneLimits = STEADY, **options: object) -> Grant:
    """One request and how it went; gives what the lane had said."""
    token, grant = ask(bench, limits)
    if grant.verdict is Verdict.GO:
        end(bench, token, ending, limits, **options)
    return grant


def test_a_lane_without_limits_lets_everything_go(bench: Bench) -> None:
    """No rate means no waiting, and the lane is known from its first request on."""
    assert [ask(bench)[1].verdict for _ in range(10)] == [Verdict.GO] * 10
    assert bench.lanes.names() == [LANE]
    assert bench.lanes.status(LANE).busy == 10


def test_the_same_request_asks_once(bench: Bench) -> None:
    """Repeating the call, its answer having been lost, takes one slot and pays once."""
    limits = LaneLimits(rate=1, concurrency=5, adaptive=False)
    token, first = ask(bench, limits)
    _, again = ask(bench, limits, token=token)
    assert (first.verdict, again.verdict) == (Verdict.GO, Verdict.GO)
    assert bench.lanes.status(LANE).busy == 1
    assert ask(bench, limits)[1].when_ms - bench.store.now_ms() == pytest.approx(1000, abs=200)


def test_the_rate_hands_out_slots_one_after_the_other(bench: Bench) -> None:
    """At ten a second those who come at once get their exact times, 100 ms apart: nobody has to ask again and again."""
    limits = LaneLimits(rate=10, adaptive=False)
    assert ask(bench, limits)[1].verdict is Verdict.GO
    grants = [ask(bench, limits)[1] for _ in range(5)]
    assert {grant.verdict for grant in grants} == {Verdict.SLOT}
    assert [round((b.when_ms - a.when_ms) / 10) for a, b in pairwise(grants)] == [10] * 4


def test_a_reserved_slot_is_not_paid_twice(bench: Bench) -> None:
    """Who comes back with his slot goes, and does not push the others back."""
    limits = LaneLimits(rate=1, adaptive=False)
    ask(bench, limits)
    reserved = ask(bench, limits)[1]
    bench.store.pass_time(1.001)
    assert ask(bench, limits, slot=True)[1].verdict is Verdict.GO
    assert ask(bench, limits)[1].when_ms - reserved.when_ms == pytest.approx(1000, abs=50)


def test_a_burst_goes_at_once(bench: Bench) -> None:
    """As many as the burst allows go together after a quiet time, and no more."""
    limits = LaneLimits(rate=10, burst=4, adaptive=False)
    assert [ask(bench, limits)[1].verdict for _ in range(5)] == [Verdict.GO] * 4 + [Verdict.SLOT]
    bench.store.pass_time(0.1)
    verdicts = [ask(bench, limits)[1].verdict for _ in range(2)]
    assert verdicts[0] is Verdict.SLOT  # the slot before was reserved


def test_cost_counts(bench: Bench) -> None:
    """A request of twenty parts uses twenty slots, and one dearer than the burst still goes."""
    limits = LaneLimits(rate=10, burst=5, adaptive=False)
    assert ask(bench, limits, cost=20)[1].verdict is Verdict.GO
    assert ask(bench, limits)[1].when_ms - bench.store.now_ms() == pytest.approx(1600, abs=100)


def test_over_time_the_rate_holds(bench: Bench) -> None:
    """Whatever the pattern of asking, in ten seconds no more go than rate and burst allow."""
    limits = LaneLimits(rate=20, burst=5, adaptive=False, concurrency=1000)
    start = bench.store.now_ms()
    times = []
    for step in range(400):
        _, grant = ask(bench, limits)
        times.append(grant.when_ms if grant.verdict is Verdict.SLOT else bench.store.now_ms())
        bench.store.pass_time(0.013 if step % 7 else 0.2)
    for window in range(0, 10_000, 500):
        inside = [at for at in times if start + window <= at < start + window + 1000]
        assert len(inside) <= 20 + 5 + 1


def test_no_more_requests_than_the_lane_takes(bench: Bench) -> None:
    """The next one waits; a freed slot wakes it, due at once."""
    limits = LaneLimits(concurrency=2, adaptive=False)
    batch_id = bench.postpone([slip(0)], seconds=3600)
    tokens = [ask(bench, limits)[0] for _ in range(2)]
    _, grant = ask(bench, limits, waiter=batch_id)
    assert grant.verdict is Verdict.FULL
    assert grant.when_ms > bench.store.now_ms() + 9000
    assert bench.lanes.status(LANE).waiting == 1
    assert end(bench, tokens[0], Ending.OK, limits) == batch_id
    assert bench.schedule.promote(5) == [(batch_id, RETRY_QUEUE)]


def test_a_dead_workers_slot_frees_itself(bench: Bench) -> None:
    """Slots are leased: when the lease is over the slot is free, and the late release of its holder changes nothing."""
    limits = LaneLimits(concurrency=1, adaptive=False)
    token, _ = ask(bench, limits, lease=5)
    assert ask(bench, limits)[1].verdict is Verdict.FULL
    bench.store.pass_time(6)
    other, grant = ask(bench, limits)
    assert grant.verdict is Verdict.GO
    assert end(bench, token, Ending.FAIL, limits) == ""
    assert bench.lanes.status(LANE).busy == 1
    assert bench.lanes.status(LANE).failures == 0
    end(bench, other, Ending.OK, limits)


def test_batches_that_ran_meanwhile_are_passed_over(bench: Bench) -> None:
    """A wake-up is never spent on a batch that is gone."""
    limits = LaneLimits(concurrency=1, adaptive=False)
    token, _ = ask(bench, limits)
    ask(bench, limits, waiter="gone")
    bench.store.pass_time(0.01)
    batch_id = bench.postpone([slip(0)], seconds=3600)
    ask(bench, limits, waiter=batch_id)
    assert end(bench, token, Ending.OK, limits) == batch_id


def test_leave_wakes_the_next_while_there_is_room(bench: Bench) -> None:
    """When the lane widens, each request that starts wakes one that waits: the queue does not drain one by one."""
    narrow, wide = LaneLimits(concurrency=1, adaptive=False), LaneLimits(concurrency=5, adaptive=False)
    ask(bench, narrow)
    ids = [bench.postpone([slip(n)], seconds=3600) for n in range(2)]
    for one in ids:
        ask(bench, narrow, waiter=one)
        bench.store.pass_time(0.01)
    assert ask(bench, wide)[1].wake == ids[0]
    assert ask(bench, wide)[1].wake == ids[1]
    assert ask(bench, wide)[1].wake == ""


def test_retry_after_holds_for_the_whole_fleet(bench: Bench) -> None:
    """One 429 pauses everybody, until then, with the reason; afterwards the lane is open again, without a probe."""
    token, _ = ask(bench)
    end(bench, token, Ending.THROTTLE, reason="429", pause=7.0)
    _, grant = ask(bench)
    assert (grant.verdict, grant.reason) == (Verdict.PAUSE, "429")
    assert grant.when_ms - bench.store.now_ms() == pytest.approx(7000, abs=200)
    status = bench.lanes.status(LANE)
    assert status.paused_until_ms is not None
    assert not status.probing
    bench.store.pass_time(7.1)
    assert [ask(bench)[1].verdict for _ in range(3)] == [Verdict.GO] * 3
    assert bench.lanes.status(LANE).paused_until_ms is None


def test_after_a_pause_they_come_back_one_by_one(bench: Bench) -> None:
    """Those who asked during a pause are spread from its end onward: no herd."""
    limits = LaneLimits(adaptive=False, spread=0.05)
    token, _ = ask(bench, limits)
    end(bench, token, Ending.THROTTLE, limits, reason="429", pause=10.0)
    times = [ask(bench, limits)[1].when_ms for _ in range(5)]
    assert [b - a for a, b in pairwise(times)] == [50] * 4
    assert times[0] - bench.store.now_ms() == pytest.approx(10_000, abs=200)


def test_with_a_rate_they_come_back_at_the_rate(bench: Bench) -> None:
    """The spread after a pause is no faster than the lane's rate."""
    limits = LaneLimits(adaptive=False, rate=2)
    token, _ = ask(bench, limits)
    end(bench, token, Ending.THROTTLE, limits, reason="429", pause=10.0)
    times = [ask(bench, limits)[1].when_ms for _ in range(3)]
    assert [b - a for a, b in pairwise(times)] == [500] * 2


def test_a_shorter_retry_after_does_not_shorten_the_pause(bench: Bench) -> None:
    """Of several pauses the longest holds."""
    first, second = ask(bench)[0], ask(bench)[0]
    end(bench, first, Ending.THROTTLE, reason="429", pause=60.0)
    end(bench, second, Ending.THROTTLE, reason="429", pause=1.0)
    assert ask(bench)[1].when_ms - bench.store.now_ms() > 59_000


def test_a_run_of_failures_closes_the_lane(bench: Bench) -> None:
    """Five in a row pause it for five seconds; a success in between starts the count anew."""
    for ending in [Ending.FAIL] * 4 + [Ending.OK] + [Ending.FAIL] * 4:
        assert once(bench, ending, reason="down").verdict is Verdict.GO
    assert once(bench, Ending.FAIL, reason="down").verdict is Verdict.GO
    grant = once(bench, Ending.OK)
    assert (grant.verdict, grant.reason) == (Verdict.PAUSE, "down")
    assert grant.when_ms - bench.store.now_ms() == pytest.approx(5000, abs=200)


def trip(bench: Bench) -> None:
    """Close the lane by five failures."""
    for _ in range(5):
        once(bench, Ending.FAIL, reason="down")


def test_half_open_lets_one_try(bench: Bench) -> None:
    """When the pause is over one request goes, the others wait for what becomes of it; its success opens the lane."""
    trip(bench)
    bench.store.pass_time(5.1)
    assert bench.lanes.status(LANE).probing
    probe, grant = ask(bench)
    assert grant.verdict is Verdict.GO
    assert ask(bench)[1].verdict is Verdict.PAUSE
    end(bench, probe, Ending.OK)
    assert not bench.lanes.status(LANE).probing
    assert [ask(bench)[1].verdict for _ in range(3)] == [Verdict.GO] * 3


def test_a_failed_probe_doubles_the_pause(bench: Bench) -> None:
    """5, 10, 20 s, up to the cap; a success forgets it."""
    trip(bench)
    pauses = []
    for _ in range(8):
        pause = (bench.lanes.status(LANE).paused_until_ms or 0) - bench.store.now_ms()
        pauses.append(round(pause / 1000))
        bench.store.pass_time(pause / 1000 + 0.01)
        assert once(bench, Ending.FAIL, reason="down").verdict is Verdict.GO
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    bench.store.pass_time(301)
    once(bench, Ending.OK)
    trip(bench)
    assert (bench.lanes.status(LANE).paused_until_ms or 0) - bench.store.now_ms() < 5100


def test_a_lost_probe_is_followed_by_another(bench: Bench) -> None:
    """The probing worker died: its slot frees itself, and the next one tries."""
    trip(bench)
    bench.store.pass_time(5.1)
    assert ask(bench, lease=10)[1].verdict is Verdict.GO
    assert ask(bench)[1].verdict is Verdict.PAUSE
    bench.store.pass_time(10.1)
    assert ask(bench)[1].verdict is Verdict.GO


def test_a_broken_account_closes_the_lane_at_once(bench: Bench) -> None:
    """One bad authkey is enough; a probe opens it again when the account is mended."""
    once(bench, Ending.ACCOUNT, reason="201: invalid authkey")
    grant = once(bench, Ending.OK)
    assert (grant.verdict, grant.reason) == (Verdict.PAUSE, "201: invalid authkey")
    assert grant.when_ms - bench.store.now_ms() == pytest.approx(30_000, abs=200)
    bench.store.pass_time(31)
    assert once(bench, Ending.OK).verdict is Verdict.GO
    assert bench.lanes.status(LANE).reason == ""


def test_what_was_handed_back_says_nothing_about_the_lane(bench: Bench) -> None:
    """A request that never left is neither a failure nor a success."""
    for _ in range(4):
        once(bench, Ending.FAIL, reason="down")
    once(bench, Ending.NONE)
    assert bench.lanes.status(LANE).failures == 4
    once(bench, Ending.FAIL, reason="down")
    assert bench.lanes.status(LANE).paused_until_ms is not None


def test_throttling_lowers_the_limit_and_success_raises_it(bench: Bench) -> None:
    """The adaptive limit falls by a third at a 429, at most once a second, and climbs back to the configured value."""
    limits = LaneLimits(concurrency=10, adaptive=True, floor=2)
    tokens = [ask(bench, limits)[0] for _ in range(2)]
    for token in tokens:
        end(bench, token, Ending.THROTTLE, limits, reason="429", pause=0)
    assert bench.lanes.status(LANE).limit == pytest.approx(7)
    for _ in range(10):
        bench.store.pass_time(1.1)
        once(bench, Ending.THROTTLE, limits, reason="429", pause=0)
    assert bench.lanes.status(LANE).limit == pytest.approx(2)
    tokens = [ask(bench, limits)[0] for _ in range(2)]
    assert ask(bench, limits)[1].verdict is Verdict.FULL
    for token in tokens:
        end(bench, token, Ending.OK, limits, latency=0.1)
    for _ in range(100):
        once(bench, Ending.OK, limits, latency=0.1)
    assert bench.lanes.status(LANE).limit == pytest.approx(10)


def test_slowness_against_its_own_baseline_lowers_the_limit(bench: Bench) -> None:
    """A lane that is always slow is left alone; one that becomes slow is asked less at a time."""
    limits = LaneLimits(concurrency=10, adaptive=True)
    for _ in range(20):
        once(bench, Ending.OK, limits, latency=2.0)
    assert bench.lanes.status(LANE).limit in (None, 10)
    bench.store.pass_time(2)
    once(bench, Ending.OK, limits, latency=9.0)
    assert bench.lanes.status(LANE).limit == pytest.approx(9)


def test_an_operators_concurrency_is_the_ceiling(bench: Bench) -> None:
    """Raised by hand above the configured value, the lane still comes back to it after a 429."""
    limits = LaneLimits(concurrency=4, adaptive=True)
    bench.lanes.set_limits(LANE, concurrency=8)
    assert [ask(bench, limits)[1].verdict for _ in range(9)].count(Verdict.GO) == 8
    bench.store.pass_time(61)
    once(bench, Ending.THROTTLE, limits, reason="429", pause=0)
    assert bench.lanes.status(LANE).limit == pytest.approx(5.6)
    for _ in range(50):
        once(bench, Ending.OK, limits, latency=0.1)
    assert bench.lanes.status(LANE).limit == pytest.approx(8)


def test_an_operators_limits_win(bench: Bench) -> None:
    """Set by hand they hold for everybody at once; unset, the configured ones are back."""
    bench.lanes.set_limits(LANE, rate=1, burst=1, concurrency=7)
    status = bench.lanes.status(LANE)
    assert (status.rate, status.burst, status.concurrency) == (pytest.approx(1), 1, 7)
    assert [ask(bench)[1].verdict for _ in range(2)] == [Verdict.GO, Verdict.SLOT]
    bench.lanes.set_limits(LANE, rate=0)
    assert ask(bench, LaneLimits(rate=1, adaptive=False))[1].verdict is Verdict.GO
    bench.lanes.unset_limits(LANE)
    assert bench.lanes.status(LANE).rate is None


def test_a_held_lane_stays_closed_until_resumed(bench: Bench) -> None:
    """An operator's pause without an end lets nothing go; those who ask come back and ask again."""
    bench.lanes.pause(LANE, "maintenance")
    _, grant = ask(bench)
    assert (grant.verdict, grant.reason) == (Verdict.PAUSE, "maintenance")
    bench.store.pass_time(86_400)
    assert ask(bench)[1].verdict is Verdict.PAUSE
    assert bench.lanes.status(LANE).held
    bench.lanes.resume(LANE)
    assert ask(bench)[1].verdict is Verdict.GO


def test_a_pause_for_a_time_ends_by_itself(bench: Bench) -> None:
    """An operator's pause with an end is over then."""
    bench.lanes.pause(LANE, "lunch", seconds=600)
    assert ask(bench)[1].when_ms - bench.store.now_ms() == pytest.approx(600_000, abs=200)
    bench.store.pass_time(601)
    assert ask(bench)[1].verdict is Verdict.GO


def test_a_success_does_not_end_an_operators_pause(bench: Bench) -> None:
    """A probe under way when the operator pauses the lane does not open it when it succeeds."""
    trip(bench)
    bench.store.pass_time(5.1)
    probe, _ = ask(bench)
    bench.lanes.pause(LANE, "by hand", seconds=600)
    end(bench, probe, Ending.OK)
    grant = once(bench, Ending.OK)
    assert (grant.verdict, grant.reason) == (Verdict.PAUSE, "by hand")


def test_resuming_wakes_who_waits_for_a_slot(bench: Bench) -> None:
    """An opened lane forgets its failures, and the batches in its queue are due."""
    limits = LaneLimits(concurrency=1, adaptive=False)
    ask(bench, limits)
    batch_id = bench.postpone([slip(0)], seconds=3600)
    ask(bench, limits, waiter=batch_id)
    bench.lanes.pause(LANE, "x")
    assert bench.lanes.resume(LANE) == [batch_id]
    assert bench.schedule.promote(5) == [(batch_id, RETRY_QUEUE)]
    assert bench.lanes.status(LANE).waiting == 0
