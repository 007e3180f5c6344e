"""What became of an event: the answer for who sent it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from worker.actions import ACTIONS
from worker.delivery import Ledger, Record, State, delivery_key
from worker.delivery.states import KEPT
from worker.destinations import Destination
from worker.runtime import Core

#: What each state means for who waits for it.
MEANINGS = {
    State.SENDING: "on its way to MSG91 at this moment",
    State.SCHEDULED: "waits for its next attempt",
    State.ACCEPTED: "MSG91 has taken it",
    State.DELIVERED: "the operator has delivered it",
    State.UNDELIVERED: "the operator could not deliver it",
    State.REJECTED: "can never succeed; the reason says why",
    State.DEAD: "given up after the last attempt",
    State.EXPIRED: "too old to be sent",
    State.SUPPRESSED: "not sent, by a rule of the destination",
    State.IN_DOUBT: "may have reached MSG91, and no answer says so",
}


def deliveries_of(core: Core, destinations: Iterable[Destination], message_id: str) -> list[dict[str, Any]]:
    """The deliveries that an event has become, of these destinations alone.

    Numbers and texts are not shown; a key is enough for `msg91-destination deliveries show`.

    Args:
        core: The store.
        destinations: Where the asker may look.
        message_id: The event's id.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    names = [
        (destination.name, mapping, action, delivery_key(destination.name, message_id, mapping))
        for destination in destinations
        for mapping, action in _mappings(destination)
    ]
    records = core.ledger.records([key for *_, key in names])
    found = [(*name, record) for name, record in zip(names, records, strict=True) if record is not None]
    kept = core.ledger.kept([key for *_, key, record in found if record.state in KEPT])
    attempts = {}
    for (*_, key, _record), one in zip([f for f in found if f[-1].state in KEPT], kept, strict=True):
        attempts[key] = (one or {}).get("history", [])
    return [
        {
            "destination": destination,
            "mapping": mapping,
            "action": action,
            "key": key,
            "state": record.state.value,
            "meaning": MEANINGS[record.state],
            "reason": record.reason or None,
            "attempts": record.attempts,
            "since": _written(record.at_ms),
            "final": record.state.is_terminal,
            "arrival": record.origin,
            "requestId": _request_id(core.ledger, record),
            "errors": [error for attempt in attempts.get(key, []) for error in attempt.get("errors", [])],
        }
        for destination, mapping, action, key, record in found
    ]


def _mappings(destination: Destination) -> list[tuple[str, str]]:
    names = {mapping.name: mapping.action for mapping in destination.mappings}
    # Celery producers that send payloads for an action have its name in the place of a mapping's.
    return list({**{name: name for name in ACTIONS}, **names}.items())


def _request_id(ledger: Ledger, record: Record) -> str | None:
    """MSG91's id of the request that has taken it, while that is known."""
    if record.state not in (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED) or not record.ref:
        return None
    request = ledger.request(record.ref)
    return (request.request_id or None) if request else None


def _written(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
