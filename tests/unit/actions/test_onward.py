"""The actions that tell others: what they refuse, and what leaves."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Any

import orjson
import pytest

from worker.actions import ACTIONS, ActionContext, FieldErrors, Receiver, Receivers
from worker.actions.receivers import SIGNATURE, Address, signature
from worker.msg91.numbers import PhoneNumbers

SEGMENT = Receiver(
    "segment",
    {"track": Address("https://api.segment.io", "/v1/track")},
    timeout=3.0,
    secret="s3cret",
    authorization="Basic a2V5Og==",
)
CRM = Receiver("crm", {"report": Address("https://crm.example", "/r", {"token": "t"})}, secret="s3cret")
CONTEXT = ActionContext("shop", PhoneNumbers("IN"), receivers=Receivers({"segment": SEGMENT}, {"crm": CRM}))
PUBLISH, POST = ACTIONS["publish_event"], ACTIONS["post_callback"]
EVENT: dict[str, Any] = {"target": "segment", "messageId": "m-1", "event": "SMS Delivered", "userId": "u-1"}
CALLBACK: dict[str, Any] = {"target": "crm", "kind": "report", "body": {"statuses": []}}


def refused(name: str, fields: dict[str, Any]) -> dict[str, str]:
    """The fields that an action refuses, with what it says of them."""
    with pytest.raises(FieldErrors) as caught:
        ACTIONS[name].prepare(fields, CONTEXT)
    return {error.field: error.message for error in caught.value.errors}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"target": "nobody"}, "target"),
        ({"target": "https://elsewhere.example"}, "target"),
        ({"messageId": " "}, "messageId"),
        ({"event": " "}, "event"),
        ({"userId": None}, "userId"),
        ({"userId": "", "anonymousId": ""}, "userId"),
        ({"properties": {"text": "x" * 33_000}}, "properties"),
        ({"properties": {"number": 2**70}}, "properties"),
    ],
)
def test_events_that_are_refused(change: dict[str, Any], field: str) -> None:
    """By the name of the field at fault."""
    assert list(refused("publish_event", {**EVENT, **change})) == [field]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"target": "segment"}, "target", "the destination's onward.callbacks names no such receiver; it names crm"),
        ({"kind": "inbound"}, "target", "the destination's onward.callbacks has no inbound_url for it"),
        ({"body": {}}, "body", "expected an object that says something, but it was empty"),
    ],
)
def test_callbacks_that_are_refused(change: dict[str, Any], field: str, message: str) -> None:
    """By the name of the field at fault."""
    assert refused("post_callback", {**CALLBACK, **change}) == {field: message}


def test_a_request_says_where_it_goes_and_proves_who_sends_it() -> None:
    """Origin, path, time limit, write key and signature are the receiver's."""
    prepared = PUBLISH.prepare({**EVENT, "phone": "+91 98765 43210"}, CONTEXT)
    request = PUBLISH.build([prepared.payload], CONTEXT, "token")
    assert prepared.recipient == "919876543210"
    assert (request.receiver, request.path, request.timeout) == ("https://api.segment.io", "/v1/track", 3.0)
    digest = hmac.new(b"s3cret", request.body or b"", "sha256").hexdigest()
    assert request.headers == {"Authorization": "Basic a2V5Og==", SIGNATURE: f"sha256={digest}"}
    assert orjson.loads(request.body or b"") == {"type": "track", **{k: v for k, v in EVENT.items() if k != "target"}}


def test_what_is_kept_and_shown_holds_no_secret() -> None:
    """Neither the payload, nor the sample of a request, nor the receiver as text."""
    for action, fields in ((PUBLISH, EVENT), (POST, CALLBACK)):
        payload = action.prepare(fields, CONTEXT).payload
        shown = f"{payload} {action.build([payload], CONTEXT, 'token').sample} {SEGMENT!r} {CRM!r}"
        assert not any(secret in shown for secret in ("s3cret", "a2V5Og", "/r'", "token"))


def test_a_receiver_that_is_gone_is_objected_to() -> None:
    """What waited for it is told apart from what can still be sent."""
    payload = PUBLISH.prepare(EVENT, CONTEXT).payload
    assert PUBLISH.objection(payload, CONTEXT) is None
    gone = replace(CONTEXT, receivers=Receivers())
    assert PUBLISH.objection(payload, gone) == "the destination's onward.tracking names no such receiver; it names none"
    callback = POST.prepare(CALLBACK, CONTEXT).payload
    assert POST.objection(callback, CONTEXT) is None
    assert POST.objection({**callback, "kind": "inbound"}, CONTEXT) is not None


def test_each_receiver_has_a_lane_of_its_own() -> None:
    """Others share that of their family."""
    assert PUBLISH.lane("shop", "segment") == "shop:onward:segment"
    assert POST.lane("shop", "crm") == "shop:onward:crm"
    assert ACTIONS["send_sms"].lane("shop", "group") == "shop:sms"


def test_mappings_need_somebody_to_tell() -> None:
    """A destination whose mappings publish, and which names nobody, is told so when it starts."""
    nobody = replace(CONTEXT, receivers=Receivers())
    assert [len(action.problems(nobody)) for action in (PUBLISH, POST)] == [1, 1]
    assert [action.problems(CONTEXT) for action in (PUBLISH, POST)] == [[], []]


def test_the_signature_is_that_of_the_field() -> None:
    """HMAC-SHA-256 over the bytes, as in GitHub's documentation of its webhooks."""
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature("It's a Secret to Everybody", b"Hello, World!") == expected
