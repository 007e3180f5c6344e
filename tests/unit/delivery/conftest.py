"""Hands for the delivery core: claim, settle, accept, without anything above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.stores import ClockedStore, holding, states
from worker.delivery import (
    Batch,
    Batches,
    Claim,
    EventCounts,
    Expectation,
    Journal,
    Kind,
    Lanes,
    Ledger,
    Outcome,
    Record,
    Retention,
    Schedule,
    Slip,
    State,
    Waiting,
    delivery_key,
    new_id,
)

ABOUT = "msg91|send_sms"
LEASE = 60.0


def slip(number: int, mapping: str = "track") -> Slip:
    """The delivery of message ``m<number>`` to a recipient of its own."""
    message_id = f"m{number}"
    return Slip(delivery_key("msg91", message_id, mapping), message_id, mapping, f"9188188{number:05}")


def slips(count: int, start: int = 0) -> list[Slip]:
    """Several deliveries."""
    return [slip(number) for number in range(start, start + count)]


@dataclass
class Bench:
    """A store and everything of the delivery core on it."""

    store: ClockedStore
    batches: Batches
    ledger: Ledger
    lanes: Lanes
    schedule: Schedule
    journal: Journal

    def claim(
        self, deliveries: Sequence[Slip], *, token: str = "", batch: str = "", origin: str = "", items: bytes = b"[]"
    ) -> tuple[str, dict[int, Record]]:
        """Claim under a token; gives it and what was not claimed."""
        token = token or new_id()
        blocked = self.ledger.claim(
            deliveries,
            token=token,
            lease_end_ms=self.store.now_ms() + round(LEASE * 1000),
            origin=origin or batch[:8] or "origin",
            from_batch=batch,
            about=ABOUT,
            items=items,
        )
        return token, blocked

    def settle(
        self,
        deliveries: Sequence[Slip],
        outcome: Outcome,
        *,
        token: str,
        allowed: str = "si",
        waiting: Sequence[Waiting] = (),
        request_id: str = "",
    ) -> dict[int, Record | None]:
        """Settle what a request carried."""
        return self.ledger.settle(
            deliveries,
            [outcome] * len(deliveries),
            expect=Expectation(allowed, token),
            about=ABOUT,
            token=token,
            waiting=waiting,
            request_id=request_id,
        )

    def send(self, deliveries: Sequence[Slip], outcome: Outcome, **options: object) -> str:
        """Claim and settle in one go; gives the token."""
        token, blocked = self.claim(deliveries)
        assert not blocked
        assert not self.settle(deliveries, outcome, token=token, **options)  # type: ignore[arg-type]
        return token

    def doubt(self, deliveries: Sequence[Slip]) -> str:
        """Bring deliveries into doubt; gives the token."""
        return self.send(deliveries, Outcome(State.IN_DOUBT, "no answer", b'{"kept": 1}'))

    def postpone(self, deliveries: Sequence[Slip], *, seconds: float = 10, counts: bool = True) -> str:
        """Claim, and let them wait in a batch; gives its id."""
        waiting = Waiting(self.store.now_ms() + round(seconds * 1000), b"[]", len(deliveries))
        self.send(deliveries, Outcome(State.SCHEDULED, "503", counts=counts), waiting=[waiting])
        return waiting.id

    def record(self, delivery: Slip) -> Record:
        """Its record, which must be there."""
        (found,) = self.ledger.records([delivery.key])
        assert found is not None
        return found

    def states(self) -> dict[str, int]:
        """Deliveries by state; the identity must hold."""
        return states(self.store)

    def events(self, count: int = 3) -> Batch:
        """Accept and begin a batch of events."""
        batch = self.batches.begin(self.batches.accept(b"{}\n" * (count - 1) + b"{}", count))
        assert batch is not None
        return batch


@pytest.fixture
def bench(store: ClockedStore) -> Iterator[Bench]:
    """The delivery core on an empty store; the identity must hold when the test is over."""
    retention = Retention(record=72 * 3600, dead_letter=30 * 86400, index=7 * 86400, journal=5000)
    yield Bench(
        store,
        Batches(store, lease=LEASE),
        Ledger(store, retention),
        Lanes(store),
        Schedule(store, lease=15, lease_cap=60),
        Journal(store),
    )
    holding(store)


__all__ = ["ABOUT", "LEASE", "Bench", "Claim", "EventCounts", "Kind", "slip", "slips"]
