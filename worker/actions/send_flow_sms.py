"""Send a template: ``POST /api/v5/flow``, one set of variables for each recipient."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from worker.actions import rules
from worker.actions.base import Action, ActionContext, Family, Prepared, checked_token
from worker.actions.variables import texts_of
from worker.msg91.client import Request
from worker.msg91.numbers import mask

PATH: Final = "/api/v5/flow"

#: The key that holds a recipient's number; a variable of that name would replace it.
_NUMBER_KEY: Final = "mobiles"
_SETTINGS: Final = ("template_id", "sender", "short_url", "short_url_expiry", "realTimeResponse")


class SendFlowSms(Action):
    """A template approved by MSG91, filled with variables."""

    name: ClassVar[str] = "send_flow_sms"
    family: ClassVar[Family] = "sms"
    repeatable: ClassVar[bool] = False
    people_receive: ClassVar[bool] = True
    unique_recipients: ClassVar[bool] = True
    correlates: ClassVar[bool] = True
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "phone": {
            "label": "Phone",
            "description": "The recipient's number, best with country code.",
            "type": "string",
            "required": True,
        },
        "templateId": {
            "label": "Template ID",
            "description": "MSG91's own id; the destination's default_template_id when left out.",
            "type": "string",
        },
        "senderID": {
            "label": "Sender ID",
            "description": "Replaces the template's sender.",
            "type": "string",
        },
        "variables": {
            "label": "Variables",
            "description": "Values for the template's ##names##; case matters.",
            "type": "object",
        },
        "shortUrl": {"label": "Short URLs", "description": "Shorten links in the text.", "type": "boolean"},
        "shortUrlExpiry": {
            "label": "Short URL expiry",
            "description": "Seconds that short links work.",
            "type": "integer",
            "minimum": 1,
        },
        "realTimeResponse": {
            "label": "Real-time response",
            "description": "Ask MSG91 to check more before it answers.",
            "type": "boolean",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check number, template and sender; bring the variables to text."""
        fields, problems = self.cleaned(resolved)
        phone = problems.phone("phone", fields["phone"], context)
        template_id = fields.get("templateId") or context.default_template_id
        if template_id is None:
            problems.add(
                "templateId",
                "missing: the event names no template and the destination has no default_template_id",
            )
        elif problem := rules.template_problem(template_id):
            problems.add("templateId", problem)
        payload: dict[str, Any] = {
            "to": phone,
            "template_id": template_id,
            "variables": texts_of(fields.get("variables"), problems, reserved=(_NUMBER_KEY,)),
        }
        # No default sender here: the template has its own, and another one would have to be mapped to it.
        sender = fields.get("senderID")
        if sender:
            if phone and (
                problem := rules.sender_problem(sender, phone, context.default_route, context.max_sender_length)
            ):
                problems.add("senderID", problem)
            payload["sender"] = sender
        if "shortUrl" in fields:
            payload["short_url"] = "1" if fields["shortUrl"] else "0"
        if "shortUrlExpiry" in fields:
            if not fields.get("shortUrl") and "shortUrl" not in problems.at_fault:
                problems.add("shortUrlExpiry", "it only has a meaning together with shortUrl: true")
            payload["short_url_expiry"] = fields["shortUrlExpiry"]
        if fields.get("realTimeResponse"):
            payload["realTimeResponse"] = "1"
        problems.raise_any()
        group = "\x1f".join([f"{key}={payload[key]}" for key in _SETTINGS if key in payload])
        return Prepared(payload, phone, group, 1)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build one call with one recipient object for each item."""
        del context
        first = items[0]
        settings: dict[str, Any] = {key: first[key] for key in _SETTINGS if key in first}
        settings["CRQID"] = checked_token(token)
        recipients = [{**item["variables"], _NUMBER_KEY: item["to"]} for item in items]
        sample = {
            "method": "POST",
            "path": PATH,
            "recipients": len(items),
            "body": {
                **settings,
                "recipients": [{_NUMBER_KEY: mask(first["to"]), **dict.fromkeys(first["variables"], "…")}],
            },
        }
        return Request("POST", PATH, orjson.dumps({**settings, "recipients": recipients}), sample=sample)

    def problems(self, context: ActionContext) -> list[str]:
        """The default template must be one of MSG91's own."""
        default = context.default_template_id
        problem = rules.template_problem(default) if default else None
        return [f"default_template_id cannot be used: {problem}"] if problem else []
