"""`doctor`: every check with what was found and what to do; exit 1 when something does not work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from typer.testing import CliRunner

from worker.cli import main


def checks(document: dict[str, Any]) -> dict[str, str]:
    """Verdict by check; of several the worst."""
    order = ["ok", "warning", "problem"]
    found: dict[str, str] = {}
    for one in document["checks"]:
        name, verdict = one["check"], one["verdict"]
        found[name] = max(found.get(name, "ok"), verdict, key=order.index)
    return found


def test_a_sound_installation(stage: Any) -> None:
    """Everything is ok but the append-only file, which the test's server does without: a warning, exit 0."""
    document = stage.json("doctor", "--offline", "--json")
    found = checks(document)
    assert document["ok"] is True
    assert found["store persistence"] == "warning"
    assert {name for name, verdict in found.items() if verdict == "ok"} >= {
        "python",
        "packages",
        "store",
        "store version",
        "store memory",
        "store format",
        "clock",
        "broker",
        "unfinished work",
        "mappings",
    }


def test_people_get_a_table_with_what_to_do(stage: Any) -> None:
    """One line for each check, and a sentence that counts."""
    result = stage.run("doctor", "--offline")
    assert result.exit_code == 0
    assert "store persistence\twarning\t" in result.stdout
    assert "appendonly yes" in result.stdout
    assert "0 problems" in result.stdout


def test_a_store_that_is_away(bare: Path, monkeypatch: Any) -> None:
    """The address without its password, why, and what to do; the rest is still checked."""
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    monkeypatch.setenv("MSG91_AUTHKEY", "a-key-for-tests")
    result = CliRunner().invoke(main.app, ["doctor", "--offline", "--json"])
    assert result.exit_code == 1
    assert "secret" not in result.output
    found = checks(orjson.loads(result.stdout))
    assert found["store"] == "problem"
    assert found["configuration"] != "problem"


def test_wrong_settings_and_a_wrong_file(stage: Any, monkeypatch: Any) -> None:
    """Each mistake is one line with the place and the cure."""
    (stage.folder / "destinations.yaml").write_text("destinations:\n- name: a b\n  authkey: k\n")
    document = stage.json("doctor", "--offline", "--json", code=1)
    (wrong,) = [one for one in document["checks"] if one["verdict"] == "problem"]
    assert wrong["check"] == "configuration"
    assert "destinations.yaml:2" in wrong["detail"]
    monkeypatch.setenv("MSG91_DESTINATION_CONCURENCY", "4")
    document = stage.json("doctor", "--offline", "--json", code=1)
    (wrong,) = [one for one in document["checks"] if one["check"] == "settings"]
    assert "MSG91_DESTINATION_CONCURENCY" in wrong["detail"]
    assert "MSG91_DESTINATION_CONCURRENCY" in wrong["cure"]


def test_without_a_redis_url_the_embedded_valkey_is_tried(bare: Path, monkeypatch: Any) -> None:
    """It is started for a moment, elsewhere: the data directory is not made."""
    monkeypatch.setenv("MSG91_AUTHKEY", "a-key-for-tests")
    result = CliRunner().invoke(main.app, ["doctor", "--offline", "--json"])
    found = checks(orjson.loads(result.stdout))
    assert result.exit_code == 0
    assert found["embedded Valkey"] == "ok"
    assert list(bare.iterdir()) == []
