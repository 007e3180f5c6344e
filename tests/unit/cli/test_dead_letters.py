"""`dead-letters`: listed, shown whole, replayed once, discarded."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.operators import DOWN, NUMBER, REFUSED, SILENT, bring, key_of, states
from worker.delivery import State


def test_the_list_and_its_filters(stage: Any) -> None:
    """Dead and rejected together, or by state, reason, action, destination, time."""
    bring(stage, DOWN, "a", "b")
    bring(stage, REFUSED, "c")

    def found(*arguments: str) -> set[str]:
        document = stage.json("dead-letters", "list", "--json", *arguments)
        assert document["dead_letters"] == 3
        return {one["message_id"] for one in document["deliveries"]}

    assert found() == {"a", "b", "c"}
    assert found("--state", "dead") == {"a", "b"}
    assert found("--reason", "SENDER") == {"c"}
    assert found("--action", "send_flow_sms") == set()
    assert found("--destination", "msg91", "--since", "1h") == {"a", "b", "c"}
    assert found("--until", "1h") == set()
    assert found("--until", "2020-01-01") == set()
    assert stage.run("dead-letters", "list", "--state", "accepted").exit_code == 2
    assert stage.run("dead-letters", "list", "--since", "yesterday").exit_code == 2


def test_one_is_shown_whole(stage: Any) -> None:
    """By its messageId: event, mapping, reason, attempt with request and answer; numbers hidden unless asked for."""
    bring(stage, DOWN, "order-1")
    result = stage.run("dead-letters", "show", "order-1")
    assert result.exit_code == 0
    for words in ("order-1", "msg91 / track → send_sms", "Order Shipped", "HTTP 503", "CRQID", "/api/v2/sendsms"):
        assert words in result.stdout, words
    assert str(NUMBER) not in result.stdout
    assert str(NUMBER) in stage.run("dead-letters", "show", "order-1", "--reveal").stdout
    (shown,) = stage.json("dead-letters", "show", key_of(stage, State.DEAD), "--json")
    assert shown["attempts"][0]["request"]["recipients"] == 1


def test_field_errors_are_shown(stage: Any) -> None:
    """What was refused before it was sent says which field and why."""
    stage.run("send", stage.write("bad.ndjson", {"type": "track", "event": "E", "messageId": "bad", "properties": {}}))
    stage.work()
    result = stage.run("dead-letters", "show", "bad")
    assert "field errors:" in result.stdout
    assert "phone: " in result.stdout
    assert "not now: still invalid" in result.stdout


def test_replay_says_what_it_means_and_asks(stage: Any) -> None:
    """Sends, parts, doubts; then once, however often it is asked for."""
    bring(stage, SILENT, "a")
    stage.run("in-doubt", "drop", "--all", "--yes")
    bring(stage, DOWN, "b")
    result = stage.run("dead-letters", "replay", "--all")
    assert result.exit_code == 2
    assert "2 sends by send_sms through msg91" in result.stdout
    assert "2 SMS parts" in result.stdout
    assert "1 once in doubt" in result.stdout
    assert states(stage) == {"dead": 2}
    result = stage.run("dead-letters", "replay", "a", "b", "--yes")
    assert result.exit_code == 0
    assert "2 deliveries will be sent" in result.stdout
    again = stage.run("dead-letters", "replay", "--all", "--yes")
    assert "Nothing to send." in again.stdout
    sent = len(stage.requests)
    stage.work()
    assert states(stage) == {"accepted": 2}
    assert len(stage.requests) - sent == 2  # one number, so one request each


def test_discard(stage: Any) -> None:
    """Asks, forgets, keeps the count."""
    bring(stage, DOWN, "a")
    assert stage.run("dead-letters", "discard", "--all").exit_code == 2
    result = stage.run("dead-letters", "discard", "--all", "--yes")
    assert "1 delivery discarded" in result.stdout
    assert states(stage) == {"dead": 1}
    assert stage.json("dead-letters", "list", "--json")["deliveries"] == []
    assert "Nothing to discard." in stage.run("dead-letters", "discard", "--all", "--yes").stdout
    assert stage.run("dead-letters", "show", "a").exit_code != 0
