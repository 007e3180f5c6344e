"""What CleverTap is told: the shapes of https://docs.clevertap.com/docs/generic-whatsapp, "WhatsApp Callbacks"."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from worker.delivery import Origin
from worker.msg91.reports import Report, Verdict, read_inbound, read_reports
from worker.onward.clevertap import inbound_of, status_of

MSG_ID = "25596363|1639561857|20220227|25596363"
ORIGIN = Origin(MSG_ID, "clevertap-template", "send_whatsapp_template")
AT_MS = 1_764_324_900_123


@pytest.mark.parametrize(
    ("status", "said"),
    [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("queued", None), ("something else", None)],
)
def test_statuses(status: str, said: str | None) -> None:
    """A status of CleverTap's is told under CleverTap's own id of the message; others are not."""
    (report,) = read_reports(
        "application/json", orjson.dumps({"requestId": "r", "eventName": status}), channel="whatsapp"
    )
    expected = {"payloadVersion": "0.1", "statuses": [{"msgId": MSG_ID, "status": said, "timestamp": "1764324900"}]}
    assert status_of(report, ORIGIN, AT_MS) == (expected if said else None)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("131026: Message undeliverable", 1007),
        ("131047 Re-engagement message", 1008),
        ("132001 Template name does not exist", 1001),
        ("130429 Rate limit hit", 1004),
        ("Invalid phone number.", 1002),
        ("NDNC Number", 1006),
        ("Number no longer active", 1003),
        ("phone temporarily unavailable", 1005),
        ("a storm", 1009),
        ("", 1009),
    ],
)
def test_failures_have_codes_of_clevertap(reason: str, code: int) -> None:
    """A failure says why in CleverTap's code, and in words."""
    told = status_of(Report(Verdict.UNDELIVERED, "failed", reason), ORIGIN, AT_MS)
    assert told is not None
    assert told["statuses"][0]["error"] == {"code": code, "title": reason or "failed"}


def test_a_message_that_clevertap_does_not_know() -> None:
    """Without the event there is no id that means anything to CleverTap, so nothing is told."""
    assert status_of(Report(Verdict.DELIVERED, "delivered"), None, AT_MS) is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"contentType": "text", "text": "Hello"}, {"type": "text", "text": {"body": "Hello"}}),
        (
            {"contentType": "image", "url": "https://f.example/a.jpg", "caption": "Look", "mimeType": "image/jpeg"},
            {
                "type": "image",
                "image": {"mediaURL": "https://f.example/a.jpg", "mimeType": "image/jpeg", "caption": "Look"},
            },
        ),
        (
            {"contentType": "document", "url": "https://f.example/a.pdf"},
            {"type": "file", "file": {"mediaURL": "https://f.example/a.pdf"}},
        ),
        (
            {"contentType": "voice", "url": "https://f.example/a.ogg"},
            {"type": "audio", "audio": {"mediaURL": "https://f.example/a.ogg"}},
        ),
        (
            {"contentType": "location", "latitude": 2.45, "longitude": "1.56"},
            {"type": "location", "location": {"latitude": "2.45", "longitude": "1.56"}},
        ),
        (
            {"contentType": "button", "button": '{"payload": "255|click", "text": "Yes"}'},
            {"type": "button", "button": {"payload": "255|click", "text": "Yes"}},
        ),
        (
            {
                "contentType": "interactive",
                "interactive": {"button_reply": {"id": "b-1", "title": "Yes"}},
            },
            {"type": "button", "button": {"payload": "b-1", "text": "Yes"}},
        ),
    ],
)
def test_messages_of_customers(said: dict[str, Any], told: dict[str, Any]) -> None:
    """Each kind of message has CleverTap's own form."""
    body = {"customerNumber": "+91 98765 43210", "integratedNumber": "918818888758", "uuid": "u-1", **said}
    (inbound,) = read_inbound(orjson.dumps(body))
    assert inbound_of(inbound, None, AT_MS) == {
        "payloadVersion": "0.1",
        "from": "919876543210",
        "wabaNumber": "918818888758",
        "timestamp": "1764324900",
        **told,
    }


@pytest.mark.parametrize("said", [{"contentType": "reaction", "reaction": '{"emoji": "x"}'}, {"contentType": "text"}])
def test_what_clevertap_has_no_kind_for_is_no_empty_text(said: dict[str, Any]) -> None:
    """A reaction, or a message without a word, is not posted as a text that says nothing."""
    (inbound,) = read_inbound(orjson.dumps({"customerNumber": "919876543210", "uuid": "u-1", **said}))
    assert inbound_of(inbound, None, AT_MS) is None


def test_a_reply_names_the_message_that_it_answers() -> None:
    """Where the message is known, CleverTap learns which one it was."""
    (inbound,) = read_inbound(orjson.dumps({"customerNumber": "919876543210", "text": "Yes"}))
    told = inbound_of(inbound, ORIGIN, AT_MS)
    assert told is not None
    assert told["context"] == {"id": MSG_ID}
