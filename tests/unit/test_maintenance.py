"""What a worker does on the side: promotion is bounded by each queue of the broker for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.delivery.conftest import Bench, bench, slip
from worker import maintenance
from worker.app import PRIORITY_QUEUE, QUEUE, QUEUES, RETRY_QUEUE
from worker.delivery import Awaiting
from worker.maintenance import Maintenance

__all__ = ["bench"]


class Broker:
    """Queues of a given length; takes messages until it goes away."""

    def __init__(self, lengths: Mapping[str, int] | None) -> None:
        self.lengths = lengths
        self.told: list[tuple[str, str]] = []
        self.takes = 1_000_000

    def publish(self, batch_id: str, queue: str) -> bool:
        """Take one message, as long as it takes any."""
        if len(self.told) >= self.takes:
            return False
        self.told.append((batch_id, queue))
        return True


@pytest.fixture
def broker() -> Broker:
    """A broker with empty queues."""
    return Broker(dict.fromkeys(QUEUES, 0))


@pytest.fixture
def side(bench: Bench, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Maintenance:
    """Maintenance of a worker with nothing to recover."""
    monkeypatch.setattr(maintenance, "recover_abandoned", lambda *_: 0)
    nothing: Any = None
    return Maintenance(
        bench.schedule,
        nothing,
        lambda: nothing,
        Awaiting(bench.store, bench.ledger),
        publish=broker.publish,
        queue_lengths=lambda: broker.lengths,
        refresh=lambda: None,
        queue_limit=200,
    )


def three(bench: Bench) -> tuple[str, str, str]:
    """A new batch, one that has waited and an urgent one, all due."""
    new = bench.batches.accept(b"1", 1)
    waited = bench.postpone([slip(0)], seconds=1)
    urgent = bench.batches.accept(b"1", 1, queue=PRIORITY_QUEUE)
    bench.store.pass_time(16)
    return new, waited, urgent


def test_everything_due_is_told_of_the_urgent_first(bench: Bench, broker: Broker, side: Maintenance) -> None:
    """With room in all queues each batch goes to its own."""
    new, waited, urgent = three(bench)
    assert side.round() == 3
    assert broker.told[0] == (urgent, PRIORITY_QUEUE)
    assert set(broker.told) == {(new, QUEUE), (waited, RETRY_QUEUE), (urgent, PRIORITY_QUEUE)}


def test_a_long_queue_of_new_events_delays_no_retry(bench: Bench, broker: Broker, side: Maintenance) -> None:
    """A backlog of new events holds up neither retries nor one-time passwords."""
    _, waited, urgent = three(bench)
    broker.lengths = {QUEUE: 5_000, RETRY_QUEUE: 0, PRIORITY_QUEUE: 0}
    assert side.round() == 2
    assert broker.told == [(urgent, PRIORITY_QUEUE), (waited, RETRY_QUEUE)]


@pytest.mark.parametrize("lengths", [None, dict.fromkeys(QUEUES, 200)])
def test_nothing_is_told_of_without_room(
    bench: Bench, broker: Broker, side: Maintenance, lengths: Mapping[str, int] | None
) -> None:
    """While all queues are long, or the broker cannot be asked, everything stays due."""
    three(bench)
    broker.lengths = lengths
    assert side.round() == 0
    broker.lengths = dict.fromkeys(QUEUES, 0)
    assert side.round() == 3


def test_what_a_broker_did_not_take_is_told_of_again(bench: Bench, broker: Broker, side: Maintenance) -> None:
    """The broker goes away in the middle: what it did not take comes back when its lease is over."""
    three(bench)
    broker.takes = 1
    assert side.round() == 1
    broker.takes = 1_000_000
    assert side.round() == 0
    bench.store.pass_time(16)
    assert side.round() == 3
    assert {queue for _, queue in broker.told} == set(QUEUES)
