"""Paths."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import MISSING
from mappings.paths import compile_path, explain_keys, parse_path

EVENT: dict[str, Any] = {
    "userId": "u",
    "zero": 0,
    "empty": "",
    "null": None,
    "properties": {"a.b": 1, "odd key": 2, "it's": 3, "list": ["x", {"y": ["z"]}], "0": "zero", "length": "own"},
    "text": "a👍",
    "items": [[1, 2], [3]],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.userId", "u"),
        ("userId", "u"),
        ("properties.list[0]", "x"),
        ("$.properties.list.1.y[0]", "z"),
        ("$.properties.list[-1].y", ["z"]),
        ("$.properties['a.b']", 1),
        ('$.properties["odd key"]', 2),
        ("$.properties.odd key", 2),
        ("$.properties.it's", 3),
        ("$.properties[0]", "zero"),
        ("$.properties.length", "own"),
        ("$.text.length", 3),
        ("$.items.length", 2),
        ("$.items[1][0]", 3),
        ("$..properties..list..0.", "x"),
        ("$.properties.list[0", "x"),
        ("$.", EVENT),
        (".", EVENT),
        ("", EVENT),
    ],
)
def test_a_path_finds_its_value(path: str, value: Any) -> None:
    """Dots, brackets, quotes, indexes from both ends and length."""
    assert compile_path(path)(EVENT) == value


@pytest.mark.parametrize(
    "path",
    [
        "$.nope",
        "$.nope.nope.nope",
        "$.zero.x",
        "$.empty.x",
        "$.null.x",
        "$.text[0]",
        "$.text.x",
        "$.zero.length",
        "$.properties.list[2]",
        "$.properties.list[-3]",
        "$.properties.list.01",
        "$.properties.list.x",
        "$.properties.list[99999999999999999999]",
        "$",
    ],
)
def test_a_path_that_leads_nowhere_is_missing(path: str) -> None:
    """Nothing is found below null, zero or text, and beyond the ends of a list."""
    assert compile_path(path)(EVENT) is MISSING


@pytest.mark.parametrize("payload", [None, 5, "text", [], MISSING, True])
@pytest.mark.parametrize("path", ["a", "a.b", "a.b.c"])
def test_a_payload_that_is_no_object_has_nothing(path: str, payload: Any) -> None:
    """Items of a list are payloads too, and may be anything."""
    assert compile_path(path)(payload) is MISSING


def test_subclasses_of_dict_are_objects() -> None:
    """What a JSON library gives in place of a plain dict works the same."""

    class Special(dict[str, Any]):
        pass

    event = Special(a=Special(b=Special(c=1)))

    assert compile_path("a.b.c")(event) == 1
    assert compile_path("a.b")(event) == {"c": 1}
    assert compile_path("a")(event) == {"b": {"c": 1}}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nope", "the event has no 'nope'"),
        ("properties.nope", "properties has no 'nope'"),
        ("properties.list.7", "properties.list is a list of 2 and has no '7'"),
        ("zero.x", "zero is a number, not an object"),
        ("null.x", "null is null, not an object"),
    ],
)
def test_why_a_path_leads_nowhere_is_told_without_values(path: str, reason: str) -> None:
    """The reason names the key that is not there, or the type that stands in the way."""
    assert explain_keys(parse_path(path), EVENT) == reason


def test_there_is_no_reason_when_a_value_is_found() -> None:
    """A null that is there is found."""
    assert explain_keys(parse_path("$.null"), EVENT) is None
