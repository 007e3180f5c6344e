"""Ctrl-C ends a command between two steps, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from worker.cli.interrupts import Interrupts


def step(interrupts: Interrupts, *actions: Callable[[], object]) -> None:
    """A step that does some things."""
    with interrupts.held():
        for act in actions:
            act()


def fail() -> None:
    """Go wrong."""
    raise OSError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_a_step_waits_for_its_end(number: signal.Signals) -> None:
    """The step is finished, whoever waits in it is told to stop waiting, and then the command ends."""
    stop = threading.Event()
    seen: list[bool] = []
    with Interrupts(stop) as interrupts, pytest.raises(KeyboardInterrupt):
        step(interrupts, lambda: signal.raise_signal(number), lambda: seen.append(stop.is_set()))
    assert seen == [True]


def test_a_signal_between_two_steps_ends_the_command_at_once() -> None:
    """Outside of steps nothing is waited for."""
    with Interrupts(threading.Event()) as interrupts:
        with interrupts.held():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_step_that_fails_after_a_signal_is_an_interrupt() -> None:
    """A step that gave up because of the signal counts as interrupted, not as broken."""
    with Interrupts(threading.Event()) as interrupts, pytest.raises(KeyboardInterrupt):
        step(interrupts, lambda: signal.raise_signal(signal.SIGINT), fail)


def test_the_signals_are_given_back() -> None:
    """Afterwards signals do what they did before."""
    before = signal.getsignal(signal.SIGINT)
    with Interrupts(threading.Event()):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
