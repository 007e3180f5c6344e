"""What the ledger is told of deliveries, and what it tells: slips, outcomes, claims, how long things stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .batches import Kind, new_id
from .states import State

HOUR_MS = 3_600_000

#: How long a report waits for the answer to its request to be settled, ms.
EARLY_REPORT_MS = HOUR_MS


@dataclass(slots=True)
class Slip:
    """What the ledger has to know of one delivery.

    Attributes:
        key: ``keys.delivery_key``.
        message_id: The event's ``messageId``.
        mapping: The mapping's name.
        recipient: Number or contact id; only its hash is stored.
    """

    key: str
    message_id: str
    mapping: str
    recipient: str = field(default="", repr=False)


@dataclass(slots=True)
class Outcome:
    """What became of one delivery.

    Attributes:
        state: Its new state.
        reason: A short code; ``""`` for accepted.
        kept: What is kept of it for an operator (in doubt, dead, rejected).
        waiting: Index of the ``Waiting`` batch it goes to (scheduled).
        counts: Whether the attempt counts against its budget (scheduled).
    """

    state: State
    reason: str = ""
    kept: bytes = b""
    waiting: int = 0
    counts: bool = True


@dataclass(slots=True)
class Waiting:
    """A batch to be made by the settling script: deliveries that wait, or a timer for those in doubt."""

    due_ms: int
    body: bytes
    items: int
    kind: Kind = Kind.DELIVERIES
    queue: str = "events"
    slot: str = ""
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Which records a settlement may touch.

    Attributes:
        letters: Letters of the states allowed; ``-`` allows that there is no record yet.
        ref: What the record must refer to (token or batch id); ``""`` for anything.
    """

    letters: str
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A request under way (or abandoned): what was in it and until when its worker holds it."""

    token: str
    lease_end_ms: int
    about: str
    items: bytes
    request_id: str
    deliveries: Mapping[str, str]

    @property
    def destination(self) -> str:
        """The destination's name."""
        return self.about.partition("|")[0]

    @property
    def action(self) -> str:
        """The action's name."""
        return self.about.partition("|")[2]


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of a delivery report.

    Attributes:
        outcome: ``settled``, ``recorded``, ``repeated``, ``outdated``, ``pending``, ``other``, ``unknown`` as in
            ``report.lua``; ``early`` when it waits for the answer to its request; ``unmatched`` when no request of ours
            fits.
        key: The delivery, ``""`` when none is known.
    """

    outcome: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things stay.

    Attributes:
        record: Life of a record from its terminal state, seconds.
        dead_letter: Life of what is rejected or dead, with its payload, seconds.
        index: Life of a request's index, seconds; reports can be joined that long.
        journal: Entries of the journal, each holding the outcomes of one request.
    """

    record: float = 72 * 3600.0
    dead_letter: float = 30 * 86400.0
    index: float = 7 * 86400.0
    journal: int = 2_000
