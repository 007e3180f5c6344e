"""Mappings against Segment's recorded answers."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import MappingError
from tests.unit.mappings.recorded import (
    ERROR,
    MAPPING_DIFFERENCES,
    MAPPING_QUIRKS_FOLLOWED,
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
FOLLOWED = [vector for vector in VECTORS if vector["id"] in MAPPING_QUIRKS_FOLLOWED]
DECIDED = [vector for vector in VECTORS if "quirk" in vector and vector["id"] in OURS]


def identity(vector: dict[str, Any]) -> str:
    """The id of a vector, for the names of tests."""
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


@pytest.mark.parametrize("vector", FOLLOWED, ids=identity)
def test_a_quirk_that_is_no_difference_is_followed(vector: dict[str, Any]) -> None:
    """A quirk of Segment's that is not a listed difference has the same answer here."""
    expected, answer = vector["expect"], resolved(vector["mapping"], vector["payload"])

    if "error" in expected:
        assert isinstance(answer, MappingError)
    else:
        assert same(answer, plain(expected["output"]))


def test_no_vector_is_both_followed_and_different() -> None:
    """A quirk is decided one way."""
    assert not set(OURS) & MAPPING_QUIRKS_FOLLOWED


@pytest.mark.parametrize("vector", [each for each in MET if "error" not in each["expect"]], ids=identity)
def test_resolving_leaves_the_event_alone(vector: dict[str, Any]) -> None:
    """An event is the same before and after it is resolved."""
    before = repr(vector["payload"])

    resolved(vector["mapping"], vector["payload"])

    assert repr(vector["payload"]) == before
