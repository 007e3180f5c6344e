"""The JSON Schema of mapping files."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

import mappings
from mappings.directives import DIRECTIVES
from mappings.mapping import read_text
from mappings.schema import mapping_schema
from tests.unit.mappings.recorded import vectors
from worker.actions import ACTIONS

FIELDS = {name: action.fields for name, action in ACTIONS.items()}
SCHEMA = mapping_schema(FIELDS)
ANY = Draft202012Validator(mapping_schema())
OURS = Draft202012Validator(SCHEMA)

#: Written in capitals, these work; the schema completes and asks for small letters.
CAPITALS = {"json-025", "merge-015"}


def file_with(mapping: Any, action: str = "send_sms") -> dict[str, Any]:
    """A mapping file with one mapping."""
    return {"mappings": [{"name": "a", "action": action, "trigger": 'type = "track"', "mapping": mapping}]}


def test_the_schema_is_a_schema() -> None:
    """It is valid by its own draft, and knows every directive."""
    Draft202012Validator.check_schema(SCHEMA)

    named = {next(iter(option["required"])) for option in SCHEMA["$defs"]["directive"]["oneOf"]}
    assert named == set(DIRECTIVES)


@pytest.mark.parametrize("preset", mappings.presets())
def test_presets_pass(preset: str) -> None:
    """What the package ships, an editor does not complain of."""
    assert list(OURS.iter_errors(yaml.safe_load(read_text(preset)))) == []


@pytest.mark.parametrize("vector", vectors("mapping.json"), ids=lambda vector: str(vector["id"]))
def test_the_schema_takes_what_the_loader_takes(vector: dict[str, Any]) -> None:
    """A mapping that compiles passes."""
    try:
        mappings.compile_mapping(vector["mapping"])
    except mappings.MappingError:
        return
    if vector["id"] not in CAPITALS:
        assert list(ANY.iter_errors(file_with(vector["mapping"]))) == []


@pytest.mark.parametrize(
    "mapping",
    [
        {"phone": {"@pth": "x"}, "message": "x"},
        {"phone": {"@path": 5}, "message": "x"},
        {"phone": {"@path": "x", "other": 1}, "message": "x"},
        {"phone": {"@if": {"then": 1}}, "message": "x"},
        {"phone": [{"@case": {"operator": "title"}}], "message": "x"},
        {"phone": {"@replace": {"pattern": "x" * 11, "value": "x"}}, "message": "x"},
        {"phone": {"@liquid": "x" * 1001}, "message": "x"},
        {"phone": {"a": {"b": [{"@merge": {"objects": [1], "direction": "left"}}]}}, "message": "x"},
        {"phone": "1"},
        {"phone": "1", "message": "x", "phon": 1},
        None,
        [],
    ],
)
def test_mistakes_are_marked_in_the_editor(mapping: Any) -> None:
    """Unknown directives, wrong options, unknown and missing fields."""
    assert list(OURS.iter_errors(file_with(mapping))) != []


@pytest.mark.parametrize(
    "change", [{"name": "a b"}, {"action": "nope"}, {"trigger": ""}, {"enabled": "yes"}, {"extra": 1}, {"name": None}]
)
def test_mistakes_around_the_mapping_are_marked_too(change: dict[str, Any]) -> None:
    """Names, actions, triggers, switches and unknown keys."""
    good = file_with({"phone": "1", "message": "x"})
    assert list(OURS.iter_errors(good)) == []

    good["mappings"][0] |= change
    assert list(OURS.iter_errors(good)) != []


def test_choices_are_offered_as_examples() -> None:
    """A field with choices completes them, and still takes directives."""
    fields = {"x": {"kind": {"type": "string", "choices": ["a", {"label": "B", "value": "b"}]}}}
    schema = mapping_schema(fields)["$defs"]["mapping"]["allOf"][0]["then"]["properties"]["mapping"]

    assert schema["else"]["properties"]["kind"]["examples"] == ["a", "b"]


def test_a_mapping_of_one_directive_passes() -> None:
    """Its fields are not known, so none is asked for."""
    for mapping in (
        {"@path": "$.properties"},
        {"__segment_internal_directive": {"@transform": {"apply": {}, "mapping": {}}}, "phone": 1},
    ):
        assert list(OURS.iter_errors(file_with(mapping))) == []
