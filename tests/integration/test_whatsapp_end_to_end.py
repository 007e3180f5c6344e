"""WhatsApp from end to end: events, a task, CleverTap's door and the commands, against the sandbox."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.intake import Intake
from tests.system import System, wait_until
from worker.delivery import delivery_key
from worker.sandbox.whatsapp import DEFAULT_NUMBER

pytestmark = pytest.mark.integration

A = 918818888758
CLEVERTAP = {"username": "clever", "password": "a-password-of-tests"}
DESTINATION = {
    "mappings": ["segment-whatsapp", "clevertap-whatsapp"],
    "whatsapp": {"numbers": [DEFAULT_NUMBER], "clevertap": CLEVERTAP},
}


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A worker, a store and a sandbox with its integrated number and templates."""
    with System(destination=DESTINATION) as running:
        yield running


def shipped(number: int, message_id: str, **properties: Any) -> dict[str, Any]:
    """An event that becomes a template message."""
    return {
        "type": "track",
        "event": "Order Shipped",
        "messageId": message_id,
        "properties": {"phone": number, "template": "order_shipped", "body": ["Ada"], **properties},
    }


def state(system: System, message_id: str, mapping: str = "track-whatsapp") -> tuple[str, str]:
    """The state of a message, and why; empty before there is one."""
    record = system.core.ledger.records([delivery_key("msg91", message_id, mapping)])[0]
    return (record.state.value, record.reason) if record else ("", "")


def settled(system: System, message_id: str, mapping: str = "track-whatsapp") -> tuple[str, str]:
    """The state of a message once it is no longer under way."""

    def found() -> tuple[str, str] | None:
        seen = state(system, message_id, mapping)
        return seen if seen[0] not in ("", "sending", "scheduled") else None

    found_at_last: tuple[str, str] = wait_until(found, what=message_id)
    return found_at_last


def sends(system: System) -> list[dict[str, Any]]:
    """The message requests that MSG91 took."""
    return [one for one in system.sandbox.requests() if one["kind"] == "whatsapp" and one["taken"]]


def run(system: System, *arguments: str) -> tuple[int, Any]:
    """Run a command, and read its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli.main", *arguments, "--json"],
        env=system.environ,
        cwd=system.folder,
        capture_output=True,
        check=False,
    )
    return done.returncode, orjson.loads(done.stdout) if done.stdout.startswith((b"{", b"[")) else done.stderr


def test_many_recipients_share_a_request(system: System) -> None:
    """Events with one template, language and number go out with one request, each number once."""
    before = len(sends(system))
    system.send([shipped(A + n, f"many-{n}") for n in range(20)])
    for n in range(20):
        assert settled(system, f"many-{n}")[0] == "accepted"
    [request] = sends(system)[before:]
    assert len(request["messages"]) == 20
    assert request["correlation"]["CRQID"]


def test_an_unapproved_template_is_rejected_before_anything_leaves(system: System) -> None:
    """A template that waits, was rejected or does not exist makes a rejected delivery that says so."""
    before = len(sends(system))
    system.send(
        [
            shipped(A, "waits", template="spring_sale"),
            shipped(A, "refused", template="free_money"),
            shipped(A, "unknown", template="order_shiped"),
            shipped(A, "language", language="fr"),
        ]
    )
    assert "is pending" in settled(system, "waits")[1]
    assert "is rejected (ABUSIVE_CONTENT)" in settled(system, "refused")[1]
    assert "did you mean 'order_shipped'" in settled(system, "unknown")[1]
    assert "it is in en, hi" in settled(system, "language")[1]
    assert {state(system, one)[0] for one in ("waits", "refused", "unknown", "language")} == {"rejected"}
    assert len(sends(system)) == before


def test_a_task_sends_what_it_is_given(system: System) -> None:
    """Other Celery producers send templates and session messages by name."""
    for task, payload in (
        ("send_whatsapp_template", {"phone": A, "template": "order_shipped", "body": ["x"]}),
        ("send_whatsapp_session", {"phone": A, "text": "Hello"}),
    ):
        system.celery.send_task(f"worker.{task}", [payload], {"message_id": f"by-{task}"}, queue="events")
        assert settled(system, f"by-{task}", task)[0] == "accepted"


def test_what_clevertap_posts_is_sent_once(system: System) -> None:
    """CleverTap's message goes out; posted again it is answered the same and not sent again."""
    headers = {"authorization": "Basic " + b64encode(b"clever:a-password-of-tests").decode()}
    message = {
        "payloadVersion": 0.1,
        "to": "+919876543210",
        "wabaNumber": DEFAULT_NUMBER,
        "isTemplate": True,
        "msgId": "1|2|3|4",
        "template": {"namespace": "order_shipped", "languageCode": "en"},
        "components": [{"type": "body", "body": {"text": "Hi", "parameters": [{"type": "text", "text": "Ada"}]}}],
    }
    verification = {"body": {**message, "template": {"namespace": "whatsapp:hsm:technology:generic:verify"}}}
    before = len(sends(system))
    with Intake(system) as intake, httpx.Client(base_url=intake.url, trust_env=False) as http:

        def post(body: Any, path: str = "/v1/clevertap/msg91", **changed: str) -> tuple[int, Any]:
            answer = http.post(path, json=body, headers={**headers, **changed})
            return answer.status_code, answer.json()

        assert post(verification) == (200, {"status": "success"})
        assert post(message) == (200, {"status": "success"})
        assert settled(system, "1|2|3|4", "clevertap-template")[0] == "accepted"
        assert post(message) == (200, {"status": "success"})
        assert post({**message, "msgId": "5|6", "to": "12"})[1]["error"]["code"] == 2002
        assert settled(system, "5|6", "clevertap-template")[0] == "rejected"
        assert post({**message, "msgId": "0|0|0|0", "to": "12"}) == (200, {"status": "success"})
        refused = {"status": "failure", "error": {"code": 2000, "message": "Invalid credentials"}}
        assert post(message, authorization="Basic bm86bm8=") == (200, refused)
        assert post(message, "/v1/clevertap/nobody") == (200, refused)
    system.wait_settled()
    assert len(sends(system)) == before + 1


def test_commands(system: System) -> None:
    """Numbers and templates are listed, a template lives and dies, messages are sent and tried out."""
    code, found = run(system, "whatsapp", "numbers")
    assert (code, found["numbers"][0]["number"], found["numbers"][0]["default"]) == (0, DEFAULT_NUMBER, True)
    code, found = run(system, "whatsapp", "templates", "--status", "approved")
    assert {one["name"] for one in found["templates"]} == {"order_shipped"}

    (system.folder / "components.yaml").write_text("- {type: BODY, text: Hello}\n", encoding="utf-8")
    code, found = run(system, "whatsapp", "templates", "create", "hello", "components.yaml")
    assert (code, bool(found["data"]["template_id"])) == (0, True)
    _, found = run(system, "whatsapp", "templates", "--name", "hello")
    assert found["templates"][0]["status"] == "pending"
    assert run(system, "whatsapp", "templates", "delete", "hello")[0] == 0
    assert run(system, "whatsapp", "templates", "--name", "hello")[1]["templates"] == []

    code, found = run(system, "whatsapp", "send", str(A), "-t", "order_shipped", "-b", "Ada", "--wait", "30")
    assert (code, found["state"]) == (0, "accepted")
    code, found = run(system, "whatsapp", "send", str(A), "-t", "spring_sale", "--wait", "30")
    assert (code, found["state"]) == (1, "rejected")
    code, found = run(system, "whatsapp", "send", str(A), "--text", "Hi", "--test")
    assert (code, found["class"]) == (0, "accepted")
    assert found["answer"]["data"]["message_uuid"] == found["requestId"]
    code, found = run(system, "whatsapp", "send", str(A), "-t", "spring_sale", "--test")
    assert (code, found["answer"]["hasError"]) == (1, True)
    assert "not approved" in found["answer"]["errors"]
    assert run(system, "whatsapp", "send", str(A))[0] == 2
    assert run(system, "whatsapp", "send", "12", "--text", "Hi")[0] == 1


def test_commands_send_every_kind(system: System) -> None:
    """Places, documents, buttons and contacts go out as the command was told; what cannot be is refused."""
    (system.folder / "ask.yaml").write_text(
        "{type: button, body: {text: Sure}, action: {buttons: []}}", encoding="utf-8"
    )
    (system.folder / "person.json").write_text('{"name": {"formatted_name": "Ada"}}', encoding="utf-8")
    place = {"latitude": "12.97", "longitude": "77.59", "name": "Our shop"}
    template = ("-t", "order_shipped")
    for words, payload in (
        (("--location", "12.97,77.59,Our shop"), {"type": "location", "location": place}),
        (("--interactive", "ask.yaml"), {"type": "interactive"}),
        (("--contact", "person.json"), {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ada"}}]}),
        (("--media", "document=https://example.com/a.pdf", "--filename", "a.pdf"), {"type": "document"}),
        ((*template, "--header", "location=12.97,77.59,Our shop"), {"type": "template"}),
        ((*template, "--header", "document=https://example.com/a.pdf", "--filename", "a.pdf"), {"type": "template"}),
    ):
        code, found = run(system, "whatsapp", "send", str(A), *words, "--test")
        assert code == 0, (words, found)
        assert found["class"] == "accepted"
        assert payload.items() <= found["request"]["body"]["payload"].items()
    components = found["request"]["body"]["payload"]["template"]["to_and_components"][0]["components"]
    assert components["header_1"] == {"type": "document", "value": "https://example.com/a.pdf", "filename": "a.pdf"}
    for words in (("--location", "12"), ("--location", "1,2", "--contact", "person.json"), ("--interactive", "gone")):
        assert run(system, "whatsapp", "send", str(A), *words, "--test")[0] == 2
