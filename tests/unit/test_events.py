"""Reading batches of events: the spec's rules, one event at a time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.events import Malformed, join, parse, problem_with

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ([], "not_an_object"),
        ("text", "not_an_object"),
        (None, "not_an_object"),
        ({}, "type_not_defined"),
        ({"type": 1}, "type_not_string"),
        ({"type": "TRACK"}, "type_unknown"),
        ({"type": "purchase"}, "type_unknown"),
        ({"type": "track"}, "event_not_defined"),
        ({"type": "track", "event": 5}, "event_not_string"),
        ({"type": "track", "event": "E", "properties": []}, "properties_not_object"),
        ({"type": "identify", "traits": "x"}, "traits_not_object"),
        ({"type": "page", "context": 1}, "context_not_object"),
        ({"type": "page", "integrations": True}, "integrations_not_object"),
        ({"type": "page", "messageId": 5}, "id_not_string"),
        ({"type": "page", "messageId": "x" * 300}, "id_too_long"),
    ],
)
def test_what_is_no_event_is_named(event: Any, code: str) -> None:
    """Each rule of the spec that an event breaks has its code and a sentence that names the field."""
    problem = problem_with(event)
    assert problem is not None
    assert code == problem[0]


@pytest.mark.parametrize("call", ["identify", "page", "screen", "group", "alias", "delete"])
def test_the_calls_of_the_spec_are_events(call: str) -> None:
    """Events need neither ids nor payload: Segment's MSG91 page shows them without."""
    assert problem_with({"type": call}) is None
    assert problem_with({"type": call, "properties": None, "traits": None, "messageId": None}) is None


def test_a_bad_line_does_not_touch_its_neighbours() -> None:
    """When a batch cannot be read in one go each line is read by itself."""
    good = b'{"type":"page"}'
    first, second, third = parse(join([good, b"{oops", good]), 3)
    assert {"type": "page"} == first == third
    assert isinstance(second, Malformed)
    assert (second.code, second.position) == ("not_json", 1)


def test_lines_that_only_together_are_json_stay_bad() -> None:
    """Two halves of an object on two lines are two malformed events, not one good one."""
    found = parse(b'{"type":"page","a":[1\n2]},{"type":"page"}', 2)
    assert len(found) == 2
    half = parse(b'{"type":"page"\n"name":"x"}', 2)
    assert all(isinstance(one, Malformed) for one in half)


@given(st.lists(json_values, min_size=1, max_size=8))
def test_every_line_gets_exactly_one_verdict(items: list[Any]) -> None:
    """Whatever JSON a batch holds, there is one entry per line, in order, and nothing is raised."""
    found = parse(join([orjson.dumps(item) for item in items]), len(items))
    assert len(items) == len(found)
    for item, verdict in zip(items, found, strict=True):
        if isinstance(verdict, Malformed):
            assert problem_with(orjson.loads(orjson.dumps(item))) is not None
        else:
            assert isinstance(item, dict)


@given(st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b" ")), min_size=1, max_size=6))
def test_any_bytes_are_read_without_an_exception(lines: list[bytes]) -> None:
    """Garbage becomes malformed entries that can be recorded as JSON."""
    for verdict in parse(join(lines), len(lines)):
        if isinstance(verdict, Malformed):
            assert orjson.loads(verdict.as_json())["code"]
