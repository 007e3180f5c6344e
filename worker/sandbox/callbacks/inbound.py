"""Inbound WhatsApp messages as MSG91 posts them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import orjson

from worker.sandbox.callbacks.bodies import JSON, Body
from worker.sandbox.callbacks.settings import Callbacks
from worker.sandbox.errors import CallbackError

MEDIA: Final = ("image", "video", "audio", "document")
KINDS: Final = ("text", "button", "interactive", "reaction", "location", *MEDIA)


@dataclass(frozen=True, slots=True)
class Inbound:
    """What somebody writes to one of our numbers.

    Attributes:
        sender: Their number, digits.
        to: The integrated number, digits.
        kind: One of `KINDS`.
        text: The text, the button's text, the emoji of a reaction, or the caption of a file.
        name: Their name.
        url: Where a file is.
        filename: Name of a document.
        latitude: Of a location.
        longitude: Of a location.
        reply_to: The id of the message that they answer.
        id: MSG91's id of the message.
    """

    sender: str
    to: str
    kind: str = "text"
    text: str = ""
    name: str = ""
    url: str = ""
    filename: str = ""
    latitude: str = ""
    longitude: str = ""
    reply_to: str = ""
    id: str = field(default_factory=lambda: uuid4().hex)


#: The fields that a person may give, as JSON names them.
FIELDS: Final = ("from", "to", "kind", "text", "name", "url", "filename", "latitude", "longitude", "reply_to")


def read_inbound(fields: Mapping[str, Any], default_number: str) -> Inbound:
    """Read what a person wants to be written.

    Args:
        fields: Some of `FIELDS`.
        default_number: The integrated number where they name none.

    Raises:
        CallbackError: something is missing or wrong.
    """
    for name, value in fields.items():
        if name not in FIELDS or not isinstance(value, str):
            raise CallbackError(f"an inbound message has {', '.join(FIELDS)}, all of them text; got {name!r}")
    given = {name: value.strip() for name, value in fields.items() if value.strip()}
    sender = _digits("from", given.pop("from", ""))
    to = _digits("to", given.pop("to", default_number))
    message = Inbound(sender, to, **given)
    if message.kind not in KINDS:
        raise CallbackError(f"kind: expected one of {', '.join(KINDS)}, got {message.kind!r}")
    if message.kind in MEDIA and not message.url:
        raise CallbackError(f"url: an inbound {message.kind} has the address of its file")
    if message.kind == "location" and not (message.latitude and message.longitude):
        raise CallbackError("latitude, longitude: a location has both")
    if message.kind not in {*MEDIA, "location"} and not message.text:
        raise CallbackError(f"text: an inbound {message.kind} says something")
    return message


def _digits(name: str, text: str) -> str:
    digits = text.removeprefix("+").replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15):
        raise CallbackError(f"{name}: expected a number with country code, 7 to 15 digits")
    return digits


def inbound_body(callbacks: Callbacks, message: Inbound, moment: float) -> Body:
    """Write an inbound message that came at ``moment`` (Unix seconds)."""
    meta = _as_meta_writes_it(message, moment)
    contacts = [{"profile": {"name": message.name}, "wa_id": message.sender}]
    text = message.text if message.kind == "text" else ""
    document = {
        "customerNumber": message.sender,
        "customerName": message.name,
        "integratedNumber": message.to,
        "contentType": message.kind,
        "messageType": message.kind,
        "text": _json({"body": text}) if callbacks.text == "json" and text else text,
        # Meta's own objects come as JSON inside text.
        "messages": _json([meta]),
        "contacts": _json(contacts),
        "button": _json(meta["button"]) if message.kind == "button" else "",
        "interactive": _json(meta["interactive"]) if message.kind == "interactive" else "",
        "reaction": _json(meta["reaction"]) if message.kind == "reaction" else "",
        "caption": message.text if message.kind in MEDIA else "",
        "url": message.url,
        "filename": message.filename,
        "latitude": message.latitude,
        "longitude": message.longitude,
        "ts": str(int(moment)),
        "requestedAt": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "uuid": message.id,
        "replyMsgId": message.reply_to,
    }
    return Body(JSON, [document] if callbacks.as_list else document)


def _as_meta_writes_it(message: Inbound, moment: float) -> dict[str, Any]:
    of_kind: dict[str, Any] = {
        "text": {"body": message.text},
        "button": {"payload": message.text, "text": message.text},
        "interactive": {"type": "button_reply", "button_reply": {"id": message.text, "title": message.text}},
        "reaction": {"message_id": message.reply_to, "emoji": message.text},
        "location": {"latitude": message.latitude, "longitude": message.longitude, "name": message.text},
    }
    file = {"id": message.id, "link": message.url, "caption": message.text, "filename": message.filename}
    return {
        "from": message.sender,
        "id": message.id,
        "timestamp": str(int(moment)),
        "type": message.kind,
        message.kind: of_kind.get(message.kind, file),
        **({"context": {"id": message.reply_to}} if message.reply_to else {}),
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
