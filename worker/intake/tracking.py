"""Segment's tracking API: from the JSON of a request to the lines of a batch. Pure: no I/O, no clock.

Paths, fields and limits are those of https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
and, for the one-letter paths, of Segment's own browser client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import orjson

from worker.events import TOO_DEEP, Event, malformed_line, problem_with
from worker.intake.limits import Limits
from worker.intake.refusals import Refused, unreadable

#: What the calls that carry several events are called.
BATCH: Final = "batch"
#: The browser client's own metrics: taken and thrown away.
METRICS: Final = "metrics"

#: The last part of a path, and the type of event that it takes.
CALLS: Final = MappingProxyType(
    {
        "identify": "identify",
        "track": "track",
        "page": "page",
        "screen": "screen",
        "group": "group",
        "alias": "alias",
        "batch": BATCH,
        "import": BATCH,
        "i": "identify",
        "t": "track",
        "p": "page",
        "s": "screen",
        "g": "group",
        "a": "alias",
        "b": BATCH,
        "m": METRICS,
    }
)

#: Problems named in an answer, at most.
_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request.

    Attributes:
        id: Its id, which the sender may have given.
        at_ms: When it came, ms since 1970.
        received_at: The same as text.
        events: Events without a messageId are named by it and their place; no other request has it.
    """

    id: str
    at_ms: int
    received_at: str
    events: str

    @classmethod
    def at(cls, request_id: str, at_ms: int, *, events: str = "") -> Arrival:
        """An arrival at a moment, ms since 1970; its id names its events, too, unless ``events`` is given."""
        return cls(request_id, at_ms, _written(at_ms), events or request_id)


@dataclass(slots=True)
class Taken:
    """What a request comes to.

    Attributes:
        lines: One JSON text for each event, also for those that will be recorded as malformed.
        malformed: What is wrong with those: position, code and message.
    """

    lines: list[bytes] = field(default_factory=list)
    malformed: list[dict[str, Any]] = field(default_factory=list)

    def answer(self) -> bytes:
        """The body of the answer 200: what Segment's clients expect, and what their authors will want to know."""
        if not self.malformed:
            return b'{"success":true}'
        return orjson.dumps(
            {"success": True, "malformed": self.malformed[:_NAMED], "malformedCount": len(self.malformed)}
        )


def take_one(kind: str | None, document: Any, arrival: Arrival, limits: Limits) -> Taken:
    """One event, as the calls ``identify`` to ``alias`` take it.

    Args:
        kind: Its type, when it names none itself; None when it has to.
        document: The JSON of the request.
        arrival: The request.
        limits: The bounds.

    Raises:
        Refused: it is no event of the spec, or too large.
    """
    if not isinstance(document, dict):
        raise unreadable("bad_request", "the body must be a JSON object: one event")
    if kind is not None:
        if document.get("type") is None:
            document["type"] = kind
        elif document["type"] != kind:
            raise unreadable("type_mismatch", f"type: the path takes {kind} events; it may be left out")
    problem = problem_with(document)
    if problem is not None:
        raise unreadable(*problem)
    line = _written_event(document, arrival, 0)
    if line is None:
        raise unreadable(*TOO_DEEP)
    if len(line) > limits.event and _size(document) > limits.event:
        raise Refused(413, "event_too_large", f"an event may have {limits.event} bytes")
    return Taken([line])


def take_batch(document: Any, arrival: Arrival, limits: Limits) -> Taken:
    """Several events, as the calls ``batch`` and ``import`` take them.

    An event that cannot be used does not keep out its neighbours: it is taken in too, and recorded as malformed.

    Args:
        document: The JSON of the request: ``batch``, and ``context``, ``integrations`` and ``sentAt`` for all of them.
        arrival: The request.
        limits: The bounds.

    Raises:
        Refused: there is no batch, or it holds too many events.
    """
    if not isinstance(document, dict) or not isinstance(document.get("batch"), list):
        raise unreadable("bad_request", "the body must be a JSON object with the key batch: an array of events")
    shared = {}
    for name in ("context", "integrations"):
        value = document.get(name)
        if value is not None and not isinstance(value, dict):
            raise unreadable(f"{name}_not_object", f"{name}: expected an object")
        if value:
            shared[name] = value
    sent_at = document.get("sentAt")
    return take_events(document["batch"], arrival, limits, shared=shared, sent_at=sent_at)


def take_events(
    events: list[Any],
    arrival: Arrival,
    limits: Limits,
    *,
    shared: dict[str, Event] | None = None,
    sent_at: Any = None,
) -> Taken:
    """A list of events.

    Args:
        events: As they came.
        arrival: The request.
        limits: The bounds.
        shared: Objects whose keys every event has unless it says otherwise: ``context`` and ``integrations``.
        sent_at: When the sender sent them, for those that do not say it themselves.

    Raises:
        Refused: none, or too many.
    """
    if not events:
        raise unreadable("empty_batch", "the batch holds no events")
    if len(events) > limits.events:
        raise Refused(413, "too_many_events", f"a batch may have {limits.events} events")
    taken = Taken()
    for position, event in enumerate(events):
        taken.lines.append(_line(event, position, arrival, limits, shared, sent_at, taken.malformed))
    return taken


def _line(
    event: Any,
    position: int,
    arrival: Arrival,
    limits: Limits,
    shared: dict[str, Event] | None,
    sent_at: Any,
    malformed: list[dict[str, Any]],
) -> bytes:
    problem = problem_with(event)
    if problem is None:
        sent = event
        if shared or sent_at is not None:
            event = {**event}
            if sent_at is not None:
                event.setdefault("sentAt", sent_at)
            for name, value in (shared or {}).items():
                event[name] = {**value, **(event.get(name) or {})}
        line = _written_event(event, arrival, position)
        if line is None:
            problem = TOO_DEEP
        elif len(line) <= limits.event or _size(sent) <= limits.event:
            return line
        else:
            problem = "event_too_large", f"an event may have {limits.event} bytes"
    malformed.append({"position": position, "code": problem[0], "message": problem[1]})
    if isinstance(event, dict):
        event.pop("writeKey", None)
    return malformed_line(*problem, event)


def _written_event(event: Event, arrival: Arrival, position: int) -> bytes | None:
    """Complete an event in place and write it; None when it is nested too deeply to be written."""
    event.pop("writeKey", None)
    if not event.get("messageId"):
        event["messageId"] = f"{arrival.events}-{position}"
    event["receivedAt"] = arrival.received_at
    if event.get("timestamp") is None:
        event["timestamp"] = corrected(event, arrival)
    try:
        return orjson.dumps(event)
    except TypeError:
        return None


def corrected(event: Event, arrival: Arrival) -> str:
    """When an event without a timestamp happened: ``receivedAt - (sentAt - originalTimestamp)``.

    What the sender's clock says counts only as a difference, as in Segment's spec
    (https://segment.com/docs/connections/spec/common/#timestamps); what cannot be read counts as now.
    """
    original, sent = _moment(event.get("originalTimestamp")), _moment(event.get("sentAt"))
    if original is None:
        return arrival.received_at
    if sent is None:
        return str(event["originalTimestamp"])
    at_ms = arrival.at_ms - round((sent - original).total_seconds() * 1000)
    try:
        return _written(at_ms)
    except (ValueError, OverflowError, OSError):
        return arrival.received_at


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _written(at_ms: int) -> str:
    seconds, millis = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def _size(event: Event) -> int:
    """Bytes of an event without what was added here; the sender's own ids and times count."""
    return len(orjson.dumps({name: value for name, value in event.items() if name not in _ADDED}))


_ADDED: Final = frozenset({"messageId", "receivedAt", "timestamp", "writeKey"})
