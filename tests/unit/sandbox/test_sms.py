"""What the sandbox makes of SMS requests, judged as MSG91 judges them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.sandbox.calls import FLOW, SENDSMS, TEMPLATE, call, flow, provider, said, sms
from worker.sandbox.provider import UNKNOWN_TEMPLATE

DLT_TEMPLATE = "1107161234567890123"


def to(*numbers: Any, text: Any = "Hello") -> list[dict[str, Any]]:
    """Build the list of one text to some numbers."""
    return [{"message": text, "to": list(numbers)}]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"sms": None}, "101"),
        ({"sms": []}, "101"),
        ({"sms": "919812345678"}, "101"),
        ({"sms": [{"message": "Hello"}]}, "101"),
        ({"sms": to(text="")}, "101"),
        ({"sms": to("919812345678", text="")}, "102"),
        ({"sms": to("919812345678", text=None)}, "102"),
        ({"sender": None}, "103"),
        ({"sender": ""}, "103"),
        ({"route": None}, "107"),
        ({"sms": to("12345")}, "202"),
        ({"sms": to("+919812345678")}, "202"),
        ({"sms": to("91 98123 45678")}, "202"),
        ({"sms": to("919812345678", "9198")}, "202"),
        ({"sms": to("91981234567812345")}, "202"),
        ({"sms": to("٩١٩٨١٢٣٤٥٦٧٨")}, "202"),
        ({"sender": "SEGMENT"}, "203"),
        ({"sender": "SEG-91"}, "203"),
        ({"sender": "560010"}, "203"),
        ({"sender": 560010}, "203"),
        ({"sms": to("919812345678", text="a" * 1072)}, "310"),
        ({"sms": to("919812345678", text="अ" * 470), "unicode": 1}, "310"),
        ({"sms": to("919812345678", text="😀" * 235), "unicode": "1"}, "310"),
        ({"schtime": "tomorrow"}, "307"),
        ({"campaign": "c" * 33}, "308"),
        ({"DLT_TE_ID": TEMPLATE}, "211"),
    ],
)
def test_sendsms_refuses_with_the_code_of_what_is_wrong(changed: dict[str, Any], code: str) -> None:
    """A request with one thing wrong is refused with status 200 and that thing's code as text."""
    verdict = provider().judge(call(SENDSMS, sms(**changed)), 0.0)
    assert not verdict.accepted
    assert verdict.reply.status == 200
    assert verdict.reply.content_type == "text/html; charset=UTF-8"
    body = said(verdict.reply.body)
    assert (body["type"], body["code"], verdict.reply.code) == ("error", code, code)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"sms": to(919812345678)},
        {"sms": [{"message": "Hello", "to": "919812345678"}]},
        {"sms": to("9812345678")},
        {"sms": to("919812345678", text="a" * 1071)},
        {"sms": to("919812345678", text="अ" * 469), "unicode": 1},
        {"sms": to("12025550142"), "country": "0", "sender": "MyShop91"},
        {"route": "1", "sender": "560010"},
        {"schtime": "2030-01-01 10:10:00"},
        {"schtime": "2030/01/01 10:10:00"},
        {"schtime": 1893456000},
        {"campaign": "c" * 32, "DLT_TE_ID": DLT_TEMPLATE, "flash": 1},
    ],
)
def test_sendsms_takes_what_is_right(changed: dict[str, Any]) -> None:
    """A good request is taken, and its 24-digit request id stands where an error has its sentence."""
    verdict = provider().judge(call(SENDSMS, sms(**changed)), 0.0)
    assert verdict.accepted, verdict.reply
    body = said(verdict.reply.body)
    assert body == {"message": verdict.request_id, "type": "success"}
    assert len(body["message"]) == 24


def test_sendsms_lists_every_recipient_with_its_text() -> None:
    """Several texts in one request become one message per recipient."""
    body = sms(sms=[*to("919812345678", "919812345679", text="one"), *to("919812345670", text="two")])
    assert provider().judge(call(SENDSMS, body), 0.0).messages == [
        {"to": "919812345678", "text": "one"},
        {"to": "919812345679", "text": "one"},
        {"to": "919812345670", "text": "two"},
    ]


def test_a_body_that_is_no_json_is_a_body_without_fields() -> None:
    """Garbage is refused as a request that names no mobile."""
    assert provider().judge(call(SENDSMS, body=b"{"), 0.0).reply.code == "101"


@pytest.mark.parametrize(
    "template", [None, "", "abc", TEMPLATE.upper().replace("0", "G"), DLT_TEMPLATE, UNKNOWN_TEMPLATE]
)
def test_flow_refuses_a_template_it_does_not_know(template: str | None) -> None:
    """A missing, malformed, DLT or unknown template id gives the sentence without a code."""
    verdict = provider().judge(call(FLOW, flow(template_id=template)), 0.0)
    assert said(verdict.reply.body) == {
        "message": "The provided flow ID or template ID is invalid.",
        "type": "error",
    }


def test_flow_looks_at_the_template_before_the_authkey() -> None:
    """A bad template hides a bad authkey; with a good template the authkey shows."""
    bad = provider().judge(call(FLOW, flow(template_id=UNKNOWN_TEMPLATE), authkey="wrong"), 0.0)
    good = provider().judge(call(FLOW, flow(), authkey="wrong"), 0.0)
    assert "template" in said(bad.reply.body)["message"]
    assert said(good.reply.body) == {"message": "Invalid authkey", "type": "error", "code": "201"}


def test_flow_takes_only_the_templates_of_a_list() -> None:
    """With a list of known templates, an id outside it is refused."""
    known = provider(templates=[TEMPLATE])
    assert known.judge(call(FLOW, flow()), 0.0).accepted
    assert not known.judge(call(FLOW, flow(template_id="a" * 24)), 0.0).accepted


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"template_id": None, "flow_id": TEMPLATE},
        {"sender": "SEGMNT", "short_url": "0", "realTimeResponse": "1"},
        {"recipients": None, "mobiles": "919812345678", "name": "Asha"},
        {"recipients": [{"mobiles": 4791234567, "name": "Kari"}], "sender": "MyShop91"},
    ],
)
def test_flow_takes_what_is_right(changed: dict[str, Any]) -> None:
    """A good flow is taken by either name of its template, with recipients or in its flat form."""
    for path in (FLOW, f"{FLOW}/"):
        verdict = provider().judge(call(path, flow(**changed)), 0.0)
        assert verdict.accepted, verdict.reply
        assert said(verdict.reply.body) == {"message": verdict.request_id, "type": "success"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"recipients": []}, {"message": "Please enter atleast one number to send sms.", "type": "error"}),
        ({"recipients": None}, {"message": "Please enter atleast one number to send sms.", "type": "error"}),
        (
            {"recipients": [{"name": "Asha"}]},
            {"message": "Please enter atleast one number to send sms.", "type": "error"},
        ),
        (
            {"recipients": [{"mobiles": "12345"}]},
            {"message": "Invalid mobile number", "type": "error", "code": "202"},
        ),
    ],
)
def test_flow_refuses_what_is_wrong_with_its_recipients(changed: dict[str, Any], expected: dict[str, Any]) -> None:
    """No recipient gives a sentence, a bad number the code 202."""
    assert said(provider().judge(call(FLOW, flow(**changed)), 0.0).reply.body) == expected


def test_flow_refuses_a_sender_that_no_operator_takes() -> None:
    """A sender of seven letters is refused with 203."""
    assert provider().judge(call(FLOW, flow(sender="SEGMENT")), 0.0).reply.code == "203"


def test_a_flow_message_is_its_template_and_its_variables() -> None:
    """Equal variables in another order are the same message, other variables another one."""
    verdict = provider().judge(
        call(
            FLOW,
            flow(
                recipients=[
                    {"mobiles": "919812345678", "a": "1", "b": "2"},
                    {"b": "2", "a": "1", "mobiles": "919812345678"},
                    {"mobiles": "919812345678", "a": "1", "b": "3"},
                ]
            ),
        ),
        0.0,
    )
    first, second, third = (message["text"] for message in verdict.messages)
    assert first == second == f'{TEMPLATE} {{"a":"1","b":"2"}}'
    assert third != first


def test_the_same_request_is_refused_for_ten_seconds() -> None:
    """A repeat within the window gives 311, whatever its correlation id; after it the request is taken again."""
    account = provider()
    first = account.judge(call(SENDSMS, sms(CRQID="one")), 100.0)
    account.take(first, 100.0)
    assert account.judge(call(SENDSMS, sms(CRQID="two")), 109.9).reply.code == "311"
    assert account.judge(call(SENDSMS, sms(CRQID="two")), 110.0).accepted


def test_another_text_is_another_request() -> None:
    """Requests that differ in more than their correlation are not repeats."""
    account = provider()
    account.take(account.judge(call(SENDSMS, sms()), 100.0), 100.0)
    assert account.judge(call(SENDSMS, sms(sms=to("919812345678", text="Bye"))), 100.0).accepted


def test_a_request_that_was_not_taken_may_come_again() -> None:
    """Only taken requests start the window: one that a fault kept from being taken does not."""
    account = provider()
    account.judge(call(FLOW, flow()), 100.0)
    assert account.judge(call(FLOW, flow()), 101.0).accepted


def test_a_window_of_nothing_never_refuses() -> None:
    """With the window off the same request is taken as often as it comes."""
    account = provider(duplicate_window=0)
    account.take(account.judge(call(SENDSMS, sms()), 100.0), 100.0)
    assert account.judge(call(SENDSMS, sms()), 100.0).accepted


def test_request_ids_are_never_given_twice() -> None:
    """Every taken request, also of a sandbox started anew, has an id of its own."""
    accounts = [provider(duplicate_window=0) for _ in range(3)]
    ids = [account.judge(call(FLOW, flow()), 0.0).request_id for account in accounts for _ in range(5)]
    assert len(set(ids)) == 15
