"""What CleverTap posts: who may post it, which event it becomes, and what is answered."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from worker.actions import ACTIONS
from worker.destinations import Destination, load_destinations
from worker.intake import clevertap
from worker.intake.limits import Limits
from worker.intake.refusals import Refused
from worker.intake.tracking import Arrival, take_one
from worker.pipeline import resolve_events
from worker.settings import load_settings

ARRIVAL = Arrival.at("request-1", 1_795_000_000_123)
NUMBER = "918888888888"
MESSAGE: dict[str, Any] = {
    "payloadVersion": 0.1,
    "to": "+919876543210",
    "wabaNumber": NUMBER,
    "isTemplate": True,
    "msgId": "25596363|1639561857|20220227|25596363",
    "template": {"namespace": "order_shipped", "languageCode": "en"},
    "components": [
        {"type": "header", "header": {"type": "image", "image": {"mediaURL": "https://example.com/image.png"}}},
        {"type": "body", "body": {"text": "Hey User", "parameters": [{"type": "text", "text": "User"}]}},
        {"type": "footer", "footer": "Bye"},
        {
            "type": "button",
            "index": 0,
            "subType": "dynamicUrl",
            "buttonText": "Open",
            "parameters": [{"type": "text", "text": "cart"}],
        },
        {
            "type": "button",
            "index": 1,
            "subType": "callPhone",
            "buttonText": "Call",
            "parameters": [{"type": "text", "text": "+91994876856"}],
        },
        {"type": "button", "index": 2, "buttonText": "Yes", "subType": "quickReply"},
        {"customProps": [{"Key1": "Value1"}]},
    ],
}
OFFER: dict[str, Any] = {
    **MESSAGE,
    "components": [
        {
            "type": "limited_time_offer",
            "text": "Buy 1 Get 1",
            "parameters": [{"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1912081380237}}],
        },
        {
            "type": "button",
            "index": 0,
            "subType": "copy_code",
            "parameters": [{"type": "coupon_code", "coupon_code": "SAMPLECODE"}],
        },
    ],
}
VERIFICATION: dict[str, Any] = {
    "body": {
        "payloadVersion": 0.1,
        "wabaNumber": "9199XXXXXXXX",
        "to": "9189XXXXXXXX",
        "isTemplate": True,
        "template": {"namespace": "whatsapp:hsm:technology:generic:verify", "languageCode": "en"},
        "components": [{"type": "body", "body": {"text": "1 code", "parameters": [{"type": "text", "text": "1"}]}}],
        "msgId": "0|0|0|0",
    }
}


@pytest.fixture
def destination(tmp_path: Path) -> Destination:
    """A destination that CleverTap posts to."""
    file = tmp_path / "destinations.yaml"
    keys = {
        "name": "shop",
        "authkey": "k",
        "mappings": ["clevertap-whatsapp"],
        "webhooks": {"token": "token-of-webhooks"},
        "whatsapp": {"numbers": [NUMBER], "clevertap": {"username": "clever", "password": "pass:word"}},
    }
    file.write_text(yaml.safe_dump({"destinations": [keys]}), encoding="utf-8")
    found = load_destinations(file, {}, settings=load_settings({})).get("shop")
    assert found is not None
    return found


def basic(text: str) -> dict[bytes, bytes]:
    """A header of Basic authorization."""
    return {b"authorization": b"Basic " + b64encode(text.encode())}


def event_of(payload: dict[str, Any]) -> dict[str, Any]:
    """The event that a payload becomes, as the door writes it into a batch."""
    event = clevertap.event_of(clevertap.payload_of(orjson.loads(orjson.dumps(payload))), ARRIVAL)
    return dict(orjson.loads(take_one(None, event, ARRIVAL, Limits()).lines[0]))


def sent(payload: dict[str, Any], destination: Destination) -> dict[str, Any]:
    """The body of the request that a payload comes to."""
    [delivery] = resolve_events([event_of(payload)], [destination], now_ms=ARRIVAL.at_ms, arrival="a").deliveries
    request = ACTIONS[delivery.action].build([delivery.payload], destination.context, "token")
    return dict(orjson.loads(request.body or b""))


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        (basic("clever:pass:word"), True),
        ({b"authorization": b"Bearer token-of-webhooks"}, True),
        (basic("clever:password"), False),
        (basic("clever"), False),
        ({b"authorization": b"Basic ***"}, False),
        ({b"authorization": b"Basic " + b"A" * 5000}, False),
        ({}, False),
    ],
)
def test_who_may_post(headers: dict[bytes, bytes], may: bool, destination: Destination) -> None:
    """User name and password as they were set at CleverTap, or the destination's token of webhooks."""
    assert clevertap.is_clevertap(destination, headers) is may


def test_a_template_message(destination: Destination) -> None:
    """A template comes to the request that MSG91 takes, with the buttons that take a value in their places."""
    body = sent(MESSAGE, destination)
    assert body["integrated_number"] == NUMBER
    template = body["payload"]["template"]
    assert (template["name"], template["language"]["code"]) == ("order_shipped", "en")
    assert template["to_and_components"] == [
        {
            "to": ["919876543210"],
            "components": {
                "header_1": {"type": "image", "value": "https://example.com/image.png"},
                "body_1": {"type": "text", "value": "User"},
                "button_1": {"subtype": "url", "type": "text", "value": "cart"},
            },
        }
    ]


def test_a_limited_time_offer(destination: Destination) -> None:
    """An offer and its code go out in the form that has a place for them."""
    components = sent(OFFER, destination)["payload"]["template"]["components"]
    assert [one["type"] for one in components] == ["limited_time_offer", "button"]
    assert components[0]["parameters"][0]["limited_time_offer"] == {"expiration_time_ms": 1912081380237}
    assert components[1]["parameters"] == [{"type": "coupon_code", "coupon_code": "SAMPLECODE"}]


@pytest.mark.parametrize(
    ("given", "payload"),
    [
        (
            {"type": "image", "image": {"mediaURL": "https://e.com/a.png", "caption": "Look"}},
            {"type": "image", "image": {"link": "https://e.com/a.png", "caption": "Look"}},
        ),
        (
            {"type": "file", "file": {"mediaURL": "https://e.com/a.pdf", "filename": "a.pdf"}},
            {"type": "document", "document": {"link": "https://e.com/a.pdf", "filename": "a.pdf"}},
        ),
        (
            {"type": "audio", "audio": {"mediaURL": "https://e.com/a.mp3"}},
            {"type": "audio", "audio": {"link": "https://e.com/a.mp3"}},
        ),
    ],
)
def test_free_form_media(given: dict[str, Any], payload: dict[str, Any], destination: Destination) -> None:
    """An agent's files become session messages."""
    message = {"to": "919876543210", "msg_id": "1|2|3|4", "wabaNumber": NUMBER, "isTemplate": False, **given}
    assert sent(message, destination)["payload"] == payload


@pytest.mark.parametrize("text", ["Hello", {"text": "Hello"}, {"body": "Hello"}])
def test_free_form_text(text: Any, destination: Destination) -> None:
    """An agent's text becomes a session message."""
    message = {"to": "919876543210", "msgId": "1|2", "wabaNumber": NUMBER, "isTemplate": False}
    assert sent({**message, "type": "text", "text": text}, destination)["text"] == "Hello"


def test_the_id_of_a_message_is_its_own() -> None:
    """A message that comes twice is one; those by which CleverTap tries something out share an id and are many."""
    assert event_of(MESSAGE)["messageId"] == MESSAGE["msgId"]
    assert event_of({**MESSAGE, "msgId": "0|0|0|0"})["messageId"] == "request-1-0"
    other = {key: value for key, value in MESSAGE.items() if key != "msgId"}
    assert event_of({**other, "msg_id": "7|7"})["messageId"] == "7|7"


def test_the_payload_stands_in_the_event_as_it_came() -> None:
    """A mapping of one's own finds everything that CleverTap sent."""
    properties = event_of(MESSAGE)["properties"]
    assert {key: properties[key] for key in MESSAGE} == MESSAGE


@pytest.mark.parametrize(
    ("written", "code"),
    [("en", "en"), ("en(UK)", "en_GB"), ("en(us)", "en_US"), ("pt_BR", "pt_BR"), ("zh-cn", "zh_CN"), ("?", "?")],
)
def test_languages(written: str, code: str) -> None:
    """CleverTap's way of writing languages becomes WhatsApp's."""
    assert clevertap.language_of(written) == code


def test_namespaces_stand_before_the_name() -> None:
    """A name that has a namespace before it is taken apart."""
    template = {"namespace": "ns_1:order_shipped", "languageCode": "en"}
    properties = event_of({**MESSAGE, "template": template})["properties"]
    assert (properties["templateNamespace"], properties["templateName"]) == ("ns_1", "order_shipped")


def test_trials_are_recognized() -> None:
    """Saving address and password, and trying out a template, are not messages to anybody."""
    payload = clevertap.payload_of(VERIFICATION)
    assert clevertap.is_verification(payload)
    assert clevertap.is_trial(payload)
    assert not clevertap.is_verification(MESSAGE)
    assert not clevertap.is_trial(MESSAGE)


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({"to": "12"}, clevertap.BAD_NUMBER, "phone"),
        ({"template": {"namespace": "no such name!", "languageCode": "en"}}, clevertap.BAD_TEMPLATE, "template"),
        ({"wabaNumber": "919876500000"}, clevertap.BAD_TEMPLATE, "integratedNumber"),
    ],
)
def test_what_is_known_to_fail_is_answered(
    changed: dict[str, Any], code: int, says: str, destination: Destination
) -> None:
    """A number or a template that can never be sent is answered with CleverTap's code and a reason."""
    problem = clevertap.problem_of(event_of({**MESSAGE, **changed}), destination, ARRIVAL)
    assert problem is not None
    assert problem[0] == code
    assert says in problem[1]
    assert orjson.loads(clevertap.failure(*problem))["error"]["code"] == code


def test_what_will_be_sent_has_no_problem(destination: Destination) -> None:
    """A good message is answered with success."""
    assert clevertap.problem_of(event_of(MESSAGE), destination, ARRIVAL) is None
    assert orjson.loads(clevertap.SUCCESS) == {"status": "success"}


def test_a_destination_that_takes_no_messages_says_so(destination: Destination) -> None:
    """Where no mapping takes what CleverTap posts, the answer names the preset that does."""
    problem = clevertap.problem_of({"type": "track", "event": "Other", "messageId": "m"}, destination, ARRIVAL)
    assert problem is not None
    assert problem[0] == clevertap.OTHER
    assert "clevertap-whatsapp" in problem[1]


@pytest.mark.parametrize("document", [None, [], "text", 5, {"components": [{"type": "carousel"}]}])
def test_what_is_no_message_is_refused(document: Any) -> None:
    """Anything but one message is refused, and a carousel, which MSG91 is not known to take."""
    with pytest.raises(Refused):
        clevertap.payload_of(document)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["header", "body", "button", "text", "url", "0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "header", "body", "parameters", "index", "subType", "text", "image", "file"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["to", "template", "components", "type", "text", "image", "isTemplate", "msgId", "wabaNumber"]),
        _json,
    )
)
def test_no_payload_breaks_the_door(payload: dict[str, Any]) -> None:
    """Whatever is posted becomes an event that can be written, or is refused."""
    with contextlib.suppress(Refused):
        assert event_of(payload)["event"] == clevertap.EVENT
