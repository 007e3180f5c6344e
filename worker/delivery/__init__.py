"""What makes a send safe: states, ledger, lanes, schedule, journal. Knows Redis, not MSG91."""

from .attention import Attention, sweep
from .backoff import RetryPolicy
from .batches import PRIORITY_QUEUE, RETRY_QUEUE, Batch, Batches, EventCounts, Kind, Look, new_id
from .counters import Counts, Reconciliation, fold, read_counts, reconcile
from .errors import (
    DeliveryError,
    NotAllowed,
    NotFound,
    StoreFormatError,
    StoreHeld,
    StoreUnavailable,
)
from .journal import Journal, Line, Note
from .keys import Keys, delivery_key, recipient_hash
from .lanes import Ending, Grant, LaneLimits, Lanes, LaneStatus, Verdict
from .ledger import Claim, Expectation, Ledger, Outcome, Retention, Slip, Waiting
from .measures import LATENCY_BOUNDS, Latency, Measured, Measures, read_measures
from .paging import pages
from .records import Record
from .schedule import Entry, Schedule
from .sealing import REDACTED, SEALED, CannotOpen, Sealing, is_sealed, may_carry
from .states import State
from .store import FORMAT, Patience, Store, connect
from .trust import PREDECESSOR_IN_ORDER, Trust, confirm, why_held

__all__ = [
    "FORMAT",
    "LATENCY_BOUNDS",
    "PREDECESSOR_IN_ORDER",
    "PRIORITY_QUEUE",
    "REDACTED",
    "RETRY_QUEUE",
    "SEALED",
    "Attention",
    "Batch",
    "Batches",
    "CannotOpen",
    "Claim",
    "Counts",
    "DeliveryError",
    "Ending",
    "Entry",
    "EventCounts",
    "Expectation",
    "Grant",
    "Journal",
    "Keys",
    "Kind",
    "LaneLimits",
    "LaneStatus",
    "Lanes",
    "Latency",
    "Ledger",
    "Line",
    "Look",
    "Measured",
    "Measures",
    "NotAllowed",
    "NotFound",
    "Note",
    "Outcome",
    "Patience",
    "Reconciliation",
    "Record",
    "Retention",
    "RetryPolicy",
    "Schedule",
    "Sealing",
    "Slip",
    "State",
    "Store",
    "StoreFormatError",
    "StoreHeld",
    "StoreUnavailable",
    "Trust",
    "Verdict",
    "Waiting",
    "confirm",
    "connect",
    "delivery_key",
    "fold",
    "is_sealed",
    "may_carry",
    "new_id",
    "pages",
    "read_counts",
    "read_measures",
    "recipient_hash",
    "reconcile",
    "sweep",
    "why_held",
]
