"""Record Segmento user events: ``POST`` to the phonebook's events, many in one call."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from worker.actions.base import Action, ActionContext, Family, Prepared
from worker.actions.segmento import NO_JSON, NO_PHONEBOOK, is_json, lacks_phonebook, path_of, wall_clock
from worker.msg91.client import Request
from worker.msg91.numbers import mask

#: Fields that carry whatever the event carried, with the wire's name.
_FREE: Final = (
    ("visitorId", "visitor_id"),
    ("eventName", "event_name"),
    ("properties", "event_properties"),
    ("context", "context"),
    ("type", "type"),
)


class RecordUserEvents(Action):
    """What a known contact did."""

    name: ClassVar[str] = "record_user_events"
    family: ClassVar[Family] = "segmento"
    repeatable: ClassVar[bool] = True
    people_receive: ClassVar[bool] = False
    unique_recipients: ClassVar[bool] = False
    correlates: ClassVar[bool] = False
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "visitorId": {
            "label": "Visitor ID",
            "description": "The contact_id of a contact in the phonebook.",
            "type": "string",
            "required": True,
        },
        "eventName": {
            "label": "Event name",
            "description": "Such as order-placed.",
            "type": "string",
            "required": True,
        },
        "properties": {"label": "Properties", "description": "What is to be known of it.", "type": "object"},
        "timestamp": {
            "label": "Timestamp",
            "description": "ISO 8601 or Unix seconds; MSG91's own clock when left out.",
            "type": "datetime",
        },
        "context": {"label": "Context", "description": "System attributes.", "type": "object"},
        "type": {"label": "Type", "description": "MSG91 takes track when left out.", "type": "string"},
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Bring the event to Segmento's names and time format."""
        fields, problems = self.cleaned(resolved)
        payload: dict[str, Any] = {
            "event_name": fields["eventName"],
            "visitor_id": fields["visitorId"],
            "event_properties": fields.get("properties", {}),
        }
        for field in ("eventName", "visitorId"):
            if not fields[field].strip():
                problems.add(field, "expected a text, but it was blank")
        if "timestamp" in fields:
            payload["event_timestamp"] = moment = wall_clock(fields["timestamp"], context.event_timezone)
            if moment is None:
                problems.add("timestamp", "expected an ISO 8601 time or Unix seconds")
        if "context" in fields:
            payload["context"] = fields["context"]
        if "type" in fields:
            payload["type"] = fields["type"]
        if not is_json(payload):
            for field, key in _FREE:
                if not is_json(payload.get(key)):
                    problems.add(field, NO_JSON)
        if lacks_phonebook(context.events_path, context):
            problems.add("visitorId", NO_PHONEBOOK.format(setting="events_path"))
        problems.raise_any()
        return Prepared(payload, payload["visitor_id"], "", 1)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build one call; the endpoint takes no correlation id."""
        del token
        path = path_of(context.events_path, context)
        first = items[0]
        sample = {
            "method": "POST",
            "path": path,
            "events": len(items),
            "body": {"data": [{"event_name": first["event_name"], "visitor_id": mask(first["visitor_id"])}]},
        }
        return Request("POST", path, orjson.dumps({"data": items}), sample=sample, empty_is_success=True)

    def problems(self, context: ActionContext) -> list[str]:
        """A path with a placeholder needs a phonebook."""
        return [NO_PHONEBOOK.format(setting="events_path")] if lacks_phonebook(context.events_path, context) else []


def spread(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Turn the shape of agent toolkits into the fields of this action, one payload for each event.

    That shape is ``{identifier, events: [{name, properties, timestamp}]}``; what has another one stays as it is.
    """
    events = payload.get("events")
    if "identifier" not in payload or not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
        return [payload]
    return [
        {
            "visitorId": payload["identifier"],
            **{field: one[key] for field, key in _TOOL_NAMES if key in one},
        }
        for one in events
    ]


_TOOL_NAMES: Final = (("eventName", "name"), ("properties", "properties"), ("timestamp", "timestamp"))
