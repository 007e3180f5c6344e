"""docs/files.md: what it shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.unit.cli.conftest import track
from worker.cli.main import app
from worker.intake.columns import TYPE_NAMES
from worker.intake.folders import NAMES

PAGE = (Path(__file__).parents[3] / "docs" / "files.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    """The first block of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[0]


def test_its_csv_becomes_the_event_it_promises(stage: Any) -> None:
    """The example is accepted, and every column is where the page says."""
    (stage.folder / "events.csv").write_text(block("csv"))
    assert stage.run("send", "events.csv").exit_code == 0
    (event,) = stage.stored()
    assert event == {
        "type": "track",
        "event": "Order Shipped",
        "userId": "u-204",
        "messageId": "o-1",
        "context": {"ip": "203.0.113.7"},
        "properties": {
            "phone": "+91 88188 88758",
            "message": "Your order is on its way",
            "total": 1299.5,
            "vip": True,
        },
    }


def test_its_refused_file_is_what_is_written(stage: Any) -> None:
    """The lines are the ones that a refused event leaves behind."""
    stage.write("events.ndjson", track("8818888758"), {"type": "fly", "userId": "u-7"})
    stage.run("send", "--refused", "refused.ndjson", "events.ndjson")
    assert (stage.folder / "refused.ndjson").read_text() == block("text")


def test_its_dry_run_is_what_is_printed(stage: Any) -> None:
    """The output is that of five such events."""
    events = [track("8818888758"), track("8818888758", message="x" * 161), track("8818888759"), track("8818888760")]
    stage.write("events.ndjson", *events, track("12345"))
    printed = stage.run("send", "--dry-run", "events.ndjson").stdout
    assert printed == block("console").partition("\n")[2]


def test_options_names_and_types_that_it_mentions_exist() -> None:
    """Every option is one of `send`, and every ending and type is the one in use."""
    shown = CliRunner().invoke(app, ["send", "--help"], env={"COLUMNS": "200"}).output
    for option in set(re.findall(r"--[a-z][\w-]+", PAGE)) - {"--data-dir"}:
        assert option in shown, option
    assert all(f"`.{name}`" in PAGE for name in NAMES)
    assert all(f":{name}`" in PAGE for name in TYPE_NAMES if name != "text")
