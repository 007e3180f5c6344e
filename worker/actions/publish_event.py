"""Publish a track event: ``POST /v1/track`` of a tracking API, Segment's or one that speaks its language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from worker.actions.base import Action, ActionContext, Family, Prepared
from worker.actions.receivers import unknown
from worker.actions.segmento import NO_JSON, is_json
from worker.msg91.client import Request
from worker.msg91.numbers import mask

#: Bytes that Segment takes for one event.
LARGEST: Final = 32 * 1024

_KEY: Final = "onward.tracking"
_IDS: Final = ("userId", "anonymousId")
_TAKEN: Final = ("messageId", "event", "userId", "anonymousId", "timestamp", "properties", "context", "integrations")


class PublishEvent(Action):
    """What became of a message, or who answered it, as an event of the Segment spec."""

    name: ClassVar[str] = "publish_event"
    family: ClassVar[Family] = "onward"
    repeatable: ClassVar[bool] = True
    people_receive: ClassVar[bool] = False
    names_people: ClassVar[bool] = True
    unique_recipients: ClassVar[bool] = False
    correlates: ClassVar[bool] = False
    approved: ClassVar[str] = "target"
    max_recipients: ClassVar[int] = 1
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "target": {
            "label": "Target",
            "description": "The name of one of the destination's onward.tracking.",
            "type": "string",
            "required": True,
        },
        "messageId": {
            "label": "Message ID",
            "description": "The event's own id, by which the tracking API knows it again.",
            "type": "string",
            "required": True,
        },
        "event": {
            "label": "Event",
            "description": "Its name, such as SMS Delivered.",
            "type": "string",
            "required": True,
        },
        "userId": {"label": "User ID", "description": "Whose event it is.", "type": "string"},
        "anonymousId": {
            "label": "Anonymous ID",
            "description": "Whose event it is while the user is not known; one of the two is needed.",
            "type": "string",
        },
        "timestamp": {"label": "Timestamp", "description": "When it happened, ISO 8601.", "type": "string"},
        "properties": {"label": "Properties", "description": "What is to be known of it.", "type": "object"},
        "context": {"label": "Context", "description": "Where it comes from.", "type": "object"},
        "integrations": {
            "label": "Integrations",
            "description": "Where the tracking API may pass it on.",
            "type": "object",
        },
        "phone": {
            "label": "Phone",
            "description": "The number it is about, for mode: allow-list and for forgetting; it is not sent.",
            "type": "string",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check that the target is configured, that somebody is named, and that Segment takes it."""
        fields, problems = self.cleaned(resolved)
        objection = unknown(fields["target"], context.receivers.tracking, _KEY)
        if objection:
            problems.add("target", objection)
        for name in ("messageId", "event"):
            if not fields[name].strip():
                problems.add(name, "expected a text, but it was blank")
        event: dict[str, Any] = {"type": "track"} | {name: fields[name] for name in _TAKEN if name in fields}
        if not any(event.get(name) for name in _IDS):
            problems.add("userId", "missing: an event needs a userId or an anonymousId")
        if not is_json(event):
            for name in _TAKEN:
                if not is_json(event.get(name)):
                    problems.add(name, NO_JSON)
        elif (size := len(orjson.dumps(event))) > LARGEST:
            problems.add("properties", f"the event must be {LARGEST} bytes or fewer, but it was {size}")
        problems.raise_any()
        return Prepared({"target": fields["target"], "event": event}, digits(fields.get("phone")), fields["target"], 1)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build the call for one event; the tracking API takes no correlation id.

        Raises:
            ValueError: there is not exactly one item.
        """
        del token
        if len(items) != 1:
            raise ValueError(f"publish_event: expected one event a request, but there were {len(items)}")
        item = items[0]
        event = item["event"]
        sample = {"event": event["event"], **{name: mask(event[name]) for name in _IDS if name in event}}
        return context.receivers.tracking[item["target"]].post("track", orjson.dumps(event), sample)

    def lane(self, destination: str, group: str) -> str:
        """Each receiver has its own: one that is dead holds up nobody else."""
        return f"{destination}:{self.family}:{group}"

    def objection(self, payload: dict[str, Any], context: ActionContext) -> str | None:
        """The target may have left the configuration since."""
        return unknown(str(payload.get("target")), context.receivers.tracking, _KEY)

    def problems(self, context: ActionContext) -> list[str]:
        """There must be somebody to publish to."""
        return [] if context.receivers.tracking else [f"the destination's {_KEY} names nobody"]


def digits(value: str | None) -> str:
    """The digits of a number as MSG91 writes it."""
    return "".join(one for one in value or "" if one.isascii() and one.isdigit())
