"""The claim check for events that Celery producers send inline."""

from __future__ import annotations

from typing import Any

import fakeredis
import orjson
import pytest

from worker.delivery import Batches, Store, reconcile
from worker.events import Malformed, parse
from worker.forwarding import parse_payloads
from worker.taking import read_items, take_call, take_events, take_payloads


@pytest.fixture
def batches() -> Batches:
    """Batches on a fake store."""
    return Batches(Store(fakeredis.FakeRedis()))


@pytest.mark.parametrize(
    ("sent", "items"),
    [
        ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
        ({"a": 1}, [{"a": 1}]),
        ('{"a": 1}', [{"a": 1}]),
        ('[{"a": 1}, {"b": 2}]', [{"a": 1}, {"b": 2}]),
        ('{"a": 1}\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        ('{"a": 1}\nnope', [{"a": 1}, "nope"]),
        ("nope", ["nope"]),
        (b'{"a": 1}', [{"a": 1}]),
        (None, [None]),
    ],
)
def test_producers_may_send_lists_objects_and_text(sent: Any, items: list[Any]) -> None:
    """A list, one event, JSON text of either and one event per line all become items; the rest stays visible."""
    assert items == read_items(sent)


def test_a_redelivered_task_makes_no_second_batch(batches: Batches) -> None:
    """The same task id gives the same batch, taken once."""
    first = take_events(batches, [{"type": "page"}], task_id="task-1")
    assert first == take_events(batches, [{"type": "page"}], task_id="task-1")
    assert reconcile(batches.store).counts.events["received"] == 1


def test_events_get_an_id_from_their_task_and_place(batches: Batches) -> None:
    """Events without a ``messageId`` get one that is the same at each redelivery; given ones stay."""
    batch = batches.begin(take_events(batches, [{"type": "page"}, {"type": "page", "messageId": "x"}], task_id="t"))
    assert batch is not None
    events = parse(batch.body, batch.count)
    assert [one["messageId"] for one in events if isinstance(one, dict)] == ["t-0", "x"]


def test_what_json_cannot_carry_is_kept_as_text(batches: Batches) -> None:
    """An item that is no JSON becomes a malformed event, not an exception that loses the task."""
    batch = batches.begin(take_events(batches, [{"type": "page", "bad": {1, 2}}, {"n": 2**70}], task_id="t"))
    assert batch is not None
    assert len(parse(batch.body, batch.count)) == 2


DEEP = '{"type":"page","properties":{"a":' + "[" * 1000 + "]" * 1000 + "}}"


def nested(levels: int) -> Any:
    """An object inside an object, and so on."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (orjson.loads(DEEP), "too_deep"),
        ({"type": "page", "properties": nested(300)}, "too_deep"),
        ({"type": "page", "properties": {"a": {1, 2}}}, "not_json"),
    ],
)
def test_what_can_never_be_written_keeps_out_no_neighbour(batches: Batches, bad: Any, code: str) -> None:
    """A bad event of a task is recorded with its own reason, and the others go on."""
    batch = batches.begin(take_events(batches, [{"type": "page"}, bad, {"type": "screen"}], task_id="t"))
    assert batch is not None
    events = parse(batch.body, batch.count)
    assert [one.code if isinstance(one, Malformed) else one["type"] for one in events] == ["page", code, "screen"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ('[{"type":"page","properties":{"x":NaN}},{"type":"page","properties":{"x":1}}]', [None, 1]),
        (
            '{"type":"page","properties":{"x":-Infinity}}\n{"type":"page","properties":{"x":"\\ud83d"}}',
            [None, "\ufffd"],
        ),
        ([{"type": "page", "properties": {"x": 2**70}}], [float(2**70)]),
        ([{"type": "page", "properties": {"x": "cut \ud83d"}}], ["cut \ufffd"]),
        ([{"type": "page", "properties": {"x": float("nan")}}], [None]),
    ],
)
def test_values_that_json_forbids_are_mended(batches: Batches, sent: Any, expected: list[Any]) -> None:
    """What Python's own ``json`` writes and JSON does not allow costs neither its event nor its neighbours."""
    batch = batches.begin(take_events(batches, sent, task_id="t"))
    assert batch is not None
    events = parse(batch.body, batch.count)
    assert [one["properties"]["x"] for one in events if isinstance(one, dict)] == expected


def test_an_empty_id_is_none(batches: Batches) -> None:
    """Two events with an empty ``messageId`` get ids of their own, as at every other door."""
    batch = batches.begin(take_events(batches, [{"type": "page", "messageId": ""}] * 2, task_id="t"))
    assert batch is not None
    assert [one["messageId"] for one in parse(batch.body, 2) if isinstance(one, dict)] == ["t-0", "t-1"]


def test_payloads_that_json_cannot_carry_keep_out_no_neighbour(batches: Batches) -> None:
    """Odd values in a payload are mended; one that can never be written is recorded, the others go on."""
    payloads = [{"message": "cut \ud83d"}, {"n": 2**70}, nested(300), {"message": "ok"}]
    batch = batches.begin(take_payloads(batches, "send_sms", payloads, task_id="t", destination="msg91"))
    assert batch is not None
    found = parse_payloads(batch.body, batch.count)
    assert [one.code if isinstance(one, Malformed) else one["payload"] for one in found] == [
        {"message": "cut \ufffd"},
        {"n": float(2**70)},
        "too_deep",
        {"message": "ok"},
    ]


PAGE = {"type": "page"}


@pytest.mark.parametrize(
    ("given", "named", "types"),
    [
        (([PAGE, PAGE],), {}, ["page", "page"]),
        ((PAGE, PAGE, PAGE), {}, ["page", "page", "page"]),
        ((), {"events": [PAGE]}, ["page"]),
        ((PAGE,), {"events": '[{"type":"page"}]', "destination": None}, ["page", "page"]),
        ((), {}, ["not_an_object"]),
        ((PAGE, PAGE), {"destinaton": "shop"}, ["argument_unknown", "argument_unknown"]),
    ],
)
def test_no_way_to_call_the_task_loses_an_event(
    batches: Batches, given: tuple[Any, ...], named: dict[str, Any], types: list[str]
) -> None:
    """Events as arguments of their own are taken, too; what says something else is recorded, and goes to nobody."""
    batch = batches.begin(take_call(batches, given, named, task_id="t", queue="events"))
    assert batch is not None
    events = parse(batch.body, batch.count)
    assert [one.code if isinstance(one, Malformed) else one["type"] for one in events] == types


@pytest.mark.parametrize(
    ("named", "expected"), [(None, ""), ("", ""), ("shop", "shop"), (["shop", "news"], "shop,news"), (5, "5")]
)
def test_destinations_may_be_named_singly_or_in_a_list(batches: Batches, named: Any, expected: str) -> None:
    """Whatever names the destination, the events are accepted; a name that nobody has waits for it."""
    batch = batches.begin(take_call(batches, [PAGE], {"destination": named}, task_id="t", queue="events.priority"))
    assert batch is not None
    assert (batch.destination, batch.queue) == (expected, "events.priority")


def test_payloads_are_named_after_their_message_id(batches: Batches) -> None:
    """One payload takes the given id, several get it with their place."""
    one = batches.begin(
        take_payloads(batches, "send_sms", {"phone": 1}, task_id="a", destination="msg91", message_id="id")
    )
    two = batches.begin(
        take_payloads(batches, "send_sms", [{"phone": 1}, {"phone": 2}], task_id="b", destination="msg91")
    )
    assert one is not None
    assert two is not None
    assert b'"messageId":"id"' in one.body
    assert b'"messageId":"b-0"' in two.body
    assert b'"messageId":"b-1"' in two.body
