"""Segment's tracking API: what becomes of the JSON of a request."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.events import Malformed, join, parse
from worker.intake.limits import Limits
from worker.intake.refusals import Refused
from worker.intake.tracking import CALLS, Arrival, Taken, corrected, take_batch, take_one

ARRIVAL = Arrival.at("request-1", 1_795_000_000_123)
RECEIVED = "2026-11-18T11:06:40.123Z"
LIMITS = Limits(event=1_000, body=10_000, events=5)


def one(document: Any, kind: str | None = "track") -> dict[str, Any]:
    """The event that a single call comes to."""
    (line,) = take_one(kind, document, ARRIVAL, LIMITS).lines
    found: dict[str, Any] = orjson.loads(line)
    return found


def batch(document: Any) -> Taken:
    """What a batch comes to."""
    return take_batch(document, ARRIVAL, LIMITS)


def events(taken: Taken) -> list[Any]:
    """The events as a worker reads them."""
    return parse(join(taken.lines), len(taken.lines))


def test_paths_are_those_of_segments_clients() -> None:
    """The calls, their first letters as the browser client uses them, and the legacy import."""
    assert {call: kind for call, kind in CALLS.items() if len(call) == 1} == {
        "i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias", "b": "batch",
        "m": "metrics",
    }  # fmt: skip
    assert CALLS["import"] == CALLS["batch"] == "batch"


def test_type_comes_from_the_path() -> None:
    """An event without a type has that of its path."""
    assert one({"userId": "u"}, "identify")["type"] == "identify"
    assert one({"userId": "u", "type": None}, "page")["type"] == "page"


def test_type_that_contradicts_the_path_is_refused() -> None:
    """An event of another type than its path is refused, with the reason."""
    with pytest.raises(Refused) as caught:
        one({"type": "page"}, "track")
    assert (caught.value.status, caught.value.code) == (400, "type_mismatch")


def test_ids_may_be_null() -> None:
    """Segment's Python client sends ids that it does not have as null."""
    assert one({"event": "x", "userId": "u", "anonymousId": None})["anonymousId"] is None


@pytest.mark.parametrize("missing", [{}, {"messageId": None}, {"messageId": ""}])
def test_missing_message_id_is_made_from_arrival_and_place(missing: dict[str, Any]) -> None:
    """Events without an id get one, each its own, and those that have one keep it."""
    taken = batch({"batch": [{"type": "page", **missing}, {"type": "page", "messageId": "m"}, {"type": "page"}]})
    assert [event["messageId"] for event in events(taken)] == ["request-1-0", "m", "request-1-2"]


def test_write_keys_are_not_kept() -> None:
    """The key that an event carries is not stored with it."""
    assert "writeKey" not in one({"event": "x", "writeKey": "secret"})
    taken = batch({"writeKey": "secret", "batch": [{"type": "page", "writeKey": "secret"}, {"writeKey": "secret"}]})
    assert b"secret" not in join(taken.lines)


def test_batch_context_and_integrations_are_merged_into_events() -> None:
    """What the batch says holds for every event that does not say otherwise."""
    taken = batch(
        {
            "context": {"library": {"name": "x"}, "ip": "1"},
            "integrations": {"All": False},
            "batch": [{"type": "page", "context": {"ip": "2"}, "integrations": {"MSG91": True}}, {"type": "page"}],
        }
    )
    first, second = events(taken)
    assert first["context"] == {"library": {"name": "x"}, "ip": "2"}
    assert first["integrations"] == {"All": False, "MSG91": True}
    assert second["context"] == {"library": {"name": "x"}, "ip": "1"}


def test_moment_of_arrival_is_set() -> None:
    """Every event says when it was received, whatever the sender says; without other times it happened then."""
    found = one({"event": "x", "receivedAt": "1999-01-01T00:00:00Z"})
    assert found["receivedAt"] == RECEIVED
    assert found["timestamp"] == RECEIVED


def test_timestamp_of_the_sender_stays() -> None:
    """A timestamp that is given is not changed."""
    assert one({"event": "x", "timestamp": "2020-01-01T00:00:00Z"})["timestamp"] == "2020-01-01T00:00:00Z"


def test_clock_of_the_sender_is_corrected() -> None:
    """Without a timestamp it is receivedAt - (sentAt - originalTimestamp), as in Segment's spec."""
    event = {"originalTimestamp": "2020-01-01T00:00:00Z", "sentAt": "2020-01-01T00:01:00+00:00"}
    assert corrected(event, ARRIVAL) == "2026-11-18T11:05:40.123Z"


def test_sent_at_of_the_batch_corrects_its_events() -> None:
    """The batch's sentAt stands for events that have none."""
    taken = batch({"sentAt": "2020-01-01T01:00:00Z", "batch": [{"type": "page", "originalTimestamp": "2020-01-01"}]})
    assert events(taken)[0]["timestamp"] == "2026-11-18T10:06:40.123Z"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"originalTimestamp": "2020-01-01T00:00:00Z"}, "2020-01-01T00:00:00Z"),
        ({"originalTimestamp": "yesterday", "sentAt": "2020-01-01T00:00:00Z"}, RECEIVED),
        ({"originalTimestamp": 5, "sentAt": {}}, RECEIVED),
        ({"originalTimestamp": "0001-01-01T00:00:00Z", "sentAt": "9999-12-31T00:00:00Z"}, RECEIVED),
    ],
)
def test_times_that_cannot_be_used_do_no_harm(event: dict[str, Any], expected: str) -> None:
    """An event whose times make no sense has still happened, at the latest now."""
    assert corrected(event, ARRIVAL) == expected


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({}, "type_not_defined"),
        ({"type": "nonsense"}, "type_unknown"),
        ({"type": "track"}, "event_not_defined"),
        ({"type": "page", "properties": 5}, "properties_not_object"),
        ({"type": "page", "messageId": 5}, "id_not_string"),
        (5, "not_an_object"),
        (None, "not_an_object"),
        ({"type": "page", "properties": {"text": "x" * 1_000}}, "event_too_large"),
    ],
)
def test_bad_event_does_not_keep_out_its_neighbours(event: Any, code: str) -> None:
    """In a batch it is taken in with the others, named in the answer, and recorded as malformed with the reason."""
    taken = batch({"batch": [{"type": "page"}, event, {"type": "page"}]})
    before, bad, after = events(taken)
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert isinstance(bad, Malformed)
    assert (bad.position, bad.code) == (1, code)
    answer = orjson.loads(taken.answer())
    assert answer["success"] is True
    assert [(one["position"], one["code"]) for one in answer["malformed"]] == [(1, code)]


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({"properties": {}}, 400, "event_not_defined"),
        ({"event": 5}, 400, "event_not_string"),
        ({"event": "x", "traits": []}, 400, "traits_not_object"),
        ([], 400, "bad_request"),
        ({"event": "x", "properties": {"text": "x" * 1_000}}, 413, "event_too_large"),
    ],
)
def test_bad_single_event_is_refused(event: Any, status: int, code: str) -> None:
    """Alone it is refused, with the reason."""
    with pytest.raises(Refused) as caught:
        one(event)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        ({"batch": []}, 400, "empty_batch"),
        ({"batch": {}}, 400, "bad_request"),
        ({}, 400, "bad_request"),
        ([], 400, "bad_request"),
        ({"batch": [{}], "context": 5}, 400, "context_not_object"),
        ({"batch": [{}], "integrations": []}, 400, "integrations_not_object"),
        ({"batch": [{}] * 6}, 413, "too_many_events"),
    ],
)
def test_bad_batch_is_refused(document: Any, status: int, code: str) -> None:
    """What is no batch at all is refused, with the reason."""
    with pytest.raises(Refused) as caught:
        batch(document)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize("levels", [300, 1000])
def test_deep_event_is_recorded(levels: int) -> None:
    """An event nested more deeply than can be written is malformed, and its neighbours are not."""
    deep: Any = {}
    for _ in range(levels):
        deep = {"a": deep}
    found = events(batch({"batch": [{"type": "page", "properties": deep}, {"type": "page"}]}))
    assert isinstance(found[0], Malformed)
    assert found[0].code == "too_deep"
    assert isinstance(found[1], dict)


def test_limit_counts_what_was_sent() -> None:
    """An event of exactly the limit is taken, although ids, times and the batch's context are added to it."""
    event = {"type": "page", "properties": {"text": ""}}
    event["properties"] = {"text": "x" * (LIMITS.event - len(orjson.dumps(event)))}
    assert len(orjson.dumps(event)) == LIMITS.event
    assert batch({"batch": [event], "context": {"more": "y" * 500}}).malformed == []


def test_good_request_is_answered_as_segment_does() -> None:
    """The body of the answer is the one that clients know."""
    assert batch({"batch": [{"type": "page"}]}).answer() == b'{"success":true}'


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
            max_leaves=8,
        )
        | st.fixed_dictionaries({"type": st.sampled_from(["page", "track"]), "event": st.just("e")}),
        min_size=1,
        max_size=5,
    )
)
def test_every_event_is_accounted_for(items: list[Any]) -> None:
    """A batch comes to one line for each of its items: an event, or a record of what is wrong with it."""
    taken = batch({"batch": items})
    found = events(taken)
    assert len(found) == len(items)
    assert sum(isinstance(one, Malformed) for one in found) == len(taken.malformed)
