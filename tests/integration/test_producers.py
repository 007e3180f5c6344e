"""Other Celery producers: inline events and direct actions through a real broker and worker."""

from __future__ import annotations

import orjson
import pytest

from tests.system import System, many, sends_by_text, sms

pytestmark = pytest.mark.integration


def test_celery_producers_send_lists_events_and_text() -> None:
    """``worker.forward_events`` takes a list, one event or JSON text; the action tasks take payloads."""
    with System() as system:
        send = system.celery.send_task
        send("worker.forward_events", args=[many(3, prefix="list")])
        send("worker.forward_events", args=[sms(919100000001, "one")])
        send("worker.forward_events", args=[orjson.dumps(sms(919100000002, "text")).decode()])
        send("worker.forward_events", kwargs={"events": "not json at all"})
        payload = {"phone": "919100000003", "message": "direct", "senderID": "MSGIND"}
        send("worker.send_sms", args=[payload], kwargs={"message_id": "direct-1"})
        send("worker.send_sms", args=[payload], kwargs={"message_id": "direct-1"}, queue="events.priority")
        from tests.system import wait_until

        wait_until(lambda: system.reconcile().counts.events["received"] == 8, what="all received")
        assert system.wait_settled() == {"accepted": 6}
        events = system.reconcile().counts.events
        assert (events["malformed"], events["duplicate"]) == (1, 1)
        assert len(sends_by_text(system.sandbox.requests())) == 6
