"""Trigger, mapping and action fields together, against Segment's recorded answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mappings import MappingError, TriggerError, compile_fields, compile_mapping, compile_trigger
from tests.unit.mappings.recorded import FOLDER, paths_named, same

RECORDED = json.loads((FOLDER / "pipeline.json").read_text("utf-8"))
FIELDS = compile_fields(RECORDED["fields"])
LABELS = {field["label"]: name for name, field in RECORDED["fields"].items()}

FILTERED = "filtered"


def identity(vector: dict[str, Any]) -> str:
    """The id of a vector, for the names of tests."""
    return str(vector.get("id", vector.get("note")))


def answer(vector: dict[str, Any], event: dict[str, Any]) -> Any:
    """The payload, the field errors, the mapping's error, or FILTERED."""
    try:
        if not compile_trigger(vector["subscribe"])(event):
            return FILTERED
        payload, errors = FIELDS(compile_mapping(vector["mapping"])(event))
    except TriggerError:
        return FILTERED
    except MappingError as error:
        return error
    return errors or payload


@pytest.mark.parametrize("vector", RECORDED["vectors"], ids=identity)
def test_one_event_gives_the_recorded_answer(vector: dict[str, Any]) -> None:
    """What reaches the action, what is refused and what is filtered are Segment's answers."""
    expected, ours = vector["expect"], answer(vector, vector["event"])

    if "payload" in expected:
        assert same(ours, expected["payload"])
    elif "error" in expected and isinstance(ours, MappingError):
        assert {problem.path for problem in ours.problems} >= set(paths_named(expected))
    elif "error" in expected:
        count = expected["error"].get("count") or len(expected["error"]["messages"])
        assert isinstance(ours, list)
        assert len(ours) == count
        assert {error.field.split(".")[0].split("[")[0] for error in ours} <= set(RECORDED["fields"])
    else:
        assert ours == FILTERED


@pytest.mark.parametrize("batch", RECORDED["batches"][:1], ids=identity)
def test_bad_events_of_a_batch_leave_their_neighbours_alone(batch: dict[str, Any]) -> None:
    """In a batch each event gets its own answer: sent, refused or filtered."""
    answers = [answer(batch, event) for event in batch["events"]]
    nodes = batch.get("statuses") or [node["status"] for node in batch["expect"]["multistatus"]]
    sent = batch.get("sent") or batch["expect"]["sent_to_performBatch"]

    assert [200 if isinstance(each, dict) else 400 for each in answers] == nodes
    assert [each for each in answers if isinstance(each, dict)] == sent


def test_a_batch_drops_empty_text_as_a_single_event_does() -> None:
    """Segment keeps empty text in batches alone; here a batch gives what each event gives by itself."""
    batch = RECORDED["batches"][1]

    first, second = (answer(batch, event) for event in batch["events"])

    assert [error.field for error in first] == ["phone"]
    assert second == {"phone": "91881", "message": "hi"}
