"""One-time passwords as requests."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from worker.actions import ActionContext, FieldErrors, ResendOtp, SendOtp
from worker.msg91.numbers import PhoneNumbers

TEMPLATE = "5f1234567890abcdef123456"
CONTEXT = ActionContext("msg91", PhoneNumbers("IN"), otp_template_id=TEMPLATE)
SEND, RESEND = SendOtp(), ResendOtp()


def query_of(context: ActionContext = CONTEXT, **fields: Any) -> dict[str, str]:
    """Return the parameters of the request for these fields."""
    prepared = SEND.prepare({"phone": "9812345678", **fields}, context)
    return dict(SEND.build([prepared.payload], context, "t").query or {})


def refused(**fields: Any) -> dict[str, str]:
    """Return the errors for these fields, by field."""
    with pytest.raises(FieldErrors) as caught:
        SEND.prepare({"phone": "9812345678", **fields}, CONTEXT)
    return {error.field: error.message for error in caught.value.errors}


def test_least_request() -> None:
    """A number is enough: the destination names the template, and the expiry is always said."""
    request = SEND.build([SEND.prepare({"phone": "9812345678"}, CONTEXT).payload], CONTEXT, "t")
    assert (request.method, request.path, request.body) == ("POST", "/api/v5/otp", b"{}")
    assert request.query == {"template_id": TEMPLATE, "mobile": "919812345678", "otp_expiry": "15"}


def test_every_parameter() -> None:
    """Every field of the action has its parameter; variables are the body."""
    fields = {
        "phone": "+919812345678",
        "templateId": "a" * 24,
        "otp": "0042",
        "otpExpiry": 5,
        "senderID": "MSGIND",
        "email": "ada@example.com",
        "userIp": "203.0.113.7",
        "unicode": True,
        "invisible": True,
        "realTimeResponse": True,
        "variables": {"name": "Ada", "count": 2},
    }
    request = SEND.build([SEND.prepare(fields, CONTEXT).payload], CONTEXT, "t")
    assert orjson.loads(request.body or b"") == {"name": "Ada", "count": "2"}
    assert request.query == {
        "template_id": "a" * 24,
        "mobile": "919812345678",
        "otp": "0042",
        "otp_expiry": "5",
        "sender": "MSGIND",
        "email": "ada@example.com",
        "userip": "203.0.113.7",
        "unicode": "1",
        "invisible": "1",
        "realTimeResponse": "1",
    }


def test_parameters_in_the_body() -> None:
    """A destination may have the parameters in the body, beside the variables."""
    context = replace(CONTEXT, otp_parameters="body")
    prepared = SEND.prepare({"phone": "9812345678", "variables": {"name": "Ada"}}, context)
    request = SEND.build([prepared.payload], context, "t")
    assert request.query is None
    expected = {"name": "Ada", "template_id": TEMPLATE, "mobile": "919812345678", "otp_expiry": 15}
    assert orjson.loads(request.body or b"") == expected


def test_length_is_asked_for_where_msg91_makes_the_digits() -> None:
    """The length goes along only where there are no digits; the event's own comes before the destination's."""
    context = replace(CONTEXT, otp_length=6)
    assert query_of(context)["otp_length"] == "6"
    assert query_of(context, otpLength=8)["otp_length"] == "8"
    assert "otp_length" not in query_of(context, otp="1234")


@pytest.mark.parametrize("digits", ["123", "1234567890", "12a4", "12 34", "\u0661\u0662\u0663\u0664", "[redacted]"])
def test_what_are_no_digits(digits: str) -> None:
    """Only 4 to 9 ASCII digits are a one-time password, and the error does not repeat what was there."""
    errors = refused(otp=digits)
    assert list(errors) == ["otp"]
    assert digits not in errors["otp"]


def test_what_is_refused() -> None:
    """Template, sender, address and the placeholder's own name are checked before anything is sent."""
    assert "DLT template id" in refused(templateId="1107161234567890123")["templateId"]
    assert "six letters" in refused(senderID="AB")["senderID"]
    assert "IP address" in refused(userIp="here")["userIp"]
    assert "variables.OTP" in refused(variables={"OTP": "1234"})
    assert list(refused(otpExpiry=0)) == ["otpExpiry"]


def test_life_is_that_of_the_password() -> None:
    """It is worth sending for as long as it is good."""
    assert SEND.prepare({"phone": "9812345678", "otpExpiry": 3}, CONTEXT).time_to_live == 180.0
    assert SEND.prepare({"phone": "9812345678"}, CONTEXT).time_to_live == 900.0
    assert RESEND.prepare({"phone": "9812345678"}, CONTEXT).time_to_live == 900.0


def test_sample_shows_neither_digits_nor_number() -> None:
    """What dead letters show of a request has no digits and a masked number."""
    prepared = SEND.prepare({"phone": "9812345678", "otp": "748193"}, CONTEXT)
    sample = str(SEND.build([prepared.payload], CONTEXT, "t").sample)
    assert "748193" not in sample
    assert "9812345" not in sample


def test_missing_template_names_the_setting() -> None:
    """Without a template the error says where one could be set."""
    with pytest.raises(FieldErrors, match=r"otp\.template_id"):
        SEND.prepare({"phone": "9812345678"}, replace(CONTEXT, otp_template_id=None))
    assert "otp.template_id" in SEND.problems(replace(CONTEXT, otp_template_id="1107161234567890123"))[0]
    assert SEND.problems(CONTEXT) == []


def test_resend() -> None:
    """The channel is always said, since MSG91's own default is disputed."""
    request = RESEND.build([RESEND.prepare({"phone": "9812345678"}, CONTEXT).payload], CONTEXT, "t")
    assert (request.method, request.path, request.body) == ("GET", "/api/v5/otp/retry", None)
    assert request.query == {"mobile": "919812345678", "retrytype": "text"}
    voice = RESEND.prepare({"phone": "9812345678", "channel": " Voice"}, CONTEXT)
    assert voice.payload["retrytype"] == "voice"
    with pytest.raises(FieldErrors, match="text or voice"):
        RESEND.prepare({"phone": "9812345678", "channel": "pigeon"}, CONTEXT)


@pytest.mark.parametrize("action", [SEND, RESEND])
def test_one_person_a_request(action: SendOtp | ResendOtp) -> None:
    """Two people never share a request."""
    payload = action.prepare({"phone": "9812345678"}, CONTEXT).payload
    with pytest.raises(ValueError, match="one person"):
        action.build([payload, payload], CONTEXT, "t")
