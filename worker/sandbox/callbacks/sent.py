"""A message that was taken, with all that its reports say of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from worker.sandbox.calls import CORRELATION, Kind


class Channel(StrEnum):
    """Which webhook a message is reported to."""

    SMS = "sms"
    WHATSAPP = "whatsapp"


_CHANNELS: Final = {
    Kind.SMS: Channel.SMS,
    Kind.FLOW: Channel.SMS,
    Kind.OTP: Channel.SMS,
    Kind.WHATSAPP: Channel.WHATSAPP,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One message to one number.

    Attributes:
        channel: Which webhook it is reported to.
        number: The recipient, digits.
        request_id: What the request was answered with.
        requested: When it was taken (Unix seconds).
        correlation: ``CRQID``, ``UUID`` and ``clientId`` as they were sent, those that were.
        sender: Sender id, or the integrated number of WhatsApp; may be empty.
        campaign: Name of the campaign; may be empty.
        route: Route of an SMS; may be empty.
        text: What was sent; empty for a one-time password, whose digits no report has.
        template: Name of a WhatsApp template; may be empty.
        language: Its language; may be empty.
        kind: ``content_type`` of a WhatsApp message; may be empty.
    """

    channel: Channel
    number: str
    request_id: str
    requested: float
    correlation: Mapping[str, str]
    sender: str = ""
    campaign: str = ""
    route: str = ""
    text: str = ""
    template: str = ""
    language: str = ""
    kind: str = ""

    @property
    def message_id(self) -> str:
        """An id of this message alone, the same whenever it is asked for."""
        return hashlib.blake2b(f"{self.request_id} {self.number}".encode(), digest_size=16).hexdigest()


def sent_messages(line: Mapping[str, Any], fields: Mapping[str, Any], moment: float) -> Iterator[Sent]:
    """The messages of one request that was taken and that MSG91 reports on.

    Nothing is reported of campaigns, whose channels are not known here, nor of a one-time password that is sent
    again, whose call is answered without an id.

    Args:
        line: The request as it is recorded.
        fields: Its body.
        moment: When it was taken (Unix seconds).
    """
    channel = _CHANNELS.get(line["kind"])
    if channel is None or not line["taken"] or not line["request_id"]:
        return
    correlation = {name: _text(line["correlation"][name]) for name in CORRELATION if name in line["correlation"]}
    template = _object(_object(fields, "payload"), "template")
    language = template.get("language")
    for message in line["messages"]:
        yield Sent(
            channel=channel,
            number=message["to"],
            request_id=line["request_id"],
            requested=moment,
            correlation=correlation,
            sender=_text(fields.get("integrated_number" if channel is Channel.WHATSAPP else "sender")),
            campaign=_text(fields.get("campaign")),
            route=_text(fields.get("route")),
            text="" if line["kind"] == Kind.OTP else message["text"],
            template=_text(template.get("name")),
            language=_text(language.get("code") if isinstance(language, dict) else language),
            kind=_text(fields.get("content_type")),
        )


def _object(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = fields.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
