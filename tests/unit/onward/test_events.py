"""What Segment is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.unit.onward.conftest import ONWARD, OURS, destination_of
from worker.delivery import Origin
from worker.msg91.reports import Inbound, Report, Verdict, read_inbound, read_reports
from worker.onward import items_of, pseudonym
from worker.onward.reading import identity_of

NUMBER = "919876543210"
AT_MS = 1_764_324_900_123
ORIGIN = Origin("order-4711", "ship", "send_sms", "user-1", "anon-1")


def events(
    folder: Path, read: Report | Inbound, channel: Any = "whatsapp", origin: Origin | None = ORIGIN, **more: Any
) -> Any:
    """The track events of one report, as the payloads of their deliveries."""
    destination = destination_of(folder, {"tracking": [{**ONWARD["tracking"][0], **more}]})
    found = items_of(destination, read, channel=channel, origin=origin, at_ms=AT_MS)
    return [one.payload for one in found]


@pytest.mark.parametrize(
    ("status", "channel", "name"),
    [
        ("1", "sms", "SMS Delivered"),
        ("2", "sms", "SMS Failed"),
        ("17", "sms", "SMS Failed"),
        ("clicked", "sms", "SMS Read"),
        ("sent", "whatsapp", "WhatsApp Message Sent"),
        ("delivered", "whatsapp", "WhatsApp Message Delivered"),
        ("read", "whatsapp", "WhatsApp Message Read"),
        ("failed", "whatsapp", "WhatsApp Message Failed"),
        ("queued", "whatsapp", None),
        ("26", "sms", None),
    ],
)
def test_what_an_event_is_called(tmp_path: Path, status: str, channel: str, name: str | None) -> None:
    """A status that says something becomes the event of its channel; one that says nothing becomes none."""
    body = orjson.dumps({"requestId": "r" * 24, "number": NUMBER, "status": status})
    (report,) = read_reports("application/json", body, channel=channel)
    assert [one["event"] for one in events(tmp_path, report, channel)] == ([name] if name else [])


def test_an_event_is_that_of_the_user_of_the_message(tmp_path: Path) -> None:
    """It carries the ids of the event that the message came from, and what MSG91 says, and no number."""
    report = Report(
        Verdict.UNDELIVERED, "16", "rejected by 919876543210", NUMBER, "r" * 24, "token", at="2024-05-22 10:06:20"
    )
    (event,) = events(tmp_path, report, "sms")
    assert (event["userId"], event["anonymousId"]) == ("user-1", "anon-1")
    assert event["properties"] == {
        "channel": "sms",
        "destination": "shop",
        "originalMessageId": "order-4711",
        "mapping": "ship",
        "status": "16",
        "reason": "rejected by *******210",
        "requestId": "r" * 24,
        "correlationId": "token",
        "reportedAt": "2024-05-22 10:06:20",
    }
    assert event["timestamp"] == "2025-11-28T10:15:00.123Z"
    assert event["integrations"] == {"MSG91": False}
    assert NUMBER not in orjson.dumps({**event, "phone": ""}).decode()


def test_a_number_nobody_knows_has_a_pseudonym(tmp_path: Path) -> None:
    """The same number has the same pseudonym, another number another, and another key makes others."""
    report = Report(Verdict.DELIVERED, "1", recipient=NUMBER, request_id="r" * 24)
    (event,) = events(tmp_path, report, "sms", None)
    destination = destination_of(tmp_path, {})
    assert event["anonymousId"] == f"msg91-{pseudonym(destination, NUMBER)}"
    assert "userId" not in event
    assert len(pseudonym(destination, NUMBER)) == 24
    others = [
        pseudonym(destination, "919876543211"),
        pseudonym(destination_of(tmp_path, {"pseudonym_key": "k"}), NUMBER),
    ]
    assert len({pseudonym(destination, NUMBER), *others}) == 3


def test_nobody_to_speak_of_is_nothing_to_say(tmp_path: Path) -> None:
    """A report without a number and without a known event makes no event, since an event needs somebody."""
    assert events(tmp_path, Report(Verdict.DELIVERED, "delivered", token="t"), "sms", None) == []


@pytest.mark.parametrize(
    ("phone", "told", "traits"),
    [("none", None, None), ("masked", "91*******210", None), ("full", f"+{NUMBER}", {"phone": f"+{NUMBER}"})],
)
def test_the_number_is_told_as_the_setting_says(tmp_path: Path, phone: str, told: str | None, traits: Any) -> None:
    """Left out, masked, or in full as a trait as well."""
    report = Report(Verdict.DELIVERED, "1", recipient=NUMBER, request_id="r" * 24)
    (event,) = events(tmp_path, report, "sms", phone=phone)
    assert (event["properties"].get("phone"), event["context"].get("traits")) == (told, traits)


@pytest.mark.parametrize("text", [True, False])
def test_a_message_of_a_customer(tmp_path: Path, text: bool) -> None:
    """What they wrote and who they say they are is told, unless the setting says otherwise."""
    body = {
        "customerNumber": NUMBER,
        "customerName": "Asha",
        "integratedNumber": OURS,
        "contentType": "text",
        "text": "When does it come?\x00",
        "uuid": "u-1",
        "ts": "1764324000",
    }
    (inbound,) = read_inbound(orjson.dumps(body))
    (event,) = events(tmp_path, inbound, origin=None, text=text)
    assert event["event"] == "WhatsApp Message Received"
    assert event["timestamp"] == "2025-11-28T10:00:00.000Z"
    said = {"text": "When does it come? ", "name": "Asha"} if text else {}
    assert event["properties"] == {
        "channel": "whatsapp",
        "destination": "shop",
        "type": "text",
        "integratedNumber": OURS,
        "providerMessageId": "u-1",
        **said,
    }


@pytest.mark.parametrize(
    ("keys", "heard"),
    [
        ({}, True),
        ({"channels": "whatsapp"}, False),
        ({"mappings": ["send_sms"]}, True),
        ({"mappings": ["clevertap-template"]}, False),
    ],
)
def test_a_receiver_hears_of_its_channels_and_mappings(tmp_path: Path, keys: Any, heard: bool) -> None:
    """What came by another channel or another mapping is not told."""
    report = Report(Verdict.DELIVERED, "1", recipient=NUMBER, request_id="r" * 24)
    assert bool(events(tmp_path, report, "sms", **keys)) is heard


def test_each_receiver_gets_its_own(tmp_path: Path) -> None:
    """Two tracking APIs and a receiver of callbacks make three deliveries, each with an id of its own."""
    onward = {
        **ONWARD,
        "tracking": [*ONWARD["tracking"], {"name": "jitsu", "url": "https://jitsu.example", "write_key": "w"}],
    }
    report = Report(Verdict.READ, "read", recipient=NUMBER, request_id="r" * 24)
    found = items_of(destination_of(tmp_path, onward), report, channel="whatsapp", origin=ORIGIN, at_ms=AT_MS)
    assert [(one.action, one.payload["target"]) for one in found] == [
        ("publish_event", "segment"),
        ("publish_event", "jitsu"),
        ("post_callback", "clevertap"),
    ]
    assert len({one.message_id for one in found}) == 3
    assert found[0].payload["messageId"] == found[1].payload["messageId"]


def test_the_identity_of_a_report_is_what_it_is_about() -> None:
    """The same report has the same identity however it is written; another status, number or request another."""
    report = Report(Verdict.READ, "read", recipient=NUMBER, request_id="r1")
    same = Report(Verdict.READ, "seen", recipient=NUMBER, request_id="r1", at="later", token="t", raw={"more": 1})
    others = [
        Report(Verdict.DELIVERED, "delivered", recipient=NUMBER, request_id="r1"),
        Report(Verdict.READ, "read", recipient="919876543211", request_id="r1"),
        Report(Verdict.READ, "read", recipient=NUMBER, request_id="r2"),
        Report(Verdict.READ, "read", recipient=NUMBER, raw={"date": "1"}),
        Report(Verdict.READ, "read", recipient=NUMBER, raw={"date": "2"}),
    ]
    assert identity_of(report, "whatsapp") == identity_of(same, "whatsapp")
    assert len({identity_of(one, "whatsapp") for one in (report, *others)}) == 6
    assert identity_of(report, "sms") != identity_of(report, "whatsapp")
