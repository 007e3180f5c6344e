"""The claim check for events that Celery producers send inline."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest

from worker.delivery import Batches, Store, reconcile
from worker.events import parse
from worker.taking import read_items, take_events, take_payloads


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
