"""`in-doubt`: listed, sent again, dropped or accepted, by id or by filter, never without saying what it means."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.operators import SILENT, bring, key_of, states
from worker.delivery import State


def test_the_list(stage: Any) -> None:
    """Who, since when, why; for people and programs, no number shown."""
    bring(stage, SILENT, "a", "b")
    document = stage.json("in-doubt", "list", "--json")
    assert document["in_doubt"] == 2
    assert {one["message_id"] for one in document["deliveries"]} == {"a", "b"}
    assert document["deliveries"][0]["reason"].startswith("read_timeout")
    result = stage.run("in-doubt", "list", "--limit", "1")
    assert len(result.stdout.splitlines()) == 2
    assert "2 in doubt in all" in result.stderr
    assert "8818888758" not in result.stdout
    assert stage.json("in-doubt", "list", "--older-than", "1h", "--json")["deliveries"] == []


def test_resend_says_what_it_costs_and_asks(stage: Any) -> None:
    """How many sends, how many parts; without a yes nothing happens."""
    bring(stage, SILENT, "a", "b")
    result = stage.run("in-doubt", "resend", "--all")
    assert result.exit_code == 2
    assert "2 sends by send_sms through msg91" in result.stdout
    assert "Send 2 deliveries again (2 SMS parts)?" in result.stderr
    assert states(stage) == {"in_doubt": 2}
    result = stage.run("in-doubt", "resend", "--all", "--yes")
    assert result.exit_code == 0
    assert "2 deliveries will be sent again" in result.stdout
    assert states(stage) == {"scheduled": 2}
    stage.work()
    assert states(stage) == {"accepted": 2}


def test_by_message_id_and_by_key(stage: Any) -> None:
    """What the operator has at hand is enough."""
    bring(stage, SILENT, "a", "b")
    assert stage.run("in-doubt", "drop", "a", "--yes").exit_code == 0
    assert states(stage) == {"in_doubt": 1, "dead": 1}
    assert stage.run("in-doubt", "accept", key_of(stage, State.IN_DOUBT), "--yes").exit_code == 0
    assert states(stage) == {"accepted": 1, "dead": 1}
    result = stage.run("in-doubt", "drop", "a", "--yes")
    assert result.exit_code == 2
    assert "'a' is dead, not in_doubt" in result.stderr


@pytest.mark.parametrize("command", ["resend", "drop", "accept"])
def test_it_wants_to_know_which(stage: Any, command: str) -> None:
    """Neither ids nor --all, or both, or an unknown id: exit 2, nothing done."""
    bring(stage, SILENT, "a")
    assert stage.run("in-doubt", command).exit_code == 2
    assert stage.run("in-doubt", command, "a", "--all").exit_code == 2
    assert stage.run("in-doubt", command, "unheard-of", "--yes").exit_code == 2
    assert states(stage) == {"in_doubt": 1}


@pytest.mark.parametrize("command", ["drop", "accept"])
def test_nothing_in_doubt_is_said(stage: Any, command: str) -> None:
    """An empty list is no error."""
    result = stage.run("in-doubt", command, "--all", "--yes")
    assert result.exit_code == 0
    assert "Nothing of that is in doubt." in result.stdout


def test_what_cannot_be_sent_is_named(stage: Any) -> None:
    """The destination has gone dry: nothing is sent, the reason is counted, exit 1."""
    bring(stage, SILENT, "a")
    stage.configure({"name": "msg91", "authkey": "k", "mode": "dry", "default_sender": "MSGIND"})
    result = stage.run("in-doubt", "resend", "--all", "--yes")
    assert result.exit_code == 1
    assert "1  destination msg91 is in mode dry" in result.stdout
