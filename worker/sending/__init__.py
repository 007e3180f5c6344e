"""The way out: the lane grants a slot, the ledger claims, the request leaves, the outcome is settled."""

from .planning import note_attempt, plan
from .sender import Sender
from .terms import Client, Sent, Timing

__all__ = ["Client", "Sender", "Sent", "Timing", "note_attempt", "plan"]
