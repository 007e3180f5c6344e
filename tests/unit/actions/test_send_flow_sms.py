"""Templates: what is checked, what is sent."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from worker.actions import ACTIONS, ActionContext, FieldErrors, Prepared
from worker.msg91.numbers import PhoneNumbers

FLOW = ACTIONS["send_flow_sms"]
TEMPLATE_ID = "61e8f2a3b4c5d6e7f8091a2b"
OTHER_ID = "71e8f2a3b4c5d6e7f8091a2b"
DLT_ID = "1107161234567890123"
CONTEXT = ActionContext("msg91", PhoneNumbers("IN"), default_template_id=TEMPLATE_ID, default_sender="SHOPIN")


def prepare(context: ActionContext = CONTEXT, **fields: Any) -> Prepared:
    """Prepare a template for one recipient."""
    return FLOW.prepare({"phone": "918818888758", **fields}, context)


def refused(context: ActionContext = CONTEXT, **fields: Any) -> dict[str, str]:
    """Prepare and return what is refused, by field."""
    with pytest.raises(FieldErrors) as caught:
        prepare(context, **fields)
    return {error.field: error.message for error in caught.value.errors}


def body(*prepared: Prepared) -> dict[str, Any]:
    """Build a request and read its body."""
    request = FLOW.build([one.payload for one in prepared], CONTEXT, "token-1")
    assert (request.method, request.path) == ("POST", "/api/v5/flow")
    parsed: dict[str, Any] = orjson.loads(request.body or b"")
    return parsed


def test_smallest_request() -> None:
    """A number and the default template are enough; the template keeps its own sender."""
    assert body(prepare()) == {
        "template_id": TEMPLATE_ID,
        "CRQID": "token-1",
        "recipients": [{"mobiles": "918818888758"}],
    }


def test_everything_set() -> None:
    """Every field has its place, and variables stand flat beside the number."""
    prepared = prepare(
        templateId=OTHER_ID,
        senderID="MSGIND",
        variables={"firstName": "John", "Amount": 12},
        shortUrl=True,
        shortUrlExpiry=3600,
        realTimeResponse=True,
    )
    assert body(prepared) == {
        "template_id": OTHER_ID,
        "sender": "MSGIND",
        "short_url": "1",
        "short_url_expiry": 3600,
        "realTimeResponse": "1",
        "CRQID": "token-1",
        "recipients": [{"mobiles": "918818888758", "firstName": "John", "Amount": "12"}],
    }
    assert body(prepare(shortUrl=False))["short_url"] == "0"


def test_recipients_with_their_own_variables_share_a_request() -> None:
    """Recipients of one template share a request, each with its own variables."""
    deliveries = [prepare(phone=f"91981234567{i}", variables={"n": i}) for i in range(3)]
    assert len({one.group for one in deliveries}) == 1
    assert body(*deliveries)["recipients"] == [{"mobiles": f"91981234567{i}", "n": str(i)} for i in range(3)]


def test_groups_follow_the_settings_of_a_request() -> None:
    """Another template, sender or option is another request."""
    variants = [
        prepare(),
        prepare(templateId=OTHER_ID),
        prepare(senderID="MSGIND"),
        prepare(shortUrl=True),
        prepare(shortUrl=False),
        prepare(shortUrl=True, shortUrlExpiry=60),
        prepare(realTimeResponse=True),
    ]
    assert len({one.group for one in variants}) == len(variants)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("text", "text"),
        ("", ""),
        (5, "5"),
        (5.0, "5"),
        (1.25, "1.25"),
        (-0.5, "-0.5"),
        (12345678901234567890123, "12345678901234567890123"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("नमस्ते\n😀", "नमस्ते\n😀"),
    ],
)
def test_variables_are_text_on_the_wire(value: Any, sent: str) -> None:
    """Numbers, booleans and null become the text a reader of JSON would expect."""
    assert body(prepare(variables={"v": value}))["recipients"][0]["v"] == sent


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"phone": "12345"}, "phone", "too few"),
        (
            {"templateId": DLT_ID},
            "templateId",
            "DLT template id (19 digits) was given, but this call needs MSG91's own",
        ),
        ({"templateId": "no such id!"}, "templateId", "24 hexadecimal characters"),
        ({"templateId": "110716"}, "templateId", "24 hexadecimal characters"),
        ({"senderID": "TOOLONGSENDER"}, "senderID", "six letters"),
        ({"variables": "text"}, "variables", ""),
        ({"variables": {"mobiles": "919812345678"}}, "variables.mobiles", "number's own key"),
        ({"variables": {"": "x"}}, "variables", "empty name"),
        ({"variables": {"list": [1]}}, "variables.list", "a list"),
        ({"variables": {"object": {"a": 1}}}, "variables.object", "an object"),
        ({"variables": {"half": "\ud83d"}}, "variables.half", "surrogate"),
        ({"variables": {"\ud83d": "x"}}, "variables", ""),
        ({"shortUrlExpiry": 60}, "shortUrlExpiry", "shortUrl"),
        ({"shortUrl": True, "shortUrlExpiry": 0}, "shortUrlExpiry", ""),
    ],
)
def test_refusals_name_field_and_rule(fields: dict[str, Any], field: str, says: str) -> None:
    """What cannot be sent is refused with its field and the rule."""
    errors = refused(**fields)
    assert list(errors) == [field]
    assert says in errors[field]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"phone": "12345", "variables": "text"}, ["phone", "variables"]),
        ({"phone": None, "templateId": DLT_ID}, ["phone", "templateId"]),
        ({"shortUrl": "maybe", "senderID": "MSG", "phone": "918818888758"}, ["senderID", "shortUrl"]),
        ({"phone": {}, "variables": {"a": [], "b": {}}}, ["phone", "variables.a", "variables.b"]),
        ({"phone": {}, "shortUrlExpiry": 60}, ["phone", "shortUrlExpiry"]),
        ({"shortUrl": "maybe", "shortUrlExpiry": 60}, ["shortUrl"]),
        ({"phone": None, "senderID": "TOOLONGSENDER"}, ["phone"]),
    ],
)
def test_errors_of_definitions_and_rules_together(fields: dict[str, Any], named: list[str]) -> None:
    """A field that breaks its definition hides no other one; only what depends on it is not judged."""
    assert list(refused(**fields)) == named


def test_no_template_at_all() -> None:
    """Without a template in event and destination the error says where one may come from."""
    errors = refused(replace(CONTEXT, default_template_id=None))
    assert "default_template_id" in errors["templateId"]


def test_dlt_id_as_default_is_a_problem_of_the_destination() -> None:
    """A DLT id where the template id belongs is found when the destination is loaded."""
    assert FLOW.problems(CONTEXT) == []
    assert "DLT" in FLOW.problems(replace(CONTEXT, default_template_id=DLT_ID))[0]


def test_payload_outlives_the_configuration() -> None:
    """A payload kept for a retry builds the same request whatever the destination says meanwhile."""
    kept = orjson.loads(orjson.dumps(prepare(variables={"a": 1}).payload))
    changed = replace(CONTEXT, default_template_id=OTHER_ID)
    assert FLOW.build([kept], CONTEXT, "t").body == FLOW.build([kept], changed, "t").body


def test_sample_shows_no_person() -> None:
    """The description kept for people masks the number and the variables' values."""
    sample = FLOW.build([prepare(variables={"code": "4711"}).payload], CONTEXT, "t").sample
    text = orjson.dumps(sample).decode()
    assert "8818888758" not in text
    assert "4711" not in text
    assert '"code"' in text
