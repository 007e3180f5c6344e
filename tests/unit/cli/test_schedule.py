"""`schedule`: unfinished work listed, hurried and given up."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.operators import DOWN, SILENT, bring, states

SLOW = {"actions": {"send_sms": {"backoff_base": 600}}}


def ids(stage: Any) -> list[str]:
    """The batches of the list."""
    return [one["batch"] for one in stage.json("schedule", "list", "--json")["batches"]]


def test_the_list_says_what_waits_and_why(stage: Any) -> None:
    """Due time, kind, size, destination and reason, for people and programs."""
    bring(stage, DOWN, "a", "b", **SLOW)
    document = stage.json("schedule", "list", "--json")
    (one,) = document["batches"]
    assert document["depth"] == 1
    assert (one["kind"], one["items"], one["destinations"]) == ("deliveries", 2, ["msg91"])
    assert 50 < one["due_in"] < 601
    assert "503" in one["why"]
    result = stage.run("schedule", "list")
    assert "deliveries\t2\tmsg91\t" in result.stdout
    assert "1 batch in all" in result.stderr


def test_now_makes_due(stage: Any) -> None:
    """By id, or everything; a wrong id is named and leaves with 1."""
    bring(stage, DOWN, "a", **SLOW)
    (batch_id,) = ids(stage)
    result = stage.run("schedule", "now", batch_id, "nothing")
    assert result.exit_code == 1
    assert "1 batch due now" in result.stdout
    assert "nothing is no unfinished batch" in result.stderr
    assert stage.json("schedule", "list", "--json")["batches"][0]["due_in"] <= 0
    assert stage.run("schedule", "now", "--all").exit_code == 0
    stage.work()
    assert states(stage) == {"accepted": 1}


def test_now_wants_to_know_what(stage: Any) -> None:
    """Neither or both is a mistake."""
    assert stage.run("schedule", "now").exit_code == 2
    assert stage.run("schedule", "now", "x", "--all").exit_code == 2


def test_dropping_asks_first(stage: Any) -> None:
    """Nobody there to say yes: nothing is done, and the hint says how to."""
    bring(stage, None, "a", "b")
    (batch_id,) = ids(stage)
    result = stage.run("schedule", "drop", batch_id)
    assert result.exit_code == 2
    assert "2 events not looked at yet" in result.stderr
    assert "--yes" in result.stderr
    assert states(stage) == {}
    assert ids(stage) == [batch_id]


def test_dropped_events_become_dead_letters(stage: Any) -> None:
    """And can be replayed."""
    bring(stage, None, "a", "b")
    (batch_id,) = ids(stage)
    result = stage.run("schedule", "drop", batch_id, "--yes")
    assert result.exit_code == 0
    assert f"{batch_id}: dropped, 2 deliveries dead" in result.stdout
    assert states(stage) == {"dead": 2}
    assert stage.run("dead-letters", "replay", "--all", "--yes").exit_code == 0
    stage.work()
    assert states(stage) == {"accepted": 2}


def test_what_cannot_be_dropped_says_why(stage: Any) -> None:
    """A timer and an unknown id are left alone; exit 1."""
    bring(stage, SILENT, "a", actions={"send_sms": {"in_doubt": "drop", "in_doubt_grace": 600}})
    (timer,) = ids(stage)
    result = stage.run("schedule", "drop", timer, "nothing", "--yes")
    assert result.exit_code == 1
    assert "timer of deliveries in doubt" in result.stderr
    assert states(stage) == {"in_doubt": 1}
