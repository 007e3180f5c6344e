"""Triggers against Segment's recorded answers."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import TriggerError
from tests.unit.mappings.recorded import ERROR, TRIGGER_DIFFERENCES, TRIGGER_QUIRKS_FOLLOWED, flat, matched, vectors

VECTORS = vectors("fql.json")
OURS = flat(TRIGGER_DIFFERENCES)
MET = [vector for vector in VECTORS if "quirk" not in vector]
FOLLOWED = [vector for vector in VECTORS if vector["id"] in TRIGGER_QUIRKS_FOLLOWED]
DECIDED = [vector for vector in VECTORS if "quirk" in vector and vector["id"] in OURS]


def identity(vector: dict[str, Any]) -> str:
    """The id of a vector, for the names of tests."""
    return str(vector["id"])


def followed(vector: dict[str, Any]) -> bool:
    """Whether our answer is Segment's; a trigger that cannot be read means no event."""
    answer = matched(vector["fql"], vector["event"])
    if isinstance(answer, TriggerError):
        return vector["match"] is False
    return answer is vector["match"] and not vector.get("parse_error")


@pytest.mark.parametrize("vector", MET, ids=identity)
def test_an_answer_that_is_no_quirk_is_met(vector: dict[str, Any]) -> None:
    """Our trigger means the events that Segment's means, and cannot be read where Segment's cannot."""
    assert followed(vector)


@pytest.mark.parametrize("vector", DECIDED, ids=identity)
def test_a_deliberate_difference_is_what_we_say_it_is(vector: dict[str, Any]) -> None:
    """Where we differ from Segment on purpose, the answer is the one the documentation gives."""
    answer = matched(vector["fql"], vector["event"])

    if OURS[vector["id"]] is ERROR:
        assert isinstance(answer, TriggerError)
    else:
        assert answer is OURS[vector["id"]]


@pytest.mark.parametrize("vector", FOLLOWED, ids=identity)
def test_a_quirk_that_is_no_difference_is_followed(vector: dict[str, Any]) -> None:
    """A quirk of Segment's that is not a listed difference has the same answer here."""
    assert followed(vector)


def test_no_vector_is_both_followed_and_different() -> None:
    """A quirk is decided one way."""
    assert not set(OURS) & TRIGGER_QUIRKS_FOLLOWED
