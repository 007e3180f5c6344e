"""Campaigns as requests."""

from typing import Any

import orjson
import pytest

from worker.actions import ActionContext, FieldErrors, Prepared, RunCampaign
from worker.msg91.answers import AnswerClass, read_answer
from worker.msg91.numbers import PhoneNumbers
from worker.outcomes import may_be_one_recipient

CONTEXT = ActionContext("msg91", PhoneNumbers("IN"))
ACTION = RunCampaign()


def prepare(**fields: Any) -> Prepared:
    """Prepare one person of the campaign ``welcome``."""
    return ACTION.prepare({"campaign": "welcome", **fields}, CONTEXT)


def refused(**fields: Any) -> dict[str, str]:
    """Return the errors for these fields, by field."""
    with pytest.raises(FieldErrors) as caught:
        prepare(**fields)
    return {error.field: error.message for error in caught.value.errors}


def body_of(*prepared: Prepared) -> dict[str, Any]:
    """Return ``data`` of the request for these people."""
    data: dict[str, Any] = orjson.loads(ACTION.build([one.payload for one in prepared], CONTEXT, "t").body or b"")[
        "data"
    ]
    return data


@pytest.mark.parametrize(("people", "lists"), [(1, [1]), (50, [50]), (51, [50, 1]), (1000, [50] * 20)])
def test_lists_hold_fifty(people: int, lists: list[int]) -> None:
    """No list of a call has more than fifty people, and nobody is left out."""
    data = body_of(*[prepare(phone=f"98120{n:05}") for n in range(people)])
    assert [len(one["to"]) for one in data["sendTo"]] == lists
    assert len({person["mobiles"] for one in data["sendTo"] for person in one["to"]}) == people


def test_a_call_holds_a_thousand() -> None:
    """More than a thousand people in one call is a mistake of ours, not a request."""
    payload = prepare(phone="9812345678").payload
    with pytest.raises(ValueError, match="1000"):
        ACTION.build([payload] * 1001, CONTEXT, "t")


def test_person_needs_phone_or_email() -> None:
    """Either is enough, and the number is what reports know the person by."""
    assert prepare(email="ada@example.com").recipient == "ada@example.com"
    assert prepare(phone="9812345678", email="ada@example.com").recipient == "919812345678"
    assert "phone or an email" in refused()["phone"]
    assert list(refused(phone="12")) == ["phone"]


def test_who_else_gets_something() -> None:
    """Addresses and copies are named, so that a destination in test mode sends them nothing either."""
    prepared = prepare(phone="9812345678", email="ada@example.com", cc="b@example.com, c@example.com")
    assert sorted(prepared.others) == ["ada@example.com", "b@example.com", "c@example.com"]
    assert prepare(email="ada@example.com").others == ()


def test_variables_are_text_or_typed() -> None:
    """Numbers become text, objects with a value stay, null is left out; anything else is refused."""
    person = prepare(phone="9812345678", variables={"a": 1, "b": {"type": "text", "value": "x"}, "c": None, "d": True})
    assert person.payload["to"]["variables"] == {"a": "1", "b": {"type": "text", "value": "x"}, "d": "true"}
    assert "variables.a" in refused(phone="9812345678", variables={"a": [1]})
    assert "variables.a" in refused(phone="9812345678", variables={"a": {"type": "text"}})


def test_copies_and_senders_keep_requests_apart() -> None:
    """People share a request when campaign and sender are the same and nobody gets a copy."""
    plain = prepare(phone="9812345678").group
    assert plain == prepare(phone="9812345679").group
    assert plain != prepare(phone="9812345678", fromEmail="a@example.com").group
    assert plain != prepare(phone="9812345678", replyTo="a@example.com").group
    copied = [prepare(phone=f"981234567{n}", cc="b@example.com") for n in range(2)]
    assert copied[0].group != copied[1].group
    assert body_of(copied[0])["sendTo"][0]["cc"] == [{"email": "b@example.com"}]


def test_limits_of_copies() -> None:
    """Fifty copies and five reply addresses, all of them addresses."""
    assert "50" in refused(phone="9812345678", cc=",".join(["a@example.com"] * 51))["cc"]
    assert "5" in refused(phone="9812345678", replyTo=",".join(["a@example.com"] * 6))["replyTo"]
    assert "addresses" in refused(phone="9812345678", bcc="nobody")["bcc"]
    assert "slug" in refused(phone="9812345678", campaign="a/b")["campaign"]


@pytest.mark.parametrize(
    ("status", "errors"),
    [
        (200, ["Campaign is Paused. Unable to Execute!"]),
        (200, ["No start node for Campaign. Please check."]),
        (404, "Invalid Campaign"),
    ],
)
def test_a_campaign_that_cannot_run_is_nobodys_fault(status: int, errors: object) -> None:
    """What concerns the campaign refuses all its people at once: no request is split to look for a culprit."""
    body = orjson.dumps({"status": "fail", "hasError": True, "errors": errors})
    answer = read_answer(status, {}, body, now=0.0)
    assert answer.klass is AnswerClass.REQUEST
    assert not may_be_one_recipient(answer)
