"""The event stream: entries told apart, handed over in one step, read without losing any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import orjson
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.stores import ClockedStore, holding
from worker.delivery import Batches, Schedule, StoreUnavailable
from worker.events import Malformed, parse
from worker.intake import stream_reader
from worker.intake.stream import EventStream, connect_reader
from worker.intake.stream_entries import EVENT_BYTES, Sorted, sort_entries
from worker.intake.stream_reader import StreamReader

TRACK = {"type": "track", "event": "Signed Up", "properties": {"plan": "free"}}


def entry(text: bytes | str | dict[str, Any], entry_id: bytes = b"1-0") -> tuple[bytes, list[bytes]]:
    """An entry as the store gives it."""
    if isinstance(text, dict):
        text = orjson.dumps(text)
    return entry_id, [b"event", text.encode() if isinstance(text, str) else text]


def only(found: Sorted) -> dict[str, Any]:
    """The one event that was found."""
    assert (len(found.lines), found.refused) == (1, [])
    event: dict[str, Any] = orjson.loads(found.lines[0])
    return event


def test_an_event_is_taken_as_it_is() -> None:
    """The text of an event with an id of its own goes on unchanged."""
    text = b'{ "type":"track","event":"x","messageId":"m1","properties":{"n":1.0} }'
    assert sort_entries([entry(text)]).lines == [text]


@pytest.mark.parametrize("own", [{}, {"messageId": None}, {"messageId": ""}])
def test_an_event_without_an_id_gets_its_entrys(own: dict[str, Any]) -> None:
    """What stands in for a missing ``messageId`` is the id that XADD gave the producer."""
    assert only(sort_entries([entry({**TRACK, **own}, b"1700000000000-3")]))["messageId"] == "1700000000000-3"


def test_an_id_deeper_inside_is_not_the_events() -> None:
    """A ``messageId`` among the properties does not stand in for the event's own."""
    event = {**TRACK, "properties": {"messageId": "inner"}}
    assert only(sort_entries([entry(event)]))["messageId"] == "1-0"


def test_a_text_over_several_lines_becomes_one_line() -> None:
    """An event written with indentation is the same event on one line."""
    event = {**TRACK, "messageId": "m1", "properties": {"text": "two\nlines"}}
    found = sort_entries([entry(orjson.dumps(event, option=orjson.OPT_INDENT_2))])
    assert b"\n" not in found.lines[0]
    assert only(found) == event


def test_of_several_fields_the_event_counts() -> None:
    """Fields beside ``event`` are no matter; of two events in one entry the last one counts."""
    fields = [b"source", b"shop", b"event", b"{}", b"event", orjson.dumps(TRACK)]
    assert only(sort_entries([(b"1-0", fields)]))["event"] == "Signed Up"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "not_json"),
        ("", "not_json"),
        ('{"type":"track","event":"raw line\nbreak"}', "not_json"),
        (b"\xff\xfe", "not_json"),
        ("[" * 2000, "not_json"),
        ("[]", "not_an_object"),
        ("17", "not_an_object"),
        ("{}", "type_not_defined"),
        ('{"type":"buy"}', "type_unknown"),
        ('{"type":"track"}', "event_not_defined"),
        ('{"type":"page","messageId":7}', "id_not_string"),
        ('{"type":"page","properties":{"a":' + "[" * 300 + "]" * 300 + "}}", "too_deep"),
        ('{"type":"page","messageId":"m","properties":{"a":' + "[" * 1000 + "]" * 1000 + "}}", "too_deep"),
        (b" " * (EVENT_BYTES + 1), "too_long"),
    ],
)
def test_what_can_never_be_read_is_refused_with_its_reason(text: str | bytes, code: str) -> None:
    """An entry that is no event keeps nobody waiting: it is set aside with the reason and what it held."""
    found = sort_entries([entry(text), entry({**TRACK, "messageId": "m1"}, b"2-0")])
    assert [one.why.code for one in found.refused] == [code]
    assert found.ids == [b"2-0"]
    held = text.encode() if isinstance(text, str) else text
    assert held.startswith(found.refused[0].original)


def test_an_entry_without_the_field_says_what_it_has() -> None:
    """The reason names the fields that were found; their values are kept, but not in the reason."""
    found = sort_entries([(b"1-0", [b"evnt", b"secret", b"b", b"2"])])
    assert found.refused[0].why.message == "event: no field of this name, only 'evnt', 'b'"
    assert found.refused[0].original == b'[["evnt","secret"],["b","2"]]'


def test_broken_texts_cannot_swallow_their_neighbours() -> None:
    """Texts that are JSON only when joined with what stands between them are refused, each by itself."""
    good = {**TRACK, "messageId": "good"}
    found = sort_entries(
        [
            entry('{"type":"track","event":"a","x":[1', b"1-0"),
            entry(good, b"2-0"),
            entry("2]}", b"3-0"),
            entry('{"type":"page"},{"type":"page"},{"type":"page"}', b"4-0"),
        ]
    )
    assert [one.entry_id for one in found.refused] == [b"1-0", b"3-0", b"4-0"]
    assert only(Sorted(found.ids, found.lines)) == good


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "identify", "nothing"])},
    optional={"event": JSON, "messageId": JSON, "properties": JSON, "traits": JSON},
)
TEXTS = (
    st.binary(max_size=40)
    | JSON.map(orjson.dumps)
    | EVENTS.map(orjson.dumps)
    | EVENTS.map(lambda event: orjson.dumps(event, option=orjson.OPT_INDENT_2))
)
FIELDS = st.lists(st.tuples(st.sampled_from([b"event", b"other", b"\xff"]), TEXTS), min_size=1, max_size=3).map(
    lambda pairs: [part for pair in pairs for part in pair]
)


@given(st.lists(st.none() | FIELDS, max_size=12))
def test_every_entry_is_told_apart_and_every_line_is_an_event(all_fields: list[list[bytes] | None]) -> None:
    """Whatever was written, each entry is an event, refused or deleted; a batch of the events reads back whole."""
    entries = [(b"%d-0" % number, fields) for number, fields in enumerate(all_fields)]
    found = sort_entries(entries)
    told = [*found.ids, *(one.entry_id for one in found.refused), *found.deleted]
    assert sorted(told) == sorted(entry_id for entry_id, _ in entries)
    assert len(found.ids) == len(found.lines)
    events = parse(b"\n".join(found.lines), len(found.lines)) if found.lines else []
    assert len(events) == len(found.lines)
    assert not any(isinstance(one, Malformed) for one in events)
    assert all(isinstance(one, dict) and one["messageId"] for one in events)


class Hands:
    """A store, producers and consumers on it."""

    def __init__(self, store: ClockedStore, connect: Callable[[], redis.Redis]) -> None:
        self.store = store
        self._connect = connect
        self.key = self.store.keys.stream()
        self.published: list[str] = []
        self.batches = Batches(self.store)

    def consumer(self, name: str) -> EventStream:
        """One consumer with a connection of its own."""
        stream = EventStream(self.store, self._connect(), consumer=name)
        stream.open()
        return stream

    def reader(self, name: str = "a", **options: Any) -> StreamReader:
        """A reader whose rounds the test calls."""
        return StreamReader(self.consumer(name), lambda batch_id, _queue: self.published.append(batch_id), **options)

    def write(self, *texts: bytes | str) -> list[bytes]:
        """XADD."""
        return [self.store.client.xadd(self.key, {"event": text}) for text in texts]

    def tracks(self, count: int, prefix: str = "m") -> list[bytes]:
        """XADD track calls."""
        return self.write(*(orjson.dumps({**TRACK, "messageId": f"{prefix}{n}"}) for n in range(count)))

    def taken(self) -> list[str]:
        """Message ids in all batches, in order of their names; the identity must hold."""
        holding(self.store)
        names = sorted(entry.batch_id for entry in Schedule(self.store).entries(limit=1000))
        bodies = [look.batch.body for look in self.batches.look(names) if look]
        return sorted(orjson.loads(line)["messageId"] for body in bodies for line in body.split(b"\n"))

    def left(self) -> int:
        """Entries in the stream."""
        return int(self.store.client.xlen(self.key))

    def events(self) -> dict[str, int]:
        """Events by what became of them, without the empty counts."""
        return {name: count for name, count in holding(self.store).counts.events.items() if count}


@pytest.fixture
def hands(store: ClockedStore, request: pytest.FixtureRequest) -> Iterator[Hands]:
    """A store, fake and real, with a stream; the identity holds at the end."""
    if isinstance(store.client, fakeredis.FakeRedis):
        server = store.client.connection_pool.connection_kwargs["server"]
        made = Hands(store, lambda: fakeredis.FakeRedis(server=server, protocol=2))
    else:
        made = Hands(store, lambda: connect_reader(request.getfixturevalue("valkey_url")))
    yield made
    holding(store)


def test_a_block_becomes_one_batch_and_leaves_the_stream(hands: Hands) -> None:
    """Entries are in a batch and no longer in the stream, and the batch's id is published."""
    reader = hands.reader()
    hands.tracks(3)
    assert reader.round(wait_ms=1) == 3
    assert hands.taken() == ["m0", "m1", "m2"]
    assert hands.left() == 0
    (batch_id,) = hands.published
    batch = hands.batches.begin(batch_id)
    assert batch is not None
    assert (batch.count, batch.door, batch.queue) == (3, "stream", "events")
    assert reader.round(wait_ms=1) == 0


def test_entries_from_before_the_first_worker_are_taken(hands: Hands) -> None:
    """What was written before any worker ever ran is read."""
    hands.tracks(2)
    hands.reader().round(wait_ms=1)
    assert hands.taken() == ["m0", "m1"]


def test_entries_that_cannot_be_read_are_counted_and_recorded(hands: Hands) -> None:
    """A refused entry is received and malformed, and recorded with its id, the reason and what it held."""
    reader = hands.reader()
    (bad,) = hands.write("not json")
    hands.tracks(1)
    reader.round(wait_ms=1)
    assert hands.events() == {"received": 2, "queued": 1, "malformed": 1}
    ((_, record),) = hands.store.client.xrange(hands.store.keys.malformed)
    assert (record[b"entry"], record[b"original"]) == (bad, b"not json")
    assert orjson.loads(record[b"event"])["code"] == "not_json"
    assert hands.left() == 0


def test_one_time_passwords_are_not_kept(hands: Hands) -> None:
    """Neither the batch nor the record of an entry that cannot be read shows the digits."""
    reader = hands.reader()
    hands.write('{"type":"track","event":"e","properties":{"otp":"493817"}}', '{"otp": "493817", not json')
    reader.round(wait_ms=1)
    assert hands.events() == {"received": 2, "queued": 1, "malformed": 1}
    client, keys = hands.store.client, hands.store.keys
    kept = [str(client.hgetall(keys.batch(hands.published[0]))), str(client.xrange(keys.malformed))]
    assert not [one for one in kept if "493817" in one]
    batch = hands.batches.begin(hands.published[0])
    assert batch is not None
    assert b"493817" in batch.body


def test_a_block_of_nothing_readable_makes_no_batch(hands: Hands) -> None:
    """Without a single event there is no batch and nothing to publish."""
    reader = hands.reader()
    hands.write("1", "2")
    reader.round(wait_ms=1)
    assert hands.published == []
    assert hands.events() == {"received": 2, "malformed": 2}


def test_two_equal_events_without_ids_stay_two(hands: Hands) -> None:
    """Equal texts in two entries are two events, named by their entries."""
    ids = hands.write(orjson.dumps(TRACK), orjson.dumps(TRACK))
    hands.reader().round(wait_ms=1)
    assert hands.taken() == [one.decode() for one in ids]


def test_a_hand_over_whose_answer_is_lost_takes_nothing_twice(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script has run, the answer has not come: what follows finds nothing left to take."""
    reader = hands.reader()
    hands.tracks(3)
    real = hands.store.script

    def lost(name: str, *rest: Any) -> Any:
        answer = real(name, *rest)
        if name == "accept_stream":
            raise StoreUnavailable("the answer was lost")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(hands.store, "script", lost)
        with pytest.raises(StoreUnavailable):
            reader.round(wait_ms=1)
    assert reader.round(wait_ms=1) == 0
    assert hands.events() == {"received": 3, "queued": 3}
    assert hands.taken() == ["m0", "m1", "m2"]


def test_a_hand_over_that_did_not_happen_is_made_up_for(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store was away before the script ran: the next round begins with what had been read."""
    reader = hands.reader()
    hands.tracks(3)

    real = hands.store.script

    def away(name: str, *rest: Any) -> Any:
        if name == "accept_stream":
            raise StoreUnavailable("away")
        return real(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(hands.store, "script", away)
        with pytest.raises(StoreUnavailable):
            reader.round(wait_ms=1)
    hands.tracks(1, "later")
    reader.round(wait_ms=1)
    assert hands.taken() == ["later0", "m0", "m1", "m2"]
    assert len(hands.published) == 2


def test_a_read_whose_answer_is_lost_is_read_again(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that were given out on a connection that broke are the consumer's, and it asks for them."""
    reader = hands.reader()
    hands.tracks(2)
    real = reader.stream.read

    def lost(count: int, *, wait_ms: int) -> list[Any]:
        real(count, wait_ms=wait_ms)
        raise RedisConnectionError("reset by peer")

    with monkeypatch.context() as patch:
        patch.setattr(reader.stream, "read", lost)
        with pytest.raises(RedisConnectionError):
            reader.round(wait_ms=1)
    reader.round(wait_ms=1)
    assert hands.taken() == ["m0", "m1"]


def test_the_living_take_over_what_the_dead_held(hands: Hands) -> None:
    """Entries of a consumer that never came back are claimed and handed over."""
    hands.tracks(3)
    assert len(hands.consumer("dead").read(10, wait_ms=1)) == 3
    hands.reader("alive", claim_after=0.0).round(wait_ms=1)
    assert hands.taken() == ["m0", "m1", "m2"]
    assert hands.left() == 0


def test_what_a_consumer_holds_is_left_alone_for_a_while(hands: Hands) -> None:
    """Entries that were read a moment ago are not claimed."""
    hands.tracks(1)
    hands.consumer("slow").read(10, wait_ms=1)
    assert hands.reader("other", claim_after=60.0).round(wait_ms=1) == 0


def test_one_thought_dead_hands_over_only_what_is_still_its_own(hands: Hands) -> None:
    """When another consumer has taken part of a block, the rest is taken once, and only the rest."""
    hands.tracks(4)
    hands.write("not json")
    slow = hands.consumer("slow")
    block = slow.read(10, wait_ms=1)
    other = hands.consumer("other")
    other.hand_over(sort_entries(other.claim(2, idle_ms=0)))
    done = slow.hand_over(sort_entries(block))
    assert (done.events, done.malformed, done.elsewhere) == (2, 1, 2)
    assert hands.taken() == ["m0", "m1", "m2", "m3"]
    late = other.hand_over(sort_entries(block))
    assert (late.batch_id, late.events, late.malformed, late.elsewhere) == (None, 0, 0, 5)
    assert hands.events() == {"received": 5, "queued": 4, "malformed": 1}


def test_an_entry_that_somebody_deleted_ends_nothing(hands: Hands) -> None:
    """An entry deleted while it was held is let go of; its neighbours are taken."""
    stream = hands.consumer("a")
    first, *_ = hands.tracks(2)
    stream.read(10, wait_ms=1)
    hands.store.client.xdel(hands.key, first)
    stream.hand_over(sort_entries(stream.mine(10)))
    assert hands.taken() == ["m1"]
    assert stream.mine(10) == []


def test_entries_stay_while_too_many_events_wait(hands: Hands) -> None:
    """With a long queue nothing is read, nothing is dropped; when it is shorter, reading goes on."""
    reader = hands.reader(batch=2, queue_limit=4)
    hands.tracks(7)
    for _ in range(5):
        reader.round(wait_ms=1)
    assert (hands.events()["queued"], hands.left()) == (4, 3)
    hands.store.client.hincrby(hands.store.keys.counters, "events:queued", -3)
    reader.round(wait_ms=1)
    hands.store.client.hincrby(hands.store.keys.counters, "events:queued", 3)
    assert (hands.events()["queued"], hands.left()) == (6, 1)


def test_blocks_get_smaller_when_events_are_large(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block holds about so many bytes, however large the events are, and grows again with small ones."""
    monkeypatch.setattr(stream_reader, "BLOCK_BYTES", 4_000)
    reader = hands.reader()
    hands.write(*[orjson.dumps({**TRACK, "properties": {"text": "x" * 900}})] * 72, *[orjson.dumps(TRACK)] * 20)
    assert [reader.round(wait_ms=1) for _ in range(5)] == [64, 4, 4, 4, 8]


def test_a_stream_that_vanishes_is_made_again(hands: Hands) -> None:
    """After the stream was deleted with its group, the next round but one reads what is written anew."""
    reader = hands.reader()
    reader.round(wait_ms=1)
    hands.store.client.delete(hands.key)
    hands.tracks(1)
    with pytest.raises(Exception, match="NOGROUP"):
        reader.round(wait_ms=1)
    reader.round(wait_ms=1)
    assert hands.taken() == ["m0"]


def test_who_leaves_holds_nothing(hands: Hands) -> None:
    """A consumer leaves the group when all is handed over; while it holds entries it stays, to be claimed from."""
    hands.tracks(2)
    a, b = hands.consumer("a"), hands.consumer("b")
    held = a.read(1, wait_ms=1)
    b.hand_over(sort_entries(b.read(1, wait_ms=1)))
    assert (a.leave(), b.leave()) == (0, 1)
    names = {one["name"] for one in hands.store.client.xinfo_consumers(hands.key, "workers")}
    assert names == {b"a"}
    a.hand_over(sort_entries(held))
    assert a.leave() == 1


def test_a_thread_reads_until_it_is_told_to_stop(hands: Hands) -> None:
    """Started and stopped as a worker does it: what is written in between is taken, and the consumer is gone."""
    from tests.system import wait_until

    reader = hands.reader(linger=0.0)
    reader.start()
    hands.tracks(5)
    wait_until(lambda: hands.left() == 0 and sum(map(len, hands.published)) > 0, what="taken")
    reader.stop()
    assert hands.taken() == [f"m{n}" for n in range(5)]
    assert hands.store.client.xinfo_consumers(hands.key, "workers") == []


def test_the_same_call_again_gives_the_same_answer(hands: Hands) -> None:
    """A hand-over that is repeated under the same batch id, as after a broken connection, changes nothing."""
    calls: list[Callable[[], Any]] = []
    real = hands.store.script
    stream = hands.consumer("a")
    hands.tracks(2)
    hands.write("bad")
    found = sort_entries(stream.read(10, wait_ms=1))

    def noted(name: str, keys: Any, args: Any) -> Any:
        calls.append(lambda: real(name, keys, args))
        return real(name, keys, args)

    hands.store.script = noted  # type: ignore[method-assign]
    first = stream.hand_over(found)
    assert calls[0]() == [2, 1, 0, 2]
    assert (first.events, first.malformed, first.elsewhere, first.queued) == (2, 1, 0, 2)
    assert hands.events() == {"received": 3, "queued": 2, "malformed": 1}
