"""What MSG91 calls back: delivery reports of every generation, and inbound messages. Pure.

Four generations of reports exist (https://msg91.com/help and the samples of its webhook panel):

- v2: a form with one field ``data``, a JSON list of requests, each with a list ``report``, one entry per number,
- v3: one flat JSON object per number,
- v4: JSON made for CleverTap: events with a correlation id and no number,
- "Webhook (New)": JSON whose keys the account's owner chooses; ``names`` says which key holds what.

WhatsApp reports and inbound messages come like the last one, as an object or a list of one, in two generations of key
names, with some values that are JSON inside text. Unknown keys are kept; an unknown status says neither yes nor no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs

import orjson


class Verdict(StrEnum):
    """What a report says of its message."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    READ = "read"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """One report of one message.

    Attributes:
        verdict: What it says.
        status: MSG91's own word or number.
        reason: Why, when it was not delivered; may be empty.
        recipient: The number, digits only; empty where the report has none.
        request_id: MSG91's id of the request; may be empty.
        token: The correlation id that was sent along; may be empty.
        message_id: MSG91's id of the single message; may be empty.
        at: When, as MSG91 writes it; its time zone is not stated.
        raw: The report as it came, with everything that is not understood.
    """

    verdict: Verdict
    status: str
    reason: str = ""
    recipient: str = ""
    request_id: str = ""
    token: str = ""
    message_id: str = ""
    at: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message that somebody sent to a number of ours.

    Attributes:
        sender: Their number, digits only.
        integrated_number: Ours.
        kind: ``text``, ``image``, ``button`` …, as MSG91 writes it.
        text: The text, caption or button's text; may be empty.
        name: The sender's name; may be empty.
        message_id: MSG91's id of the message; may be empty.
        raw: The message as it came.
    """

    sender: str
    integrated_number: str
    kind: str
    text: str = ""
    name: str = ""
    message_id: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


#: SMS statuses by number (MSG91's help pages); 26 and others are written nowhere.
SMS_STATUSES: Final = MappingProxyType(
    {
        "1": (Verdict.DELIVERED, ""),
        "2": (Verdict.UNDELIVERED, "failed"),
        "9": (Verdict.UNDELIVERED, "the number is on the do-not-disturb list"),
        "16": (Verdict.UNDELIVERED, "rejected by the operator"),
        "17": (Verdict.UNDELIVERED, "the number is blocked"),
        "25": (Verdict.UNDELIVERED, "rejected by the operator"),
    }
)

#: Statuses by word, lower case, of SMS reports, WhatsApp reports and CleverTap's shape.
WORDS: Final = MappingProxyType(
    {
        "delivered": Verdict.DELIVERED,
        "opened": Verdict.READ,
        "clicked": Verdict.READ,
        "read": Verdict.READ,
        "seen": Verdict.READ,
        "unsubscribed": Verdict.DELIVERED,
        "pending": Verdict.PENDING,
        "report pending": Verdict.PENDING,
        "submitted": Verdict.PENDING,
        "sent": Verdict.PENDING,
        "queued": Verdict.PENDING,
        "accepted": Verdict.PENDING,
        "failed": Verdict.UNDELIVERED,
        "undelivered": Verdict.UNDELIVERED,
        "rejected": Verdict.UNDELIVERED,
        "rejected by kannel or provider": Verdict.UNDELIVERED,
        "rejected by provider": Verdict.UNDELIVERED,
        "ndnc number": Verdict.UNDELIVERED,
        "number under blocked circle": Verdict.UNDELIVERED,
        "blocked number": Verdict.UNDELIVERED,
        "bounced": Verdict.UNDELIVERED,
        "auto failed": Verdict.UNDELIVERED,
    }
)

#: Which keys may hold what, the likelier first; compared without case and underscores.
REPORT_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "recipient": ("number", "telNum", "mobile", "mobiles", "customerNumber", "to", "phone"),
        "request_id": ("requestId", "request_id", "campaignRequestId"),
        "token": ("CRQID", "clientId", "UUID", "meta"),
        "message_id": ("messageUuid", "INMSID", "uuid"),
        "status": ("status", "eventName", "event"),
        "description": ("desc", "description", "statusDescription"),
        "reason": ("failedReason", "failureReason", "failure_reason", "reason"),
        "at": ("date", "deliveryTime", "statusUpdatedAt", "ts", "requestedAt"),
    }
)


def read_reports(
    content_type: str, body: bytes, *, names: Mapping[str, str] | None = None, channel: str = "sms"
) -> list[Report]:
    """Read one call of a delivery-report webhook.

    Args:
        content_type: As it came; a form is also recognised by its look.
        body: The body; bounded by the door.
        names: Which key holds what, for the template-defined webhook; wins over ``REPORT_NAMES``.
        channel: ``sms`` or ``whatsapp``; says which field names to expect where they differ.

    Raises:
        ValueError: it is no report in any known shape; the message says what was expected.
    """
    return _reports(_document(content_type, body), names, channel)


def read_whatsapp(content_type: str, body: bytes, *, names: Mapping[str, str] | None = None) -> list[Report | Inbound]:
    """Read one call of a WhatsApp webhook, which may carry reports, inbound messages, or both.

    Args:
        content_type: As it came.
        body: The body; bounded by the door.
        names: As in `read_reports`.

    Raises:
        ValueError: as `read_reports`.
    """
    found: list[Report | Inbound] = []
    document = _document(content_type, body)
    for entry in document if isinstance(document, list) and document else [document]:
        if isinstance(entry, dict) and is_inbound(entry):
            found.append(_inbound(_unpacked(entry)))
        else:
            found += _reports(entry, names, "whatsapp")
    return found


def read_inbound(body: bytes) -> list[Inbound]:
    """Read one call of the WhatsApp inbound webhook: an object, or a list of them.

    Raises:
        ValueError: it is no JSON object or list of objects.
    """
    document = _document("application/json", body)
    entries = document if isinstance(document, list) else [document]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        msg = "an inbound message: expected a JSON object, or a list of objects"
        raise ValueError(msg)
    return [_inbound(_unpacked(entry)) for entry in entries]


def is_inbound(document: Mapping[str, Any]) -> bool:
    """Whether a WhatsApp callback is an inbound message rather than a report."""
    unpacked = _unpacked(document)
    direction = str(_first(unpacked, ("direction",)) or "").lower()
    if direction in ("1", "outbound", "out"):
        return False
    if direction in ("0", "inbound", "in"):
        return True
    return _first(unpacked, ("status", "eventName")) is None and _first(unpacked, ("customerNumber",)) is not None


def _reports(document: Any, names: Mapping[str, str] | None, channel: str) -> list[Report]:
    wanted = {key: (*((names[key],) if names and key in names else ()), *REPORT_NAMES[key]) for key in REPORT_NAMES}
    found = [_report(entry, wanted, channel) for entry in _entries(document)]
    if not found:
        msg = "a delivery report: expected an object, a list of objects, or a form with the field data"
        raise ValueError(msg)
    return found


def _document(content_type: str, body: bytes) -> Any:
    text = body.strip()
    if "form" in content_type.lower() or (b"=" in text[:64] and text[:1] not in (b"{", b"[")):
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=64)
        if "data" in fields:
            text = fields["data"][0].encode()
        else:
            return {name: values[0] for name, values in fields.items()}
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        msg = f"a delivery report: the body is neither JSON nor a form with the field data ({error.msg})"
        raise ValueError(msg) from None


def _entries(document: Any) -> Iterator[dict[str, Any]]:
    """One flat object per report, with what its surroundings say of it."""
    for entry in document if isinstance(document, list) else [document]:
        if not isinstance(entry, dict):
            msg = "a delivery report: expected objects"
            raise ValueError(msg)  # noqa: TRY004 - one kind of error for what cannot be read
        inner = entry.get("report")
        if isinstance(inner, list):
            about = {name: value for name, value in entry.items() if name != "report"}
            yield from ({**about, **one} for one in inner if isinstance(one, dict))
            continue
        data = entry.get("data")
        if isinstance(data, list) and "event" in entry:
            yield from ({"event": entry["event"], **one} for one in data if isinstance(one, dict))
            continue
        yield _unpacked(entry)


def _unpacked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are JSON inside text, read."""
    return {name: _maybe_json(value) for name, value in entry.items()}


def _maybe_json(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _report(entry: dict[str, Any], wanted: Mapping[str, Iterable[str]], channel: str) -> Report:
    def text(what: str) -> str:
        value = _first(entry, wanted[what])
        return "" if value is None or isinstance(value, dict | list) else str(value).strip()

    status, description = text("status"), text("description")
    verdict, reason = verdict_of(status, description)
    token = text("token")
    request_id, message_id = text("request_id"), text("message_id")
    if channel == "whatsapp" and not request_id:
        request_id, message_id = message_id, ""
    return Report(
        verdict=verdict,
        status=status or description,
        reason=text("reason") or (reason if verdict is Verdict.UNDELIVERED else "") or description[:100],
        recipient="".join(character for character in text("recipient") if character.isascii() and character.isdigit()),
        request_id=request_id,
        token=_unless_zero(token),
        message_id=_unless_zero(message_id),
        at=text("at"),
        raw=entry,
    )


def _unless_zero(text: str) -> str:
    """MSG91 writes 0 where there is no id."""
    return "" if text == "0" else text


def verdict_of(status: str, description: str = "") -> tuple[Verdict, str]:
    """What a status means, and why; the description decides where the status is not known."""
    known = SMS_STATUSES.get(status)
    if known is not None:
        return known
    for word in (status, description):
        verdict = WORDS.get(word.strip().lower())
        if verdict is not None:
            return verdict, ""
    return Verdict.UNKNOWN, ""


def _inbound(entry: dict[str, Any]) -> Inbound:
    def text(*keys: str) -> str:
        value = _first(entry, keys)
        if isinstance(value, dict):
            value = _first(value, ("body", "text", "payload", "title", "id"))
        return "" if value is None or isinstance(value, dict | list) else str(value).strip()

    sender = text("customerNumber", "mobile", "from", "sender")
    return Inbound(
        sender="".join(character for character in sender if character.isascii() and character.isdigit()),
        integrated_number=text("integratedNumber", "to"),
        kind=text("contentType", "messageType", "type") or "text",
        text=text("text", "caption", "button", "interactive", "content"),
        name=text("customerName", "name"),
        message_id=text("uuid", "messageUuid", "requestId"),
        raw=entry,
    )


def _first(entry: Mapping[str, Any], keys: Iterable[str]) -> Any:
    """The first key that is there, compared without case and underscores."""
    folded = {_fold(name): value for name, value in entry.items()}
    return next((folded[_fold(key)] for key in keys if folded.get(_fold(key)) not in (None, "")), None)


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
