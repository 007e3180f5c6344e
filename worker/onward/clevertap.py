"""A report or an inbound message as a callback of CleverTap's generic WhatsApp provider. Pure.

CleverTap knows a message by the ``msgId`` that it gave it: the ``messageId`` of the event that the door made of it
(https://docs.clevertap.com/docs/generic-whatsapp, "WhatsApp Callbacks").
"""

from __future__ import annotations

import re
from typing import Any, Final

from worker.delivery import Origin
from worker.msg91.answers import mask_numbers
from worker.msg91.reports import Inbound, Report, Verdict
from worker.onward.reading import clean, moment_of, value_of

__all__ = ["ERRORS", "OTHER", "inbound_of", "status_of"]

VERSION: Final = "0.1"

_STATUSES: Final = {Verdict.DELIVERED: "delivered", Verdict.READ: "read", Verdict.UNDELIVERED: "failed"}
#: CleverTap's code for every failure that has none of its own.
OTHER: Final = 1009
#: CleverTap's codes, by what MSG91's status or reason says, in its own words or Meta's; the first that fits counts.
ERRORS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"\b(?:131047|131051)\b|re-?engagement|24[ -]?hour", 1008),
        (r"\b132\d{3}\b|\btemplate\b", 1001),
        (r"\b(?:131048|131056|130429|80007)\b|rate limit|too many", 1004),
        (r"\b131026\b|undeliverable|incapable|not on whatsapp", 1007),
        (r"invalid (?:phone|mobile|number|recipient)|\b(?:131009|131021)\b", 1002),
        (r"^(?:9|17)$|\bndnc\b|\bdnd\b|do-not-disturb|block(?:ed)?|blacklist", 1006),
        (r"no longer|inactive", 1003),
        (r"unavailable|not in (?:the )?network|absent", 1005),
    )
)
#: MSG91's kinds of message by CleverTap's.
_KINDS: Final = {
    "document": "file",
    "audio": "audio",
    "voice": "audio",
    "image": "image",
    "video": "video",
    "file": "file",
}
#: Where a button says what it carries, and what stands on it.
_BUTTON: Final = (("payload", "id"), ("text", "title"))


def status_of(report: Report, origin: Origin | None, at_ms: int) -> dict[str, Any] | None:
    """The callback about one message; None where it has no status of CleverTap's, or is not known to CleverTap."""
    status = _STATUSES.get(report.verdict) or ("sent" if report.status.lower() == "sent" else None)
    if status is None or origin is None or not origin.message_id:
        return None
    about: dict[str, Any] = {
        "msgId": clean(origin.message_id, 256),
        "status": status,
        "timestamp": _seconds(report, at_ms),
    }
    if status == "failed":
        title = clean(mask_numbers(report.reason or report.status)) or "failed"
        about["error"] = {"code": _error(report), "title": title}
    return {"payloadVersion": VERSION, "statuses": [about]}


def inbound_of(inbound: Inbound, origin: Origin | None, at_ms: int) -> dict[str, Any] | None:
    """The callback about a customer's message; None where nobody sent it, or it says nothing there."""
    if not inbound.sender:
        return None
    body: dict[str, Any] = {
        "payloadVersion": VERSION,
        "from": inbound.sender,
        "wabaNumber": "".join(one for one in inbound.integrated_number if one.isascii() and one.isdigit()),
        "timestamp": _seconds(inbound, at_ms),
    }
    if origin is not None and origin.message_id:
        body["context"] = {"id": clean(origin.message_id, 256)}
    kind = inbound.kind.lower()
    text = clean(inbound.text, 4096)
    if kind in _KINDS:
        kind = _KINDS[kind]
        body |= {"type": kind, kind: _media(inbound, text, caption=kind != "audio")}
    elif kind == "location":
        names = ("address", "latitude", "longitude", "name", "url")
        found = {name: _text(inbound, name) for name in names}
        body |= {"type": kind, kind: {name: value for name, value in found.items() if value}}
    elif kind in ("button", "interactive"):
        payload, title = _pressed(inbound)
        body |= {"type": "button", "button": {"payload": payload or text, "text": title or text}}
    elif text.strip():
        body |= {"type": "text", "text": {"body": text}}
    else:
        # Reactions, stickers and whatever comes next: an empty text would be shown as one.
        return None
    return body


def _seconds(read: Report | Inbound, at_ms: int) -> str:
    return str(moment_of(read, at_ms) // 1000)


def _error(report: Report) -> int:
    said = (report.status.strip(), report.reason)
    return next((code for pattern, code in ERRORS if any(pattern.search(text) for text in said)), OTHER)


def _media(inbound: Inbound, text: str, *, caption: bool) -> dict[str, str]:
    found = {"mediaURL": _text(inbound, "url", "mediaUrl", "link"), "mimeType": _text(inbound, "mimeType", "mime")}
    if caption:
        found["caption"] = text
    return {name: value for name, value in found.items() if value}


def _pressed(inbound: Inbound) -> tuple[str, str]:
    """What the pressed button carries, as it was sent out, and what stands on it; either may be empty."""
    pressed = value_of(inbound.raw, "button", "interactive")
    for _ in range(2):
        if not isinstance(pressed, dict):
            break
        found = [next((pressed[name] for name in names if isinstance(pressed.get(name), str)), "") for names in _BUTTON]
        if any(found):
            return clean(found[0], 256), clean(found[1], 256)
        pressed = pressed.get("button_reply") or pressed.get("list_reply")
    return "", ""


def _text(inbound: Inbound, *names: str) -> str:
    value = value_of(inbound.raw, *names)
    return "" if value is None or isinstance(value, dict | list) else clean(str(value), 2048)
