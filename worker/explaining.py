"""What would become of an event, and why: every mapping with its trigger, its fields and its request. Pure.

It runs the event through the pipeline that sends, and asks triggers and mappings for their reasons afterwards. Nothing
is sent, and no store is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from mappings import MISSING, ClauseVerdict, FieldExplanation, Mapping
from worker.actions import ACTIONS, Action
from worker.deliveries import Delivery
from worker.delivery import REDACTED, State
from worker.destinations import INTEGRATION, Destination
from worker.events import Event, problem_with
from worker.msg91.client import Request
from worker.msg91.text import TextSize, measure
from worker.pipeline import Over, resolve_events, wanted

__all__ = ["Considered", "Explanation", "Field", "Verdict", "explain_event"]

#: Stands where each request has its own correlation id.
TOKEN: Final = "0123456789abcdef"  # noqa: S105 - no secret


class Verdict(StrEnum):
    """What a mapping makes of an event."""

    SENT = "sent"
    REJECTED = "rejected"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    NOT_MATCHED = "not_matched"
    DISABLED = "disabled"


_OVER: Final = {
    State.REJECTED: Verdict.REJECTED,
    State.SUPPRESSED: Verdict.SUPPRESSED,
    State.EXPIRED: Verdict.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an action, as the mapping resolves it.

    Attributes:
        name: The field.
        value: Its value; ``MISSING`` when there is none.
        paths: Where in the event it was looked for.
        note: Why it is missing, or what is wrong with it.
    """

    name: str
    value: Any
    paths: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Considered:
    """What one mapping makes of an event.

    Attributes:
        mapping: The mapping's name.
        action: The action's name.
        verdict: What becomes of it.
        reason: Why it is not sent, in a few words; ``""`` when it is.
        trigger: The mapping's trigger.
        clauses: What each part of the trigger says.
        fields: What the mapping resolves.
        errors: What is wrong, by field.
        key: The delivery's key, by which `deliveries show` finds it; ``""`` when there is no delivery.
        request: The exact request; for what is suppressed or expired, the one that is not sent.
        url: Where it goes to.
        size: Encoding and parts, when the text is known.
    """

    mapping: str
    action: str
    verdict: Verdict
    reason: str = ""
    trigger: str = ""
    clauses: tuple[ClauseVerdict, ...] = ()
    fields: tuple[Field, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    key: str = ""
    request: Request | None = None
    url: str = ""
    size: TextSize | None = None

    def body(self) -> Any:
        """The request's body, read back from its bytes; ``None`` when there is none."""
        return None if self.request is None or self.request.body is None else orjson.loads(self.request.body)


@dataclass(frozen=True, slots=True)
class AtDestination:
    """What one destination makes of an event.

    Attributes:
        destination: Its name.
        filtered: Why it takes nothing of the event at all; ``""`` when it does.
        considered: One entry per mapping, in the order of the configuration.
    """

    destination: str
    filtered: str = ""
    considered: tuple[Considered, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of an event.

    Attributes:
        event: The event.
        malformed: Code and sentence, when it is no event of the spec; nothing else is filled then.
        destinations: One entry each.
    """

    event: Any
    malformed: tuple[str, str] | None = None
    destinations: tuple[AtDestination, ...] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What the mappings whose trigger matched make of it."""
        silent = (Verdict.NOT_MATCHED, Verdict.DISABLED)
        return tuple(
            one.verdict for there in self.destinations for one in there.considered if one.verdict not in silent
        )


def explain_event(event: Any, destinations: Iterable[Destination], *, now_ms: int, arrival: str) -> Explanation:
    """Explain one event.

    Args:
        event: As it came.
        destinations: Where it may go.
        now_ms: The present, for times to live.
        arrival: Stands in for a missing ``messageId``.
    """
    problem = problem_with(event)
    if problem is not None:
        return Explanation(event, malformed=problem)
    destinations = tuple(destinations)
    resolved = resolve_events([event], destinations, now_ms=now_ms, arrival=arrival)
    found: dict[tuple[str, str], Delivery | Over] = {(one.destination, one.mapping): one for one in resolved.deliveries}
    found |= {(one.delivery.destination, one.delivery.mapping): one for one in resolved.over}
    return Explanation(event, destinations=tuple(_at(one, event, found) for one in destinations))


def _at(destination: Destination, event: Event, found: dict[tuple[str, str], Delivery | Over]) -> AtDestination:
    integrations = event.get("integrations")
    if integrations and not wanted(integrations, destination.name):
        name = next((one for one in (destination.name, INTEGRATION) if one in integrations), "All")
        return AtDestination(destination.name, filtered=f"integrations.{name} of the event switches it off")
    every = [mapping for file in destination.files for mapping in file.mappings]
    return AtDestination(
        destination.name,
        considered=tuple(
            _consider(destination, mapping, event, found.get((destination.name, mapping.name))) for mapping in every
        ),
    )


def _consider(destination: Destination, mapping: Mapping, event: Event, outcome: Delivery | Over | None) -> Considered:
    considered = Considered(
        mapping.name,
        mapping.action,
        Verdict.NOT_MATCHED,
        "the trigger does not match",
        trigger=mapping.trigger.text,
        clauses=tuple(mapping.trigger.explain(event)),
    )
    if not mapping.enabled:
        return replace(considered, verdict=Verdict.DISABLED, reason="enabled: false")
    if outcome is None:
        return considered
    delivery = outcome.delivery if isinstance(outcome, Over) else outcome
    action = ACTIONS[delivery.action]
    considered = replace(
        considered,
        verdict=_OVER[outcome.state] if isinstance(outcome, Over) else Verdict.SENT,
        reason=outcome.reason if isinstance(outcome, Over) else "",
        fields=tuple(_field(one, action) for one in mapping.mapping.explain(event)),
        errors=tuple(
            (error["field"], error["message"]) for past in delivery.history for error in past.get("errors", ())
        ),
        key=delivery.key,
    )
    if considered.verdict is Verdict.REJECTED:
        return considered
    try:
        request = action.build([_without_secret(delivery.payload, action)], destination.context, TOKEN)
    except Exception as error:  # noqa: BLE001 - whatever it is, a worker rejects the delivery for it
        reason = f"the request cannot be built: {type(error).__name__}"
        return replace(considered, verdict=Verdict.REJECTED, reason=reason)
    return replace(considered, request=request, url=_url(request, destination), size=_size(delivery))


def _url(request: Request, destination: Destination) -> str:
    """Where a request goes; the path of a receiver may be as good as a password, and is not shown."""
    if request.receiver:
        return f"{request.receiver}/…"
    query = f"?{urlencode(request.query)}" if request.query else ""
    return f"{destination.base_url}{request.path}{query}"


def _without_secret(payload: dict[str, Any], action: Action) -> dict[str, Any]:
    """A payload that may be shown."""
    return {**payload, action.secret: REDACTED} if action.secret in payload else payload


def _field(explained: FieldExplanation, action: Action) -> Field:
    paths: Sequence[str] = dict.fromkeys(read.path for read in explained.reads if read.path)  # type: ignore[assignment]
    note = explained.error or (explained.why_missing if explained.value is MISSING else "") or ""
    is_secret = explained.field == action.secret and explained.value is not MISSING
    return Field(explained.field, REDACTED if is_secret else explained.value, tuple(paths), note)


def _size(delivery: Delivery) -> TextSize | None:
    """Encoding and parts of a text that this side knows; a template's text only MSG91 knows."""
    message = delivery.payload.get("message")
    if not isinstance(message, str) or not ACTIONS[delivery.action].people_receive:
        return None
    return measure(message, unicode=bool(delivery.payload.get("unicode")) or None)
