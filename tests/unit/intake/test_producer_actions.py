"""Actions without events: what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from worker.actions import ACTIONS
from worker.intake.producer import Actions, InvalidEvent, ProducerClosed
from worker.intake.producer.actions import NAMES

NOWHERE = "redis://127.0.0.1:1/0"


def test_every_action_can_be_performed() -> None:
    """The list that is kept apart from the worker has every call to MSG91, with who may overtake."""
    calls = [one for one in ACTIONS.values() if one.people_receive or one.family == "segmento"]
    assert {action.name: action.urgent for action in calls} == NAMES


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("send_fax", {}, "unknown_action"),
        ("send_sms", [], "not_an_object"),
        ("send_sms", {"x": object()}, "not_json"),
        ("send_sms", {"message": "x" * (1 << 20)}, "too_long"),
    ],
)
def test_what_can_never_be_sent_is_refused_at_once(action: str, payload: Any, code: str) -> None:
    """The error is raised where the mistake was made, before anything is asked of the store."""
    with Actions(NOWHERE, destination="shop") as actions, pytest.raises(InvalidEvent) as caught:
        actions.perform(action, payload)
    assert caught.value.code == code


@pytest.mark.parametrize("destination", ["", "a,b"])
def test_one_destination_is_needed(destination: str) -> None:
    """Without a name a payload would go through every account."""
    with pytest.raises(ValueError, match="destination"):
        Actions(NOWHERE, destination=destination)


def test_a_store_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither argument nor variable is an error that names both."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(ValueError, match="REDIS_URL"):
        Actions(destination="shop")


def test_closed_is_closed() -> None:
    """After the end nothing is taken, and no connection is made; its text form shows no address."""
    actions = Actions("redis://:s3cret@127.0.0.1:1/0", destination="shop")
    assert "s3cret" not in repr(actions)
    actions.close()
    actions.close()
    with pytest.raises(ProducerClosed):
        actions.perform("send_sms", {"phone": "1"})
