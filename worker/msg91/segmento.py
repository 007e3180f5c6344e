"""What Segmento can be asked: its event types, and the events that failed. Their paths are settings.

No public source states the paths; the shapes are those that agent toolkits expect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from worker.msg91.client import Request
from worker.msg91.reading import Asks, ask, items_of, pages, text_of, whole

__all__ = ["EventType", "FailedEvent", "event_types", "failed_events"]

EVENT_TYPES_PATH: Final = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/event-types"
FAILED_EVENTS_PATH: Final = "/api/v5/segmento/api/v1/phonebooks/{phonebook_id}/failed-events"


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event that the phonebook knows.

    Attributes:
        id: its id.
        name: such as ``order-placed``.
        description: what people say of it.
        raw: everything that MSG91 said of it.
    """

    id: str
    name: str
    description: str
    raw: dict[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that MSG91 took and then failed.

    Attributes:
        id: its id.
        reason: why it failed.
        recipient: whose event it was.
        timestamp: when, as MSG91 writes it.
        raw: everything that MSG91 said of it.
    """

    id: str
    reason: str
    recipient: str
    timestamp: str
    raw: dict[str, Any] = field(repr=False, compare=False)


def event_types(client: Asks, path: str) -> list[EventType]:
    """List the types of events.

    Args:
        client: the account.
        path: the path, its phonebook filled in.
    """
    what = "the event types"
    data = ask(client, Request("GET", path, sample={"read": "event types"}), what)
    return [
        EventType(text_of(one, "event_type_id", "id"), text_of(one, "name"), text_of(one, "description"), one)
        for one in items_of(data, "event_types", "eventTypes", what=what)
    ]


def failed_events(
    client: Asks,
    path: str,
    campaign_id: str,
    *,
    start: date | None = None,
    end: date | None = None,
    page_size: int = 100,
) -> Iterator[FailedEvent]:
    """Go through the failed events to the end of their pages.

    Args:
        client: the account.
        path: the path, its phonebook filled in.
        campaign_id: the campaign; Segmento asks for one.
        start: first day.
        end: last day.
        page_size: events asked for at a time.
    """
    what = "the failed events"
    days = {"start_date": start, "end_date": end}
    fixed = {"campaign_id": campaign_id, "limit": str(page_size)}
    fixed |= {name: day.isoformat() for name, day in days.items() if day is not None}

    def read(page: int) -> tuple[list[dict[str, Any]], int | None]:
        request = Request(
            "GET", path, query={**fixed, "page": str(page)}, sample={"read": "failed events", "page": page}
        )
        data = ask(client, request, what)
        total = whole(data.get("total")) if isinstance(data, dict) else None
        return items_of(data, "failedEvents", "failed_events", what=what), total

    for one in pages(read, size=page_size):
        yield FailedEvent(
            text_of(one, "eventId", "event_id", "id"),
            text_of(one, "reason"),
            text_of(one, "recipient", "visitor_id"),
            text_of(one, "timestamp"),
            one,
        )
