"""`forget`: a person by number or id, said first, erased then."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.operators import DOWN, NUMBER, bring, states
from worker.msg91.errors import InvalidNumber


def test_whom_must_be_said(stage: Any) -> None:
    """Nobody is erased by default."""
    assert stage.run("forget", "--yes").exit_code == 2
    assert stage.run("forget", "--phone", " ", "--yes").exit_code == 2


def test_a_dry_run_says_what_and_asks_nothing(stage: Any) -> None:
    """The table says what would happen; nothing does."""
    bring(stage, DOWN, "a", "b")
    result = stage.run("forget", "--phone", "+91 88188-88758", "--dry-run")
    assert result.exit_code == 0
    assert "dead and rejected deliveries\t1\tnothing kept" in result.stdout
    assert len(stage.json("dead-letters", "list", "--json")["deliveries"]) == 2


def test_it_asks_and_erases(stage: Any) -> None:
    """Without a yes nothing; with it everything of theirs, and of nobody else."""
    bring(stage, DOWN, "a", "b")
    bring(stage, None, "q", "r")
    asked = stage.run("forget", "--phone", str(NUMBER))
    assert asked.exit_code == 2
    assert "events not looked at yet\t1\temptied" in asked.stdout
    assert "Erase this for good?" in asked.stderr
    document = stage.json("forget", "--phone", str(NUMBER), "--yes", "--json")
    assert (document["over"], document["queued"], document["under_way"], document["dry_run"]) == (1, 1, 0, False)
    assert [one["message_id"] for one in stage.json("dead-letters", "list", "--json")["deliveries"]] == ["b"]
    stage.work()
    assert states(stage) == {"dead": 2, "suppressed": 1, "accepted": 1}
    assert "Nothing here names them." in stage.run("forget", "--phone", str(NUMBER), "--yes").stdout


def test_what_is_no_number_is_refused(stage: Any) -> None:
    """The sentence does not repeat it."""
    result = stage.run("forget", "--phone", "12345", "--yes")
    assert isinstance(result.exception, InvalidNumber)
    assert "12345" not in str(result.exception)
