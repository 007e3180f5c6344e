"""Post a callback in the shape of CleverTap's generic WhatsApp provider: a message's status, or an inbound message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from worker.actions.base import Action, ActionContext, Family, Prepared
from worker.actions.publish_event import digits
from worker.actions.receivers import unknown
from worker.actions.segmento import NO_JSON, is_json
from worker.msg91.client import Request

_KEY: Final = "onward.callbacks"
#: What a callback can be about.
KINDS: Final = ("report", "inbound")


class PostCallback(Action):
    """A status of a message, or a message from a customer, for whoever sent it."""

    name: ClassVar[str] = "post_callback"
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
            "description": "The name of one of the destination's onward.callbacks.",
            "type": "string",
            "required": True,
        },
        "kind": {
            "label": "Kind",
            "description": "report for the status of a message, inbound for a message from a customer.",
            "type": "string",
            "choices": list(KINDS),
            "required": True,
        },
        "body": {
            "label": "Body",
            "description": "What is posted, as JSON.",
            "type": "object",
            "required": True,
        },
        "userId": {
            "label": "User ID",
            "description": "Whose message it is about, for forgetting; it is not sent.",
            "type": "string",
        },
        "phone": {
            "label": "Phone",
            "description": "The number it is about, for mode: allow-list and for forgetting; it is not sent.",
            "type": "string",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check that the target is configured for this kind."""
        fields, problems = self.cleaned(resolved)
        target, kind = fields["target"], fields["kind"]
        objection = _objection(target, kind, context)
        if objection:
            problems.add("target", objection)
        body = fields["body"]
        if not body:
            problems.add("body", "expected an object that says something, but it was empty")
        elif not is_json(body):
            problems.add("body", NO_JSON)
        problems.raise_any()
        payload = {"target": target, "kind": kind, "body": body}
        if fields.get("userId"):
            payload["userId"] = fields["userId"]
        return Prepared(payload, digits(fields.get("phone")), target, 1)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build the call for one callback; it carries no correlation id.

        Raises:
            ValueError: there is not exactly one item.
        """
        del token
        if len(items) != 1:
            raise ValueError(f"post_callback: expected one callback a request, but there were {len(items)}")
        item = items[0]
        receiver = context.receivers.callbacks[item["target"]]
        return receiver.post(item["kind"], orjson.dumps(item["body"]), {"kind": item["kind"], "keys": [*item["body"]]})

    def lane(self, destination: str, group: str) -> str:
        """Each receiver has its own: one that is dead holds up nobody else."""
        return f"{destination}:{self.family}:{group}"

    def objection(self, payload: dict[str, Any], context: ActionContext) -> str | None:
        """The target may have left the configuration since."""
        return _objection(str(payload.get("target")), str(payload.get("kind")), context)

    def problems(self, context: ActionContext) -> list[str]:
        """There must be somebody to post to."""
        return [] if context.receivers.callbacks else [f"the destination's {_KEY} names nobody"]


def _objection(target: str, kind: str, context: ActionContext) -> str | None:
    known = context.receivers.callbacks
    if target in known and kind in KINDS and kind not in known[target].addresses:
        return f"the destination's {_KEY} has no {kind}_url for it"
    return unknown(target, known, _KEY)
