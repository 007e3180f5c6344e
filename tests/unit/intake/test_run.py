"""A run of `send`: batches by claim check, ids that name the place, and an exact account when it is cut short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stores import ClockedStore, fake_store
from worker.delivery import Batches, StoreUnavailable
from worker.events import parse
from worker.intake.files import Found, Refused
from worker.intake.run import MAX_BATCH_BYTES, REMEMBERED, Announcer, Run, Span, identified


def found(number: int, raw: bytes | None = None, line: int | None = None) -> Found:
    """An event at a place."""
    raw = raw or b'{"type":"page"}'
    return Found(number, line or number, raw, orjson.loads(raw))


def stored(store: ClockedStore) -> list[list[Any]]:
    """The events of every batch in the store, the batches in the order they came."""
    batches: list[list[Any]] = []
    ids: list[Any] = store.client.zrange(store.keys.schedule, 0, -1)
    for batch_id in ids:
        fields: list[Any] = store.client.hmget(store.keys.batch(batch_id.decode()), ["body", "count"])
        batches.append(parse(fields[0], int(fields[1])))
    return batches


def opened() -> ClockedStore:
    """An empty store."""
    store = fake_store()
    store.open()
    return store


@given(
    st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=6) | st.none(), max_size=3),
    st.sampled_from([None, "", "m-1", "absent"]),
    st.booleans(),
)
def test_an_event_keeps_its_id_or_gets_one_and_stays_on_one_line(
    more: dict[str, Any], message_id: str | None, indented: bool
) -> None:
    """The text that is stored is the event, with an id, on one line."""
    event = {**more, "type": "page", **({} if message_id == "absent" else {"messageId": message_id})}
    try:
        raw = orjson.dumps(event, option=orjson.OPT_INDENT_2 if indented else None)
    except TypeError:  # integers beyond 64 bits are no matter of ours
        return
    given_id, line = identified(Found(7, 7, raw, orjson.loads(raw)), "run-")
    expected = "m-1" if message_id == "m-1" else "run-7"
    assert given_id == expected
    assert {**event, "messageId": expected} == orjson.loads(line)
    assert b"\n" not in line


def test_numbers_keep_their_digits() -> None:
    """Digits that no parser here could hold go on as they came."""
    raw = b'{"type":"track","event":"x","properties":{"n":1.10,"big":123456789012345678901234567890}}'
    _, line = identified(found(1, raw), "r-")
    assert b'"n":1.10,"big":123456789012345678901234567890' in line


def test_events_are_handed_over_in_batches_and_the_rest_by_flush() -> None:
    """Full batches go at once, the rest when it is flushed; each is announced and noted with its ids."""
    store = opened()
    announced: list[str] = []
    noted: list[tuple[str, list[str]]] = []
    run = Run(
        Batches(store),
        lambda batch_id, queue: announced.append(f"{batch_id} {queue}"),
        batch_size=2,
        destination="shop",
        on_batch=lambda batch_id, ids: noted.append((batch_id, list(ids))),
        id="run",
    )
    run.begin("a.ndjson")
    for number in range(1, 6):
        run.add(found(number))
    assert [len(batch) for batch in stored(store)] == [2, 2]
    run.flush()
    run.flush()
    assert sorted(len(batch) for batch in stored(store)) == [1, 2, 2]
    assert [ids for _, ids in noted] == [["run-1", "run-2"], ["run-3", "run-4"], ["run-5"]]
    assert [f"{batch_id} events" for batch_id, _ in noted] == announced
    assert (5, 3, noted[0][0]) == (run.accepted, run.batch_count, run.first_batch)
    about = store.client.hmget(store.keys.batch(noted[0][0]), ["door", "destination"])
    assert about == [b"send", b"shop"]


def test_a_batch_is_bounded_in_bytes_too() -> None:
    """Large events make small batches."""
    store = opened()
    run = Run(Batches(store), lambda *_: None)
    run.begin("a")
    large = b'{"type":"page","name":"' + b"x" * (MAX_BATCH_BYTES // 2) + b'"}'
    for number in range(3):
        run.add(found(number, large))
    assert [len(batch) for batch in stored(store)] == [2]


def test_files_of_one_run_do_not_share_ids() -> None:
    """The same line of two files gives two ids; of one file alone the id is run and line."""
    store = opened()
    run = Run(Batches(store), lambda *_: None, id="run")
    for name in ("a", "b"):
        run.begin(name, alone=False)
        run.add(found(1))
        run.flush()
    assert sorted(event["messageId"] for (event,) in stored(store)) == ["run-1-1", "run-2-1"]


def test_only_so_many_refusals_are_remembered_and_all_are_counted() -> None:
    """A file of nothing but rubbish does not fill the memory."""
    run = Run(Batches(opened()), lambda *_: None)
    run.begin("a")
    for number in range(REMEMBERED + 50):
        run.refuse(Refused(number, number, "not_json", "not JSON"))
    assert (len(run.refused), run.refused_count) == (REMEMBERED, REMEMBERED + 50)
    assert dict(run.refused_by_code) == {"not_json": REMEMBERED + 50}


def test_a_store_that_goes_away_leaves_an_exact_account() -> None:
    """What was accepted is counted, and of what is in hand it is said that nobody knows."""

    class Leaving(Batches):
        def accept(self, *arguments: Any, **options: Any) -> str:
            if run.accepted >= 2:
                raise StoreUnavailable("gone")
            return super().accept(*arguments, **options)

    run = Run(Leaving(opened()), lambda *_: None, batch_size=2)
    file = run.begin("a")
    for number in range(1, 4):
        run.add(found(number, line=number * 10))
    with pytest.raises(StoreUnavailable):
        run.add(found(4, line=40))
    assert (file.accepted, file.accepted_to) == (2, 20)
    assert Span("a", 30, 40) == run.in_hand


def test_an_interrupt_is_held_back_until_a_batch_is_counted() -> None:
    """What the guard raises when a batch has been handed over finds that batch counted."""

    @contextmanager
    def guard() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    run = Run(Batches(opened()), lambda *_: None, guard=guard)
    file = run.begin("a")
    run.add(found(1))
    with pytest.raises(KeyboardInterrupt):
        run.flush()
    assert (file.accepted, run.in_hand) == (1, None)


def test_a_broker_that_is_away_is_not_asked_for_every_batch() -> None:
    """After a failure batches are only counted for a while; the schedule has them."""
    asked: list[str] = []

    def publish(batch_id: str, _queue: str) -> bool:
        asked.append(batch_id)
        return len(asked) == 1

    announce = Announcer(publish, pause=3600)
    assert [announce(str(number), "events") for number in range(4)] == [True, False, False, False]
    assert (asked, announce.published, announce.withheld) == (["0", "1"], 1, 3)


def test_a_broker_that_comes_back_is_told_again() -> None:
    """When the pause is over the broker is asked again."""
    answers = iter([False, True])
    announce = Announcer(lambda *_: next(answers), pause=0)
    assert [announce("a", "events"), announce("b", "events")] == [False, True]
