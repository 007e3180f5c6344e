"""User events and contacts: what is checked, what is sent."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from worker.actions import ACTIONS, ActionContext, FieldErrors, Prepared
from worker.msg91.numbers import PhoneNumbers

EVENTS = ACTIONS["record_user_events"]
CONTACT = ACTIONS["upsert_contact"]
CONTEXT = ActionContext("msg91", PhoneNumbers("IN"), phonebook_id="pb 1/2")
BIG = 2**70


def event(destination: ActionContext = CONTEXT, /, **fields: Any) -> Prepared:
    """Prepare a user event."""
    return EVENTS.prepare({"visitorId": "u-1", "eventName": "order-placed", **fields}, destination)


def contact(destination: ActionContext = CONTEXT, /, **fields: Any) -> Prepared:
    """Prepare a contact."""
    return CONTACT.prepare({"contactId": "u-1", **fields}, destination)


def errors_of(prepare: Any, *args: Any, **fields: Any) -> dict[str, str]:
    """Prepare and return what is refused, by field."""
    with pytest.raises(FieldErrors) as caught:
        prepare(*args, **fields)
    return {error.field: error.message for error in caught.value.errors}


def test_smallest_event() -> None:
    """Visitor and name are enough; properties are always there, as MSG91 wants them."""
    request = EVENTS.build([event().payload], CONTEXT, "t")
    assert request.path == "/api/v5/segmento/api/v1/phonebooks/pb%201%2F2/events"
    assert orjson.loads(request.body or b"") == {
        "data": [{"event_name": "order-placed", "visitor_id": "u-1", "event_properties": {}}]
    }
    assert request.empty_is_success


def test_everything_set() -> None:
    """Every field has its place, under MSG91's name; several events share a request."""
    full = event(
        visitorId=42,
        properties={"order": {"id": 7}, "tags": ["a"], "none": None},
        timestamp="2024-05-01T10:00:00.123Z",
        context={"ip": "::1"},
        type="track",
    )
    parsed = orjson.loads(EVENTS.build([full.payload, event().payload], CONTEXT, "t").body or b"")
    assert parsed["data"][0] == {
        "event_name": "order-placed",
        "visitor_id": "42",
        "event_properties": {"order": {"id": 7}, "tags": ["a"], "none": None},
        "event_timestamp": "2024-05-01 10:00:00",
        "context": {"ip": "::1"},
        "type": "track",
    }
    assert len(parsed["data"]) == 2
    assert full.group == event().group


@pytest.mark.parametrize(
    ("written", "zone", "sent"),
    [
        ("2024-05-01T10:00:00Z", "UTC", "2024-05-01 10:00:00"),
        ("2024-05-01T10:00:00.999Z", "UTC", "2024-05-01 10:00:00"),
        ("2024-05-01T10:00:00Z", "Asia/Kolkata", "2024-05-01 15:30:00"),
        ("2024-05-01T10:00:00+05:30", "UTC", "2024-05-01 04:30:00"),
        ("2024-05-01T10:00:00", "Asia/Kolkata", "2024-05-01 10:00:00"),
        ("2024-05-01", "UTC", "2024-05-01 00:00:00"),
        ("1714557600", "UTC", "2024-05-01 10:00:00"),
        (1714557600, "UTC", "2024-05-01 10:00:00"),
        (1714557600123, "UTC", "2024-05-01 10:00:00"),
        ("1714557600123", "Asia/Kolkata", "2024-05-01 15:30:00"),
    ],
)
def test_timestamps(written: Any, zone: str, sent: str) -> None:
    """Times become wall clock in the zone that the destination says Segmento uses."""
    assert event(replace(CONTEXT, event_timezone=zone), timestamp=written).payload["event_timestamp"] == sent


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"visitorId": None}, "visitorId", ""),
        ({"visitorId": "  "}, "visitorId", "blank"),
        ({"eventName": ""}, "eventName", ""),
        ({"eventName": " "}, "eventName", "blank"),
        ({"properties": "text"}, "properties", ""),
        ({"timestamp": "soon"}, "timestamp", ""),
        ({"properties": {"n": BIG}}, "properties", "64 bits"),
        ({"properties": {"s": ["\ud83d"]}}, "properties", "surrogate"),
        ({"context": {"s": {"\udc00": 1}}}, "context", "surrogate"),
        ({"visitorId": "\ud83d"}, "visitorId", "surrogate"),
    ],
)
def test_event_refusals(fields: dict[str, Any], field: str, says: str) -> None:
    """What cannot be sent is refused alone, with its field, so that it sinks no neighbour."""
    errors = errors_of(event, **fields)
    assert list(errors) == [field]
    assert says in errors[field]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"visitorId": None, "eventName": " "}, ["visitorId", "eventName"]),
        ({"visitorId": " ", "eventName": " "}, ["visitorId", "eventName"]),
        ({"eventName": "", "properties": {"n": BIG}}, ["eventName", "properties"]),
        ({"eventName": " ", "properties": [], "context": {"n": BIG}}, ["eventName", "properties", "context"]),
        ({"properties": {"n": BIG}, "timestamp": "soon"}, ["properties", "timestamp"]),
    ],
)
def test_all_errors_of_an_event_at_once(fields: dict[str, Any], named: list[str]) -> None:
    """A field that breaks its definition hides nothing of what is wrong with the others, in the fields' order."""
    assert list(errors_of(event, **fields)) == named


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"contactId": None, "phone": "12345"}, ["contactId", "phone"]),
        ({"contactId": " ", "email": "nobody"}, ["contactId", "email"]),
        ({"email": "nobody", "phone": "12345", "details": {"n": BIG}}, ["email", "phone", "details"]),
        ({"name": {}, "phone": {}, "details": []}, ["name", "phone", "details"]),
    ],
)
def test_all_errors_of_a_contact_at_once(fields: dict[str, Any], named: list[str]) -> None:
    """The same holds for contacts."""
    assert list(errors_of(contact, **fields)) == named


def test_event_path_is_a_setting() -> None:
    """The path, which no public source states, can be set; without a placeholder no phonebook is needed."""
    context = replace(CONTEXT, events_path="/api/v5/segmento/events", phonebook_id=None)
    assert EVENTS.build([event(context).payload], context, "t").path == "/api/v5/segmento/events"
    assert EVENTS.problems(context) == []


def test_missing_phonebook() -> None:
    """A destination without the phonebook that a path needs is found at load, and refuses deliveries by name."""
    context = replace(CONTEXT, phonebook_id=None)
    for action, prepare, field in ((EVENTS, event, "visitorId"), (CONTACT, contact, "contactId")):
        assert "phonebook_id" in action.problems(context)[0]
        assert "phonebook_id" in errors_of(prepare, context)[field]
        assert action.problems(CONTEXT) == []


def test_smallest_contact() -> None:
    """An id is enough for a contact."""
    request = CONTACT.build([contact().payload], CONTEXT, "t")
    assert (request.method, request.path) == ("POST", "/api/v5/segmento/api/v1/phonebooks/pb%201%2F2/contacts")
    assert orjson.loads(request.body or b"") == {"fields": True, "input": {"contact_id": "u-1"}}
    assert request.empty_is_success


def test_whole_contact() -> None:
    """Every field has its place, under MSG91's name, the number as digits with country code."""
    prepared = contact(name="Ada", email="ada@example.com", phone="+91 88188 88758", details={"age": 30})
    assert orjson.loads(CONTACT.build([prepared.payload], CONTEXT, "t").body or b"") == {
        "fields": True,
        "input": {
            "contact_id": "u-1",
            "name": "Ada",
            "email": "ada@example.com",
            "mobiles": "918818888758",
            "details": {"age": 30},
        },
    }
    assert prepared.recipient == "u-1"


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"contactId": ""}, "contactId", ""),
        ({"contactId": " "}, "contactId", "blank"),
        ({"phone": "12345"}, "phone", "too few"),
        ({"email": "nobody"}, "email", ""),
        ({"details": [1, 2]}, "details", ""),
        ({"details": {"n": BIG}}, "details", "64 bits"),
        ({"name": "\ud83d"}, "name", "surrogate"),
    ],
)
def test_contact_refusals(fields: dict[str, Any], field: str, says: str) -> None:
    """What cannot be sent is refused with its field and the rule."""
    errors = errors_of(contact, **fields)
    assert list(errors) == [field]
    assert says in errors[field]


def test_one_contact_a_request() -> None:
    """The endpoint takes one contact; more are a mistake of the caller."""
    assert CONTACT.max_recipients == 1
    with pytest.raises(ValueError, match="one contact"):
        CONTACT.build([contact().payload] * 2, CONTEXT, "t")


def test_samples_show_no_person() -> None:
    """The descriptions kept for people show neither properties nor the contact's data."""
    one = event(visitorId="918818888758", properties={"secret": "4711"})
    two = contact(contactId="918818888758", name="Ada", phone="918818888758")
    for request in (EVENTS.build([one.payload], CONTEXT, "t"), CONTACT.build([two.payload], CONTEXT, "t")):
        text = orjson.dumps(request.sample).decode()
        assert "8818888758" not in text
        assert "4711" not in text
        assert "Ada" not in text
