"""The producer in one process: what it takes, when it sends, what it says when it cannot."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
import threading
import weakref
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stores import ClockedStore, holding, real_store
from tests.system import wait_until
from worker.delivery import Batches, Schedule, Sealing
from worker.events import problem_with
from worker.intake.producer import (
    BufferFull,
    InvalidEvent,
    NotAccepted,
    Producer,
    ProducerClosed,
    ProducerError,
    QueueTooLong,
)
from worker.intake.producer import engine as engine_module
from worker.intake.producer.calls import EVENT_BYTES, encode
from worker.intake.producer.engine import Engine, Limits

TRACK = {"type": "track", "event": "Signed Up", "properties": {"plan": "free"}}


class Way:
    """A way out that does as a test says, and remembers."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[bytes]]] = []
        self.tried: list[tuple[str, list[bytes]]] = []
        self.told: list[str] = []
        self.error: Exception | None = None
        self.closed = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def send(self, batch_id: str, lines: Sequence[bytes]) -> None:
        """Do as told."""
        self.open.wait()
        self.tried.append((batch_id, list(lines)))
        if self.error is not None:
            raise self.error
        self.sent.append((batch_id, list(lines)))

    def tell(self, batch_id: str) -> None:
        """Remember it."""
        self.told.append(batch_id)

    def close(self) -> None:
        """Remember it."""
        self.closed.set()

    @property
    def lines(self) -> list[bytes]:
        """All that was sent."""
        return [line for _, lines in self.sent for line in lines]

    @property
    def sizes(self) -> list[int]:
        """Of the batches."""
        return [len(lines) for _, lines in self.sent]


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Way:
    """A way, and short pauses between tries."""
    monkeypatch.setattr(engine_module, "PAUSE", 0.01)
    return Way()


@pytest.fixture
def make(way: Way) -> Iterator[Callable[..., Engine]]:
    """Makes engines on the way; all are ended."""
    made: list[Engine] = []

    def build(**limits: Any) -> Engine:
        wanted = {"batch_size": 500, "linger": 0.01, "max_buffer": 10_000, "on_full": "block", "block_timeout": None}
        made.append(Engine(lambda: way, Limits(**{**wanted, "exit_timeout": 1.0, **limits})))
        return made[-1]

    yield build
    way.open.set()
    way.error = None
    for one in made:
        one.close(5.0)


# What it takes


def test_an_event_gets_an_id_once() -> None:
    """An event without an id gets a new one; one that has an id keeps it."""
    first, second = encode(TRACK)[0], encode(TRACK)[0]
    assert first != second
    assert encode({**TRACK, "messageId": "mine"}) == ("mine", orjson.dumps({**TRACK, "messageId": "mine"}))
    assert len({encode({**TRACK, "messageId": empty})[0] for empty in (None, "")}) == 2


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ([], "not_an_object"),
        ({}, "type_not_defined"),
        ({"type": "buy"}, "type_unknown"),
        ({"type": "track"}, "event_not_defined"),
        ({"type": "page", "properties": []}, "properties_not_object"),
        ({"type": "page", "messageId": 7}, "id_not_string"),
        ({"type": "page", "properties": {"x": object()}}, "not_json"),
        ({"type": "page", "properties": {"x": 2**70}}, "not_json"),
        ({"type": "page", "properties": {"x": "\ud800"}}, "not_json"),
        ({"type": "page", "properties": {1: "x"}}, "not_json"),
        ({"type": "page", "properties": {"x": "x" * EVENT_BYTES}}, "too_long"),
    ],
)
def test_what_can_never_be_an_event_is_refused_at_the_call(event: Any, code: str) -> None:
    """The caller hears at once, with Segment's code where it has one."""
    with pytest.raises(InvalidEvent) as caught:
        encode(event)
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError)


def test_values_of_python_are_written_as_json() -> None:
    """Decimals, times, tuples and sets become what JSON has for them."""
    properties = {"a": Decimal("1.5"), "b": datetime(2026, 1, 2, tzinfo=UTC), "c": (1, 2), "d": {3}}
    line = encode({"type": "page", "properties": properties})[1]
    assert orjson.loads(line)["properties"] == {"a": 1.5, "b": "2026-01-02T00:00:00+00:00", "c": [1, 2], "d": [3]}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["type", "event", "messageId", "properties", "traits", "context"]), JSON))
def test_what_is_taken_is_an_event_on_one_line(event: dict[str, Any]) -> None:
    """Whatever is passed is refused, or written as one line that a worker reads back as the same event."""
    try:
        message_id, line = encode(event)
    except InvalidEvent:
        return
    assert b"\n" not in line
    back = orjson.loads(line)
    assert problem_with(back) is None
    assert back == {**event, "messageId": message_id}


class Taken(Producer):
    """A producer that keeps what it is given."""

    def send(self, event: Any) -> str:
        """Keep it."""
        self.event = event
        return encode(event)[0]


@pytest.fixture
def taken() -> Taken:
    """A producer that sends nothing."""
    return Taken("redis://127.0.0.1:1/0")


def test_helpers_build_the_calls_of_the_spec(taken: Taken) -> None:
    """Each helper builds its call with the fields of the spec; what is not given is left out."""
    when = datetime(2026, 1, 2, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    common = {"context": {"ip": "203.0.113.7"}, "timestamp": when, "message_id": "m1", "integrations": {"All": True}}
    taken.identify("u1", {"phone": "1"}, **common)
    context = taken.event.pop("context")
    assert (context["ip"], context["library"]["name"]) == ("203.0.113.7", "msg91-destination-python")
    assert taken.event == {
        "type": "identify",
        "messageId": "m1",
        "timestamp": "2026-01-02T00:00:00.000Z",
        "userId": "u1",
        "integrations": {"All": True},
        "traits": {"phone": "1"},
    }
    taken.track("u1", "Signed Up", {"plan": "free"}, timestamp="2026-01-02")
    assert (taken.event["event"], taken.event["properties"]) == ("Signed Up", {"plan": "free"})
    assert taken.event["timestamp"] == "2026-01-02"
    assert "messageId" not in taken.event
    taken.page("u1", "Docs", "Home", {"url": "/"}, anonymous_id="a1")
    assert (taken.event["category"], taken.event["name"], taken.event["anonymousId"]) == ("Docs", "Home", "a1")
    taken.screen(anonymous_id="a1")
    assert (taken.event["type"], taken.event["properties"]) == ("screen", {})
    assert "userId" not in taken.event
    with pytest.raises(InvalidEvent, match="event's name"):
        taken.track("u1")


@pytest.mark.parametrize("name", ["identify", "track", "page", "screen"])
def test_helpers_take_the_arguments_of_segments_library(name: str) -> None:
    """Names and order of arguments are those of Segment's own Python library."""
    client = pytest.importorskip("segment.analytics.client").Client
    theirs = list(inspect.signature(getattr(client, name)).parameters)
    assert list(inspect.signature(getattr(Producer, name)).parameters) == theirs


# When it sends


def test_events_gather_to_batches(way: Way, make: Callable[..., Engine]) -> None:
    """A full batch goes at once; a part of one waits for the linger, or for a flush."""
    engine = make(batch_size=3, linger=60.0)
    for number in range(7):
        engine.add(b"%d" % number)
    wait_until(lambda: way.sizes == [3, 3], what="two full batches")
    assert engine.pending == 1
    engine.flush(5.0)
    assert way.lines == [b"%d" % number for number in range(7)]
    assert engine.pending == 0


def test_a_part_of_a_batch_goes_after_the_linger(way: Way, make: Callable[..., Engine]) -> None:
    """Nobody has to flush: what waits goes by itself."""
    make(linger=0.01).add(b"1")
    wait_until(lambda: way.lines == [b"1"], what="sent")


def test_batches_are_bounded_in_bytes(way: Way, make: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Large events make small batches."""
    monkeypatch.setattr(engine_module, "BATCH_BYTES", 100)
    engine = make(linger=60.0)
    for _ in range(6):
        engine.add(b"x" * 60)
    engine.flush(5.0)
    assert way.sizes == [2, 2, 2]


def test_many_threads_may_send(way: Way, make: Callable[..., Engine]) -> None:
    """Events of many threads are each sent once, those of one thread in its order."""
    engine = make(batch_size=50, max_buffer=200, linger=0.0)

    def send(thread: int) -> None:
        for number in range(500):
            engine.add(b"%d %d" % (thread, number))
            if number % 100 == 0:
                engine.flush(30.0)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    engine.flush(30.0)
    assert len(way.lines) == len(set(way.lines)) == 4000
    for thread in range(8):
        mine = [line for line in way.lines if line.startswith(b"%d " % thread)]
        assert mine == sorted(mine, key=lambda line: int(line.split()[1]))


# What it says when it cannot


def test_a_failed_batch_is_tried_again_under_its_id(way: Way, make: Callable[..., Engine]) -> None:
    """A batch whose answer was lost is repeated as it was, so that it is not taken for another one."""
    engine = make(batch_size=2)
    way.error = ConnectionError("reset")
    for number in range(4):
        engine.add(b"%d" % number)
    wait_until(lambda: len(way.tried) > 2, what="tried again")
    way.error = None
    engine.flush(5.0)
    assert len({batch_id for batch_id, _ in way.tried}) == 2
    wait_until(lambda: way.told == [batch_id for batch_id, _ in way.sent], what="told once of each")
    assert all(one == way.tried[0] for one in way.tried[:-1])
    assert way.lines == [b"0", b"1", b"2", b"3"]


def test_flush_says_what_is_not_accepted_and_keeps_it(way: Way, make: Callable[..., Engine]) -> None:
    """A flush that runs out of time has the events and the reason; they are accepted later all the same."""
    engine = make(batch_size=1)
    way.error = ConnectionError("refused")
    for line in (b'{"n":0}', b'{"n":1}'):
        engine.add(line)
    wait_until(lambda: way.tried, what="tried")
    with pytest.raises(NotAccepted, match="2 events are not accepted: ConnectionError: refused") as caught:
        engine.flush(0.05)
    assert caught.value.events == [{"n": 0}, {"n": 1}]
    assert isinstance(caught.value.cause, ConnectionError)
    way.error = None
    engine.flush(5.0)
    assert len(way.lines) == 2


def test_flush_answers_for_what_came_before_it(way: Way, make: Callable[..., Engine]) -> None:
    """Events that come while a flush waits are not its business."""
    engine = make(batch_size=1)
    way.open.clear()
    engine.add(b"{}")
    done: list[bool] = []
    thread = threading.Thread(target=lambda: (engine.flush(5.0), done.append(True)))
    thread.start()
    way.error = None
    wait_until(lambda: engine._hurry_until == 1, what="flush waits")
    engine.add(b'{"late":1}')
    with pytest.raises(NotAccepted) as caught:
        engine.flush(0.0)
    assert len(caught.value.events) == 2
    way.open.set()
    thread.join()
    assert done == [True]


def test_close_gives_the_events_back(way: Way, make: Callable[..., Engine]) -> None:
    """What is not accepted when the time for closing is over is handed back, and not tried any more."""
    engine = make()
    way.error = ConnectionError("refused")
    engine.add(b'{"n":0}')
    with pytest.raises(NotAccepted) as caught:
        engine.close(0.05)
    assert caught.value.events == [{"n": 0}]
    wait_until(lambda: not engine.is_alive, what="the thread ends")
    assert way.closed.is_set()
    with pytest.raises(ProducerClosed):
        engine.add(b"{}")


def test_a_full_buffer_raises_when_told_to(way: Way, make: Callable[..., Engine]) -> None:
    """With ``raise`` the event that is one too many is refused, with the reason why the buffer is full."""
    engine = make(max_buffer=2, on_full="raise")
    way.error = ConnectionError("refused")
    engine.add(b"{}")
    engine.add(b"{}")
    wait_until(lambda: way.tried, what="tried")
    with pytest.raises(BufferFull, match=r"2 events wait to be accepted \(ConnectionError: refused\)"):
        engine.add(b"{}")
    assert engine.pending == 2


def test_a_full_buffer_blocks_until_there_is_room(way: Way, make: Callable[..., Engine]) -> None:
    """With ``block`` the caller waits, at most as long as it said."""
    engine = make(max_buffer=2, block_timeout=0.05, linger=0.0)
    way.open.clear()
    engine.add(b"1")
    engine.add(b"2")
    with pytest.raises(BufferFull):
        engine.add(b"3")
    way.open.set()
    wait_until(lambda: engine.pending < 2, what="room")
    engine.add(b"4")
    engine.flush(5.0)
    assert way.lines == [b"1", b"2", b"4"]


def test_closing_frees_those_who_wait_for_room(way: Way, make: Callable[..., Engine]) -> None:
    """A caller that waits for room is told when the producer is closed."""
    engine = make(max_buffer=1)
    way.open.clear()
    engine.add(b"{}")
    raised: list[Exception] = []

    def send() -> None:
        try:
            engine.add(b"{}")
        except ProducerError as error:
            raised.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    engine.begin_close()
    thread.join()
    assert isinstance(raised[0], ProducerClosed)


# On a real store


@pytest.fixture
def store(valkey_url: str) -> ClockedStore:
    """An empty store on a real server."""
    return real_store(valkey_url)


@pytest.fixture
def producer(store: ClockedStore, valkey_url: str) -> Iterator[Callable[..., Producer]]:
    """Makes producers on the store."""
    made: list[weakref.ref[Producer]] = []

    def build(**options: Any) -> Producer:
        one = Producer(valkey_url, namespace=store.keys.namespace, **options)
        made.append(weakref.ref(one))
        return one

    yield build
    for ref in made:
        if (one := ref()) is not None:
            one.close()
    holding(store)


def accepted(store: ClockedStore) -> list[dict[str, Any]]:
    """Events in batches, oldest first as far as a batch goes."""
    entries = Schedule(store).entries(limit=1000)
    looks = Batches(store).look([entry.batch_id for entry in entries])
    return [orjson.loads(line) for look in looks if look for line in look.batch.body.split(b"\n")]


def told(store: ClockedStore) -> int:
    """Messages at the broker."""
    return int(store.client.llen(f"{{{store.keys.namespace}}}:celery:events"))


def test_events_are_in_the_store_and_celery_is_told(producer: Callable[..., Producer], store: ClockedStore) -> None:
    """After a flush the events are in a batch, counted as received, and its id is with the broker."""
    one = producer()
    ids = [one.track("u1", "Signed Up"), one.send(TRACK)]
    one.flush(10.0)
    assert [event["messageId"] for event in accepted(store)] == ids
    wait_until(lambda: told(store) == 1, what="Celery is told")
    assert holding(store).counts.events["received"] == 2
    assert one.pending == 0


def test_what_is_changed_after_the_call_does_not_count(producer: Callable[..., Producer], store: ClockedStore) -> None:
    """An event is what it was when it was sent."""
    one = producer(linger=60.0)
    properties = {"plan": "free"}
    one.track("u1", "Signed Up", properties)
    properties["plan"] = "paid"
    one.flush(10.0)
    assert accepted(store)[0]["properties"] == {"plan": "free"}


def test_the_block_ends_with_everything_accepted(producer: Callable[..., Producer], store: ClockedStore) -> None:
    """Leaving the block closes the producer, also when it is left by an error; closing again does nothing."""
    one = producer(linger=60.0)

    def fail() -> None:
        with one:
            one.track("u1", "Signed Up")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert len(accepted(store)) == 1
    one.close()
    with pytest.raises(ProducerClosed):
        one.track("u1", "Signed Up")


def test_a_closed_producer_that_sent_nothing_stays_closed(producer: Callable[..., Producer]) -> None:
    """Closing before the first event is closing too."""
    one = producer()
    one.flush()
    one.close()
    with pytest.raises(ProducerClosed):
        one.track("u1", "Signed Up")


def test_a_producer_that_is_forgotten_is_emptied(producer: Callable[..., Producer], store: ClockedStore) -> None:
    """What was sent by a producer that nobody holds any more is accepted, and its thread ends."""
    one = producer(linger=60.0)
    one.track("u1", "Signed Up")
    engine = one._engine
    assert engine is not None
    del one
    gc.collect()
    wait_until(lambda: not engine.is_alive, what="the thread has ended")
    assert len(accepted(store)) == 1


def test_too_long_a_queue_holds_events_back(producer: Callable[..., Producer], store: ClockedStore) -> None:
    """While more events wait for a worker than the limit says nothing is added, and the reason is told."""
    one = producer(queue_limit=2, batch_size=1)
    for _ in range(4):
        one.send(TRACK)
    wait_until(lambda: one.pending == 2, what="two are accepted")
    with pytest.raises(NotAccepted, match="2 events wait for a worker, the limit is 2") as caught:
        one.flush(0.3)
    assert isinstance(caught.value.cause, QueueTooLong)
    for entry in Schedule(store).entries():
        batches = Batches(store)
        batch = batches.begin(entry.batch_id)
        assert batch is not None
        store.client.delete(store.keys.batch(batch.id))
        store.client.zrem(store.keys.schedule, batch.id)
        store.client.hincrby(store.keys.counters, "events:queued", -batch.count)
        store.client.hincrby(store.keys.counters, "events:received", -batch.count)
    one.flush(10.0)


def test_one_time_passwords_are_sealed_with_the_workers_key(
    producer: Callable[..., Producer], store: ClockedStore
) -> None:
    """An event that may carry one is unreadable in the store, and readable for a worker with the same key."""
    one = producer(otp_key="a secret of the workers")
    one.track("u1", "Login", {"otp": "493817"})
    one.flush(10.0)
    (entry,) = Schedule(store).entries()
    assert b"493817" not in store.client.hget(store.keys.batch(entry.batch_id), "body")
    (look,) = Batches(store, sealing=Sealing(store, "a secret of the workers")).look([entry.batch_id])
    assert look is not None
    assert b"493817" in look.batch.body


def test_events_over_a_broker_travel_in_the_message(store: ClockedStore, valkey_url: str) -> None:
    """Without a store the events are the arguments of ``worker.forward_events``, under a task id of their own."""
    namespace = store.keys.namespace
    with Producer(broker_url=valkey_url, namespace=namespace, destination="shop", queue="events.priority") as one:
        message_id = one.track("u1", "Signed Up")
    key = f"{{{namespace}}}:celery:events.priority"
    (message,) = [orjson.loads(text) for text in store.client.lrange(key, 0, -1)]
    assert message["headers"]["task"] == "worker.forward_events"
    _, arguments, _ = orjson.loads(b64decode(message["body"]))
    assert arguments["destination"] == "shop"
    assert [event["messageId"] for event in arguments["events"]] == [message_id]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "neither a store nor a broker"),
        ({"url": "http://example.com"}, "URL"),
        ({"url": "redis://127.0.0.1:1", "on_full": "drop"}, "on_full"),
        ({"url": "redis://127.0.0.1:1", "max_buffer": 0}, "at least 1"),
        ({"url": "redis://127.0.0.1:1", "linger": -1}, "at least"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    arguments: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that could never send anything is not made."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    with pytest.raises(ValueError, match=sentence):
        Producer(**arguments)


def test_the_environment_names_store_and_namespace(
    store: ClockedStore, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments the producer uses what the worker uses."""
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("MSG91_DESTINATION_NAMESPACE", store.keys.namespace)
    with Producer() as one:
        one.send(TRACK)
    assert len(accepted(store)) == 1


def test_the_store_may_be_away_at_first(valkey_url: str) -> None:
    """Nobody has to be there when the producer is made; what is wrong is told by the flush."""
    one = Producer("redis://127.0.0.1:1/0")
    one.send(TRACK)
    with pytest.raises(NotAccepted) as caught:
        one.close(0.3)
    assert "Connection" in str(caught.value) or "StoreUnavailable" in str(caught.value)
    assert caught.value.events[0]["event"] == "Signed Up"


def test_nothing_of_the_worker_is_imported() -> None:
    """A program that sends events loads redis, celery and orjson, not the worker, its settings or its HTTP client."""
    code = (
        "import sys; import worker.intake.producer;"
        "print([m for m in ('worker.process', 'worker.tasks', 'worker.msg91', 'worker.settings', 'mappings',"
        " 'pydantic', 'httpx',"
        " 'starlette', 'typer', 'phonenumbers') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
