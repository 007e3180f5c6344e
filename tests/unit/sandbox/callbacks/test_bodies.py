"""What a webhook is sent: every shape of report, and inbound messages, also as our own reader reads them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from worker.msg91 import reports as reader
from worker.sandbox.callbacks.bodies import Report, body_of, check_report, is_shared
from worker.sandbox.callbacks.inbound import inbound_body, read_inbound
from worker.sandbox.callbacks.sent import Channel, Sent
from worker.sandbox.callbacks.settings import Callbacks, read_callbacks
from worker.sandbox.callbacks.statuses import STATUSES
from worker.sandbox.errors import CallbackError

NOON = 1_714_564_800.0  # 2024-05-01 12:00:00 UTC
A, B = "919812345678", "12025550123"
TO = "to=http://127.0.0.1/x"


def sent(number: str = A, **changed: Any) -> Sent:
    """One SMS that was taken."""
    known: dict[str, Any] = {
        "channel": Channel.SMS,
        "number": number,
        "request_id": "req-1",
        "requested": NOON - 5,
        "correlation": {"CRQID": "tok-1", "UUID": "u-1", "clientId": "c-1"},
        "sender": "SEGMNT",
        "campaign": "spring",
        "route": "4",
        "text": "Hello",
    }
    return Sent(**{**known, **changed})


def whatsapp(**changed: Any) -> Sent:
    """One WhatsApp message that was taken."""
    about = {"template": "order_shipped", "language": "en", "kind": "template", "sender": "918888888888"}
    return sent(channel=Channel.WHATSAPP, **{**about, **changed})


def report(message: Sent, status: str = "delivered") -> Report:
    """What became of it at noon."""
    return Report(message, STATUSES[status], NOON)


def how(*settings: str) -> Callbacks:
    """Settings of callbacks."""
    return read_callbacks([TO, *settings])


def test_v2_is_a_form_with_the_numbers_of_each_request() -> None:
    """Its one field holds a list of requests, and each of them a list of numbers."""
    other = sent(B, request_id="req-2", correlation={})
    body = body_of(how("format=v2"), [report(sent()), report(sent(B), "dnd"), report(other, "failed")])
    assert body.content_type == "application/x-www-form-urlencoded"
    first, second = json.loads(parse_qs(body.encoded().decode())["data"][0])
    assert (first["requestId"], first["senderId"], first["campaignName"]) == ("req-1", "SEGMNT", "spring")
    assert first["report"][0] == {
        "date": "2024-05-01 12:00:00",
        "number": A,
        "status": "1",
        "desc": "DELIVERED",
        "failedReason": "",
        "amount": "0.20",
        "credit": "1",
        "ctCode": "900",
        "clientid": "c-1",
        "CRQID": "tok-1",
        "INMSID": "0",
    }
    assert (first["report"][1]["number"], first["report"][1]["status"]) == (B, "9")
    assert (second["report"][0]["CRQID"], second["report"][0]["clientid"]) == ("0", "")


def test_v3_is_one_flat_object() -> None:
    """It has the keys of MSG91's sample and no others."""
    body = body_of(how("format=v3"), [report(sent(text="x" * 161), "blocked")])
    assert body.content_type == "application/json"
    assert body.document == {
        "date": "2024-05-01 12:00:00",
        "number": A,
        "senderId": "SEGMNT",
        "amount": "0.20",
        "requestId": "req-1",
        "INMSID": "0",
        "CRQID": "tok-1",
        "credit": "2",
        "userId": "100001",
        "campaignName": "spring",
        "status": "17",
        "desc": "BLOCKED",
    }


def test_v4_groups_by_event_and_names_no_number() -> None:
    """CleverTap's shape has the correlation id in `meta`, and 0 where there is none."""
    body = body_of(how("format=v4"), [report(sent()), report(sent(correlation={})), report(sent(B), "dnd")])
    assert body.document == [
        {
            "event": "delivered",
            "data": [
                {"meta": "tok-1", "INMSID": "0", "description": "DELIVERED", "ts": int(NOON)},
                {"meta": "0", "INMSID": "0", "description": "DELIVERED", "ts": int(NOON)},
            ],
        },
        {"event": "failed", "data": [{"meta": "tok-1", "INMSID": "0", "description": "NDNC", "ts": int(NOON)}]},
    ]
    assert A not in body.encoded().decode()


def test_new_fills_a_template_of_ones_own() -> None:
    """Keys and nesting stay; placeholders become text, alone and inside text; what is no placeholder stays."""
    template = '{"who": "+{{telNum}}", "ids": ["{{CRQID}}", "{{ UUID }}"], "n": 7, "why": "{{failureReason}}"}'
    body = body_of(how("format=new", f"template={template}"), [report(sent(), "failed")])
    assert body.document == {"who": f"+{A}", "ids": ["tok-1", "u-1"], "n": 7, "why": "Absent subscriber"}


def test_new_tells_of_a_request_received_without_a_status() -> None:
    """There is no delivery to speak of yet."""
    document = body_of(how("format=new", "received=yes"), [report(sent(), "sent")]).document
    assert (document["status"], document["deliveryTime"], document["requestedAt"]) == ("", "", "2024-05-01 11:59:55")


@pytest.mark.parametrize("settings", [("format=v2",), ("format=v3",), ("format=new",)])
@pytest.mark.parametrize("status", ["delivered", "failed", "dnd", "rejected", "blocked", "rejected-25"])
def test_our_reader_reads_every_sms_report(settings: tuple[str, ...], status: str) -> None:
    """The sandbox and the reader, written apart, agree on who, which request and whether it arrived."""
    body = body_of(how(*settings), [report(sent(), status)])
    (read,) = reader.read_reports(body.content_type, body.encoded())
    assert (read.recipient, read.request_id, read.token) == (A, "req-1", "tok-1")
    assert read.verdict == ("delivered" if status == "delivered" else "undelivered")


@pytest.mark.parametrize("generation", ["eventName", "status"])
@pytest.mark.parametrize(
    ("status", "verdict"), [("sent", "pending"), ("delivered", "delivered"), ("read", "read"), ("dnd", "undelivered")]
)
def test_our_reader_reads_every_whatsapp_report(generation: str, status: str, verdict: str) -> None:
    """Both generations of keys, and a list of one."""
    body = body_of(how(f"whatsapp-format={generation}", "list=yes"), [report(whatsapp(), status)])
    assert isinstance(body.document, list)
    assert not reader.is_inbound(body.document[0])
    (read,) = reader.read_reports(body.content_type, body.encoded(), channel="whatsapp")
    assert (read.recipient, read.request_id, read.token, read.verdict) == (A, "req-1", "tok-1", verdict)


def test_the_generations_of_whatsapp_differ_in_four_keys() -> None:
    """Each has its own names for the id, the number, the reason and the status."""
    first, second = (
        body_of(how(f"whatsapp-format={one}"), [report(whatsapp(), "failed")]).document
        for one in ("eventName", "status")
    )
    assert first.keys() - second.keys() == {"crqid", "customerNumber", "reason", "eventName"}
    assert second.keys() - first.keys() == {"CRQID", "mobile", "failureReason", "status"}
    assert json.loads(first["content"])["type"] == "template"


def test_an_undocumented_status_says_neither_yes_nor_no() -> None:
    """Status 26 is written as MSG91 writes it, and read as unknown."""
    body = body_of(how(), [report(sent(), "undocumented")])
    (read,) = reader.read_reports(body.content_type, body.encoded())
    assert (read.verdict, read.status) == ("unknown", "26")


def test_only_lists_are_shared() -> None:
    """One call carries several reports in v2 and v4, and never WhatsApp's."""
    shared = [name for name in ("v2", "v3", "v4", "new") if is_shared(how(f"format={name}"), Channel.SMS)]
    assert shared == ["v2", "v4"]
    assert not is_shared(how("format=v2"), Channel.WHATSAPP)


def test_sms_reports_know_no_reading() -> None:
    """A status that MSG91 does not report of an SMS is refused; of WhatsApp it is fine."""
    with pytest.raises(CallbackError, match="read"):
        check_report(how("format=new"), Channel.SMS, STATUSES["read"])
    with pytest.raises(CallbackError, match="sent"):
        check_report(how("format=v3"), Channel.SMS, STATUSES["sent"])
    check_report(how("format=new"), Channel.SMS, STATUSES["sent"])
    check_report(how(), Channel.WHATSAPP, STATUSES["read"])


@pytest.mark.parametrize("text", ["plain", "json"])
@pytest.mark.parametrize("as_list", ["yes", "no"])
def test_our_reader_reads_inbound_texts(text: str, as_list: str) -> None:
    """An object or a list of one, plain or JSON inside text."""
    message = read_inbound({"from": "+91 98123 45678", "text": "STOP", "name": "Asha"}, "918888888888")
    body = inbound_body(how(f"text={text}", f"list={as_list}"), message, NOON)
    assert isinstance(body.document, list) is (as_list == "yes")
    document = body.document[0] if as_list == "yes" else body.document
    assert isinstance(document["messages"], str)
    assert reader.is_inbound(document)
    (read,) = reader.read_inbound(body.encoded())
    assert (read.sender, read.integrated_number, read.text, read.name) == (A, "918888888888", "STOP", "Asha")
    assert read.message_id == message.id


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "button", "text": "Yes"},
        {"kind": "interactive", "text": "Yes"},
        {"kind": "image", "url": "https://example.com/a.png", "text": "Yes"},
    ],
)
def test_inbound_messages_of_other_kinds_say_what_they_say(fields: dict[str, str]) -> None:
    """What was tapped, chosen or written below a picture stands where MSG91 puts it."""
    message = read_inbound({"from": A, **fields}, "918888888888")
    document = inbound_body(how(), message, NOON).document
    (read,) = reader.read_inbound(inbound_body(how(), message, NOON).encoded())
    assert read.kind == fields["kind"]
    assert document["text"] == ""
    assert "Yes" in str(document["caption"] or document[fields["kind"]])
    assert document["url"] == fields.get("url", "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": "x"}, "from: expected a number"),
        ({"from": "12ab", "text": "x"}, "from: expected a number"),
        ({"from": A}, "says something"),
        ({"from": A, "kind": "image", "text": "x"}, "address of its file"),
        ({"from": A, "kind": "location", "latitude": "1"}, "a location has both"),
        ({"from": A, "kind": "fax", "text": "x"}, "expected one of text"),
        ({"from": A, "txt": "x"}, "'txt'"),
        ({"from": 5}, "'from'"),
    ],
)
def test_an_inbound_message_that_cannot_be_is_refused(fields: dict[str, Any], said: str) -> None:
    """The error says what is missing."""
    with pytest.raises(CallbackError, match=said):
        read_inbound(fields, "918888888888")
