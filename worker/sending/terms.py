"""What the parts of this room have in common: deliveries that share a request, times, what became of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from worker.actions import Action
from worker.deliveries import Delivery
from worker.delivery import PRIORITY_QUEUE, Batch, Record
from worker.destinations import Destination, LaneSettings
from worker.msg91.answers import Answer
from worker.msg91.client import Request

from .giving_up import UnderWay

#: Says why MSG91 is known to refuse a delivery (its template is not approved, say), or None.
Approve = Callable[[Destination, Delivery], str | None]
#: Tells Celery of a batch that can go now: batch id, queue.
Wake = Callable[[str, str], object]


class Client(Protocol):
    """What is asked of an MSG91 client."""

    def send(
        self,
        request: Request,
        *,
        deadline: float | None = None,
        write_by: float | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Answer:
        """Make one request; never raises for the provider or the network."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, seconds.

    Attributes:
        deadline: One request, from first byte to the end of the answer.
        lease: A claim; the deadline must end well inside it.
        margin: What must be left of the lease, beyond the deadline, when the first byte is written.
    """

    deadline: float = 20.0
    lease: float = 60.0
    margin: float = 5.0


@dataclass(slots=True)
class Sent:
    """What became of the deliveries handed to ``Sender.deliver``.

    Attributes:
        mine: Positions (in the batch) of events that are the parent of at least one delivery.
        busy_until_ms: A delivery of this batch is still being sent by an earlier run: come back after this moment.
        stopped: The worker is shutting down and did not get to all of them.
        held: Nothing may be sent: the store may have lost claims.
    """

    mine: set[int] = field(default_factory=set)
    busy_until_ms: int = 0
    stopped: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """What the deliveries of one request have in common.

    Attributes:
        action: Theirs.
        destination: Theirs.
        batch: The batch that brings them.
        sent: Where it is noted what became of them.
    """

    action: Action
    destination: Destination
    batch: Batch
    sent: Sent

    @property
    def about(self) -> str:
        """How the counters and the journal name it: ``<destination>|<action>``."""
        return f"{self.destination.name}|{self.action.name}"

    @property
    def queue(self) -> str:
        """The Celery queue on which they come back."""
        return PRIORITY_QUEUE if self.action.urgent else self.batch.queue


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request about to be made.

    Attributes:
        token: Its correlation token.
        lease_end_ms: When its claim runs out, by the store's clock.
        write_by: `time.monotonic` after which its first byte must not be written.
        lane: Its lane.
        paid: Whether it has paid for the lane's rate already.
        under_way: How it is given up.
    """

    token: str
    lease_end_ms: int
    write_by: float
    lane: LaneSettings
    paid: bool
    under_way: UnderWay


def parents(
    deliveries: Sequence[Delivery], refused: Mapping[int, Record] | Mapping[int, Record | None], batch: Batch
) -> set[int]:
    """Positions of the events whose deliveries were written, by this call or an earlier one for the same batch."""
    if not refused:
        return {one.position for one in deliveries}
    mine: set[int] = set()
    for at, one in enumerate(deliveries):
        record = refused.get(at) if at in refused else None
        if at not in refused or (record is not None and record.origin == batch.origin):
            mine.add(one.position)
    return mine
