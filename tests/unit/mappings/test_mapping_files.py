"""Mapping files and presets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mappings
from mappings import MappingError, Problem
from mappings.mapping import parse
from mappings.source import MAX_BYTES
from worker.actions import ACTIONS

FIELDS = {name: action.fields for name, action in ACTIONS.items()}

GOOD = """
mappings:
  - name: shipped
    action: send_sms
    trigger: type = "track" and event = "Order Shipped"
    mapping:
      phone: {"@path": $.properties.phone}
      message: {"@template": "Hi {{properties.firstName}}"}
    description: Tells people.
  - name: off
    action: upsert_contact
    trigger: type = "identify"
    mapping: {contactId: {"@path": $.userId}}
    enabled: false
"""


def problems(text: str, name: str = "file.yaml") -> list[Problem]:
    """What is wrong with the text of a file."""
    with pytest.raises(MappingError) as caught:
        parse(text, name, FIELDS)
    return caught.value.problems


def test_a_good_file_gives_its_mappings() -> None:
    """Every mapping is compiled and knows its name, action, version and whether it takes part."""
    first, second = parse(GOOD, "file.yaml", FIELDS).mappings

    assert (first.name, first.action, first.enabled, first.description) == (
        "shipped",
        "send_sms",
        True,
        "Tells people.",
    )
    event = {"type": "track", "event": "Order Shipped", "properties": {"phone": "1", "firstName": "Zoë"}}
    assert first.trigger(event)
    assert first.mapping(event) == {"phone": "1", "message": "Hi Zoë"}
    assert not second.enabled


def test_yaml_and_json_are_the_same_file() -> None:
    """A file ending in .json is JSON, and its mappings have the same versions."""
    as_json = json.dumps(
        {
            "mappings": [
                {
                    "name": "shipped",
                    "action": "send_sms",
                    "trigger": 'type = "track" and event = "Order Shipped"',
                    "mapping": {
                        "phone": {"@path": "$.properties.phone"},
                        "message": {"@template": "Hi {{properties.firstName}}"},
                    },
                }
            ]
        },
        indent="\t",
    )

    assert parse(as_json, "file.json").mappings[0].version == parse(GOOD, "file.yaml").mappings[0].version


def test_the_version_changes_with_what_a_mapping_does_and_nothing_else() -> None:
    """Comments, layout and the switch leave it alone; trigger, action and fields do not."""
    version = parse(GOOD, "f").mappings[0].version

    def changed(old: str, new: str) -> str:
        return parse(GOOD.replace(old, new, 1), "f").mappings[0].version

    assert len(version) == 12
    assert changed("name: shipped", "# comment\n    name: shipped") == version
    assert changed("description: Tells people.", "enabled: false") == version
    assert changed("Order Shipped", "Order Sent") != version
    assert changed("send_sms", "other") != version
    assert changed("Hi {{", "Hello {{") != version


def test_every_problem_of_a_file_is_told_at_once_with_its_place() -> None:
    """Names, actions, triggers, fields, directives and options, in the order of the file."""
    found = problems(
        """mappings:
  - name: shipped sms
    action: send_smss
    trigger: type = "track" and evnt = "Order Shipped"
    mapping:
      phone: {"@pth": $.properties.phone}
      list: [{"@if": {"then": 1}}]
  - name: b
    action: send_sms
    trigger: type = "track"
    mapping:
      phon: 1
      message: {"@liquid": "{{ a | sort }}"}
    enabledd: true
    enabled: yes
  - just text
  - name: b
    action: 5
    mapping: null
more: 1
"""
    )

    assert [(problem.line, problem.column, problem.path) for problem in found] == [
        (2, 5, "/mappings/0/name"),
        (3, 5, "/mappings/0/action"),
        (4, 5, "/mappings/0/trigger"),
        (6, 7, "/mappings/0/mapping/phone"),
        (7, 15, "/mappings/0/mapping/list/0/@if"),
        (11, 5, "/mappings/1/mapping"),
        (12, 7, "/mappings/1/mapping/phon"),
        (13, 17, "/mappings/1/mapping/message/@liquid"),
        (14, 5, "/mappings/1/enabledd"),
        (15, 5, "/mappings/1/enabled"),
        (16, 5, "/mappings/2"),
        (17, 5, "/mappings/3"),
        (17, 5, "/mappings/3/name"),
        (18, 5, "/mappings/3/action"),
        (19, 5, "/mappings/3/mapping"),
        (20, 1, "/more"),
    ]
    suggestions = {problem.path: problem.suggestion for problem in found}
    assert suggestions["/mappings/0/action"] == "Did you mean send_sms?"
    assert suggestions["/mappings/0/trigger"] == "Did you mean event?"
    assert suggestions["/mappings/0/mapping/phone"] == "Did you mean @path?"
    assert suggestions["/mappings/1/mapping/phon"] == "Did you mean phone?"
    assert suggestions["/mappings/1/enabledd"] == "Did you mean 'enabled'?"
    assert all(problem.file == "file.yaml" for problem in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "should be an object with the key 'mappings'"),
        ("[]", "should be an object with the key 'mappings'"),
        ("{}", "should have the key 'mappings'"),
        ("mapings: []", "Did you mean mappings?"),
        ("mappings: {}", "should be a list"),
    ],
)
def test_a_file_has_one_list_of_mappings(text: str, words: str) -> None:
    """Anything else is explained."""
    assert any(words in str(problem) for problem in problems(text))


def test_a_problem_reads_like_a_compilers() -> None:
    """file:line:column: path and sentence, so that editors can jump to it."""
    [problem] = problems(GOOD.replace("@path", "@pth", 1))

    assert str(problem) == (
        "file.yaml:7:7: /mappings/0/mapping/phone has an unknown directive: @pth. Did you mean @path?"
    )


def test_required_fields_that_nothing_fills_are_told_when_the_file_is_loaded() -> None:
    """A mapping that can never be sent is found before the first event."""
    [problem] = problems(GOOD.replace("message:", "firstName:", 1))

    assert "'message', which send_sms requires" in problem.message


def test_a_mapping_that_is_one_directive_is_not_checked_by_its_keys() -> None:
    """Its fields are known only when it is resolved; keys of Segment's own tools are let through."""
    parse(
        """mappings:
  - name: a
    action: send_sms
    trigger: type = "track"
    mapping: {"@path": $.properties}
  - name: b
    action: send_sms
    trigger: type = "track"
    mapping: {phone: 1, message: x, __segment_internal_sync_mode: add}
  - name: c
    action: send_sms
    trigger: type = "track"
    mapping: {__segment_internal_directive: {"@transform": {apply: {}}}, phone: 1}
""",
        "f",
        FIELDS,
    )


def test_warnings_do_not_stop_a_file() -> None:
    """What works but is hardly meant is kept beside the mappings."""
    file = parse(GOOD.replace("Hi {{properties.firstName}}", "x").replace("@template", "@liquid"), "f")
    warned = parse(GOOD.replace('{"@template": "Hi {{properties.firstName}}"}', '{"@liquid": "{{ a | upcaes }}"}'), "f")

    assert file.warnings == ()
    assert [(warning.line, warning.suggestion) for warning in warned.warnings] == [(8, "Did you mean 'upcase'?")]


def test_a_file_that_cannot_be_read_is_a_mapping_error(tmp_path: Path) -> None:
    """Missing, a folder, too large, not text: each is one clean problem with a hint."""
    folder, large, binary = tmp_path / "folder", tmp_path / "large.yaml", tmp_path / "binary.yaml"
    folder.mkdir()
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    binary.write_bytes(b"mappings: []\n# \xff")

    for file, words in (
        ("segment-msg9", "Did you mean the preset segment-msg91?"),
        (tmp_path / "nope.yaml", "No such file"),
        (folder, "directory"),
        (large, "larger than"),
        (binary, "not UTF-8"),
    ):
        with pytest.raises(MappingError) as caught:
            mappings.load(file)
        assert words in str(caught.value)


@pytest.mark.parametrize("name", ["f.yaml", "f.json"])
def test_half_a_character_is_refused(name: str) -> None:
    """What could not be sent as UTF-8 does not come into a mapping."""
    text = '{"mappings": [{"name": "a", "action": "x", "trigger": "type = a", "mapping": {"v": "\\ud800"}}]}'

    with pytest.raises(MappingError, match=r"half of a character|not YAML"):
        parse(text, name)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    """Files written on Windows load."""
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode().replace(b"\n", b"\r\n"))

    assert len(mappings.load(file).mappings) == 2


@pytest.mark.parametrize("name", mappings.presets())
def test_presets_are_good_and_fit_the_actions(name: str) -> None:
    """Every preset loads without a warning, against the actions as they are."""
    file = mappings.load(name, FIELDS)

    assert file.mappings
    assert file.warnings == ()


CALLS = {
    "identify": {"type": "identify", "userId": "u", "traits": {}},
    "track": {"type": "track", "event": "Order Shipped", "userId": "u", "properties": {}},
    "page": {"type": "page", "name": "Home", "anonymousId": "a", "properties": {}},
    "screen": {"type": "screen", "name": "Login", "anonymousId": "a", "properties": {}},
}


@pytest.mark.parametrize("preset", ["segment-msg91", "segment-msg91-flow"])
@pytest.mark.parametrize("call", CALLS)
def test_the_segment_presets_send_each_call_by_its_own_mapping(preset: str, call: str) -> None:
    """Identify reads traits and the others read properties; only the type decides."""
    event: dict[str, Any] = dict(CALLS[call])
    data = {"phone": 918818888758, "firstName": "Zoë", "message": "Thanks", "senderID": "MSGIND", "templateId": "t"}
    event["traits" if call == "identify" else "properties"] = data

    [mapping] = [one for one in mappings.load(preset).mappings if one.trigger(event)]

    assert mapping.name == call
    resolved = mapping.mapping(event)
    assert resolved["phone"] == data["phone"]
    if preset == "segment-msg91":
        assert resolved == {key: data[key] for key in ("phone", "firstName", "message", "senderID")}
    else:
        assert resolved["templateId"] == "t"
        assert resolved["variables"] == {"firstName": "Zoë", "message": "Thanks"}


def test_flow_variables_of_the_event_win() -> None:
    """What the event gives as variables is added to firstName and message and overrides them."""
    event = {"type": "track", "properties": {"phone": "1", "firstName": "A", "variables": {"firstName": "B", "otp": 7}}}
    [mapping] = [one for one in mappings.load("segment-msg91-flow").mappings if one.trigger(event)]

    assert mapping.mapping(event)["variables"] == {"firstName": "B", "otp": 7}


def test_one_time_passwords_are_asked_for_by_name() -> None:
    """Only the two events of that name send a one-time password, and nothing that is not in the event is filled in."""
    file = mappings.load("segment-msg91-otp")
    asked = {"type": "track", "event": "OTP Requested", "properties": {"phone": "1", "otp": "4321"}}
    again = {"type": "track", "event": "OTP Resend Requested", "properties": {"phone": "1", "channel": "voice"}}

    found = [
        [(one.action, one.mapping(event)) for one in file.mappings if one.trigger(event)] for event in (asked, again)
    ]

    assert found == [
        [("send_otp", {"phone": "1", "otp": "4321"})],
        [("resend_otp", {"phone": "1", "channel": "voice"})],
    ]
    assert not [one for one in file.mappings for event in CALLS.values() if one.trigger(event)]


@pytest.mark.parametrize("call", CALLS)
def test_user_events_name_the_visitor_and_the_event(call: str) -> None:
    """The visitor is the userId, else the anonymousId; pages and screens get a name that says what happened."""
    event = CALLS[call]
    [mapping] = [one for one in mappings.load("segmento-user-events").mappings if one.trigger(event)]

    resolved = mapping.mapping(event)

    assert resolved.get("visitorId", resolved.get("contactId")) == ("u" if "userId" in event else "a")
    names = {"track": "Order Shipped", "page": "Viewed Home Page", "screen": "Viewed Login Screen"}
    assert resolved.get("eventName") == names.get(call)
