"""WhatsApp messages: what is checked, what is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from worker.actions import ACTIONS, Action, ActionContext, FieldErrors, Prepared, WhatsAppContext
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.numbers import PhoneNumbers

TEMPLATE = ACTIONS["send_whatsapp_template"]
SESSION = ACTIONS["send_whatsapp_session"]
NUMBER, OTHER = "918888888888", "14155550100"
WHATSAPP = WhatsAppContext(numbers=(NUMBER, OTHER), default_number=NUMBER, namespace="ns_1")
CONTEXT = ActionContext("msg91", PhoneNumbers("IN"), whatsapp=WHATSAPP)


def template(destination: ActionContext = CONTEXT, /, **fields: Any) -> Prepared:
    """Prepare a template message."""
    return TEMPLATE.prepare({"phone": "918818888758", "template": "order_shipped", **fields}, destination)


def session(destination: ActionContext = CONTEXT, /, **fields: Any) -> Prepared:
    """Prepare a session message."""
    return SESSION.prepare({"phone": "918818888758", **fields}, destination)


def sent(action: Action, *prepared: Prepared, context: ActionContext = CONTEXT) -> dict[str, Any]:
    """The body of the request that these messages make, kept and read back as between attempts."""
    kept = [orjson.loads(orjson.dumps(one.payload)) for one in prepared]
    found: dict[str, Any] = orjson.loads(action.build(kept, context, "token").body or b"")
    return found


def errors_of(prepare: Any, **fields: Any) -> dict[str, str]:
    """Prepare and return what is refused, by field."""
    with pytest.raises(FieldErrors) as caught:
        prepare(**fields)
    return {error.field: error.message for error in caught.value.errors}


def test_one_request_carries_one_template_and_many_recipients() -> None:
    """Recipients of one template, language and number share a request; equal components share an entry of it."""
    messages = [
        template(phone="918818888758", body=["Ada"]),
        template(phone="919876543210", body=["Bob"]),
        template(phone="919876543211", body=["Ada"]),
    ]
    assert len({one.group for one in messages}) == 1
    body = sent(TEMPLATE, *messages)
    assert body["integrated_number"] == NUMBER
    assert body["CRQID"] == "token"
    named = body["payload"]["template"]
    assert named["name"] == "order_shipped"
    assert named["language"] == {"code": "en", "policy": "deterministic"}
    assert named["namespace"] == "ns_1"
    assert named["to_and_components"] == [
        {"to": ["918818888758", "919876543211"], "components": {"body_1": {"type": "text", "value": "Ada"}}},
        {"to": ["919876543210"], "components": {"body_1": {"type": "text", "value": "Bob"}}},
    ]


@pytest.mark.parametrize(
    "other", [{"template": "order_late"}, {"language": "hi"}, {"integratedNumber": OTHER}, {"namespace": "ns_2"}]
)
def test_what_a_request_carries_once_keeps_messages_apart(other: dict[str, str]) -> None:
    """Another template, language, number or namespace is another request."""
    assert template(**other).group != template().group


@pytest.mark.parametrize(
    ("header", "flat"),
    [
        ("Hello", {"type": "text", "value": "Hello"}),
        ({"type": "text", "value": "Hello"}, {"type": "text", "value": "Hello"}),
        ({"type": "image", "value": "https://e.com/a.png"}, {"type": "image", "value": "https://e.com/a.png"}),
        ({"type": "video", "value": "https://e.com/a.mp4"}, {"type": "video", "value": "https://e.com/a.mp4"}),
        (
            {"type": "document", "value": "https://e.com/a.pdf", "filename": "Bill.pdf"},
            {"type": "document", "value": "https://e.com/a.pdf", "filename": "Bill.pdf"},
        ),
    ],
)
def test_headers(header: Any, flat: dict[str, str]) -> None:
    """Texts and files have their place in a bulk request."""
    entry = sent(TEMPLATE, template(header=header))["payload"]["template"]["to_and_components"][0]
    assert entry["components"] == {"header_1": flat}


def test_variables_by_number_and_by_name() -> None:
    """The body is filled by a list in order, or by an object with numbers or names."""

    def components(body: Any) -> Any:
        return sent(TEMPLATE, template(body=body))["payload"]["template"]["to_and_components"][0]["components"]

    assert components(["Ada", 7, True]) == {
        "body_1": {"type": "text", "value": "Ada"},
        "body_2": {"type": "text", "value": "7"},
        "body_3": {"type": "text", "value": "true"},
    }
    assert components({"2": "b", "body_1": "a"}) == {
        "body_2": {"type": "text", "value": "b"},
        "body_1": {"type": "text", "value": "a"},
    }
    assert components({"first_name": "Ada"}) == {
        "body_first_name": {"type": "text", "value": "Ada", "parameter_name": "first_name"}
    }
    assert components("Ada") == components(["Ada"])


@pytest.mark.parametrize(
    ("written", "sent_as"),
    [
        ("a\nb", "a b"),
        ("a \r\n\r\n b", "a b"),
        ("a\tb\u2028c", "a b c"),
        ("  a  ", "a"),
        ("a" + " " * 9 + "b", "a    b"),
    ],
)
def test_values_are_one_line(written: str, sent_as: str) -> None:
    """Line breaks, tabs and wide gaps, which WhatsApp refuses, do not leave the house."""
    entry = sent(TEMPLATE, template(body=[written]))["payload"]["template"]["to_and_components"][0]
    assert entry["components"]["body_1"]["value"] == sent_as


def test_buttons_keep_their_positions() -> None:
    """A button without a variable takes its place and nothing else."""
    buttons = ["orders/7", None, {"type": "quick_reply", "value": "STOP"}]
    entry = sent(TEMPLATE, template(buttons=buttons))["payload"]["template"]["to_and_components"][0]
    assert entry["components"] == {
        "button_1": {"subtype": "url", "type": "text", "value": "orders/7"},
        "button_3": {"subtype": "quick_reply", "type": "text", "value": "STOP"},
    }


def test_what_bulk_has_no_place_for_goes_alone_in_the_form_of_meta() -> None:
    """A limited-time offer, a code to copy and a location go one by one, with components as Meta writes them."""
    offer = template(
        header={"type": "image", "value": "https://e.com/a.png"},
        body=["Ada"],
        buttons=[{"type": "copy_code", "value": "SAVE20"}, "x"],
        offerEnds="2026-01-01T00:00:00Z",
    )
    other = template(phone="919876543210", offerEnds=1767225600)
    assert offer.group != other.group
    body = sent(TEMPLATE, offer)
    assert body["payload"]["to"] == "918818888758"
    assert body["payload"]["template"]["components"] == [
        {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://e.com/a.png"}}]},
        {"type": "body", "parameters": [{"type": "text", "text": "Ada"}]},
        {
            "type": "limited_time_offer",
            "parameters": [{"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1767225600000}}],
        },
        {
            "type": "button",
            "sub_type": "copy_code",
            "index": "0",
            "parameters": [{"type": "coupon_code", "coupon_code": "SAVE20"}],
        },
        {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "x"}]},
    ]
    assert sent(TEMPLATE, other)["payload"]["template"]["components"] == [body["payload"]["template"]["components"][2]]
    place = template(header={"type": "location", "latitude": 18.5, "longitude": "73.8", "name": "Pune"})
    assert sent(TEMPLATE, place)["payload"]["template"]["components"] == [
        {
            "type": "header",
            "parameters": [{"type": "location", "location": {"latitude": "18.5", "longitude": "73.8", "name": "Pune"}}],
        }
    ]


def test_a_destination_may_send_one_by_one_and_without_correlation() -> None:
    """Where bulk requests or correlation ids are not wanted, the settings say so."""
    alone = replace(CONTEXT, whatsapp=replace(WHATSAPP, single=True, correlates=False))
    first, second = template(alone, body=["a"]), template(alone, phone="919876543210", body=["a"])
    assert first.group != second.group
    body = sent(TEMPLATE, first, context=alone)
    assert "CRQID" not in body
    assert body["payload"]["template"]["components"] == [
        {"type": "body", "parameters": [{"type": "text", "text": "a"}]}
    ]
    with pytest.raises(ValueError, match="alone"):
        TEMPLATE.build([first.payload, second.payload], alone, "token")


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"template": "order shipped"}, "template", "letters, digits and _"),
        ({"language": "english"}, "language", "language code"),
        ({"integratedNumber": "919876543210"}, "integratedNumber", "none of the destination's"),
        ({"integratedNumber": "12"}, "integratedNumber", "too few"),
        ({"body": ["a", None]}, "body.2", "null or missing"),
        ({"body": ["a", " \n "]}, "body.2", "empty variable"),
        ({"body": [["a"]]}, "body.1", "a list"),
        ({"body": {"a b": "x"}}, "body", "number"),
        ({"header": {"type": "gif", "value": "x"}}, "header.type", "image"),
        ({"header": {"type": "image", "value": "a.png"}}, "header.value", "https"),
        ({"header": {"type": "location", "latitude": 99, "longitude": 0}}, "header.latitude", "-90 to 90"),
        ({"buttons": [{"type": "call", "value": "x"}]}, "buttons.1.type", "quick_reply"),
        ({"buttons": {"11": "x"}}, "buttons", "1 to 10"),
        ({"offerEnds": "soon"}, "offerEnds", "date"),
        ({"offerEnds": -5}, "offerEnds", "ISO 8601"),
    ],
)
def test_refusals_name_field_and_rule(fields: dict[str, Any], field: str, says: str) -> None:
    """What WhatsApp or MSG91 would refuse is refused here, by field, and without the value."""
    errors = errors_of(template, **fields)
    assert says in errors[field]


def test_all_problems_are_said_at_once() -> None:
    """One look shows everything that is wrong."""
    errors = errors_of(template, phone="12", template="?", body=[None], offerEnds="x")
    assert list(errors) == ["phone", "template", "body.1", "offerEnds"]


def test_an_integrated_number_is_recognized_however_it_is_written() -> None:
    """The event may write the number with a plus, or without its country code."""
    assert template(integratedNumber=f"+{NUMBER}").payload["number"] == NUMBER
    assert template(integratedNumber=NUMBER[2:]).payload["number"] == NUMBER
    assert template(integratedNumber=OTHER).payload["number"] == OTHER


def test_without_a_number_nothing_can_be_sent() -> None:
    """A destination without integrated numbers says what it lacks, before anything is sent and at each message."""
    bare = ActionContext("msg91", PhoneNumbers("IN"))
    assert "integrated number" in TEMPLATE.problems(bare)[0]
    assert "integrated number" in SESSION.problems(bare)[0]
    assert TEMPLATE.problems(CONTEXT) == SESSION.problems(CONTEXT) == []
    assert "integratedNumber" in errors_of(lambda **fields: template(bare, **fields))


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"text": "Hi\nthere"}, {"content_type": "text", "text": "Hi\nthere"}),
        (
            {"type": "image", "mediaUrl": "https://e.com/a.png", "text": "Look"},
            {
                "content_type": "image",
                "payload": {"type": "image", "image": {"link": "https://e.com/a.png", "caption": "Look"}},
            },
        ),
        (
            {"mediaUrl": "https://e.com/a.pdf", "filename": "a.pdf"},
            {
                "content_type": "document",
                "payload": {"type": "document", "document": {"link": "https://e.com/a.pdf", "filename": "a.pdf"}},
            },
        ),
        (
            {"location": {"latitude": "1", "longitude": "2"}},
            {
                "content_type": "location",
                "payload": {"type": "location", "location": {"latitude": "1", "longitude": "2"}},
            },
        ),
        (
            {"contacts": {"name": {"formatted_name": "Ada"}}},
            {
                "content_type": "contacts",
                "payload": {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ada"}}]},
            },
        ),
        (
            {"interactive": {"type": "button", "body": {"text": "?"}}},
            {
                "content_type": "interactive",
                "payload": {"type": "interactive", "interactive": {"type": "button", "body": {"text": "?"}}},
            },
        ),
    ],
)
def test_session_messages(fields: dict[str, Any], body: dict[str, Any]) -> None:
    """Every kind of session message has its form; the kind follows from what is there."""
    assert sent(SESSION, session(**fields)) == {
        "integrated_number": NUMBER,
        "recipient_number": "918818888758",
        "CRQID": "token",
        **body,
    }


def test_media_may_be_attached() -> None:
    """Where the account wants it, media are written as an attachment beside the kind."""
    attached = replace(CONTEXT, whatsapp=replace(WHATSAPP, attached_media=True))
    message = session(attached, type="image", mediaUrl="https://e.com/a.png", text="Look")
    body = sent(SESSION, message, context=attached)
    assert (body["attachment_url"], body["caption"]) == ("https://e.com/a.png", "Look")
    assert "payload" not in body


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "text"),
        ({"text": "  "}, "text"),
        ({"text": "x" * 4097}, "text"),
        ({"type": "poem", "text": "x"}, "type"),
        ({"type": "image"}, "mediaUrl"),
        ({"type": "image", "mediaUrl": "ftp://e.com/a"}, "mediaUrl"),
        ({"type": "image", "mediaUrl": "https://e.com/a", "text": "x" * 1025}, "text"),
        ({"type": "interactive"}, "interactive"),
        ({"type": "location"}, "location.latitude"),
    ],
)
def test_session_refusals(fields: dict[str, Any], field: str) -> None:
    """A session message without what its kind needs is refused by the field that lacks."""
    assert field in errors_of(session, **fields)


def test_a_refusal_of_what_all_share_is_no_reason_to_look_for_a_culprit() -> None:
    """A refusal that concerns the integrated number or the template is each recipient's own; any other is shared."""
    shared = Answer(AnswerClass.REQUEST, message="MSG91 refused the request: number not integrated with the account")
    assert all(one is not shared for one in TEMPLATE.read(shared, 2))
    other = Answer(AnswerClass.REQUEST, message="MSG91 refused the request: 91* is not on WhatsApp")
    assert all(one is other for one in TEMPLATE.read(other, 2))


def test_samples_show_no_values() -> None:
    """What is shown of a request has neither the number nor the values in it."""
    sample = TEMPLATE.build([template(body=["secret-value"]).payload], CONTEXT, "token").sample
    assert b"secret-value" not in orjson.dumps(sample)
    assert b"918818888758" not in orjson.dumps(sample)
    sample = SESSION.build([session(text="secret-value").payload], CONTEXT, "token").sample
    assert b"secret-value" not in orjson.dumps(sample)
    assert b"918818888758" not in orjson.dumps(sample)
