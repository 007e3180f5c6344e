"""msg91-destination mappings: check, explain, schema, import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from worker.cli.mappings_ import app

GOOD = 'mappings: [{name: a, action: send_sms, trigger: type = "track", mapping: {phone: {"@path": $.p}, message: x}}]'


def run(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command as a script would."""
    return CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)


@pytest.fixture
def event(tmp_path: Path) -> str:
    """A file with one event."""
    file = tmp_path / "event.json"
    file.write_text(json.dumps({"type": "track", "properties": {"phone": 5, "message": "hi"}}))
    return str(file)


def test_check_says_that_all_is_well(tmp_path: Path) -> None:
    """Files and presets, one line each, exit 0."""
    file = tmp_path / "m.yaml"
    file.write_text(GOOD)

    result = run("check", str(file), "segment-msg91")

    assert result.exit_code == 0
    assert result.stdout == f"{file}: 1 mapping, nothing wrong\nsegment-msg91: 4 mappings, nothing wrong\n"


def test_check_lists_every_problem_and_exits_with_1(tmp_path: Path) -> None:
    """One line for each problem, beginning with file, line and column."""
    file = tmp_path / "m.yaml"
    file.write_text(GOOD.replace("@path", "@pth").replace("send_sms", "send_smss"))

    result = run("check", str(file), "nope.yaml")

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == [f"{file}:1:22:", f"{file}:1:76:", "nope.yaml:"]
    assert "Did you mean send_sms?" in lines[0]


def test_check_prints_json(tmp_path: Path) -> None:
    """For programs: problems with their parts, mappings with their versions."""
    file = tmp_path / "m.yaml"
    file.write_text(GOOD.replace("message: x", "message: x, list: 1"))

    bad, good = (
        json.loads(run("check", "--json", str(file)).stdout),
        json.loads(run("check", "--json", "segment-msg91").stdout),
    )

    assert bad["ok"] is False
    assert bad["problems"][0]["path"] == "/mappings/0/mapping/list"
    assert good["ok"] is True
    assert [one["name"] for one in good["files"][0]["mappings"]] == ["identify", "track", "page", "screen"]


def test_warnings_stop_a_strict_check_alone(tmp_path: Path) -> None:
    """They go to standard error."""
    file = tmp_path / "m.yaml"
    file.write_text(GOOD.replace("message: x", 'message: {"@liquid": "{{ a | upcaes }}"}'))

    relaxed, strict = run("check", str(file)), run("check", "--strict", str(file))

    assert (relaxed.exit_code, strict.exit_code) == (0, 1)
    assert "Did you mean 'upcase'?" in relaxed.stderr


def test_explain_shows_clauses_and_fields(event: str) -> None:
    """Each mapping with its verdict, the meant one with its fields and where they came from."""
    result = run("explain", "segment-msg91", event)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "track → send_sms: meant" in lines
    assert "identify → send_sms: not meant" in lines
    assert 'no\ttype = "identify"\t"track"' in lines
    assert "phone\t5\t$.properties.phone\t" in lines
    assert "firstName\tmissing\t$.properties.firstName\tproperties has no 'firstName'" in lines
    assert "✓ the fields of send_sms are in order" in lines


def test_explain_exits_with_1_when_a_meant_event_cannot_be_sent(tmp_path: Path) -> None:
    """The field errors are shown."""
    file = tmp_path / "event.json"
    file.write_text('{"type": "track", "properties": {}}')

    result = run("explain", "segment-msg91", str(file), "--mapping", "track")

    assert result.exit_code == 1
    assert "✗ phone: is required, but it is missing or empty." in result.stdout


def test_explain_reads_standard_input_and_prints_json(event: str) -> None:
    """A dash is standard input; with --all the fields of mappings that are not meant are there too."""
    text = Path(event).read_text()

    plain = json.loads(run("explain", "segment-msg91", "-", "--json", stdin=text).stdout)
    everything = json.loads(run("explain", "segment-msg91", "-", "--json", "--all", stdin=text).stdout)

    assert [one["matches"] for one in plain] == [False, True, False, False]
    assert plain[0]["fields"] == []
    assert everything[0]["fields"][0] == {
        "field": "phone",
        "missing": True,
        "value": None,
        "from": ["$.traits.phone"],
        "why_missing": "the event has no 'traits'",
        "error": None,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "segment-msg91", "nope.json"), "cannot be read"),
        (("explain", "segment-msg91", "-"), "this is not JSON"),
        (("explain", "segment-msg91", "-", "--mapping", "nope"), "there is no mapping 'nope'"),
        (("import", "-", "--action", "x=nope"), "not an action of ours"),
        (("import", "-", "--action", "x"), "not an action of ours"),
    ],
)
def test_wrong_usage_is_one_clean_message_and_exit_2(arguments: tuple[str, ...], words: str) -> None:
    """No traceback, and a hint where there is one."""
    result = run(*arguments, stdin="{not json")

    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_an_event_that_is_not_utf_8_is_named_as_that(tmp_path: Path) -> None:
    """Bytes that are no text are one clean message, without the words of a JSON parser."""
    file = tmp_path / "event.json"
    file.write_bytes('{"type": "track", "event": "é"}'.encode("latin-1"))

    result = run("explain", "segment-msg91", str(file))

    assert result.exit_code == 2
    assert f"{file}: this is not UTF-8 text" in result.stderr.replace("\n", "")


def test_a_byte_order_mark_before_an_event_is_passed_over(tmp_path: Path) -> None:
    """Files as some Windows programs save them are read like any other."""
    file = tmp_path / "event.json"
    file.write_bytes(b'\xef\xbb\xbf{"type": "track", "properties": {"phone": 5, "message": "hi"}}')

    assert run("explain", "segment-msg91", str(file), "--mapping", "track").exit_code == 0


def test_a_file_without_mappings_has_nothing_to_explain(tmp_path: Path) -> None:
    """The error says so, and names no mapping that nobody asked for."""
    file = tmp_path / "none.yaml"
    file.write_text("mappings: []\n")

    result = run("explain", str(file), "-", stdin="{}")

    assert result.exit_code == 2
    assert "has no mappings" in result.stderr


def test_a_file_of_many_events_is_refused_with_a_hint() -> None:
    """One event for each line is what intake takes; explain takes one."""
    result = run("explain", "segment-msg91", "-", stdin='{"type": "track"}\n{"type": "page"}\n')

    assert result.exit_code == 2
    assert "head -n 1" in result.stderr


def test_a_list_of_events_is_refused_with_a_hint() -> None:
    """One event at a time."""
    result = run("explain", "segment-msg91", "-", stdin="[{}]")

    assert result.exit_code == 2
    assert "jq '.[0]'" in result.stderr


def test_schema_goes_to_standard_output_or_a_file(tmp_path: Path) -> None:
    """The same document both ways."""
    file = tmp_path / "schema.json"

    printed = run("schema").stdout
    assert run("schema", "--output", str(file)).exit_code == 0

    assert json.loads(printed)["title"] == "Mapping file"
    assert file.read_text() == printed


SUBSCRIPTION: dict[str, Any] = {
    "name": "Shipped",
    "actionSlug": "send_sms",
    "enabled": True,
    "trigger": 'type = "track"',
    "settings": {"phone": {"@path": "$.p"}, "message": "x"},
}


def test_import_prints_a_file_that_check_takes(tmp_path: Path) -> None:
    """What import writes needs no mending."""
    answer, file = tmp_path / "answer.json", tmp_path / "m.yaml"
    answer.write_text(json.dumps({"data": {"subscriptions": [SUBSCRIPTION]}}))

    result = run("import", str(answer), "-o", str(file))

    assert result.exit_code == 0
    assert "1 mapping imported" in result.stderr
    assert run("check", str(file)).exit_code == 0


def test_import_names_what_is_lost_and_exits_with_1() -> None:
    """On standard error, so that the file can be piped."""
    document = json.dumps([SUBSCRIPTION, SUBSCRIPTION | {"name": "Other", "actionSlug": "x", "settings": {"q": 1}}])

    result = run("import", "-", stdin=document)
    as_json = json.loads(run("import", "-", "--json", stdin=document).stdout)
    chosen = run("import", "-", "--action", "x=upsert_contact", stdin=document)

    assert result.exit_code == 1
    assert "lost: Other: left out: its action (x) has no counterpart here." in result.stderr.splitlines()
    assert result.stdout.count("- name:") == 1
    assert [note["lost"] for note in as_json["notes"]] == [True]
    assert "which upsert_contact requires" in chosen.stderr
