"""Which deliveries share a request, and which request goes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.destinations import Destination


def urgent_first(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
    """What somebody is waiting for before the rest, in the order it came."""
    if not any(ACTIONS[one.action].urgent for one in deliveries):
        return deliveries
    return sorted(deliveries, key=lambda one: not ACTIONS[one.action].urgent)


def requests_of(deliveries: Sequence[Delivery], destination: Destination) -> Iterator[list[Delivery]]:
    """Group deliveries that may share a request; where reports join by number, none carries a recipient twice."""
    groups: dict[tuple[str, str], list[Delivery]] = {}
    for one in deliveries:
        groups.setdefault((one.action, one.group), []).append(one)
    for (action, _), members in groups.items():
        limit = destination.recipients(ACTIONS[action])
        unique = ACTIONS[action].unique_recipients
        rest = members
        while rest:
            chunk, later = rest[:limit], rest[limit:]
            if unique and len({one.recipient for one in chunk}) < len(chunk):
                chunk, later = _without_repeats(rest, limit)
            yield chunk
            rest = later


def _without_repeats(rest: Sequence[Delivery], limit: int) -> tuple[list[Delivery], list[Delivery]]:
    """The first deliveries with different recipients, at most ``limit``, and the others in their order."""
    chunk: list[Delivery] = []
    recipients: set[str] = set()
    later: list[Delivery] = []
    for at, one in enumerate(rest):
        if len(chunk) == limit:
            later += rest[at:]
            break
        if one.recipient in recipients:
            later.append(one)
        else:
            recipients.add(one.recipient)
            chunk.append(one)
    return chunk, later
