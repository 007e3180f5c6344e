"""What there is to publish of one report or inbound message, for all receivers of its destination. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from worker.actions import PostCallback, PublishEvent, SendWhatsAppSession, SendWhatsAppTemplate
from worker.configuration.model import CallbackModel, TrackingModel
from worker.delivery import Origin
from worker.destinations import Destination
from worker.msg91.reports import Inbound, Report
from worker.onward import clevertap
from worker.onward.events import event_of
from worker.onward.reading import Channel, identity_of

__all__ = ["Item", "items_of", "reply_of"]


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery to be made, as a batch of payloads holds it.

    Attributes:
        action: ``publish_event``, ``post_callback``, or what sends an answer.
        message_id: Its own id: the same callback gives the same id for the same receiver.
        payload: The fields of the action.
    """

    action: str
    message_id: str
    payload: dict[str, Any]

    def line(self) -> bytes:
        """It as a line of the batch."""
        return orjson.dumps({"action": self.action, "messageId": self.message_id, "payload": self.payload})


def items_of(
    destination: Destination, read: Report | Inbound, *, channel: Channel, origin: Origin | None, at_ms: int
) -> list[Item]:
    """What is published of one report or message: at most one item for each receiver.

    Args:
        destination: Whose it is.
        read: The report or the message.
        channel: What it came by.
        origin: The event that the message came from (for an inbound one: that it replies to), where it is known.
        at_ms: When it was read, ms since 1970.
    """
    onward = destination.configuration.onward
    identity = identity_of(read, channel)
    number = read.recipient if isinstance(read, Report) else read.sender
    about = {"phone": number} if number else {}
    user = (
        {"userId": origin.user_id or origin.anonymous_id} if origin and (origin.user_id or origin.anonymous_id) else {}
    )
    return [
        *(
            Item(PublishEvent.name, f"onward-{one.name}-{identity}", {"target": one.name, **fields, **about})
            for one, fields in _events(destination, read, channel, identity, origin, at_ms)
        ),
        *(
            Item(
                PostCallback.name,
                f"onward-{one.name}-{identity}",
                {"target": one.name, "kind": kind, "body": body, **user, **about},
            )
            for one in onward.callbacks
            if _hears(one, read, channel, origin)
            for kind, body in _callbacks(one, read, origin, at_ms)
        ),
    ]


def reply_of(destination: Destination, inbound: Inbound) -> Item | None:
    """The automatic answer to a message; None where the destination gives none, or there is nobody to be answered."""
    settings = destination.configuration.onward.auto_reply
    if settings is None or not inbound.sender:
        return None
    fields: dict[str, Any] = {"phone": inbound.sender}
    number = "".join(one for one in inbound.integrated_number if one.isascii() and one.isdigit())
    if number in destination.context.whatsapp.numbers:
        fields["integratedNumber"] = number
    message_id = f"auto-reply-{identity_of(inbound, 'whatsapp')}"
    if settings.template is not None:
        return Item(SendWhatsAppTemplate.name, message_id, {**fields, "template": settings.template})
    return Item(SendWhatsAppSession.name, message_id, {**fields, "type": "text", "text": settings.text})


def _events(
    destination: Destination,
    read: Report | Inbound,
    channel: Channel,
    identity: str,
    origin: Origin | None,
    at_ms: int,
) -> Iterator[tuple[TrackingModel, dict[str, Any]]]:
    for one in destination.configuration.onward.tracking:
        if _hears(one, read, channel, origin):
            fields = event_of(
                read, channel, identity, destination=destination, receiver=one, origin=origin, at_ms=at_ms
            )
            if fields is not None:
                yield one, fields


def _callbacks(
    receiver: CallbackModel, read: Report | Inbound, origin: Origin | None, at_ms: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(read, Report):
        body = clevertap.status_of(read, origin, at_ms) if receiver.report_url is not None else None
        kind = "report"
    else:
        body = clevertap.inbound_of(read, origin, at_ms) if receiver.inbound_url is not None else None
        kind = "inbound"
    if body is not None:
        yield kind, body


def _hears(
    receiver: TrackingModel | CallbackModel, read: Report | Inbound, channel: Channel, origin: Origin | None
) -> bool:
    if channel not in receiver.channels:
        return False
    if isinstance(read, Inbound) or not receiver.mappings:
        return True
    return origin is not None and bool({origin.mapping, origin.action} & set(receiver.mappings))
