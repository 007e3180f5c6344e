"""MSG91's callbacks over HTTP: a real door, a real store, a real worker, and the stand-in for MSG91."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.intake import WRITE_KEY, Intake, basic
from tests.system import System, sms, wait_until

pytestmark = pytest.mark.integration

SECRET = "secret-of-the-callbacks-in-tests"
NUMBER = 919000000000
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A system with one worker; what it sends singly is reported, or missed after a second."""
    destination = {
        "write_keys": [WRITE_KEY],
        "callbacks": {"secrets": [SECRET], "header": "msg91-webhook-secret"},
        "lanes": {"sms": {"recipients": 1}},
        "actions": {"send_sms": {"report_window": "1s"}},
    }
    with System(workers=1, destination=destination) as found:
        yield found


@pytest.fixture(scope="module")
def door(system: System) -> Iterator[Intake]:
    """The door of that system, which logs all it can."""
    settings = {"MSG91_DESTINATION_LOG_LEVEL": "debug", "MSG91_DESTINATION_INTAKE_BATCH_BYTES": "4096"}
    with Intake(system, settings) as found:
        yield found


def send(system: System, door: Intake, number: int, name: str) -> dict[str, Any]:
    """Send one message; gives MSG91's request."""
    assert door.post("/v1/track", sms(number, name, name)).status_code == 200
    system.wait_settled()
    found: dict[str, Any] = next(
        one for one in system.sandbox.requests() if any(m["text"] == name for m in one.get("messages", ()))
    )
    return found


def state(door: Intake, message_id: str) -> dict[str, Any]:
    """What the door says of an event's delivery."""
    answer = door.http.get(f"/v1/deliveries/{message_id}", headers={"authorization": basic(WRITE_KEY)})
    (found,) = answer.json()["deliveries"]
    return dict(found)


def call(door: Intake, document: Any, channel: str = "sms", **headers: str) -> httpx.Response:
    """One callback, as JSON."""
    headers = headers or {"msg91_webhook_secret": SECRET}
    return door.post(f"/v1/callbacks/msg91/{channel}", document, key=None, **headers)


def v3(number: int, status: str = "1", **more: str) -> dict[str, str]:
    """A report of version v3."""
    return {"number": str(number), "status": status, "date": "2026-01-01 10:00:00", "CRQID": "0", **more}


def test_a_report_by_request_id_is_recorded(system: System, door: Intake) -> None:
    """Accepted becomes delivered; again, and older, changes nothing; a form does as well as JSON."""
    send(system, door, NUMBER + 1, "reported")
    request_id = state(door, "reported")["requestId"]
    report = v3(NUMBER + 1, requestId=request_id)
    assert call(door, report).json() == {"success": True}
    assert state(door, "reported")["state"] == "delivered"
    older = v3(NUMBER + 1, "2", requestId=request_id, date="2026-01-01 09:00:00")
    form = urlencode({"data": orjson.dumps([{"requestId": request_id, "report": [older, report]}])}).encode()
    path = f"/v1/callbacks/msg91/sms?{urlencode({'token': SECRET})}"
    assert door.post(path, form, key=None, content_type=FORM).status_code == 200
    assert state(door, "reported")["state"] == "delivered"


def test_a_report_settles_a_doubt(system: System, door: Intake) -> None:
    """The answer was lost: the correlation id that MSG91 gives back proves that the message left."""
    system.sandbox.fault("close-after,count=1")
    token = send(system, door, NUMBER + 2, "doubtful")["correlation"]["CRQID"]
    assert state(door, "doubtful")["state"] == "in_doubt"
    v4 = [
        {"event": "delivered", "data": [{"meta": token, "INMSID": "0", "description": "DELIVERED", "ts": 1726729500}]}
    ]
    assert call(door, v4).status_code == 200
    assert state(door, "doubtful")["state"] == "delivered"
    assert system.reconcile().holds


def test_a_report_may_come_before_the_answer(system: System, door: Intake) -> None:
    """A report by token while the request is under way is applied when its answer is written down."""
    system.sandbox.fault("slow=3000,count=1")
    assert door.post("/v1/track", sms(NUMBER + 3, "early", "early")).status_code == 200
    (token,) = wait_until(system.core.ledger.under_way, what="the request is under way")
    assert call(door, v3(NUMBER + 3, "16", CRQID=token)).status_code == 200
    assert state(door, "early")["state"] == "sending"
    system.wait_settled()
    wait_until(lambda: state(door, "early")["state"] == "undelivered", what="the report is applied")


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer wrong"}, {"x_webhook_secret": SECRET}, {"accept": "*/*"}]
)
def test_nothing_is_taken_without_the_secret(door: Intake, headers: dict[str, str]) -> None:
    """A false secret, or one in the wrong header, is refused, for a GET as well."""
    assert call(door, v3(NUMBER), **headers).status_code == 401
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert door.http.get("/v1/callbacks/msg91/sms", headers=named).status_code == 401
    assert call(door, v3(NUMBER)).status_code == 200


def test_probes_are_answered(door: Intake) -> None:
    """GET and HEAD with the secret say that all is well; other methods and other paths say what is expected."""
    headers = {"authorization": f"Bearer {SECRET}"}
    for channel in ("sms", "whatsapp", "whatsapp/inbound"):
        for method in ("GET", "HEAD"):
            assert door.http.request(method, f"/v1/callbacks/msg91/{channel}", headers=headers).status_code == 200
    assert door.http.put("/v1/callbacks/msg91/sms", headers=headers).status_code == 405
    assert door.http.get("/v1/callbacks/msg91/voice", headers=headers).status_code == 404


def test_what_cannot_be_used_is_refused(door: Intake) -> None:
    """Garbage gets 400, too much 413; the door stays well."""
    assert [call(door, body).status_code for body in (b"nonsense", b"[]", b'"text"')] == [400] * 3
    assert call(door, b"[" + b" " * 5000 + b"]").status_code == 413
    assert call(door, v3(NUMBER)).status_code == 200


def test_no_log_has_the_secret(door: Intake) -> None:
    """Neither the token of a URL nor a whole number is ever written down, not even at level debug."""
    for path in ("/v1/callbacks/msg91/sms", "/v1/callbacks/nobody/sms", "/v1/callbacks/msg91/nowhere"):
        door.post(f"{path}?token={SECRET}", b"nonsense", key=None)
        door.http.get(f"{path}?token={SECRET}")
    call(door, v3(NUMBER, requestId="strange"))
    wait_until(lambda: "not_found" in door.log, what="the refusals are logged")
    assert SECRET not in door.log
    assert str(NUMBER) not in door.log


def test_inbound_messages_are_taken(door: Intake) -> None:
    """On their own address and on that of reports."""
    body = {"customerNumber": str(NUMBER), "integratedNumber": "919999999999", "text": '{"body":"hi"}'}
    for channel in ("whatsapp", "whatsapp/inbound"):
        assert call(door, [body], channel).status_code == 200
    wait_until(lambda: counted(door).get(("msg91", "inbound", "taken")) == 2, what="they are counted")


def counted(door: Intake) -> dict[tuple[str, str, str], int]:
    """The callbacks that `/metrics` counts."""
    families = text_string_to_metric_families(door.http.get("/metrics").text)
    return {
        (one.labels["destination"], one.labels["kind"], one.labels["outcome"]): int(one.value)
        for family in families
        if family.name == "msg91_callbacks"
        for one in family.samples
    }


def test_silence_is_counted(system: System, door: Intake) -> None:
    """What is accepted and not reported within its window is found by a worker, and leaves the list when it is."""
    send(system, door, NUMBER + 4, "silent")

    def silent() -> bool:
        text = door.http.get("/metrics").text
        return "msg91_requests_unreported 1.0" in text and "msg91_requests_awaiting_report 0.0" in text

    wait_until(silent, what="the silence is noticed")
    assert 'msg91_deliveries_unreported_total{action="send_sms",destination="msg91"}' in door.http.get("/metrics").text
    assert call(door, v3(NUMBER + 4, requestId=state(door, "silent")["requestId"])).status_code == 200
    assert "msg91_requests_unreported 0.0" in door.http.get("/metrics").text


def test_a_store_that_is_away_is_no_loss(system: System, door: Intake) -> None:
    """While the store cannot take a report MSG91 is told to come again, and it counts when it does."""
    send(system, door, NUMBER + 5, "patient")
    report = v3(NUMBER + 5, requestId=state(door, "patient")["requestId"])
    pid = int(system.core.store.client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = call(door, report)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_away")
    assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: call(door, report).status_code == 200, what="the store is back")
    assert state(door, "patient")["state"] == "delivered"
