"""What can become of a message, and how MSG91 writes each of it.

The numbers of SMS reports are those of MSG91's help pages; the words are those of its own campaign service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Status:
    """One thing that can become of a message.

    Attributes:
        name: What it is called here.
        number: The status of an SMS report.
        desc: The ``desc`` of an SMS report of v2 to v4.
        word: The status of "Webhook (New)".
        event: The event of WhatsApp and of CleverTap's shape.
        reason: Why it failed; empty where it did not.
    """

    name: str
    number: str
    desc: str
    word: str
    event: str
    reason: str = ""


_LIST: Final = (
    Status("delivered", "1", "DELIVERED", "Delivered", "delivered"),
    Status("failed", "2", "FAILED", "Failed", "failed", "Absent subscriber"),
    Status("dnd", "9", "NDNC", "NDNC Number", "failed", "Number is on the do-not-disturb list"),
    Status("rejected", "16", "REJECTED", "Rejected By Provider", "failed", "Rejected by provider"),
    Status("blocked", "17", "BLOCKED", "Blocked Number", "failed", "Number is blocked"),
    Status("rejected-25", "25", "REJECTED", "Rejected by Kannel or Provider", "failed", "Rejected by operator"),
    # No page of MSG91's says what it means: a reader must not guess.
    Status("undocumented", "26", "STATUS 26", "Status 26", "unknown", "Status 26"),
    # On the way to one of the above.
    Status("sent", "", "SENT", "Sent", "sent"),
    Status("read", "", "READ", "Opened", "read"),
)

STATUSES: Final[dict[str, Status]] = {one.name: one for one in _LIST}
SENT: Final = STATUSES["sent"]
READ: Final = STATUSES["read"]
DELIVERED: Final = STATUSES["delivered"]
#: What a message ends in; the others are on the way there, or after it.
FINAL: Final = tuple(name for name in STATUSES if name not in {"sent", "read"})
