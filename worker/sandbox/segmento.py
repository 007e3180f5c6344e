"""What MSG91's Segmento makes of contacts and user events.

Contacts live in phonebooks. An event is taken whatever it holds, and fails afterwards, in silence, when its
visitor is no contact of the phonebook or its fields are not right: an answer with status 200 proves nothing
about it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from worker.sandbox.answers import Envelope, json_reply, service_accepted
from worker.sandbox.calls import Call, Kind, Verdict, canonical, refuse

_TIMESTAMP: Final = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_PAGING: Final = (("page", 1), ("limit", 10))

#: Reasons that an event fails for after it was taken.
UNKNOWN_VISITOR: Final = "visitor_id is not in the phonebook"


class Phonebooks:
    """The contacts that MSG91 knows of, by phonebook."""

    def __init__(self) -> None:
        self._contacts: dict[str, set[str]] = {}
        self._event_types: dict[str, str] = {}  # name → since when
        self._failed: list[dict[str, str]] = []

    def __len__(self) -> int:
        return sum(map(len, self._contacts.values()))

    def add(self, phonebook: str, contact: str) -> None:
        """Make ``contact`` known in ``phonebook``."""
        self._contacts.setdefault(phonebook, set()).add(contact)

    def note(self, messages: Sequence[dict[str, str]], names: Sequence[str], moment: str) -> None:
        """Remember the types of events that were taken, and those of them that failed.

        Args:
            messages: The events, as they are recorded.
            names: Their names.
            moment: When they were taken.
        """
        for message, name in zip(messages, names, strict=True):
            if "failed" in message:
                number = len(self._failed) + 1
                failed = {"eventId": f"evt-{number}", "reason": message["failed"], "recipient": message["to"]}
                self._failed.append({**failed, "timestamp": moment})
            elif name:
                self._event_types.setdefault(name, moment)

    def event_types(self) -> list[dict[str, Any]]:
        """List the types of events seen so far."""
        return [
            {"event_type_id": number, "name": name, "description": "", "createdAt": since, "updatedAt": since}
            for number, (name, since) in enumerate(self._event_types.items(), 1)
        ]

    def failed_events(self, start: str, end: str) -> list[dict[str, str]]:
        """List the events that failed between two days (``YYYY-MM-DD``, both included)."""
        return [one for one in self._failed if start <= one["timestamp"][:10] <= end]

    def knows(self, phonebook: str | None, contact: str) -> bool:
        """Tell whether ``contact`` is in ``phonebook``, or in any where ``phonebook`` is ``None``."""
        if phonebook is not None:
            return contact in self._contacts.get(phonebook, ())
        return any(contact in contacts for contacts in self._contacts.values())


def judge_contact(call: Call, phonebook: str, request_id: str) -> Verdict:
    """Judge the upsert of one contact, its authkey being good."""
    given = call.fields.get("input")
    contact = given.get("contact_id") if isinstance(given, dict) else None
    if not isinstance(given, dict) or contact is None or contact == "":
        return refuse(Kind.CONTACTS, Envelope.SERVICE, None, "input.contact_id key is required")
    name = str(contact)
    return Verdict(
        Kind.CONTACTS,
        Envelope.SERVICE,
        service_accepted({"contact": {"id": name}}),
        accepted=True,
        request_id=request_id,
        messages=[{"to": name, "text": canonical(given)}],
        contact=(phonebook, name),
    )


def judge_lists(call: Call, phonebooks: Phonebooks) -> Verdict:
    """Judge the questions about event types and failed events, the authkey being good.

    Their paths are those that the destination guesses at; the answers have the shapes that an agent toolkit expects.
    """
    if call.path.rstrip("/").endswith("event-types"):
        data: Any = phonebooks.event_types()
    else:
        query = call.query
        if not query.get("campaign_id"):
            return refuse(Kind.EVENT_LISTS, Envelope.SERVICE, None, "campaign_id is required")
        days = [query.get("start_date") or "0000-01-01", query.get("end_date") or "9999-12-31"]
        if not all(map(_DAY.fullmatch, days)):
            return refuse(Kind.EVENT_LISTS, Envelope.SERVICE, None, "start_date and end_date must be YYYY-MM-DD")
        failed = phonebooks.failed_events(*days)
        page, limit = (int(query[key]) if query.get(key, "").isdecimal() else default for key, default in _PAGING)
        shown = failed[(page - 1) * limit : page * limit]
        data = {"failedEvents": shown, "page": page, "limit": limit, "total": len(failed)}
    reply = json_reply(200, {"data": data, "status": "success", "hasError": False, "message": "success"})
    return Verdict(Kind.EVENT_LISTS, Envelope.SERVICE, reply)


def judge_events(
    call: Call, phonebook: str | None, phonebooks: Phonebooks, request_id: str, now: float = 0.0
) -> Verdict:
    """Judge a list of user events, the authkey being good.

    Args:
        call: The request; its body is ``{"data": [event, …]}``, or the bare array on the oldest path.
        phonebook: The phonebook of the path; ``None`` where the path names none.
        phonebooks: The contacts known so far.
        request_id: The id that the request gets.
        now: When it came (Unix seconds).
    """
    events = call.document if isinstance(call.document, list) else call.fields.get("data")
    if not isinstance(events, list) or not events:
        return refuse(Kind.EVENTS, Envelope.SERVICE, None, "data key is required")
    messages = _messages(events, phonebook, phonebooks)
    names = [str(one.get("event_name") or "") if isinstance(one, dict) else "" for one in events]
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Verdict(
        Kind.EVENTS,
        Envelope.SERVICE,
        service_accepted({"message": "Your request has been queued successfully."}),
        accepted=True,
        request_id=request_id,
        messages=messages,
        effect=lambda: phonebooks.note(messages, names, moment),
    )


def _messages(events: Sequence[Any], phonebook: str | None, phonebooks: Phonebooks) -> list[dict[str, str]]:
    messages = []
    for event in events:
        fields = event if isinstance(event, dict) else {}
        visitor = str(fields.get("visitor_id") or "")
        text = canonical([fields.get("event_name"), fields.get("event_properties"), fields.get("event_timestamp")])
        message = {"to": visitor, "text": text}
        failed = _why_it_fails(fields)
        if failed is None and not phonebooks.knows(phonebook, visitor):
            failed = UNKNOWN_VISITOR
        if failed is not None:
            message["failed"] = failed
        messages.append(message)
    return messages


def _why_it_fails(event: dict[str, Any]) -> str | None:
    if not isinstance(event.get("event_name"), str) or not event["event_name"]:
        return "event_name is required"
    if not event.get("visitor_id"):
        return "visitor_id is required"
    if not isinstance(event.get("event_properties"), dict):
        return "event_properties must be an object"
    timestamp = event.get("event_timestamp")
    if timestamp is not None and not (isinstance(timestamp, str) and _TIMESTAMP.fullmatch(timestamp)):
        return "event_timestamp must be YYYY-MM-DD HH:MM:SS"
    return None
