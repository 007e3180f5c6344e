"""One request as the sandbox sees it, and what MSG91 would make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

from worker.sandbox.answers import Envelope, Reply, error

#: Keys of a body that only correlate: two requests that differ in nothing else are the same request.
CORRELATION: Final = ("CRQID", "UUID", "clientId")

#: Stands for a body that is no JSON.
NOT_JSON: Final = object()


class Kind(StrEnum):
    """What a request is for."""

    SMS = "sms"
    FLOW = "flow"
    EVENTS = "events"
    CONTACTS = "contacts"
    OTP = "otp"
    OTP_VERIFY = "otp-verify"
    OTP_RESEND = "otp-resend"
    TEMPLATES = "templates"
    EVENT_LISTS = "event-lists"
    CAMPAIGN = "campaign"
    CAMPAIGN_LISTS = "campaign-lists"
    BALANCE = "balance"
    WHATSAPP = "whatsapp"
    WHATSAPP_LISTS = "whatsapp-lists"
    WHATSAPP_PANEL = "whatsapp-panel"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        method: In capitals.
        path: Without the query.
        query: The first value of every parameter.
        headers: Names in small letters; the last value of every name.
        body: As it came.
        document: The body as JSON, `NOT_JSON` where it is none.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    document: Any

    @property
    def fields(self) -> dict[str, Any]:
        """The body as an object; empty where it is anything else."""
        return self.document if isinstance(self.document, dict) else {}


@dataclass(slots=True)
class Verdict:
    """What MSG91 would make of a request, before any fault.

    Attributes:
        kind: What the request is for.
        envelope: The family that its errors are answered in.
        reply: The answer.
        accepted: MSG91 would take it.
        request_id: The id it is given when it is taken.
        messages: One entry per recipient: ``to``, ``text``, and ``failed`` with the reason where Segmento
            takes an event and fails it afterwards.
        numbers: The recipients, where they are phone numbers.
        fingerprint: Equal for identical requests; ``None`` where MSG91 does not look for them.
        contact: Phonebook id and contact id that taking the request makes known.
        effect: What taking the request changes, where that is more.
    """

    kind: Kind
    envelope: Envelope
    reply: Reply
    accepted: bool = False
    request_id: str | None = None
    messages: list[dict[str, str]] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    fingerprint: bytes | None = None
    contact: tuple[str, str] | None = None
    effect: Callable[[], None] | None = None


def refuse(
    kind: Kind,
    envelope: Envelope,
    code: str | None,
    sentence: str | None = None,
    *,
    messages: Sequence[dict[str, str]] = (),
) -> Verdict:
    """Refuse a request, and with it its messages, with ``code`` or a sentence in the words of its family."""
    return Verdict(kind, envelope, error(envelope, code, sentence), messages=list(messages))


def canonical(value: Any) -> str:
    """Write ``value`` as JSON that is equal for equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
