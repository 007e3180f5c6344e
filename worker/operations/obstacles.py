"""What stands in the way of sending a kept delivery again, and what it would cost."""

from __future__ import annotations

from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.destinations import Destinations

NOTHING_KEPT = "nothing is kept of it"


def obstacle(delivery: Delivery | None, destinations: Destinations, now_ms: int) -> str | None:
    """Say what stands in the way of sending it, in a few words that group well; ``None`` when nothing does.

    The destination's mode counts as it is now: a destination that was switched to ``dry`` sends nobody anything.
    """
    if delivery is None:
        return NOTHING_KEPT
    action = ACTIONS.get(delivery.action)
    if action is None:
        return f"there is no action {delivery.action!r}"
    destination = destinations.get(delivery.destination)
    if destination is None:
        return f"destination {delivery.destination} is not configured"
    if destination.mode == "dry":
        return f"destination {delivery.destination} is in mode dry"
    if destination.mode == "allow-list" and action.people_receive and not destination.allows(delivery.recipient):
        return "the number is not on the allow list"
    if delivery.lacks_secret:
        return "its one-time password is gone"
    if delivery.expires_ms is not None and delivery.expires_ms <= now_ms:
        return "its time to live is over"
    return None


def parts_of(delivery: Delivery) -> int:
    """SMS parts that a delivery costs; 0 for what is no SMS."""
    action = ACTIONS.get(delivery.action)
    return delivery.cost if action is not None and action.family == "sms" else 0
