"""What makes a send safe: states, ledger, lanes, schedule, journal. Knows Redis, not MSG91."""

from .attention import Attention, sweep
from .awaiting import Awaiting, Silence
from .backoff import RetryPolicy
from .batches import PRIORITY_QUEUE, RETRY_QUEUE, Batch, Batches, EventCounts, Kind, Look, new_id
from .contacts import Contacts
from .counters import Counts, Reconciliation, fold, read_counts, reconcile
from .errors import (
    DeliveryError,
    NotAllowed,
    NotFound,
    StoreFormatError,
    StoreHeld,
    StoreUnavailable,
)
from .index import unpack as unpack_index
from .journal import Journal, Line, Note
from .keys import Keys, delivery_key, recipient_hash
from .lanes import Ending, Grant, LaneLimits, Lanes, LaneStatus, Verdict
from .ledger import Ledger
from .measures import LATENCY_BOUNDS, Latency, Measured, Measures, read_measures
from .origins import Origin, Origins, Reported, Whose
from .paging import pages
from .records import Record
from .schedule import Entry, Schedule
from .sealing import REDACTED, SEALED, CannotOpen, Sealing, is_sealed, may_carry
from .states import State
from .store import FORMAT, Call, Patience, Store, connect
from .terms import EARLY_REPORT_MS, Claim, Expectation, Joined, Outcome, Retention, Slip, Waiting
from .trust import PREDECESSOR_IN_ORDER, Trust, confirm, why_held
from .unmatched import Stray, Unmatched

__all__ = [
    "EARLY_REPORT_MS",
    "FORMAT",
    "LATENCY_BOUNDS",
    "PREDECESSOR_IN_ORDER",
    "PRIORITY_QUEUE",
    "REDACTED",
    "RETRY_QUEUE",
    "SEALED",
    "Attention",
    "Awaiting",
    "Batch",
    "Batches",
    "Call",
    "CannotOpen",
    "Claim",
    "Contacts",
    "Counts",
    "DeliveryError",
    "Ending",
    "Entry",
    "EventCounts",
    "Expectation",
    "Grant",
    "Joined",
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
    "Origin",
    "Origins",
    "Outcome",
    "Patience",
    "Reconciliation",
    "Record",
    "Reported",
    "Retention",
    "RetryPolicy",
    "Schedule",
    "Sealing",
    "Silence",
    "Slip",
    "State",
    "Store",
    "StoreFormatError",
    "StoreHeld",
    "StoreUnavailable",
    "Stray",
    "Trust",
    "Unmatched",
    "Verdict",
    "Waiting",
    "Whose",
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
    "unpack_index",
    "why_held",
]
