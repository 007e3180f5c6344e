"""Segment's recorded answers, and the ones we give on purpose where they differ."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from mappings import MISSING, MappingError, TriggerError, compile_mapping, compile_trigger

FOLDER = Path(__file__).parents[2] / "vectors"

#: What stands for "this is an error", and for "this is missing".
ERROR = "an error"
NOTHING = "nothing"


def vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of one file."""
    return list(json.loads((FOLDER / name).read_text("utf-8"))["vectors"])


def plain(value: Any) -> Any:
    """A recorded value: a missing item of a list is null, and numbers that JSON cannot carry are spelled."""
    if isinstance(value, dict):
        if value == {"$undefined": True}:
            return None
        if set(value) == {"$number"}:
            return float(value["$number"])
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Equal as JSON is: numbers by value, objects in any order, and a boolean is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def resolved(mapping: Any, event: Any) -> Any:
    """What our mapping makes of an event: a value, NOTHING or the error."""
    try:
        value = compile_mapping(mapping)(event)
    except MappingError as error:
        return error
    return NOTHING if value is MISSING else value


def matched(trigger: str, event: Any) -> Any:
    """What our trigger says of an event: true, false or the error."""
    try:
        return compile_trigger(trigger)(event)
    except TriggerError as error:
        return error


def paths_named(expected: dict[str, Any]) -> list[str]:
    """The places that recorded errors name."""
    error = expected["error"]
    if "paths" in error:
        return list(error["paths"])
    return [word for word in (message.split(" ")[0] for message in error["messages"]) if word.startswith("/")]


#: Why we differ → vector → our answer. docs/mappings.md explains each reason under the same name.
MAPPING_DIFFERENCES: dict[str, dict[str, Any]] = {
    "nothing-below-empty": {
        "path-022": {},
        "path-023": {},
        "path-024": {},
        "path-025": {},
        "template-042": {"v": ""},
        "template-043": {"v": ""},
        "arrayPath-014": {"v": [{}, {}]},
        "arrayPath-015": {"v": [{}, {}]},
        "arrayPath-016": {"v": [{}, {"v": 1}]},
    },
    "quoted-keys": {"path-021": {"v": "dk"}, "path-044": {"v": 2}},
    "text-is-no-list": {"path-028": {}},
    "last-item": {"path-041": {"v": 2}},
    "dollar-dot": {"path-043": {"v": 4}, "template-024": {"v": "u-1"}},
    "templates-once": {"template-026": {"v": "Hi {{secret}}"}},
    "objects-as-json": {
        "template-020": {"v": '{"a":1}'},
        "template-021": {"v": '{"a":1},{}'},
        "template-033": {"v": 'a{"b":1}b'},
        "liquid-008": {"v": '{"b":1}'},
    },
    "blank-placeholder": {"template-032": ERROR},
    "zero-is-a-value": {"if-006": {"v": "not blank"}, "if-008": {"v": "not blank"}},
    "constants-count": {
        "if-034": {"v": False},
        "if-035": {"v": 0},
        "if-036": {"v": ""},
        "if-037": {"v": None},
        "if-044": {"v": 1},
        "if-045": {"v": 1},
        "case-011": {"v": ""},
        "replace-029": {"v": ""},
        "json-029": {"v": "0"},
        "json-030": {"v": "false"},
    },
    "checked-when-loaded": {
        "case-013": ERROR,
        "replace-023": ERROR,
        "flatten-003": ERROR,
        "structure-008": ERROR,
        "structure-009": ERROR,
    },
    "plain-replacement": {
        "replace-010": {"v": "b[$&]b"},
        "replace-011": {"v": "b$$b"},
        "replace-013": {"v": "a$`c"},
    },
    "merge-objects": {
        "merge-008": {"v": {"a": 1}},
        "merge-009": {"v": {"a": 1}},
        "merge-010": {"v": {"a": 1}},
        "merge-011": {"v": {"a": 1}},
    },
    "words-in-any-case": {"json-025": {"v": "1"}, "merge-015": {"v": {"a": 1}}},
}

TRIGGER_DIFFERENCES: dict[str, dict[str, Any]] = {
    "nothing-below-empty": {"path-030": False, "path-031": False},
    "quoted-keys": {"path-015": True},
    "words-in-any-case": {
        "literal-035": True,
        "literal-036": False,
        "literal-037": True,
        "structure-035": True,
    },
    "whole-numbers": {"literal-029": False},
    "real-grammar": {
        "structure-011": True,
        "structure-012": False,
        "structure-013": True,
        "structure-014": False,
        "structure-015": False,
        "structure-017": False,
        "structure-018": True,
        "structure-020": False,
        "structure-023": False,
        "structure-024": True,
    },
    "strict-grammar": {
        "literal-020": ERROR,
        "literal-021": ERROR,
        "match-026": ERROR,
        "structure-025": ERROR,
        "structure-028": ERROR,
        "structure-029": ERROR,
        "structure-030": ERROR,
        "structure-031": ERROR,
        "structure-032": ERROR,
        "structure-033": ERROR,
        "structure-037": ERROR,
        "structure-038": ERROR,
        "structure-055": ERROR,
    },
    "spaces-as-you-like": {
        "structure-040": True,
        "structure-041": True,
        "structure-042": True,
        "structure-044": True,
        "structure-045": True,
    },
    "all-fields": {
        "field-045": True,
        "field-047": True,
        "field-048": False,
        "field-049": False,
        "field-050": False,
        "field-051": False,
        "field-052": True,
        "field-053": False,
    },
    "null-everywhere": {"field-010": True, "field-011": False},
    "not-true": {"matrix-231": True, "matrix-236": False},
    "names-of-all-kinds": {
        "path-005": True,
        "path-013": True,
        "path-018": True,
        "path-019": True,
        "path-020": True,
    },
    "both-quotes": {
        "literal-001": True,
        "literal-002": True,
        "literal-003": False,
        "literal-004": False,
        "literal-006": True,
    },
    "numbers-as-written": {"literal-022": True, "literal-023": False, "literal-026": True},
    "order-of-numbers": {
        "literal-031": ERROR,
        "literal-032": ERROR,
        "literal-033": ERROR,
        "literal-034": ERROR,
    },
    "globs": {
        "match-009": False,
        "match-011": False,
        "match-012": True,
        "match-013": False,
        "match-014": True,
        "match-016": False,
    },
}


#: Quirks that we follow, since nobody is surprised by them or everybody is used to them.
MAPPING_QUIRKS_FOLLOWED = frozenset({
    "path-029", "path-030", "template-005", "template-008", "template-009", "template-010", "template-011",
    "template-017", "template-018", "if-012", "if-018", "if-020", "if-046", "if-053", "case-004",
    "replace-022", "replace-024", "replace-025", "replace-033", "replace-034", "replace-035", "replace-036",
    "arrayPath-018", "raw-003", "raw-008", "structure-007", "structure-010", "json-009", "json-017",
    "json-018", "flatten-008", "flatten-009", "flatten-012", "flatten-013", "excludeWhenNull-006",
    "excludeWhenNull-007", "liquid-006", "liquid-048", "liquid-050", "liquid-051", "liquid-052",
})  # fmt: skip
TRIGGER_QUIRKS_FOLLOWED = frozenset({
    "matrix-017", "matrix-018", "matrix-049", "matrix-050", "matrix-225", "matrix-226", "matrix-227",
    "matrix-228", "matrix-229", "matrix-230", "matrix-232", "matrix-233", "matrix-234", "matrix-235",
    "matrix-237", "matrix-238", "matrix-239", "matrix-240", "matrix-305", "matrix-306", "field-003",
    "field-007", "field-012", "field-013", "field-014", "field-015", "field-026", "field-027", "field-032",
    "field-046", "path-034", "path-035", "path-036", "literal-007", "literal-028", "literal-030", "match-010",
    "match-015", "match-022", "match-029", "match-030", "structure-016", "structure-034", "event-002",
    "event-003",
})  # fmt: skip


def flat(differences: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Vector → our answer."""
    return {vector: answer for answers in differences.values() for vector, answer in answers.items()}
