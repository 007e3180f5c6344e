"""The sample events of the demonstration, kind by kind, each with what has to become of it.

The examples of Segment's MSG91 page (https://segment.com/docs/connections/destinations/catalog/msg91/) are among them
as they stand there, with the numbers and sender ids that the page names. Nothing reaches anyone: MSG91 is the sandbox.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from worker.msg91.numbers import PhoneNumbers

__all__ = ["PAGE_NUMBER", "Door", "Fate", "Kind", "expected_messages", "kinds", "mixed"]

#: Sender ids that Segment's page names.
SENDERS: Final = ("flipKT", "MSGIND", "Vodaph")
#: The two numbers that it names.
PAGE_NUMBER: Final = 918818888758
OTHER_PAGE_NUMBER: Final = 167554321
#: Numbers by which the sandbox forces an outcome (`worker.sandbox.magic`): code 202, and a connection that ends.
REFUSED_NUMBER: Final = "+1 202 555 0102"
SILENT_NUMBER: Final = "+1 209 555 0102"

_ORDER: Final = "Hi {name}, your order {order} is on its way."
_HINDI: Final = "नमस्ते {name}, आपका ऑर्डर {order} रास्ते में है और कल तक आपके पास पहुँच जाएगा। धन्यवाद!"
_NAMES: Final = ("Asha", "Ravi", "Meera", "John", "Fatima", "Arjun", "Lena", "Kiran")
#: The field that says what a call is about, where it has one.
_SUBJECT: Final = {"track": {"event": "Order Shipped"}, "page": {"name": "Home"}, "screen": {"name": "Home"}}

Event = dict[str, Any]


class Fate(StrEnum):
    """What may become of an event; of one that a mapping takes, the state of its delivery."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    IN_DOUBT = "in_doubt"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    #: At the door.
    REFUSED = "refused"
    #: On the queue.
    MALFORMED = "malformed"


class Door(StrEnum):
    """How events come in, in this order."""

    #: A file for the destination that keeps profiles.
    PROFILES = "profiles"
    #: A file for the destination that sends SMS.
    SHOP = "shop"
    #: Another Celery producer.
    QUEUE = "queue"
    #: A file for each destination, when everything before has come to its end.
    PROFILES_LATER = "profiles-later"
    SHOP_AGAIN = "shop-again"


@dataclass(frozen=True, slots=True)
class Kind:
    """Sample events of one kind.

    Attributes:
        title: For people.
        door: How they come in.
        lines: Each as it stands in its file or on the queue.
        fate: What has to become of all of them.
    """

    title: str
    door: Door
    lines: tuple[bytes, ...]
    fate: Fate = Fate.ACCEPTED


def kinds() -> tuple[Kind, ...]:
    """All kinds, in the order of the report."""
    shop, queue, rejected, refused = Door.SHOP, Door.QUEUE, Fate.REJECTED, Fate.REFUSED
    orders = _many(range(700, 708), lambda n: _event(n, "track", _local(n)))
    return (
        Kind("Segment's own four examples", shop, _segments_examples(PAGE_NUMBER)),
        Kind("the same, to its other number", shop, _segments_examples(OTHER_PAGE_NUMBER), rejected),
        Kind("identify, phone a number", shop, _many(range(32), lambda n: _event(n, "identify", _digits(n)))),
        Kind("track, phone as text", shop, _many(range(100, 132), lambda n: _event(n, "track", str(_digits(n))))),
        Kind("page, phone with + and spaces", shop, _many(range(200, 232), lambda n: _event(n, "page", _spaced(n)))),
        Kind("screen, no country code", shop, _many(range(300, 332), lambda n: _event(n, "screen", _local(n)))),
        Kind("no messageId, no userId", shop, _many(range(400, 424), _nameless)),
        Kind("text in Hindi", shop, _many(range(500, 508), lambda n: _event(n, "track", _digits(n), text=_HINDI))),
        Kind("a list on the Celery queue", queue, _many(range(600, 616), lambda n: _event(n, "track", _local(n)))),
        Kind("no phone", shop, _many(range(800, 804), lambda n: _without("phone", _event(n, "track", ""))), rejected),
        Kind("phone of five digits", shop, _many(range(810, 814), lambda n: _event(n, "identify", 91881)), rejected),
        Kind("empty message", shop, _many(range(820, 824), lambda n: _event(n, "page", _local(n), text="")), rejected),
        Kind("senderID too long", shop, _many(range(830, 834), _long_sender), rejected),
        Kind("a number that MSG91 refuses", shop, _many([841], lambda n: _event(n, "track", REFUSED_NUMBER)), rejected),
        Kind("answer lost on the way back", shop, _many([840], _unanswered), Fate.IN_DOUBT),
        Kind("a type the spec has not", shop, _many(range(850, 854), lambda n: _event(n, "purchase", 1)), refused),
        Kind("not JSON", shop, (b'{"type": "track", "event": "Order Shi', b"phone=918818888758", b"]"), refused),
        Kind("not JSON, on the Celery queue", queue, (b"phone=918818888758",), Fate.MALFORMED),
        Kind(
            "group: no mapping wants it", shop, _many(range(860, 864), lambda n: _event(n, "group", 1)), Fate.FILTERED
        ),
        Kind("integrations: MSG91 is off", shop, _many(range(870, 874), _switched_off), Fate.FILTERED),
        Kind("eight orders", shop, orders),
        Kind("the same eight once more", Door.SHOP_AGAIN, orders, Fate.DUPLICATE),
        Kind("profiles of twelve users", Door.PROFILES, _many(range(900, 912), _profile)),
        Kind("what these users did", Door.PROFILES_LATER, _many(range(900, 924), _deed)),
    )


def expected_messages() -> Counter[tuple[str, str]]:
    """What MSG91 has to take as SMS: number (digits with country code) and text, one for each event."""
    numbers = PhoneNumbers("IN")
    return Counter(
        (numbers.read(fields["phone"]), fields["message"])
        for kind in kinds()
        if kind.fate in (Fate.ACCEPTED, Fate.IN_DOUBT) and kind.door not in (Door.PROFILES, Door.PROFILES_LATER)
        for event in map(orjson.loads, kind.lines)
        for fields in [event["traits"] if event["type"] == "identify" else event["properties"]]
    )


def mixed(lines: Iterable[tuple[Kind, bytes]]) -> list[tuple[Kind, bytes]]:
    """Mix lines of different kinds, the same way every time; those of the first kind stay at the head."""
    found = list(lines)
    head = [one for one in found if one[0] is found[0][0]]
    rest = found[len(head) :]
    random.Random(91).shuffle(rest)  # noqa: S311 - an order, not a secret
    return head + rest


def _many(numbers: Sequence[int], build: Callable[[int], Event]) -> tuple[bytes, ...]:
    return tuple(orjson.dumps(build(n)) for n in numbers)


def _event(n: int, call: str, phone: int | str, *, text: str = _ORDER) -> Event:
    """One call of the spec, as the preset `segment-msg91` wants it."""
    name = _NAMES[n % len(_NAMES)]
    fields = {
        "phone": phone,
        "firstName": name,
        "message": text.format(name=name, order=4000 + n),
        "senderID": SENDERS[n % len(SENDERS)],
    }
    return {
        "messageId": f"demo-{n}",
        "type": call,
        "userId": f"user-{n}",
        **_SUBJECT.get(call, {}),
        "traits" if call in {"identify", "group"} else "properties": fields,
    }


def _digits(n: int) -> int:
    """A number as Segment's page types it."""
    return 917011100000 + 7919 * n


def _local(n: int) -> str:
    return str(_digits(n))[2:]


def _spaced(n: int) -> str:
    return f"+91 {_local(n)[:5]} {_local(n)[5:]}"


def _nameless(n: int) -> Event:
    return _without("userId", _without("messageId", _event(n, "track", _spaced(n))))


def _without(field: str, event: Event) -> Event:
    return {
        name: _without(field, value) if isinstance(value, dict) else value
        for name, value in event.items()
        if name != field
    }


def _long_sender(n: int) -> Event:
    event = _event(n, "screen", _digits(n))
    return {**event, "properties": {**event["properties"], "senderID": "FlipkartIndia"}}


def _unanswered(n: int) -> Event:
    # A sender of its own gives it a request of its own: nobody shares its doubt.
    event = _event(n, "track", SILENT_NUMBER)
    return {**event, "properties": {**event["properties"], "senderID": "Orders"}}


def _switched_off(n: int) -> Event:
    return {**_event(n, "track", _digits(n)), "integrations": {"All": True, "MSG91": False}}


def _profile(n: int) -> Event:
    name = _NAMES[n % len(_NAMES)]
    traits = {"firstName": name, "email": f"{name.lower()}{n}@example.org", "phone": _digits(n), "plan": "gold"}
    return {"messageId": f"demo-profile-{n}", "type": "identify", "userId": f"user-{n}", "traits": traits}


def _deed(n: int) -> Event:
    call = ("track", "page", "screen")[n % 3]
    user = 900 + n % 12
    return {
        "messageId": f"demo-deed-{n}",
        "type": call,
        "userId": f"user-{user}",
        **_SUBJECT[call],
        "properties": {"order": 4000 + n, "value": 499},
    }


def _segments_examples(phone: int) -> tuple[bytes, ...]:
    """The four examples of the page; where it says which kind of value goes, one that it names."""
    sms = {"phone": phone, "firstName": "John", "message": "Thank you for singup, this is test SMS"}
    identify: Event = {
        "messageId": "test-message-7krupg" if phone == PAGE_NUMBER else "test-message-8krupg",
        "timestamp": "2019-04-16T06:33:14.682Z",
        "type": "identify",
        "email": "test@example.org",
        "traits": {**sms, "senderID": "flipKT"},
        "userId": "test-user-0md4g",
    }
    page: Event = {"type": "page", "name": "Home", "properties": {**sms, "senderID": "MSGIND"}}
    screen: Event = {"type": "screen", "name": "Home", "properties": {**sms, "senderID": "Vodaph"}}
    track: Event = {"type": "track", "event": "Clicked Login Button", "properties": {**sms, "senderID": "flipKT"}}
    return tuple(orjson.dumps(event) for event in (identify, page, screen, track))
