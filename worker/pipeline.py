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
from worker.actions import ACTIONS, Action, ActionContext, FieldErrors
from worker.deliveries import Delivery
from worker.delivery import State, delivery_key
from worker.destinations import INTEGRATION, Destination
from worker.events import Event, Malformed, kind_of
from worker.masking import REDACTED, redact_event, redact_secrets

#: The integrations object of an event that goes everywhere; nearly all have this one or none.
_EVERYWHERE = {"All": True}
#: The fields of an event by which nearly every trigger chooses.
_CHOOSING = frozenset({("type",), ("event",)})


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
    choice = _Choice(destinations)
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
        everywhere = not integrations or integrations == _EVERYWHERE
        secret: str | None = None
        first, first_over = len(result.deliveries), len(result.over)
        for route in choice.of(event):
            if everywhere or wanted(integrations or {}, route.destination.name):
                found = route.run(result, event, message_id, position, now_ms, received_ms)
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
    route = _Way(destination, action, mapping, version)
    return route.resolve(resolved, message_id, position, event, now_ms, received_ms)


class _Way:
    """The way into an action of a destination, with everything looked up that is the same for each delivery."""

    __slots__ = ("_everybody", "_time_to_live", "action", "context", "destination", "mapping", "name", "version")

    def __init__(self, destination: Destination, action: Action, mapping: str, version: str) -> None:
        self.destination = destination
        self.action = action
        self.mapping = mapping
        self.version = version
        self.name = destination.name
        self.context: ActionContext = destination.context
        self._everybody = destination.mode == "live"
        self._time_to_live = destination.policies[action.name].time_to_live

    def resolve(
        self,
        resolved: dict[str, Any],
        message_id: str,
        position: int,
        event: Event | None,
        now_ms: int,
        received_ms: int,
    ) -> Delivery | Over:
        """As `resolve_payload`."""
        action = self.action
        try:
            prepared = action.prepare(resolved, self.context)
        except FieldErrors as error:
            delivery = self.delivery(message_id, position, event, _shown(resolved, action))
            delivery.history = [
                {"at": now_ms, "errors": [{"field": one.field, "message": one.message} for one in error.errors]}
            ]
            fields = ", ".join(dict.fromkeys(one.field for one in error.errors))
            return Over(delivery, State.REJECTED, f"invalid: {fields}"[:100])
        payload, recipient, group, cost, time_to_live, others = prepared
        delivery = self.delivery(message_id, position, event, payload, recipient, group, cost)
        if not self._everybody:
            if self.destination.mode == "dry":
                return Over(delivery, State.SUPPRESSED, "dry")
            everybody = (recipient, *others)
            if (action.people_receive or action.names_people) and not all(map(self.destination.allows, everybody)):
                return Over(delivery, State.SUPPRESSED, "not on the allow list")
        if time_to_live is not None or self._time_to_live is not None:
            life = min(one for one in (self._time_to_live, time_to_live) if one is not None)
            sent_at = event_time_ms(event) if event else None
            delivery.expires_ms = (sent_at if sent_at is not None else received_ms or now_ms) + round(life * 1000)
            if delivery.expires_ms <= now_ms:
                return Over(delivery, State.EXPIRED, "stale event")
        return delivery

    def delivery(
        self,
        message_id: str,
        position: int,
        event: Event | None,
        payload: dict[str, Any],
        recipient: str = "",
        group: str = "",
        cost: int = 1,
    ) -> Delivery:
        """A delivery by this way; arguments by position, since there are so many of them."""
        return Delivery(
            delivery_key(self.name, message_id, self.mapping),
            message_id,
            self.mapping,
            recipient,
            self.name,
            self.version,
            self.action.name,
            payload,
            group,
            cost,
            None,
            position,
            event,
        )


class _Route(_Way):
    """One mapping of a destination."""

    __slots__ = ("_mapping", "matches", "trigger")

    def __init__(self, destination: Destination, mapping: Mapping) -> None:
        super().__init__(destination, ACTIONS[mapping.action], mapping.name, mapping.version)
        self.trigger = mapping.trigger
        self.matches = mapping.trigger.matches
        self._mapping = mapping.mapping.resolve

    def run(
        self, result: Resolved, event: Event, message_id: str, position: int, now_ms: int, received_ms: int
    ) -> str | None:
        """Map one event; gives the one-time password found, empty when one could be found, None when never."""
        secret = self.action.secret
        try:
            resolved = self._mapping(event)
            if not isinstance(resolved, dict):
                what = "nothing" if resolved is MISSING else kind_of(resolved)
                msg = f"the mapping gives {what}, expected an object of fields"
                raise TypeError(msg)
        except (MappingError, TypeError) as error:
            failed = self.delivery(message_id, position, event, {})
            failed.history = [{"at": now_ms, "errors": [{"field": "mapping", "message": str(error)[:500]}]}]
            result.over.append(Over(failed, State.REJECTED, "mapping failed"))
            return "" if secret else None
        outcome = self.resolve(resolved, message_id, position, event, now_ms, received_ms)
        if isinstance(outcome, Over):
            result.over.append(outcome)
        else:
            result.deliveries.append(outcome)
        if not secret:
            return None
        value = resolved.get(secret)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


class _Choice:
    """Which mappings want an event; triggers that look at its type and name alone are asked once for each pair."""

    def __init__(self, destinations: Iterable[Destination]) -> None:
        self._routes = [_Route(one, mapping) for one in destinations for mapping in one.mappings]
        self._by_name = {id(one) for one in self._routes if one.trigger.fields <= _CHOOSING}
        self._known: dict[tuple[Any, Any], tuple[list[_Route], bool]] = {}

    def of(self, event: Event) -> list[_Route]:
        """The routes whose trigger holds, in the order of destinations and mappings."""
        name = event.get("event", MISSING)
        if type(name) is not str and name is not MISSING:
            return [one for one in self._routes if one.matches(event)]
        pair = event["type"], None if name is MISSING else name  # `events.problem_with` holds that the type is text
        found = self._known.get(pair)
        if found is None:
            by_name = self._by_name
            maybe = [one for one in self._routes if id(one) not in by_name or one.matches(event)]
            found = self._known[pair] = maybe, all(id(one) in by_name for one in maybe)
        routes, sure = found
        return routes if sure else [one for one in routes if id(one) in self._by_name or one.matches(event)]


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


def _shown(resolved: dict[str, Any], action: Action) -> dict[str, Any]:
    """What is kept of fields that cannot be sent."""
    if not action.secret or action.secret not in resolved:
        return resolved
    redacted: dict[str, Any] = redact_secrets({**resolved, action.secret: REDACTED})
    return redacted
