"""A report or an inbound message as a track event of the Segment spec. Pure."""

from __future__ import annotations

from typing import Any, Final

from worker import __version__
from worker.configuration.model import TrackingModel
from worker.delivery import Origin
from worker.destinations import INTEGRATION, Destination
from worker.msg91.answers import mask_numbers
from worker.msg91.numbers import mask
from worker.msg91.reports import Inbound, Report, Verdict
from worker.onward.pseudonyms import pseudonym
from worker.onward.reading import Channel, clean, iso, moment_of, replied_to

__all__ = ["INBOUND", "event_of", "name_of"]

#: The event that an inbound message becomes, by channel.
INBOUND: Final = {"sms": "SMS Received", "whatsapp": "WhatsApp Message Received"}

_SUBJECTS: Final = {"sms": "SMS", "whatsapp": "WhatsApp Message"}
_WORDS: Final = {Verdict.DELIVERED: "Delivered", Verdict.UNDELIVERED: "Failed", Verdict.READ: "Read"}
#: Longest text of a customer, characters: what WhatsApp takes.
_LONGEST_TEXT: Final = 4096


def name_of(read: Report | Inbound, channel: Channel) -> str | None:
    """What the event is called; None where nothing has happened that anybody could rely on."""
    if isinstance(read, Inbound):
        return INBOUND[channel]
    word = _WORDS.get(read.verdict)
    if word is None and read.status.lower() == "sent":
        word = "Sent"
    return f"{_SUBJECTS[channel]} {word}" if word is not None else None


def event_of(
    read: Report | Inbound,
    channel: Channel,
    identity: str,
    *,
    destination: Destination,
    receiver: TrackingModel,
    origin: Origin | None,
    at_ms: int,
) -> dict[str, Any] | None:
    """The fields of ``publish_event`` but for its target; None where there is nothing to say, or nobody to say it of.

    Args:
        read: The report or the message.
        channel: What it came by.
        identity: See `identity_of`.
        destination: Whose it is.
        receiver: Who is told.
        origin: The event that the message came from (for an inbound one: that it replies to), where it is known.
        at_ms: When it was read.
    """
    name = name_of(read, channel)
    if name is None:
        return None
    number = read.recipient if isinstance(read, Report) else read.sender
    ids = _ids(destination, origin, number)
    if not ids:
        return None
    context: dict[str, Any] = {"library": {"name": "msg91-destination", "version": __version__}}
    properties: dict[str, Any] = {"channel": channel, "destination": destination.name}
    if number and receiver.phone == "full":
        properties["phone"] = f"+{number}"
        context["traits"] = {"phone": f"+{number}"}
    elif number and receiver.phone == "masked":
        properties["phone"] = mask(number)
    if origin is not None:
        properties |= {"originalMessageId": clean(origin.message_id, 256), "mapping": origin.mapping}
    properties |= _said(read) if isinstance(read, Report) else _written(read, text=receiver.text)
    return {
        "messageId": f"msg91-{identity}",
        "event": name,
        **ids,
        "timestamp": iso(moment_of(read, at_ms)),
        "properties": {key: value for key, value in properties.items() if value != ""},
        "context": context,
        # Should it come back to us, it is not for us.
        "integrations": {INTEGRATION: False},
    }


def _ids(destination: Destination, origin: Origin | None, number: str) -> dict[str, str]:
    """Whose event it is: as the event that it came from says, else whoever has the number."""
    found = {}
    if origin is not None:
        known = {"userId": origin.user_id, "anonymousId": origin.anonymous_id}
        found = {name: clean(value, 256) for name, value in known.items() if value.strip()}
    if not found and number:
        found = {"anonymousId": f"msg91-{pseudonym(destination, number)}"}
    return found


def _said(report: Report) -> dict[str, Any]:
    return {
        "status": clean(report.status),
        "reason": clean(mask_numbers(report.reason)),
        "requestId": clean(report.request_id),
        "correlationId": clean(report.token),
        "providerMessageId": clean(report.message_id),
        "reportedAt": clean(report.at),
    }


def _written(inbound: Inbound, *, text: bool) -> dict[str, Any]:
    found = {
        "type": clean(inbound.kind).lower(),
        "integratedNumber": clean(inbound.integrated_number),
        "providerMessageId": clean(inbound.message_id),
        "replyTo": clean(replied_to(inbound)),
    }
    if text:
        found |= {"text": clean(inbound.text, _LONGEST_TEXT), "name": clean(inbound.name)}
    return found
