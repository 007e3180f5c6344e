"""What the tests of an operator's commands share: answers that bring deliveries into every state."""

from __future__ import annotations

from typing import Any

from worker.delivery import State, reconcile
from worker.msg91.answers import Answer, AnswerClass

SILENT = Answer(AnswerClass.UNKNOWN, code="read_timeout", message="no answer came in time", sent=True)
DOWN = Answer(AnswerClass.RETRY, status=503, message="the service is not available", sent=True)
REFUSED = Answer(AnswerClass.REQUEST, status=200, code="203", message="invalid sender id", sent=True)
NUMBER = 918818888758


def bring(stage: Any, answer: Answer | None, *message_ids: str, **configuration: Any) -> None:
    """Send one message under each id, and let MSG91 answer like this; without an answer they stay queued."""
    stage.configure(
        {
            "name": "msg91",
            "authkey": "a-key-for-tests",
            "default_sender": "MSGIND",
            "actions": {"send_sms": {"attempts": 1}},
            **configuration,
        }
    )
    events = [
        {
            "type": "track",
            "event": "Order Shipped",
            "messageId": message_id,
            "properties": {"phone": NUMBER + number, "message": "hello"},
        }
        for number, message_id in enumerate(message_ids)
    ]
    assert stage.run("send", stage.write("events.ndjson", *events)).exit_code == 0
    if answer is not None:
        stage.answers[:] = [answer]
        stage.work()
        stage.core.lanes.resume("msg91:sms")


def states(stage: Any) -> dict[str, int]:
    """Deliveries by state; the identity must hold."""
    found = reconcile(stage.core.store)
    assert found.holds, found.problems
    return {state.value: count for state, count in found.recounted.items() if count}


def key_of(stage: Any, state: State) -> str:
    """The key of the one delivery in a state."""
    (key,) = stage.core.ledger.attention(state)
    return str(key)
