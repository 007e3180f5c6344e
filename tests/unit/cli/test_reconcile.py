"""`reconcile`: the identity for people and for programs, and an exit code that says whether it holds."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.operators import bring


def test_the_public_form_is_fixed(stage: Any) -> None:
    """The keys that programs read: events, created, states, holds."""
    bring(stage, None, "queued")
    stage.run("schedule", "now", "--all")
    stage.work()
    document = stage.json("reconcile", "--json")
    assert document["holds"] is True
    assert document["created"] == 1
    assert document["states"]["accepted"] == 1
    assert set(document["states"]) == {
        "sending",
        "scheduled",
        "accepted",
        "delivered",
        "undelivered",
        "rejected",
        "dead",
        "expired",
        "suppressed",
        "in_doubt",
    }
    assert document["events"] == {
        "received": 1,
        "queued": 0,
        "parsed": 1,
        "malformed": 0,
        "filtered": 0,
        "duplicate": 0,
        "parent": 1,
    }


def test_people_get_a_table(stage: Any) -> None:
    """Every state with its counter and its recount, and a sentence at the end."""
    bring(stage, None, "a", "b")
    stage.work()
    result = stage.run("reconcile")
    assert result.exit_code == 0
    assert "created\t2\t2\t" in result.stdout
    assert "accepted\t2\t2\t" in result.stdout
    assert "It adds up." in result.stdout


def test_a_broken_identity_is_an_error(stage: Any) -> None:
    """Exit 1, the state that differs, and what does not fit."""
    bring(stage, None, "a")
    stage.work()
    stage.core.store.client.hincrby(stage.core.store.keys.counters, "state:a", 1)
    result = stage.run("reconcile")
    assert result.exit_code == 1
    assert "accepted\t2\t1\tdiffers" in result.stdout
    assert "problem: " in result.stdout
    assert "It does not add up." in result.stdout
    assert stage.json("reconcile", "--json", code=1)["holds"] is False


def test_without_a_store_it_says_so(bare: Any) -> None:
    """No traceback, exit 2, nothing made."""
    from typer.testing import CliRunner

    from worker.cli import main

    result = CliRunner().invoke(main.app, ["reconcile"])
    assert result.exit_code == 2
    assert "there is no store" in result.stderr
    assert list(bare.iterdir()) == []
