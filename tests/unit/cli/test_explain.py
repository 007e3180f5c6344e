"""`explain`: what would become of an event and why, with the request that the worker itself would make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner, Result

from worker.actions.send_sms import SendSms
from worker.cli import main
from worker.explaining import TOKEN

Track = Callable[..., dict[str, Any]]


def explain(*arguments: str, stdin: Any = None) -> Result:
    """Run the command on events from standard input."""
    data = stdin if isinstance(stdin, bytes | None) else orjson.dumps(stdin)
    return CliRunner().invoke(main.app, ["explain", *arguments], input=data)


def explained(event: Any, *arguments: str) -> dict[str, dict[str, Any]]:
    """What each mapping of the first destination makes of one event."""
    (one,) = orjson.loads(explain("-", "--json", *arguments, stdin=event).stdout)
    return {each["mapping"]: each for each in one["destinations"][0]["mappings"]}


def configure(folder: Path, *destinations: dict[str, Any], **mappings: Any) -> None:
    """Write a destinations file, and mapping files beside it."""
    (folder / "destinations.yaml").write_text(yaml.safe_dump({"destinations": list(destinations)}))
    for name, content in mappings.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"mappings": content}))


MSG91 = {"name": "msg91", "authkey": "a-key-for-tests", "default_sender": "MSGIND"}


def test_the_request_is_the_one_the_worker_makes(stage: Any, track: Track) -> None:
    """Method, address and body are what MSG91 gets, but for the id that each request has of its own."""
    event = track("8818888758", "m1", "Hello €")
    found = explained(event, "--show-numbers")["track"]
    stage.write("events.ndjson", event)
    assert stage.run("send", "events.ndjson").exit_code == 0
    stage.work()
    (sent,) = stage.requests
    assert {**sent, "CRQID": TOKEN} == found["request"]["body"]
    assert (found["request"]["method"], found["request"]["url"]) == ("POST", "https://control.msg91.com/api/v2/sendsms")
    (record,) = stage.core.ledger.records([found["delivery"]])
    assert record.state.value == "accepted"


def test_matches_and_misses_are_shown_with_their_reasons(bare: Path, track: Track) -> None:
    """The mapping that matches shows its fields and where they come from; the others show what their trigger missed."""
    configure(bare, MSG91)
    found = explained(track("8818888758"))
    assert {name: one["verdict"] for name, one in found.items()} == {
        "identify": "not_matched",
        "track": "sent",
        "page": "not_matched",
        "screen": "not_matched",
    }
    assert found["page"]["clauses"] == [
        {"clause": 'type = "page"', "holds": False, "depth": 0, "reason": "type is text"}
    ]
    fields = {one["field"]: one for one in found["track"]["fields"]}
    assert (fields["message"]["from"], fields["message"]["value"]) == (["$.properties.message"], "hello")
    assert "value" not in fields["firstName"]
    assert "firstName" in fields["firstName"]["note"]


@pytest.mark.parametrize(
    ("message", "encoding", "units", "parts"),
    [("a" * 161, "GSM-7", 161, 2), ("€" * 81, "GSM-7", 162, 2), ("नमस्ते", "UCS-2", 6, 1), ("न" * 71, "UCS-2", 71, 2)],
)
def test_encoding_and_parts_are_told(
    bare: Path, track: Track, message: str, encoding: str, units: int, parts: int
) -> None:
    """The text's encoding and the number of SMS parts are those of the request."""
    configure(bare, MSG91)
    text = explained(track("8818888758", message=message))["track"]["text"]
    assert (encoding, units, parts) == (text["encoding"], text["units"], text["parts"])
    shown = explain("-", stdin=track("8818888758", message=message)).stdout
    assert f"{encoding}, {len(message)} characters, {units} units, {parts} SMS part" in shown


@pytest.mark.parametrize("number", ["+91 88188 88758", 918818888758, "8818888758"])
def test_numbers_are_hidden_unless_they_are_asked_for(bare: Path, track: Track, number: Any) -> None:
    """However a number is written, and wherever it stands, only ``--show-numbers`` shows it."""
    configure(bare, MSG91)
    event = track(number, message=f"call {number} or +918818888759")
    for arguments in ((), ("--json",)):
        hidden = explain("-", *arguments, stdin=event).stdout.replace(" ", "")
        assert "8818888758" not in hidden
        assert "8818888759" not in hidden
        assert "918818888758" in explain("-", "--show-numbers", *arguments, stdin=event).stdout


def test_what_would_be_rejected_says_which_field_and_why(bare: Path, track: Track) -> None:
    """A delivery that would be rejected shows every field at fault, no request, and makes the command leave with 1."""
    configure(bare, MSG91)
    found = explained(track("12345", senderID="x"))["track"]
    assert (found["verdict"], found["request"]) == ("rejected", None)
    assert [error["field"] for error in found["errors"]] == ["phone"]
    result = explain("-", stdin=track("12345"))
    assert result.exit_code == 1
    assert "error  phone: 5 digits are too few" in result.stdout


@pytest.mark.parametrize(
    ("more", "event", "verdict", "reason"),
    [
        ({"mode": "dry"}, {}, "suppressed", "dry"),
        ({"mode": "allow-list", "allow_list": ["+918818888759"]}, {}, "suppressed", "not on the allow list"),
        ({"mode": "allow-list", "allow_list": ["+918818888758"]}, {}, "sent", None),
        (
            {"actions": {"send_sms": {"time_to_live": 60}}},
            {"timestamp": "2020-01-01T00:00:00Z"},
            "expired",
            "stale event",
        ),
    ],
)
def test_what_a_policy_would_stop_says_so(
    bare: Path, track: Track, more: dict[str, Any], event: dict[str, Any], verdict: str, reason: str | None
) -> None:
    """Dry destinations, allow lists and times to live: the verdict and its reason, and the request that stays."""
    configure(bare, {**MSG91, **more})
    found = explained(track("8818888758", **event))["track"]
    assert (verdict, reason) == (found["verdict"], found["reason"])
    assert found["request"]["body"]["sms"][0]["to"] == ["91*******758"]


def test_the_integrations_object_is_honoured(bare: Path, track: Track) -> None:
    """An event that is switched off for a destination says which entry does it."""
    configure(bare, MSG91, {**MSG91, "name": "shop"})
    (found,) = orjson.loads(explain("-", "--json", stdin=track("8818888758", integrations={"shop": False})).stdout)
    assert [there["filtered"] for there in found["destinations"]] == [
        None,
        "integrations.shop of the event switches it off",
    ]
    result = explain("-", stdin=track("8818888758", integrations={"All": False}))
    assert "msg91: filtered: integrations.All of the event switches it off" in result.stdout
    assert "no destination takes it" in result.stdout


def test_malformed_lines_are_explained_too(bare: Path, track: Track) -> None:
    """A line that is no event says why, with its place; the others are explained; exit 1."""
    configure(bare, MSG91)
    (bare / "events.ndjson").write_bytes(b"nope\n" + orjson.dumps(track("8818888758")))
    result = explain("events.ndjson")
    assert result.exit_code == 1
    assert "events.ndjson:1: not JSON" in result.stdout
    assert "would be sent" in result.stdout
    first, second = orjson.loads(explain("events.ndjson", "--json").stdout)
    assert (first["malformed"]["code"], first["line"], second["line"]) == ("not_json", 1, 2)


def test_an_event_that_no_mapping_takes_is_filtered(bare: Path) -> None:
    """A call without a mapping would be filtered; that is no problem."""
    result = explain("-", stdin={"type": "group", "groupId": "g"})
    assert result.exit_code == 0
    assert "no mapping takes it: it would be filtered" in result.stdout


def test_disabled_mappings_and_clauses_of_a_trigger_are_shown(bare: Path, track: Track) -> None:
    """A mapping that is switched off is named; of a trigger each clause says whether it holds."""
    mapping = {"phone": {"@path": "$.properties.phone"}, "message": "hi"}
    configure(
        bare,
        {**MSG91, "mappings": "own.yaml"},
        own=[
            {"name": "off", "action": "send_sms", "trigger": 'type = "track"', "mapping": mapping, "enabled": False},
            {"name": "vip", "action": "send_sms", "trigger": 'type = "track" and userId = "7"', "mapping": mapping},
        ],
    )
    found = explained(track("8818888758"))
    assert (found["off"]["verdict"], found["vip"]["verdict"]) == ("disabled", "not_matched")
    shown = explain("-", stdin=track("8818888758")).stdout
    assert 'yes  type = "track"' in shown
    assert 'no   userId = "7"' in shown


def test_templates_and_segmento_events_are_explained(bare: Path) -> None:
    """Actions without a text of their own show their request, and no invented number of parts."""
    configure(
        bare,
        {**MSG91, "mappings": "segment-msg91-flow", "default_template_id": "5f1234567890abcdef123456"},
        {**MSG91, "name": "events", "mappings": "segmento-user-events", "segmento": {"phonebook_id": "123"}},
    )
    event = {"type": "track", "event": "Hi", "userId": "u1", "properties": {"phone": "8818888758", "message": "x"}}
    (found,) = orjson.loads(explain("-", "--json", stdin=event).stdout)
    flow, events = ({one["mapping"]: one for one in there["mappings"]}["track"] for there in found["destinations"])
    assert (flow["text"], flow["request"]["body"]["template_id"]) == (None, "5f1234567890abcdef123456")
    assert (events["request"]["body"]["data"][0]["visitor_id"], events["text"]) == ("u1", None)
    assert "which only MSG91 knows" in explain("-", stdin=event).stdout


def test_a_request_that_cannot_be_built_would_be_rejected(
    bare: Path, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an action fails at a payload the delivery would be rejected, as a worker does it, and nothing breaks."""

    def build(*_: Any) -> None:
        raise ValueError

    configure(bare, MSG91)
    monkeypatch.setattr(SendSms, "build", build)
    for arguments in ((), ("--json",)):
        result = explain("-", *arguments, stdin=track("8818888758"))
        assert result.exit_code == 1
        assert "the request cannot be built: ValueError" in result.stdout


def test_nothing_has_to_be_configured(bare: Path, track: Track) -> None:
    """Without any configuration, store or authkey the preset is explained, and the command says so."""
    result = explain("-", stdin=track("8818888758", senderID="MSGIND"))
    assert "this is what MSG91_AUTHKEY alone would make" in result.stderr
    assert "msg91 / track → send_sms: rejected" in result.stdout
    assert list(bare.iterdir()) == []


def test_only_one_destination_can_be_asked(bare: Path, track: Track) -> None:
    """``--destination`` leaves the others out, and must name one that there is."""
    configure(bare, MSG91, {**MSG91, "name": "shop"})
    (found,) = orjson.loads(explain("-", "--json", "-d", "shop", stdin=track("8818888758")).stdout)
    assert [there["destination"] for there in found["destinations"]] == ["shop"]
    assert explain("-", "-d", "none", stdin=track("8818888758")).exit_code == 2


def test_a_file_that_is_not_there_is_an_error(bare: Path) -> None:
    """A file that cannot be read: exit 2 and one sentence."""
    result = explain("none.ndjson")
    assert (result.exit_code, "none.ndjson: there is no such file" in result.stderr) == (2, True)


def test_an_empty_file_is_an_empty_array(bare: Path) -> None:
    """Nothing in, nothing wrong."""
    result = explain("-", "--json", stdin=b"")
    assert (result.exit_code, orjson.loads(result.stdout)) == (0, [])
