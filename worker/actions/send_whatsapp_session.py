"""Send a WhatsApp session message: free text, media and more, within 24 hours of the customer's last message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from worker.actions import rules
from worker.actions.base import Action, ActionContext, Family, Prepared, Problems, checked_token
from worker.actions.whatsapp import NO_NUMBER, integrated_number, link, location
from worker.msg91.client import Request
from worker.msg91.whatsapp import MEDIA_KINDS, SESSION_KINDS, session_message

#: Longest text of a message, and of what stands below a picture, characters (limits of WhatsApp's Cloud API).
_LONGEST_TEXT: Final = 4096
_LONGEST_CAPTION: Final = 1024


class SendWhatsAppSession(Action):
    """An answer: WhatsApp delivers it only inside the 24 hours after the customer wrote."""

    name: ClassVar[str] = "send_whatsapp_session"
    family: ClassVar[Family] = "whatsapp"
    repeatable: ClassVar[bool] = False
    people_receive: ClassVar[bool] = True
    unique_recipients: ClassVar[bool] = True
    correlates: ClassVar[bool] = True
    max_recipients: ClassVar[int] = 1
    fields: ClassVar[dict[str, dict[str, Any]]] = {
        "phone": {
            "label": "Phone",
            "description": "The recipient's number, best with country code.",
            "type": "string",
            "required": True,
        },
        "integratedNumber": {
            "label": "Integrated number",
            "description": "The number it is sent from; the destination's default_number when left out.",
            "type": "string",
        },
        "type": {
            "label": "Type",
            "description": "text, image, video, audio, document, location, contacts or interactive; "
            "text when there is a text, else interactive.",
            "type": "string",
            "choices": list(SESSION_KINDS),
        },
        "text": {"label": "Text", "description": "The text, or what stands below a picture.", "type": "string"},
        "mediaUrl": {"label": "Media URL", "description": "The address of the file.", "type": "string"},
        "filename": {"label": "File name", "description": "What a document is called.", "type": "string"},
        "location": {
            "label": "Location",
            "description": "latitude and longitude, and name and address if you like.",
            "type": "object",
        },
        "contacts": {
            "label": "Contacts",
            "description": "One of Meta's contact objects, or several as the member contacts.",
            "type": "object",
        },
        "interactive": {
            "label": "Interactive",
            "description": "Meta's interactive object: reply buttons, a list, a link.",
            "type": "object",
        },
    }

    def prepare(self, resolved: dict[str, Any], context: ActionContext) -> Prepared:
        """Check number and content."""
        fields, problems = self.cleaned(resolved)
        phone = problems.phone("phone", fields["phone"], context)
        number = integrated_number(fields, context, problems)
        kind = fields.get("type") or _kind(fields)
        content = {} if "type" in problems.at_fault else _content(kind, fields, problems)
        problems.raise_any()
        payload = {"to": phone, "number": number, "type": kind, "content": content}
        return Prepared(payload, phone, phone, 1)

    def build(self, items: Sequence[dict[str, Any]], context: ActionContext, token: str) -> Request:
        """Build the call for one message.

        Raises:
            ValueError: there is not exactly one item, all that the endpoint takes.
        """
        if len(items) != 1:
            raise ValueError(f"{self.name}: expected one message a request, but there were {len(items)}")
        item = items[0]
        correlation = checked_token(token) if context.whatsapp.correlates else None
        attached = context.whatsapp.attached_media
        return session_message(
            item["number"], item["to"], item["type"], item["content"], correlation, attached=attached
        )

    def problems(self, context: ActionContext) -> list[str]:
        """There must be a number to send from."""
        return [] if context.whatsapp.default_number else [NO_NUMBER]


def _kind(fields: dict[str, Any]) -> str:
    for kind in ("interactive", "location", "contacts"):
        if kind in fields:
            return kind
    return "text" if "mediaUrl" not in fields else "document"


def _content(kind: str, fields: dict[str, Any], problems: Problems) -> dict[str, Any]:
    if kind == "text":
        return {"text": _text(fields.get("text"), _LONGEST_TEXT, problems)}
    if kind in MEDIA_KINDS:
        content = {"link": link("mediaUrl", fields.get("mediaUrl"), problems)}
        if fields.get("text") and kind != "audio":
            content["caption"] = _text(fields["text"], _LONGEST_CAPTION, problems)
        if fields.get("filename") and kind == "document":
            content["filename"] = _text(fields["filename"], _LONGEST_CAPTION, problems, field="filename")
        return content
    if kind == "location":
        return location("location", fields.get("location") or {}, problems)
    value = fields.get(kind)
    if not value:
        problems.add(kind, f"missing: a message of type {kind} needs it")
        return {}
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        problems.add(kind, "it cannot be written as JSON: it has an integer beyond 64 bits or half a surrogate pair")
    if kind == "contacts":
        return {"contacts": value["contacts"] if isinstance(value.get("contacts"), list) else [value]}
    return dict(value)


def _text(value: Any, longest: int, problems: Problems, *, field: str = "text") -> str:
    text = value if isinstance(value, str) else ""
    if not text.strip():
        problems.add(field, "expected a text, but it was blank or missing")
    elif not rules.well_formed(text):
        problems.add(field, rules.HALF_CHARACTER)
    elif len(text) > longest:
        problems.add(field, f"it must be {longest} characters or fewer, but it was {len(text)}")
    return text
