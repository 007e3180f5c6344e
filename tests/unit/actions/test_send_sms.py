"""Free text: what is checked, what is sent."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from mappings import FieldError
from worker.actions import ACTIONS, ActionContext, FieldErrors, Prepared, SendSms
from worker.msg91.numbers import PhoneNumbers

SMS = ACTIONS["send_sms"]
INDIA = ActionContext("msg91", PhoneNumbers("IN"))
DLT_ID = "1107161234567890123"
TEMPLATE_ID = "61e8f2a3b4c5d6e7f8091a2b"


def prepare(context: ActionContext = INDIA, **fields: Any) -> Prepared:
    """Prepare a message that is good but for the given fields; None leaves a field out."""
    resolved = {"phone": "918818888758", "message": "Thanks", "firstName": "John", "senderID": "MSGIND", **fields}
    return SMS.prepare({key: value for key, value in resolved.items() if value is not None}, context)


def refused(context: ActionContext = INDIA, **fields: Any) -> dict[str, str]:
    """Prepare and return what is refused, by field."""
    with pytest.raises(FieldErrors) as caught:
        prepare(context, **fields)
    return {error.field: error.message for error in caught.value.errors}


def body(prepared: list[Prepared], context: ActionContext = INDIA, token: str = "token-1") -> dict[str, Any]:
    """Build a request and read its body."""
    request = SMS.build([one.payload for one in prepared], context, token)
    assert (request.method, request.path, request.query) == ("POST", "/api/v2/sendsms", None)
    parsed: dict[str, Any] = orjson.loads(request.body or b"")
    return parsed


def test_the_four_fields_of_segment() -> None:
    """Segment's four fields become exactly MSG91's body; the first name stays home."""
    assert body([prepare(phone=918818888758)]) == {
        "sender": "MSGIND",
        "route": "4",
        "unicode": 0,
        "CRQID": "token-1",
        "sms": [{"message": "Thanks", "to": ["918818888758"]}],
    }


def test_everything_set() -> None:
    """Every field has its place in the body, under MSG91's name."""
    prepared = prepare(
        phone="+1 415 555 2671",
        senderID="MyShop",
        route="1",
        country="0",
        flash=True,
        unicode=True,
        schtime="2030-01-02 03:04:05",
        campaign="Spring",
        dltTemplateId=DLT_ID,
    )
    assert body([prepared]) == {
        "sender": "MyShop",
        "route": "1",
        "country": "0",
        "flash": 1,
        "unicode": 1,
        "schtime": "2030-01-02 03:04:05",
        "campaign": "Spring",
        "DLT_TE_ID": DLT_ID,
        "CRQID": "token-1",
        "sms": [{"message": "Thanks", "to": ["14155552671"]}],
    }


def test_defaults_of_the_destination() -> None:
    """What the event leaves out comes from the destination, and the event's own wins."""
    context = replace(INDIA, default_sender="SHOPIN", default_route="1", sms_country="91", dlt_template_id=DLT_ID)
    sent = body([prepare(context, senderID=None)], context)
    assert (sent["sender"], sent["route"], sent["country"], sent["DLT_TE_ID"]) == ("SHOPIN", "1", "91", DLT_ID)
    sent = body([prepare(context, route="4", country="0")], context)
    assert (sent["sender"], sent["route"], sent["country"]) == ("MSGIND", "4", "0")


def test_many_texts_and_numbers_in_one_request() -> None:
    """Numbers with the same text share an entry, other texts get their own, in the order they came."""
    deliveries = [prepare(phone=f"91981234567{i}", message="Hello" if i % 2 else f"Hello {i}") for i in range(5)]
    assert len({one.group for one in deliveries}) == 1
    assert body(deliveries)["sms"] == [
        {"message": "Hello 0", "to": ["919812345670"]},
        {"message": "Hello", "to": ["919812345671", "919812345673"]},
        {"message": "Hello 2", "to": ["919812345672"]},
        {"message": "Hello 4", "to": ["919812345674"]},
    ]


def test_groups_follow_the_settings_of_a_request() -> None:
    """Deliveries share a group exactly when the settings of their requests are the same."""
    context = replace(INDIA, max_sender_length=11)
    variants = [
        prepare(context),
        prepare(context, senderID="SHOPIN"),
        prepare(context, route="1"),
        prepare(context, message="नमस्ते"),
        prepare(context, flash=True),
        prepare(context, country="91"),
        prepare(context, schtime="1893456000"),
        prepare(context, dltTemplateId=DLT_ID),
        prepare(context, campaign="A"),
        prepare(context, campaign="B"),
        prepare(context, campaign="A\x1fdlt_template_id=1"),
    ]
    assert len({one.group for one in variants}) == len(variants)
    assert prepare(message="other", phone="919812345678").group == prepare().group
    assert prepare(flash=False).group == prepare().group
    for one in variants:
        settings = {key: value for key, value in body([one]).items() if key not in ("sms", "CRQID")}
        assert [o for o in variants if _settings(o) == settings] == [one]


def _settings(prepared: Prepared) -> dict[str, Any]:
    return {key: value for key, value in body([prepared]).items() if key not in ("sms", "CRQID")}


@pytest.mark.parametrize(
    ("message", "unicode", "flag", "cost"),
    [
        ("Thanks", None, 0, 1),
        ("a" * 161, None, 0, 2),
        ("धन्यवाद", None, 1, 1),
        ("न" * 71, None, 1, 2),
        ("Thanks 😀", None, 1, 1),
        ("Thanks", True, 1, 1),
        ("a" * 71, True, 1, 2),
        ("धन्यवाद", False, 0, 1),
    ],
)
def test_encoding_and_cost(message: str, unicode: bool | None, flag: int, cost: int) -> None:
    """The encoding follows the text unless the event sets it, and the cost is the parts."""
    prepared = prepare(message=message, unicode=unicode)
    assert (prepared.payload["unicode"], prepared.cost) == (flag, cost)


@pytest.mark.parametrize("phone", ["+91 88188 88758", "8818888758", "0091 8818888758", 8818888758, 918818888758.0])
def test_recipient_is_digits_with_country_code(phone: Any) -> None:
    """However it was written, the number goes out and is claimed as digits with country code."""
    prepared = prepare(phone=phone)
    assert (prepared.recipient, prepared.payload["to"]) == ("918818888758", "918818888758")


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"phone": None}, "phone", "required|missing"),
        ({"phone": ""}, "phone", "required|missing"),
        ({"phone": "  "}, "phone", "blank"),
        ({"phone": "12345"}, "phone", "5 digits are too few"),
        ({"phone": 167554321}, "phone", "no valid phone number"),
        ({"phone": True}, "phone", "letters"),
        ({"message": None}, "message", "required|missing"),
        ({"message": ""}, "message", "required|missing"),
        ({"message": " \n "}, "message", "blank"),
        ({"message": "\u00a0\u2003"}, "message", "blank"),
        ({"message": "half \ud83d"}, "message", "surrogate"),
        ({"message": "a" * 1531}, "message", "11 SMS parts .* allows 10"),
        ({"senderID": None}, "senderID", "default_sender"),
        ({"senderID": "MSGINDIA"}, "senderID", "exactly six letters, but it was 8 letters"),
        ({"senderID": "MSG"}, "senderID", "exactly six letters, but it was 3 letters"),
        ({"senderID": "123456"}, "senderID", "exactly six letters, but it was 6 digits"),
        ({"senderID": "MSG-IN"}, "senderID", "exactly six letters, but it was 6 characters"),
        ({"senderID": "MSGÏND"}, "senderID", "exactly six letters, but it has characters beyond A-Z"),
        ({"senderID": "SHOP12", "route": "1"}, "senderID", "six letters or 3 to 6 digits"),
        ({"senderID": "1234567", "route": "1"}, "senderID", "six letters or 3 to 6 digits, but it was 7 digits"),
        ({"senderID": "x" * 12, "phone": "14155552671"}, "senderID", "11 characters or fewer, but it was 12"),
        ({"senderID": "My Shop", "phone": "14155552671"}, "senderID", "without spaces or punctuation"),
        ({"route": "transactional!"}, "route", "expected 4"),
        ({"country": "India"}, "country", "country code"),
        ({"flash": "maybe"}, "flash", ""),
        ({"schtime": "tomorrow"}, "schtime", "YYYY-MM-DD HH:MM:SS"),
        ({"schtime": "2030-13-45 00:00:00"}, "schtime", "YYYY-MM-DD HH:MM:SS"),
        ({"schtime": "2030-01-01"}, "schtime", "YYYY-MM-DD HH:MM:SS"),
        ({"campaign": "x" * 33}, "campaign", "32 characters or fewer"),
        ({"campaign": "\udc00"}, "campaign", "surrogate"),
        ({"dltTemplateId": TEMPLATE_ID}, "dltTemplateId", "MSG91's own template id .* needs the DLT"),
        ({"dltTemplateId": "12345"}, "dltTemplateId", "19 digits"),
    ],
)
def test_refusals_name_field_and_rule(fields: dict[str, Any], field: str, says: str) -> None:
    """What cannot be sent is refused with its field and the rule, and shows no value."""
    errors = refused(**fields)
    assert list(errors) == [field]
    assert _matches(says, errors[field])
    value = str(next(iter(fields.values())))
    assert len(value) < 7 or value not in errors[field]


def _matches(pattern: str, text: str) -> bool:
    import re

    return re.search(pattern, text, re.IGNORECASE) is not None


def test_all_errors_at_once() -> None:
    """Several bad fields are all named in one go."""
    assert set(refused(phone="12345", message=" ", senderID=None)) == {"phone", "message", "senderID"}
    assert set(refused(phone=None, message=None)) == {"phone", "message"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"phone": "12345", "message": ""}, ["phone", "message"]),
        ({"phone": None, "message": " "}, ["phone", "message"]),
        ({"message": None, "senderID": "MSG"}, ["message", "senderID"]),
        ({"message": None, "senderID": None}, ["message", "senderID"]),
        ({"phone": "12345", "flash": "maybe", "campaign": "x" * 33}, ["phone", "flash", "campaign"]),
        (
            {"phone": {}, "message": [], "route": "a b", "schtime": "soon", "dltTemplateId": "1"},
            ["phone", "message", "route", "schtime", "dltTemplateId"],
        ),
    ],
)
def test_errors_of_definitions_and_rules_together(fields: dict[str, Any], named: list[str]) -> None:
    """A field that breaks its definition hides nothing of what is wrong with the others, in the fields' order."""
    assert list(refused(**fields)) == named


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"phone": None, "senderID": "x" * 12}, ["phone"]),
        ({"route": {}, "senderID": "123456"}, ["route"]),
        ({"unicode": "maybe", "message": "न" * 700}, ["unicode"]),
        ({"senderID": {}}, ["senderID"]),
    ],
)
def test_what_depends_on_a_field_at_fault_is_not_judged(fields: dict[str, Any], named: list[str]) -> None:
    """Whether a sender or a length is allowed depends on other fields; while those are at fault nothing is said."""
    assert list(refused(**fields)) == named


@pytest.mark.parametrize(
    ("sender", "phone", "route"),
    [
        ("MSGIND", "918818888758", "4"),
        ("msgind", "918818888758", "4"),
        ("MSGIND", "918818888758", "1"),
        ("123456", "918818888758", "1"),
        ("Shop2You", "447911123456", "4"),
        ("123456789012345", "447911123456", "4"),
        ("A", "14155552671", "4"),
    ],
)
def test_senders_that_may_be_used(sender: str, phone: str, route: str) -> None:
    """Senders within the rules of the recipient's country pass as they are, case included."""
    assert prepare(senderID=sender, phone=phone, route=route).payload["sender"] == sender


def test_sender_length_abroad_is_a_setting() -> None:
    """Where the sources disagree the destination decides."""
    context = replace(INDIA, max_sender_length=14)
    assert prepare(context, senderID="FourteenLetter", phone="14155552671").payload["sender"] == "FourteenLetter"


def test_longest_message_is_a_setting() -> None:
    """The destination says how many parts are too many."""
    assert prepare(message="a" * 1530).cost == 10
    assert "allows 1" in refused(replace(INDIA, max_parts=1), message="a" * 161)["message"]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("2030-01-02 03:04:05", "2030-01-02 03:04:05"),
        ("2030/01/02 03:04:05", "2030/01/02 03:04:05"),
        (" 1893456000 ", "1893456000"),
        (1893456000, "1893456000"),
        ("2030-01-01T05:30:00+05:30", "1893456000"),
        ("2030-01-01T00:00:00Z", "1893456000"),
        ("2030-01-01T00:00:00", "2030-01-01 00:00:00"),
    ],
)
def test_schedule_times(written: Any, sent: str) -> None:
    """MSG91's own forms pass, an ISO time with a zone becomes Unix seconds."""
    assert body([prepare(schtime=written)])["schtime"] == sent


def test_payload_outlives_the_configuration() -> None:
    """A payload kept for a retry builds the same request whatever the destination says meanwhile."""
    before = replace(INDIA, default_sender="SHOPIN", default_route="1", sms_country="91")
    after = replace(INDIA, default_sender="OTHERS", default_route="4", sms_country=None, max_parts=1)
    kept = orjson.loads(orjson.dumps(prepare(before, senderID=None, message="a" * 200).payload))
    assert SMS.build([kept], before, "t").body == SMS.build([kept], after, "t").body


def test_sample_shows_no_person() -> None:
    """The description kept for people masks the number and leaves out the text."""
    sample = SMS.build([prepare(message="your code is 4711").payload], INDIA, "t").sample
    text = orjson.dumps(sample).decode()
    assert "8818888758" not in text
    assert "4711" not in text
    assert "91*******758" in text
    assert "MSGIND" in text


@pytest.mark.parametrize("token", ["", "a" * 81, "a b", "a\nb", "ä"])
def test_tokens_msg91_would_not_take(token: str) -> None:
    """A correlation id outside MSG91's rules is a mistake of the caller."""
    with pytest.raises(ValueError, match="token"):
        SMS.build([prepare().payload], INDIA, token)


def test_bad_default_is_a_problem_of_the_destination() -> None:
    """A template id where the DLT id belongs is found when the destination is loaded."""
    assert SMS.problems(INDIA) == []
    assert "DLT" in SMS.problems(replace(INDIA, dlt_template_id=TEMPLATE_ID))[0]


VALUES: dict[str, list[Any]] = {
    "phone": ["919876543210", 919876543210, "+1 202 555 0123", "9876543210", "12", "", None, 6581234567],
    "message": ["Hi", "", "   ", "नमस्ते", "x" * 161, "x" * 5000, "half \ud83d", "€{}", 12, None],
    "senderID": ["MSGIND", "msgind", "SHORT", "TOOLONGSENDER", "12345", "", None, "SENDER1"],
    "route": ["4", "1", "", "no route", None, 4],
    "unicode": [None, True, False, "true", "maybe"],
    "firstName": ["Asha", None],
    "flash": [None, None, None, True],
}
CONTEXTS = (
    INDIA,
    replace(INDIA, default_sender=None),
    replace(INDIA, max_parts=1),
    replace(INDIA, sms_country="91"),
    replace(INDIA, dlt_template_id="1" * 19),
)


def test_the_short_way_says_what_the_long_way_says() -> None:
    """Whatever an event brings, the usual messages are prepared, or refused, as if every rule had been looked at."""
    action, chance = SendSms(), random.Random(91)
    usual = 0
    for _ in range(4000):
        context = chance.choice(CONTEXTS)
        # mostly what is usual, so that one field at a time is not
        given = {name: values[0] if chance.random() < 0.6 else chance.choice(values) for name, values in VALUES.items()}
        fields = {name: value for name, value in given.items() if value is not None}
        found = [outcome(way, dict(fields), context) for way in (action.prepare, action.checked)]
        assert found[0] == found[1], (fields, context)
        usual += isinstance(found[0], Prepared)
    assert 500 < usual < 3500


def outcome(
    way: Callable[..., Prepared], fields: dict[str, Any], context: ActionContext
) -> Prepared | list[FieldError]:
    """What is prepared, or what is wrong."""
    try:
        return way(fields, context)
    except FieldErrors as error:
        return error.errors
