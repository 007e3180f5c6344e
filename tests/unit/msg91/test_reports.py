"""What MSG91 calls back, in every shape it is known to take."""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.msg91.reports import Verdict, is_inbound, read_inbound, read_reports

NUMBER = "919000000001"
V2 = [
    {
        "senderId": "MSGIND",
        "requestId": "13672fa705a73d0000000001",
        "userId": "1",
        "campaignName": "API",
        "report": [
            {"date": "2026-01-01 10:00:00", "number": NUMBER, "status": "1", "desc": "DELIVERED", "CRQID": "tok-1"},
            {"date": "2026-01-01 10:00:01", "number": "919000000002", "status": "16", "desc": "REJECTED", "CRQID": "0"},
        ],
    }
]
V3 = {
    "date": "2026-01-01 10:00:00",
    "number": NUMBER,
    "senderId": "MSGIND",
    "requestId": "13672fa705a73d0000000001",
    "INMSID": "0",
    "CRQID": "tok-1",
    "status": "2",
    "desc": "FAILED",
    "failedReason": "absent subscriber",
}
V4 = [{"event": "delivered", "data": [{"meta": "tok-1", "INMSID": "7", "description": "DELIVERED", "ts": 1726729500}]}]


def test_v2_is_a_form_with_json_inside() -> None:
    """Each number of a v2 report is one report, with its request's id."""
    first, second = read_reports("application/x-www-form-urlencoded", urlencode({"data": orjson.dumps(V2)}).encode())
    assert (first.verdict, first.recipient, first.token) == (Verdict.DELIVERED, NUMBER, "tok-1")
    assert first.request_id == second.request_id == "13672fa705a73d0000000001"
    assert (second.verdict, second.token, second.reason) == (Verdict.UNDELIVERED, "", "rejected by the operator")


def test_v2_without_its_content_type_is_still_a_form() -> None:
    """The form is recognised by its look as well."""
    assert read_reports("", urlencode({"data": orjson.dumps(V2)}).encode())[0].recipient == NUMBER


def test_v3_is_one_flat_object() -> None:
    """A v3 report names its number, its request and why it failed."""
    (report,) = read_reports("application/json", orjson.dumps(V3))
    assert (report.verdict, report.reason) == (Verdict.UNDELIVERED, "absent subscriber")
    assert (report.recipient, report.request_id, report.token) == (NUMBER, "13672fa705a73d0000000001", "tok-1")


def test_v4_joins_by_its_correlation_id_alone() -> None:
    """A v4 report has no number; its ``meta`` is what was sent along."""
    (report,) = read_reports("application/json", orjson.dumps(V4))
    assert (report.verdict, report.token, report.recipient) == (Verdict.DELIVERED, "tok-1", "")


def test_the_template_defined_webhook_uses_the_names_of_its_owner() -> None:
    """Keys chosen in MSG91's panel are found by the setting; unknown keys are kept."""
    body = {"to_number": "+91 90000 00001", "what": "Delivered", "rid": "r-1", "mine": 5}
    names = {"recipient": "to_number", "status": "what", "request_id": "rid"}
    (report,) = read_reports("application/json", orjson.dumps(body), names=names)
    assert (report.verdict, report.recipient, report.request_id) == (Verdict.DELIVERED, NUMBER, "r-1")
    assert report.raw["mine"] == 5


@pytest.mark.parametrize(
    "body",
    [
        {"CRQID": "t", "mobile": NUMBER, "requestId": "r", "status": "read", "uuid": "u"},
        {"crqid": "t", "customerNumber": NUMBER, "request_id": "r", "eventName": "read", "direction": "1"},
    ],
)
def test_both_generations_of_whatsapp_reports_are_read(body: dict[str, str]) -> None:
    """Whatever the generation calls its keys, number, request and status are found."""
    (report,) = read_reports("application/json", orjson.dumps([body]), channel="whatsapp")
    assert (report.verdict, report.recipient, report.request_id) == (Verdict.READ, NUMBER, "r")
    assert not is_inbound(body)


def test_inbound_messages_come_as_object_or_list_with_json_in_text() -> None:
    """An inbound message is read from an object, a list of one, and fields that are JSON inside text."""
    body = {
        "customerNumber": NUMBER,
        "integratedNumber": "919999999999",
        "contentType": "text",
        "text": '{"body":"hi"}',
    }
    for document in (body, [body]):
        (message,) = read_inbound(orjson.dumps(document))
        assert (message.sender, message.text, message.kind) == (NUMBER, "hi", "text")
    assert is_inbound(body)


def test_an_unknown_status_is_neither_delivered_nor_not() -> None:
    """A status that nothing explains is kept and called unknown."""
    (report,) = read_reports("application/json", orjson.dumps({**V3, "status": "26", "desc": "WHATEVER"}))
    assert (report.verdict, report.status) == (Verdict.UNKNOWN, "26")


@given(st.binary(max_size=300), st.sampled_from(["", "application/json", "application/x-www-form-urlencoded"]))
def test_garbage_is_refused_in_words(body: bytes, content_type: str) -> None:
    """Whatever comes in, the answer is reports or a ValueError."""
    for read in (lambda: read_reports(content_type, body), lambda: read_inbound(body)):
        with contextlib.suppress(ValueError):
            assert read()
