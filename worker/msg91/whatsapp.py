"""WhatsApp messages: the requests. No I/O.

Template messages go out in one of two forms. *Bulk* carries one template in one language for many recipients, each with
components in MSG91's own flat form (``body_1``, ``header_1``, ``button_1``). *Single* carries one recipient and
components as Meta writes them; it takes what has no known flat form: locations, limited-time offers, codes to copy.
docs/whatsapp.md says how sure each fact is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from worker.msg91.client import Request
from worker.msg91.numbers import mask

BULK_PATH: Final = "/api/v5/whatsapp/whatsapp-outbound-message/bulk/"
SINGLE_PATH: Final = "/api/v5/whatsapp/whatsapp-outbound-message/"

#: What a header may be; all but ``text`` and ``location`` are links to a file.
HEADER_KINDS: Final = ("text", "image", "video", "document", "location")
#: What a button may be given: the rest of its address, what comes back when it is tapped, a code to copy.
BUTTON_KINDS: Final = ("url", "quick_reply", "copy_code")
#: What a session message may be.
SESSION_KINDS: Final = ("text", "image", "video", "audio", "document", "location", "contacts", "interactive")
MEDIA_KINDS: Final = frozenset({"image", "video", "audio", "document"})


@dataclass(frozen=True, slots=True)
class WhatsAppTemplate:
    """Which template, as MSG91 knows it.

    Attributes:
        number: the integrated number it is sent from, digits with country code.
        name: its name.
        language: its language code, such as ``en`` or ``en_US``.
        namespace: the namespace of the business account; None where MSG91 is to find it.
    """

    number: str
    name: str
    language: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Components:
    """What fills a template's places for one recipient.

    Attributes:
        header: its kind under ``type`` (see `HEADER_KINDS`), and ``value`` (text or link), ``filename`` of a document,
            or ``latitude``, ``longitude``, ``name`` and ``address`` of a location.
        body: values by the number or name of their place.
        buttons: ``type`` (see `BUTTON_KINDS`) and ``value``, by position from 1; buttons without a variable are left
            out.
        offer_ends_ms: when a limited-time offer ends, ms since 1970.
    """

    header: Mapping[str, str] | None = None
    body: Mapping[str, str] | None = None
    buttons: Mapping[str, Mapping[str, str]] | None = None
    offer_ends_ms: int | None = None

    @property
    def needs_single(self) -> bool:
        """Whether the flat form of a bulk request has no known place for some of it."""
        return (
            self.offer_ends_ms is not None
            or (self.header or {}).get("type") == "location"
            or any(button["type"] == "copy_code" for button in (self.buttons or {}).values())
        )

    def flat(self) -> dict[str, dict[str, str]]:
        """MSG91's own form, for bulk requests."""
        found: dict[str, dict[str, str]] = {}
        if self.header:
            found["header_1"] = dict(self.header)
        for place, value in (self.body or {}).items():
            text = {"type": "text", "value": value}
            found[f"body_{place}"] = text if place.isdigit() else {**text, "parameter_name": place}
        for position, button in (self.buttons or {}).items():
            found[f"button_{position}"] = {"subtype": button["type"], "type": "text", "value": button["value"]}
        return found

    def listed(self) -> list[dict[str, Any]]:
        """Meta's form, for single messages."""
        found: list[dict[str, Any]] = []
        if self.header:
            found.append({"type": "header", "parameters": [_header(self.header)]})
        if self.body:
            found.append({"type": "body", "parameters": [_variable(*each) for each in self.body.items()]})
        if self.offer_ends_ms is not None:
            ends = {"expiration_time_ms": self.offer_ends_ms}
            offer = {"type": "limited_time_offer", "limited_time_offer": ends}
            found.append({"type": "limited_time_offer", "parameters": [offer]})
        for position, button in (self.buttons or {}).items():
            found.append(
                {
                    "type": "button",
                    "sub_type": button["type"],
                    "index": str(int(position) - 1),
                    "parameters": [_BUTTON_PARAMETERS[button["type"]](button["value"])],
                }
            )
        return found


def _header(header: Mapping[str, str]) -> dict[str, Any]:
    kind = header["type"]
    if kind == "text":
        return {"type": "text", "text": header["value"]}
    if kind == "location":
        return {"type": kind, kind: {key: value for key, value in header.items() if key != "type"}}
    media = {"link": header["value"]}
    if "filename" in header:
        media["filename"] = header["filename"]
    return {"type": kind, kind: media}


def _variable(place: str, value: str) -> dict[str, str]:
    text = {"type": "text", "text": value}
    return text if place.isdigit() else {**text, "parameter_name": place}


_BUTTON_PARAMETERS: Final = {
    "url": lambda value: {"type": "text", "text": value},
    "quick_reply": lambda value: {"type": "payload", "payload": value},
    "copy_code": lambda value: {"type": "coupon_code", "coupon_code": value},
}


def bulk_template(
    template: WhatsAppTemplate, recipients: Sequence[tuple[str, Components]], token: str | None
) -> Request:
    """One template for many recipients; those with the same components share an entry.

    Args:
        template: the template.
        recipients: digits with country code, and what fills the template; no number twice.
        token: correlation id; None leaves it out.
    """
    entries: dict[bytes, dict[str, Any]] = {}
    for number, components in recipients:
        flat = components.flat()
        key = orjson.dumps(flat, option=orjson.OPT_SORT_KEYS)
        entries.setdefault(key, {"to": [], "components": flat})["to"].append(number)
    named = _named(template)
    body = {
        "integrated_number": template.number,
        "content_type": "template",
        "payload": {
            "messaging_product": "whatsapp",
            "type": "template",
            "template": {**named, "to_and_components": list(entries.values())},
        },
        **_correlated(token),
    }
    number, components = recipients[0]
    sample = {
        "method": "POST",
        "path": BULK_PATH,
        "recipients": len(recipients),
        "body": {
            "integrated_number": template.number,
            "template": {
                **named,
                "to_and_components": [{"to": [mask(number)], "components": dict.fromkeys(components.flat(), "…")}],
            },
            **_correlated(token),
        },
    }
    return Request("POST", BULK_PATH, orjson.dumps(body), sample=sample)


def single_template(template: WhatsAppTemplate, number: str, components: Components, token: str | None) -> Request:
    """A template for one recipient, its components in Meta's form."""
    listed = components.listed()
    named = _named(template)
    body = {
        "integrated_number": template.number,
        "content_type": "template",
        "payload": {"to": number, "type": "template", "template": {**named, "components": listed}},
        **_correlated(token),
    }
    sample = {
        "method": "POST",
        "path": SINGLE_PATH,
        "recipients": 1,
        "body": {
            "integrated_number": template.number,
            "to": mask(number),
            "template": {**named, "components": [one["type"] for one in listed]},
            **_correlated(token),
        },
    }
    return Request("POST", SINGLE_PATH, orjson.dumps(body), sample=sample)


def session_message(
    integrated: str, number: str, kind: str, content: Mapping[str, Any], token: str | None, *, attached: bool = False
) -> Request:
    """A message inside the 24 hours after a customer wrote.

    Args:
        integrated: the integrated number it is sent from.
        number: digits with country code.
        kind: see `SESSION_KINDS`.
        content: ``text`` of a text; ``link``, ``caption`` and ``filename`` of media; else Meta's object of that kind.
        token: correlation id; None leaves it out.
        attached: write media as ``attachment_url`` beside the kind, and not as Meta's object below ``payload``.
    """
    body: dict[str, Any] = {"integrated_number": integrated, "recipient_number": number, "content_type": kind}
    if kind == "text":
        body["text"] = content["text"]
    elif kind in MEDIA_KINDS and attached:
        body["attachment_url"] = content["link"]
        body |= {key: content[key] for key in ("caption", "filename") if key in content}
    else:
        what = content["contacts"] if kind == "contacts" else dict(content)
        body["payload"] = {"type": kind, kind: what}
    body |= _correlated(token)
    sample = {
        "method": "POST",
        "path": SINGLE_PATH,
        "recipients": 1,
        "body": {
            "integrated_number": integrated,
            "recipient_number": mask(number),
            "content_type": kind,
            **_correlated(token),
        },
    }
    return Request("POST", SINGLE_PATH, orjson.dumps(body), sample=sample)


def _named(template: WhatsAppTemplate) -> dict[str, Any]:
    return {
        "name": template.name,
        "language": {"code": template.language, "policy": "deterministic"},
        "namespace": template.namespace,
    }


def _correlated(token: str | None) -> dict[str, str]:
    return {} if token is None else {"CRQID": token}
