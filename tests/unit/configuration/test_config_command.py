"""`msg91-destination config`: what people and programs see."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from worker.cli.config import app
from worker.configuration.model import DestinationModel

GOOD = "destinations:\n  - name: shop\n    authkey: ${KEY}\n    write_keys: [TOPSECRET-write-key-WXYZ]\n"
GOOD += "    callbacks: {secrets: TOPSECRET-callback-secret-QRST}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a good file, and with no setting from outside."""
    for name in list(os.environ):
        if name.startswith("MSG91_") or name in {"DESTINATIONS_FILE", "REDIS_URL", "CELERY_BROKER_URL"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("KEY", "TOPSECRET-authkey-ABCD")
    monkeypatch.setenv("REDIS_URL", "redis://:TOPSECRET@store/0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "destinations.yaml").write_text(GOOD)
    return tmp_path


def run(*arguments: str) -> Any:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments))


def test_check_says_what_there_is(folder: Path) -> None:
    """A good file gives exit 0 and one line for each destination."""
    result = run("check")
    assert result.exit_code == 0
    assert "shop: live, https://control.msg91.com, mappings: identify, track, page, screen" in result.output
    assert "destinations.yaml: 1 destination, nothing wrong" in result.output


def test_check_tells_every_problem(folder: Path) -> None:
    """A bad file gives exit 2 and one line for each problem, on standard error, without a traceback."""
    (folder / "destinations.yaml").write_text("destinations:\n  - name: a b\n    authkey: ${NOT_SET}\n    modus: x\n")
    result = run("check")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line[:32] for line in result.stderr.splitlines()] == [
        "error: destinations.yaml:2:11: d",
        "error: destinations.yaml:3:14: d",
        "error: destinations.yaml:4:5: de",
    ]


def test_check_as_json(folder: Path) -> None:
    """Programs get one document, with places, for good and bad files alike."""
    good = run("check", "--json")
    assert good.exit_code == 0
    assert json.loads(good.stdout)["destinations"][0]["name"] == "shop"
    (folder / "destinations.yaml").write_text("destinations:\n  - name: shop\n")
    bad = run("check", "--json")
    assert bad.exit_code == 2
    document = json.loads(bad.stdout)
    assert document["ok"] is False
    (problem,) = document["problems"]
    assert (problem["file"], problem["line"], problem["key"]) == ("destinations.yaml", 2, "destinations[0].authkey")


def test_warnings_fail_when_asked_to(folder: Path) -> None:
    """A warning is printed and stops nothing, except with --strict."""
    (folder / "literal.yaml").write_text("destinations: [{name: a, authkey: literal}]")
    assert run("check", "literal.yaml").exit_code == 0
    result = run("check", "literal.yaml", "--strict")
    assert result.exit_code == 1
    assert "warning: literal.yaml:1:35: destinations[0].authkey: the authkey stands in the file" in result.stderr


def test_check_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong environment variable is a problem like any other."""
    monkeypatch.setenv("MSG91_DESTINATION_PROCESSES", "none")
    result = run("check")
    assert result.exit_code == 2
    assert "MSG91_DESTINATION_PROCESSES: expected a whole number; got text" in result.stderr


def test_show_hides_secrets(folder: Path) -> None:
    """What is shown is complete, but a secret is no more than its last four characters."""
    for arguments in ((), ("--json",)):
        result = run("show", *arguments)
        assert result.exit_code == 0
        assert "TOPSECRET" not in result.output
        assert "****ABCD" in result.output
        assert "****WXYZ" in result.output
        assert "redis://***@store/0" in result.output


def test_show_has_every_key(folder: Path) -> None:
    """The whole configuration is shown, every default written out."""
    document = json.loads(run("show", "--json").stdout)
    (destination,) = document["destinations"]
    assert set(destination) == set(DestinationModel.model_fields)
    assert destination["lanes"]["sms"]["concurrency"] == 30
    assert destination["actions"]["send_sms"]["in_doubt"] == "hold"
    assert document["settings"]["MSG91_DESTINATION_RECORD_TTL"] == 259200
    assert "MSG91_DESTINATION_DEAD_LETTER_TTL: 2592000" in run("show").stdout


def test_schema_is_printed_and_written(folder: Path) -> None:
    """The schema on standard output is the one in the file, and a valid schema."""
    printed = run("schema")
    assert printed.exit_code == 0
    Draft202012Validator.check_schema(json.loads(printed.stdout))
    assert run("schema", "-o", "schema.json").exit_code == 0
    assert (folder / "schema.json").read_text() == printed.stdout


def test_schema_that_cannot_be_written(folder: Path) -> None:
    """A file that cannot be written is a clean error."""
    result = run("schema", "-o", "nowhere/schema.json")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_model_can_be_read_without_the_rest() -> None:
    """The raw configuration needs neither mappings nor actions nor a store, so that an editor's tool starts fast."""
    code = (
        "import sys, worker.configuration.schema, worker.configuration.validation\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in {'mappings', 'redis', 'celery', 'httpx'}"
        " or name.startswith(('worker.actions', 'worker.delivery', 'worker.msg91'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
