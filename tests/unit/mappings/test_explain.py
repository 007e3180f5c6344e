"""Explanations of mappings."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import MISSING, FieldExplanation, compile_mapping

EVENT: dict[str, Any] = {
    "userId": "u",
    "properties": {"phone": "1", "gone": None, "items": [{"id": "a"}, {}], "which": 5},
}


def explained(mapping: Any) -> FieldExplanation:
    """The explanation of one field."""
    [field] = compile_mapping({"field": mapping}).explain(EVENT)
    return field


def test_every_field_is_explained_in_order() -> None:
    """Value, the path it was read from, and why it is missing."""
    fields = compile_mapping(
        {"phone": {"@path": "$.properties.phone"}, "name": {"@path": "$.traits.name"}, "constant": 5}
    ).explain(EVENT)

    assert [(field.field, field.value) for field in fields] == [("phone", "1"), ("name", MISSING), ("constant", 5)]
    assert [[read.path for read in field.reads] for field in fields] == [["$.properties.phone"], ["$.traits.name"], []]
    assert [field.why_missing for field in fields] == [None, "the event has no 'traits'", None]


@pytest.mark.parametrize(
    ("mapping", "paths"),
    [
        (
            {"@if": {"exists": {"@path": "$.nope"}, "then": {"@path": "$.a"}, "else": {"@path": "$.userId"}}},
            ["$.nope", "$.userId"],
        ),
        ({"@template": "{{userId}} {{{properties.phone}}}"}, ["$.userId", "$.properties.phone"]),
        ({"@liquid": "{% assign x = userId %}{{ properties.phone }}{{ x }}"}, ["$.userId", "$.properties.phone"]),
        (
            {"@arrayPath": ["$.properties.items", {"id": {"@path": "$.id"}}]},
            ["$.properties.items", "$.properties.items[].id", "$.properties.items[].id"],
        ),
        ({"@path": {"@template": "$.properties.{{userId}}"}}, ["$.userId", "$.properties.u"]),
        (
            {"@transform": {"apply": {"p": {"@path": "$.userId"}}, "mapping": {"x": {"@path": "$.p"}}}},
            ["$.userId", "@transform.p"],
        ),
    ],
)
def test_only_what_was_really_read_is_named(mapping: Any, paths: list[str]) -> None:
    """The branch not taken leaves no trace, and items of lists are named by their list."""
    assert sorted(read.path for read in explained(mapping).reads) == sorted(paths)


@pytest.mark.parametrize(
    ("mapping", "why"),
    [
        ({"@path": "$.properties.nope"}, "properties has no 'nope'"),
        ({"@path": "$.properties.gone.x"}, "properties.gone is null, not an object"),
        ({"@excludeWhenNull": {"@path": "$.properties.gone"}}, "the value is null and @excludeWhenNull drops it"),
        ({"@if": {"exists": {"@path": "$.userId"}, "else": 1}}, "nothing was chosen"),
    ],
)
def test_a_missing_value_has_a_reason(mapping: Any, why: str) -> None:
    """Why there is nothing is said in one sentence."""
    field = explained(mapping)

    assert field.value is MISSING
    assert field.why_missing == why


def test_an_error_of_one_field_does_not_hide_the_others() -> None:
    """Each field is resolved by itself."""
    good, bad = compile_mapping({"good": 1, "bad": {"@path": {"@path": "$.properties.which"}}}).explain(EVENT)

    assert good.value == 1
    assert bad.value is MISSING
    assert "should give a path as text, but it gives a number" in (bad.error or "")


def test_a_mapping_of_one_directive_is_one_field_without_a_name() -> None:
    """There is one thing to explain."""
    for mapping in (
        {"@path": "$.properties.phone"},
        {"__segment_internal_directive": {"@transform": {"apply": {"p": 1}}}, "x": {"@path": "$.p"}},
    ):
        [field] = compile_mapping(mapping).explain(EVENT)
        assert field.field == ""
        assert field.value is not MISSING


@pytest.mark.parametrize(
    "mapping", [{"@path": "$.userId"}, {"a": [{"@path": "$.nope"}], "b": {"@template": "{{userId}}"}}]
)
def test_an_explanation_agrees_with_the_resolution(mapping: dict[str, Any]) -> None:
    """The values explained are the values resolved."""
    compiled = compile_mapping(mapping)

    fields = {field.field: field.value for field in compiled.explain(EVENT) if field.value is not MISSING}

    assert fields.get("", fields) == compiled(EVENT)
