"""Stores to test on: the fake one and a real Valkey, with a clock that a test moves."""

from __future__ import annotations

import secrets

import fakeredis

from worker.delivery import Counts, Reconciliation, State, Store, connect, reconcile

HOUR_MS = 3_600_000


class ClockedStore(Store):
    """A store whose clock runs ahead of the server's (or behind it) by what a test says.

    Lifetimes of keys are the server's own: with the clock set back far enough, a record has expired when it is written.
    """

    ahead_ms = 0

    def now_ms(self) -> int:
        """The present, as far as the test wants."""
        return super().now_ms() + self.ahead_ms

    def pass_time(self, seconds: float) -> int:
        """Let time pass; gives the present."""
        self.ahead_ms += round(seconds * 1000)
        return self.now_ms()


def fake_store() -> ClockedStore:
    """A store in this process's memory."""
    return ClockedStore(fakeredis.FakeRedis(server=fakeredis.FakeServer()), _namespace())


def real_store(url: str) -> ClockedStore:
    """A store on a real server, in a namespace of its own."""
    return ClockedStore(connect(url), _namespace())


def holding(store: Store) -> Reconciliation:
    """The identity, which must hold."""
    found = reconcile(store)
    assert found.holds, found.problems
    return found


def states(store: Store) -> dict[str, int]:
    """Deliveries by state as recounted, without the empty ones; the identity must hold."""
    return {state.value: count for state, count in holding(store).recounted.items() if count}


def counted(counts: Counts) -> dict[State, int]:
    """Counters by state, without the empty ones."""
    return {state: count for state, count in counts.states.items() if count}


def _namespace() -> str:
    return f"t{secrets.token_hex(6)}"
