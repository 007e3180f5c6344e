"""A worker rests when its broker answers and does not serve."""

from __future__ import annotations

import pytest
from celery.worker import consumer, state

from worker import consuming
from worker.consuming import CALM, PAUSE, PAUSE_CAP, Consumer


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, and nothing of Celery's own."""
    made = Clock()
    monkeypatch.setattr(consuming, "time", made)
    for name in ("on_connection_error_after_connected", "on_connection_error_before_connected"):
        monkeypatch.setattr(consumer.Consumer, name, lambda *_: None)
    return made


def rested(clock: Clock, one: Consumer) -> float:
    """How long it rests after a failure."""
    began = clock.now
    one.on_connection_error_after_connected(OSError())
    return clock.now - began


def test_the_first_failure_costs_nothing_and_the_next_ones_more_and_more(clock: Clock) -> None:
    """A lost connection is made again at once; a broker that goes on failing is asked every few seconds."""
    one = Consumer.__new__(Consumer)
    pauses = [rested(clock, one) for _ in range(8)]
    assert pauses[0] == 0
    assert pauses[1] == pytest.approx(PAUSE, abs=0.1)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(PAUSE_CAP, abs=0.2)
    clock.now += CALM + 1
    assert rested(clock, one) == 0


def test_it_does_not_rest_while_it_is_told_to_stop(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shutdown is not held up."""
    one = Consumer.__new__(Consumer)
    rested(clock, one)
    monkeypatch.setattr(state, "should_stop", 0)
    assert rested(clock, one) == 0
