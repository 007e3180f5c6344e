"""Mappings against Segment's recorded answers."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import MappingError
from tests.unit.mappings.recorded import (
    ERROR,
    MAPPING_DIFFERENCES,
    NOTHING,
    flat,
    paths_named,
    plain,
    resolved,
    same,
    vectors,
)

VECTORS = vectors("mapping.json")
OURS = flat(MAPPING_DIFFERENCES)
MET = [vector for vector in VECTORS if "quirk" not in vector]
DECIDED = [vector for vector in VECTORS if "quirk" in vector and vector["id"] in OURS]


def identity(vector: dict[str, Any]) -> str:
    return str(vector["id"])


@pytest.mark.parametrize("vector", MET, ids=identity)
def test_an_answer_that_is_no_quirk_is_met(vector: dict[str, Any]) -> None:
    """What Segment answers for a good reason is what we answer, and errors name the same place or one inside it."""
    expected, answer = vector["expect"], resolved(vector["mapping"], vector["payload"])

    if "error" in expected:
        assert isinstance(answer, MappingError)
        for named in paths_named(expected):
            assert any(problem.path.startswith(named) for problem in answer.problems)
    elif expected.get("undefined"):
        assert answer is NOTHING
    else:
        assert same(answer, plain(expected["output"]))


@pytest.mark.parametrize("vector", DECIDED, ids=identity)
def test_a_deliberate_difference_is_what_we_say_it_is(vector: dict[str, Any]) -> None:
    """Where we differ from Segment on purpose, the answer is the one the documentation gives."""
    answer = resolved(vector["mapping"], vector["payload"])

    if OURS[vector["id"]] is ERROR:
        assert isinstance(answer, MappingError)
    else:
        assert same(answer, OURS[vector["id"]])


def test_every_quirk_that_is_not_listed_is_followed() -> None:
    """A quirk of Segment's is either a listed difference or answered just the same; none is met by accident."""
    known = {vector["id"] for vector in VECTORS}
    for vector in VECTORS:
        if "quirk" not in vector or vector["id"] in OURS:
            continue
        expected, answer = vector["expect"], resolved(vector["mapping"], vector["payload"])
        if "error" in expected:
            assert isinstance(answer, MappingError), vector["id"]
        else:
            assert same(answer, plain(expected["output"])), vector["id"]

    assert set(OURS) <= known


@pytest.mark.parametrize("vector", [each for each in MET if "error" not in each["expect"]], ids=identity)
def test_resolving_leaves_the_event_alone(vector: dict[str, Any]) -> None:
    """An event is the same before and after it is resolved."""
    before = repr(vector["payload"])

    resolved(vector["mapping"], vector["payload"])

    assert repr(vector["payload"]) == before
