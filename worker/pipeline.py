"""From events to deliveries. Pure: no I/O, no clock.

For every event and every mapping of every destination: integrations object, trigger, mapping, the action's own checks.
What comes out is a delivery to send, one that is over before it began (rejected, suppressed, expired), or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from mappings import MISSING, Mapping, MappingError
from worker.actions import ACTIONS, Action, FieldErrors
from worker.deliveries import Delivery
from worker.delivery import State, delivery_key
from worker.destinations import INTEGRATION, Destination
from worker.events import Event, Malformed, kind_of
from worker.masking import REDACTED, redact_event, redact_secrets


@dataclass(slots=True)
class Over:
    """A delivery that is over before anything was sent."""

    delivery: Delivery
    state: State
    reason: str


@dataclass(slots=True)
class Resolved:
    """What became of a batch in the pipeline.

    Attributes:
        deliveries: To be sent.
        over: Over before they began.
        malformed: Events that cannot be read.
        parsed: Events that can.
        repeated: Positions of events that stand in the batch twice.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    over: list[Over] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    parsed: int = 0
    repeated: set[int] = field(default_factory=set)


def resolve_events(
    events: Sequence[Event | Malformed],
    destinations: Iterable[Destination],
    *,
    now_ms: int,
    arrival: str,
    received_ms: int = 0,
) -> Resolved:
    """Run a batch of events through all mappings.

    Args:
        events: As ``events.parse`` gives them.
        destinations: Where they may go.
        now_ms: The present, for times to live.
        arrival: Names this arrival of the batch; with its place it stands in for a missing ``messageId``.
        received_ms: When the batch was accepted; stands in for a missing timestamp.
    """
    result = Resolved()
    destinations = tuple(destinations)
    seen: set[str] = set()
    for position, event in enumerate(events):
        if isinstance(event, Malformed):
            result.malformed.append(event)
            continue
        result.parsed += 1
        message_id = event.get("messageId") or f"{arrival}-{position}"
        if message_id in seen:
            result.repeated.add(position)
            continue
        seen.add(message_id)
        integrations = event.get("integrations")
        secret: str | None = None
        first, first_over = len(result.deliveries), len(result.over)
        for destination in destinations:
            if integrations and not wanted(integrations, destination.name):
                continue
            for mapping in destination.mappings:
                if mapping.trigger(event):
                    found = _resolve(result, event, message_id, position, destination, mapping, (now_ms, received_ms))
                    secret = found if secret is None else secret or found
        if secret is not None:
            # What is kept of any delivery of this event, by whatever mapping, is kept without the one-time password.
            redacted = redact_event(event, secret)
            for one in result.deliveries[first:]:
                one.event = redacted
            for over in result.over[first_over:]:
                over.delivery.event = redacted
    return result


def wanted(integrations: dict[str, Any], name: str) -> bool:
    """Whether an event's integrations object lets it through to a destination.

    The entry of the destination's own name counts, then that of ``MSG91``, then ``All``, then yes; ``false`` blocks, an
    object is yes (https://segment.com/docs/guides/filtering-data/).
    """
    for key in (name, INTEGRATION):
        if key in integrations:
            return integrations[key] is not False and integrations[key] is not None
    return integrations.get("All", True) is not False


def resolve_payload(
    resolved: dict[str, Any],
    *,
    destination: Destination,
    action: Action,
    message_id: str,
    mapping: str,
    version: str = "",
    position: int = -1,
    event: Event | None = None,
    now_ms: int,
    received_ms: int = 0,
) -> Delivery | Over:
    """Turn resolved fields into a delivery: the action's checks, the mode, the time to live.

    That runs from the event's own timestamp, else from ``received_ms``, else from now.
    """
    delivery = Delivery(
        key=delivery_key(destination.name, message_id, mapping),
        message_id=message_id,
        mapping=mapping,
        destination=destination.name,
        version=version,
        action=action.name,
        position=position,
        event=event,
    )
    try:
        prepared = action.prepare(resolved, destination.context)
    except FieldErrors as error:
        delivery.payload = _shown(resolved, action)
        delivery.history = [
            {"at": now_ms, "errors": [{"field": one.field, "message": one.message} for one in error.errors]}
        ]
        fields = ", ".join(dict.fromkeys(one.field for one in error.errors))
        return Over(delivery, State.REJECTED, f"invalid: {fields}"[:100])
    delivery.payload = prepared.payload
    delivery.recipient = prepared.recipient
    delivery.group = prepared.group
    delivery.cost = prepared.cost
    if destination.mode != "live":
        if destination.mode == "dry":
            return Over(delivery, State.SUPPRESSED, "dry")
        everybody = (prepared.recipient, *prepared.others)
        if (action.people_receive or action.names_people) and not all(map(destination.allows, everybody)):
            return Over(delivery, State.SUPPRESSED, "not on the allow list")
    lives = [one for one in (destination.policies[action.name].time_to_live, prepared.time_to_live) if one is not None]
    if lives:
        time_to_live = min(lives)
        sent_at = event_time_ms(event) if event else None
        delivery.expires_ms = (sent_at if sent_at is not None else received_ms or now_ms) + round(time_to_live * 1000)
        if delivery.expires_ms <= now_ms:
            return Over(delivery, State.EXPIRED, "stale event")
    return delivery


def event_time_ms(event: Event) -> int | None:
    """An event's own timestamp in ms since 1970, or ``None`` when it has none that can be read."""
    for name in ("timestamp", "originalTimestamp", "receivedAt", "sentAt"):
        value = event.get(name)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                continue
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)  # noqa: UP017 - the spec's times are UTC
            return round(moment.timestamp() * 1000)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e14:
            return round(value if value > 1e11 else value * 1000)
    return None


def _resolve(
    result: Resolved,
    event: Event,
    message_id: str,
    position: int,
    destination: Destination,
    mapping: Mapping,
    times: tuple[int, int],
) -> str | None:
    """Run one mapping; gives the one-time password it found, empty when it could find one, None when it never does."""
    secret = ACTIONS[mapping.action].secret
    now_ms, received_ms = times
    try:
        resolved = mapping.mapping(event)
        if not isinstance(resolved, dict):
            what = "nothing" if resolved is MISSING else kind_of(resolved)
            msg = f"the mapping gives {what}, expected an object of fields"
            raise TypeError(msg)
    except (MappingError, TypeError) as error:
        failed = Delivery(
            key=delivery_key(destination.name, message_id, mapping.name),
            message_id=message_id,
            mapping=mapping.name,
            destination=destination.name,
            version=mapping.version,
            action=mapping.action,
            position=position,
            event=event,
            history=[{"at": now_ms, "errors": [{"field": "mapping", "message": str(error)[:500]}]}],
        )
        result.over.append(Over(failed, State.REJECTED, "mapping failed"))
        return "" if secret else None
    outcome = resolve_payload(
        resolved,
        destination=destination,
        action=ACTIONS[mapping.action],
        message_id=message_id,
        mapping=mapping.name,
        version=mapping.version,
        position=position,
        event=event,
        now_ms=now_ms,
        received_ms=received_ms,
    )
    if isinstance(outcome, Over):
        result.over.append(outcome)
    else:
        result.deliveries.append(outcome)
    if not secret:
        return None
    value = resolved.get(secret)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _shown(resolved: dict[str, Any], action: Action) -> dict[str, Any]:
    """What is kept of fields that cannot be sent."""
    if not action.secret or action.secret not in resolved:
        return resolved
    redacted: dict[str, Any] = redact_secrets({**resolved, action.secret: REDACTED})
    return redacted
