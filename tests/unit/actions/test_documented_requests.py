"""The requests that the documentation shows are the ones that are made."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from worker.actions import ACTIONS, ActionContext, Receiver, Receivers, WhatsAppContext
from worker.actions.receivers import Address
from worker.msg91.codes import CODES
from worker.msg91.numbers import PhoneNumbers

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "msg91.md").read_text(encoding="utf-8")
ONWARD = (DOCS / "onward.md").read_text(encoding="utf-8")
CONTEXT = ActionContext(
    "msg91",
    PhoneNumbers("IN"),
    phonebook_id="{phonebook_id}",
    whatsapp=WhatsAppContext(default_number="918888888888"),
    receivers=Receivers(
        tracking={"segment": Receiver("segment", {"track": Address("https://api.segment.io", "/v1/track")})},
        callbacks={"crm": Receiver("crm", {"report": Address("https://crm.example", "/callbacks/reports")})},
    ),
)

EVENTS: dict[str, dict[str, Any]] = {
    "send_sms": {"phone": 918818888758, "message": "Thanks, your order has shipped", "senderID": "MSGIND"},
    "send_flow_sms": {
        "phone": 918818888758,
        "templateId": "61e8f2a3b4c5d6e7f8091a2b",
        "variables": {"firstName": "John"},
    },
    "send_otp": {
        "phone": 918818888758,
        "templateId": "61e8f2a3b4c5d6e7f8091a2b",
        "otp": "4321",
        "variables": {"name": "Ada"},
    },
    "resend_otp": {"phone": 918818888758, "channel": "text"},
    "run_campaign": {
        "campaign": "order-shipped",
        "phone": 918818888758,
        "email": "ada@example.com",
        "name": "Ada",
        "variables": {"order": 42, "total": {"type": "text", "value": "12"}},
    },
    "send_whatsapp_template": {
        "phone": 918818888758,
        "template": "order_shipped",
        "header": {"type": "image", "value": "https://example.com/a.png"},
        "body": ["Ada"],
        "buttons": ["orders/7"],
    },
    "send_whatsapp_session": {"phone": 918818888758, "text": "Your order left this morning."},
    "record_user_events": {
        "visitorId": "u-1",
        "eventName": "order-placed",
        "properties": {"total": 12},
        "timestamp": "2024-05-01T10:00:00Z",
        "context": {},
        "type": "track",
    },
    "publish_event": {
        "target": "segment",
        "messageId": "msg91-u3uZB0nKx0Gd2mYcQ1oVhTqE",
        "event": "WhatsApp Message Read",
        "userId": "user-1",
        "timestamp": "2026-11-28T10:15:00.000Z",
        "properties": {
            "channel": "whatsapp",
            "destination": "shop",
            "originalMessageId": "order-4711-shipped",
            "mapping": "send_whatsapp_template",
            "status": "read",
            "requestId": "f3b1a7c09d2e4f60a1b2c3d4e5f60718",
        },
        "context": {"library": {"name": "msg91-destination", "version": "0.1.0"}},
        "integrations": {"MSG91": False},
    },
    "post_callback": {
        "target": "crm",
        "kind": "report",
        "body": {
            "payloadVersion": "0.1",
            "statuses": [
                {
                    "msgId": "25596363|1639561857|20220227|25596363",
                    "status": "failed",
                    "timestamp": "1764324900",
                    "error": {"code": 1007, "title": "131026: Message undeliverable"},
                }
            ],
        },
    },
    "upsert_contact": {"contactId": "u-1", "name": "Ada", "phone": "918818888758", "details": {"age": 30}},
}


@pytest.mark.parametrize("name", ACTIONS)
def test_documented_request(name: str) -> None:
    """Method, path and body in the documentation of an action are what it builds."""
    action = ACTIONS[name]
    page = ONWARD if action.family == "onward" else PAGE
    found = re.search(rf"^## `{name}`: `(\w+) (\S+)`\n+```json\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    request = action.build([action.prepare(EVENTS[name], CONTEXT).payload], CONTEXT, "token")
    assert found[1] == request.method
    path, _, query = found[2].partition("?")
    assert request.path.replace("%7B", "{").replace("%7D", "}").endswith(path.lstrip("…"))
    assert dict(parse_qsl(query)) == (request.query or {})
    assert orjson.loads(found[3].replace("<correlation id>", "token")) == orjson.loads(request.body or b"null")


def test_every_numeric_code_is_documented() -> None:
    """The table of classes in the documentation names every code under its own class."""
    rows = {row[0]: row[1] for row in re.findall(r"^\| (\w+) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)}
    for code, entry in CODES.items():
        text = rows[entry.klass.value].split("; 301, 302")[0]
        ranges = [(int(low), int(high or low)) for low, high in re.findall(r"\b(\d{3})(?:\u2013(\d{3}))?", text)]
        assert any(low <= int(code) <= high for low, high in ranges), code
