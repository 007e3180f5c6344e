"""Which requests the standing faults hit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.errors import FaultError
from worker.sandbox.faultboard import FaultBoard
from worker.sandbox.faults import read_fault

PATH = "/api/v5/flow"


def board(*faults: str, seed: int = 1) -> FaultBoard:
    """Build a board with faults on it."""
    built = FaultBoard(seed)
    built.add(faults)
    return built


def endings(standing: FaultBoard, number: int, path: str = PATH) -> list[str]:
    """Plan some requests and give the kinds of what ended them; empty where nothing did."""
    plans = [standing.plan(path, 0.0) for _ in range(number)]
    return ["" if plan.ending is None else plan.ending.text for plan in plans]


def test_no_fault_leaves_the_answer_alone() -> None:
    """An empty board changes nothing."""
    plan = board().plan(PATH, 0.0)
    assert (plan.ending, plan.delay, plan.drip, plan.texts) == (None, 0.0, 0.0, [])


def test_a_count_is_spent_once_and_for_all() -> None:
    """A fault with a count hits that many requests, then stands idle and says so."""
    standing = board("503,count=2")
    assert endings(standing, 4) == ["503,count=2", "503,count=2", "", ""]
    assert standing.summary() == [{"number": 1, "fault": "503,count=2", "hits": 2, "left": 0}]


def test_the_first_fault_that_ends_the_answer_wins() -> None:
    """The second fault gets its turn when the first is spent, and its count waits for it."""
    assert endings(board("503,count=1", "close-after,count=1"), 3) == ["503,count=1", "close-after,count=1", ""]


def test_delays_add_up_around_an_ending() -> None:
    """Every delay counts, before and after the fault that ends the answer."""
    plan = board("slow=100", "503", "slow=200", "drip=10").plan(PATH, 0.0)
    assert plan.ending == read_fault("503")
    assert plan.delay == pytest.approx(0.3)
    assert plan.drip == pytest.approx(0.01)
    assert plan.texts == ["slow=100", "503", "slow=200", "drip=10"]


@pytest.mark.parametrize(
    ("pattern", "path", "hit"),
    [
        ("/api/v5", "/api/v5/flow", True),
        ("/api/v5/flow", "/api/v2/sendsms", False),
        ("/api/*/flow", "/api/v5/flow", True),
        ("/api/*/flow", "/api/v5/flow/more", False),
        ("*events", "/api/v5/segmento/events", True),
    ],
)
def test_a_path_filter_spares_other_paths(pattern: str, path: str, *, hit: bool) -> None:
    """A path is a beginning, or a pattern once it has a star."""
    assert bool(endings(board(f"503,path={pattern}"), 1, path)[0]) is hit


@given(st.floats(min_value=0, max_value=1), st.integers(min_value=0, max_value=2**32))
def test_the_same_seed_rolls_the_same_dice(probability: float, seed: int) -> None:
    """Two boards with one seed hit the same requests, whatever the chance."""
    fault = f"503,p={probability:f}"
    assert endings(board(fault, seed=seed), 20) == endings(board(fault, seed=seed), 20)


def test_a_seed_of_its_own_stands_above_the_boards() -> None:
    """A fault with its own seed does not care about the board's."""
    assert endings(board("503,p=0.5,seed=7", seed=1), 50) == endings(board("503,p=0.5,seed=7", seed=2), 50)


def test_a_chance_hits_its_share() -> None:
    """A tenth is about a tenth, none is none and all is all."""
    shares = [sum(map(bool, endings(board(f"503,p={p}"), 2000))) for p in (0, 0.1, 1)]
    assert shares[0] == 0
    assert 140 < shares[1] < 260
    assert shares[2] == 2000


def test_a_range_is_kept_to() -> None:
    """A latency range gives waits within it, and not always the same."""
    standing = board("slow=50-200")
    waits = {standing.plan(PATH, 0.0).delay for _ in range(50)}
    assert len(waits) > 1
    assert all(0.05 <= wait <= 0.2 for wait in waits)


def test_a_rate_refuses_what_is_beyond_it_until_the_window_ends() -> None:
    """Two a second: the third is refused with the seconds that are left, and the next window is free again."""
    standing = board("rate=2/s")
    at = [standing.plan(PATH, now) for now in (10.0, 10.1, 10.2, 10.99, 11.0, 11.1, 11.2)]
    assert [plan.ending is not None for plan in at] == [False, False, True, True, False, False, True]
    assert [plan.retry_after for plan in at if plan.ending] == [1, 1, 1]


def test_a_rate_by_the_minute_says_how_long_to_wait() -> None:
    """Retry-After is what is left of the minute, in whole seconds."""
    standing = board("rate=1/min")
    standing.plan(PATH, 100.0)
    assert standing.plan(PATH, 130.5).retry_after == 30


def test_a_rate_survives_a_clock_that_jumps_back() -> None:
    """A clock set back begins a new window instead of refusing for long."""
    standing = board("rate=1/s")
    standing.plan(PATH, 1000.0)
    assert standing.plan(PATH, 500.0).ending is None


def test_a_magic_number_comes_before_the_standing_faults() -> None:
    """The outcome of a magic number is certain, whatever faults stand."""
    plan = board("503", "slow=10").plan(PATH, 0.0, read_fault("code=202"))
    assert plan.texts == ["code=202", "slow=10"]


def test_of_several_faults_all_are_added_or_none() -> None:
    """One bad fault keeps its neighbours off the board."""
    standing = board()
    with pytest.raises(FaultError):
        standing.add(["503", "oops"])
    assert len(standing) == 0


def test_a_fault_goes_by_its_number() -> None:
    """Numbers stay what they are when another fault goes, and are not given again."""
    standing = board("500", "502", "503")
    assert standing.remove(2)
    assert not standing.remove(2)
    standing.add(["504"])
    assert [one["number"] for one in standing.summary()] == [1, 3, 4]
    assert standing.clear() == 3
    assert standing.summary() == []
