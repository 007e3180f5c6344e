"""The event stream through a real store and real workers: nothing lost, nothing twice, whatever dies."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import orjson
import pytest
import redis

from tests.chaos.link import Link
from tests.system import System, many, sends_by_text, sms, wait_until
from worker.delivery import Patience, Store, connect
from worker.embedded import EmbeddedValkey
from worker.intake import stream as stream_module
from worker.intake.stream import GROUP, EventStream, connect_reader
from worker.intake.stream_reader import StreamReader

pytestmark = pytest.mark.integration

KEY = "{msg91}:stream:events"
PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")
#: Short leases, so that what a killed worker leaves is settled within the test.
SHORT = {
    "MSG91_DESTINATION_REQUEST_DEADLINE": "1",
    "MSG91_DESTINATION_CLAIM_LEASE": "11",
    "MSG91_DESTINATION_BATCH_LEASE": "11",
    "MSG91_DESTINATION_STREAM_CLAIM_AFTER": "1",
    "MSG91_DESTINATION_RECOVERY": "resume",
}


def write(client: redis.Redis, events: Sequence[Any], *, pipeline: int = 500) -> list[str]:
    """``XADD`` events one per entry, as a producer does; gives the entry ids."""
    ids: list[str] = []
    for start in range(0, len(events), pipeline):
        pipe = client.pipeline(transaction=False)
        for one in events[start : start + pipeline]:
            pipe.xadd(KEY, {"event": one if isinstance(one, bytes | str) else orjson.dumps(one)})
        ids += [entry.decode() for entry in pipe.execute()]
    return ids


class Writing:
    """A producer that writes events singly in the background, each until the store has confirmed it, until its end."""

    def __init__(self, url: str) -> None:
        self.written = 0
        self._client = redis.Redis.from_url(url, socket_timeout=2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._client.close()

    def end(self) -> int:
        """End it; gives how many events were written."""
        self._stop.set()
        self._thread.join()
        return self.written

    def _run(self) -> None:
        while not self._stop.wait(0.001):
            number = self.written
            event = orjson.dumps(sms(919_000_000_000 + number, f"m{number}", f"text m{number}"))
            while True:
                try:
                    self._client.xadd(KEY, {"event": event})
                    break
                except redis.RedisError:
                    time.sleep(0.05)
            self.written += 1


def wait_received(system: System, count: int, seconds: float = 60.0) -> dict[str, int]:
    """Wait until so many events were taken and everything is settled; gives the deliveries by state."""

    def received() -> bool:
        return system.reconcile().counts.events["received"] >= count

    wait_until(received, seconds=seconds, what=f"{count} received")
    return system.wait_settled(seconds)


def texts_sent(system: System) -> dict[str, int]:
    """How often MSG91 took each text."""
    return {text: count for (_, text), count in sends_by_text(system.sandbox.requests()).items()}


def test_events_written_singly_are_delivered() -> None:
    """Raw JSON events on the stream are delivered; entries leave it; those that cannot be read are recorded."""
    with System() as system:
        client = system.core.store.client
        write(client, [*many(1200), b"not json", b"[1,2]", b'{"type":"buy"}'])
        client.xadd(KEY, {"wrong": "field"})
        assert wait_received(system, 1204) == {"accepted": 1200}
        events = system.reconcile().counts.events
        assert (events["parsed"], events["malformed"]) == (1200, 4)
        assert client.xlen(KEY) == 0
        assert set(texts_sent(system).values()) == {1}
        reasons = [orjson.loads(fields[b"event"])["code"] for _, fields in client.xrange("{msg91}:malformed")]
        assert sorted(reasons) == ["field_missing", "not_an_object", "not_json", "type_unknown"]


def test_the_entry_id_names_the_event() -> None:
    """An event without an id can be looked up under the id that XADD gave; two equal ones are both delivered."""
    with System() as system:
        event = many(1)[0]
        del event["messageId"]
        ids = write(system.core.store.client, [event, event])
        assert wait_received(system, 2) == {"accepted": 2}
        assert sorted(line.message_id for line in system.core.journal.newest_first()) == sorted(ids)


def examples(language: str) -> list[str]:
    """The blocks of one language in the page about streams."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_about_streams_is_true() -> None:
    """What the page shows works as it stands: writing, refusing when full, and a producer's rights."""
    with System() as system:
        client, url = system.core.store.client, system.valkey.url
        write_one, write_bounded = examples("python")
        (script,) = examples("lua")
        shown: dict[str, Any] = {}
        exec(write_one.replace("redis://127.0.0.1:6379/0", url), shown)
        assert wait_received(system, 1) == {"accepted": 1}

        for worker in system.workers:
            worker.stop()
        write(client, many(1))
        shown["event"]["messageId"] = "second"
        shown["script"] = script
        exec(write_bounded.replace("100_000", "2"), shown)
        assert client.xlen(KEY) == 2
        exec(write_bounded.replace("100_000", "2").replace("...  # wait", "refused = str(full)  # wait"), shown)
        assert shown["refused"] == "FULL the stream holds 2 entries"
        assert client.xlen(KEY) == 2

        (rights,) = examples("text")
        client.execute_command(*rights.split(), "+eval", "+evalsha", "+script|load")
        shop = redis.Redis(port=system.valkey.port, username="shop", password="a-long-password")
        shop.xadd(KEY, {"event": "{}"})
        with pytest.raises(redis.ResponseError, match="FULL"):
            shop.register_script(script)(keys=[KEY], args=[2, "{}"])
        for forbidden in (("DEL", KEY), ("XREAD", "STREAMS", KEY, "0"), ("GET", "{msg91}:meta")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                shop.execute_command(*forbidden)


def test_the_stream_can_be_left_alone() -> None:
    """Workers that are told not to read the stream leave it as it is."""
    with System(settings={"MSG91_DESTINATION_STREAM": "false"}) as system:
        write(system.core.store.client, many(3))
        system.send(many(1, prefix="other"))
        assert system.wait_settled() == {"accepted": 1}
        assert system.core.store.client.xlen(KEY) == 3


def test_two_workers_share_a_stream() -> None:
    """Two workers read the same stream: both take part, nothing is taken twice."""
    with System(workers=2, settings={"MSG91_DESTINATION_STREAM_BATCH": "20"}) as system:
        wait_until(lambda: system.log.count(" ready.") == 2, what="both are ready")
        client = system.core.store.client
        wait_until(lambda: client.exists(KEY) and len(client.xinfo_consumers(KEY, GROUP)) == 2, what="both read")
        write(client, many(1500))
        assert wait_received(system, 1500) == {"accepted": 1500}
        sent = texts_sent(system)
        assert (len(sent), set(sent.values())) == (1500, {1})
        for worker in system.workers:
            assert worker.stop() == 0
        assert client.xinfo_consumers(KEY, GROUP) == []


def test_what_a_dead_consumer_held_is_delivered() -> None:
    """Entries that were read and never handed over are claimed by a worker and delivered once."""
    with System(workers=0, settings=SHORT) as system:
        store = system.core.store
        dead = EventStream(store, connect_reader(system.valkey.url), consumer="dead")
        dead.open()
        write(store.client, [*many(300), b"garbage"])
        assert len(dead.read(500, wait_ms=1000)) == 301
        dead.close()
        system.start_worker()
        assert wait_received(system, 301) == {"accepted": 300}
        assert set(texts_sent(system).values()) == {1}
        assert store.client.xlen(KEY) == 0


def test_killed_workers_lose_nothing_and_send_nothing_twice() -> None:
    """SIGKILL again and again in the middle of sending: every event is in one state, none was sent twice."""
    with System(workers=0, settings=SHORT) as system, Writing(system.valkey.url) as writing:
        for _ in range(3):
            worker, before = system.start_worker(), len(texts_sent(system))
            wait_until(lambda at=before: len(texts_sent(system)) > at + 20, what="it sends")
            worker.kill()
        system.start_worker()
        before = len(texts_sent(system))
        wait_until(lambda: len(texts_sent(system)) > before + 200, what="the last one sends")
        count = writing.end()
        states = wait_received(system, count)
        assert sum(states.values()) == count, states
        assert set(states) <= {"accepted", "in_doubt"}
        sent = texts_sent(system)
        assert set(sent.values()) == {1}
        assert len(sent) >= states["accepted"]
        assert system.core.store.client.xlen(KEY) == 0
        assert system.reconcile().counts.events["duplicate"] == 0


def test_a_store_killed_and_started_again_keeps_the_stream() -> None:
    """The store is killed under load and comes back: what it had confirmed is delivered, nothing twice."""
    with System(settings=SHORT) as system, Writing(system.valkey.url) as writing:
        for _ in range(2):
            # With "everysec" a slow disk may hold writes back that are confirmed already.
            system.core.store.client.config_set("appendfsync", "always")
            before = len(texts_sent(system))
            wait_until(lambda at=before: len(texts_sent(system)) > at + 100, what="it sends")
            system.valkey.kill()
            system.valkey.restart()
        count = writing.end()
        # An event whose XADD was carried out, but not confirmed, was written again: a duplicate by its messageId.
        states = wait_received(system, count)
        assert sum(states.values()) == count, states
        assert set(texts_sent(system).values()) == {1}
        assert system.core.store.client.xlen(KEY) == 0


def test_a_link_that_goes_black_is_left(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Connections that never answer again are given up, and what was read on them is taken once."""
    monkeypatch.setattr(stream_module, "LINK_TIMEOUT", 0.5)
    published: list[str] = []

    def said() -> int:
        return sum("cannot be read" in text or "is away" in text for text in caplog.messages)

    with EmbeddedValkey() as valkey, Link(valkey.port) as link:
        direct = Store(connect(valkey.url))
        stopping = threading.Event()
        store = Store(connect(link.url(valkey.url), timeout=0.5), patience=Patience(None, stopping))
        stream = EventStream(store, connect_reader(link.url(valkey.url)))
        reader = StreamReader(stream, lambda batch_id, _queue: published.append(batch_id), linger=0.0, claim_after=1.0)
        reader.start()
        try:
            for turn in range(3):
                write(direct.client, many(100, prefix=f"a{turn}-"))
                wait_until(lambda: direct.client.xlen(KEY) == 0, what="read")
                link.black()
                write(direct.client, many(100, prefix=f"b{turn}-"))
                wait_until(lambda n=turn: said() > n, what="it has noticed")
                link.heal(late=turn == 1)
                wait_until(lambda: direct.client.xlen(KEY) == 0, what="read again")
            wait_until(lambda: direct.client.hget("{msg91}:counters", "events:received") == b"600", what="all taken")
        finally:
            reader.stop()
            stopping.set()
        bodies = [direct.client.hget(name, "body") for name in direct.client.scan_iter("{msg91}:batch:*")]
        ids = [orjson.loads(line)["messageId"] for body in bodies for line in body.split(b"\n")]
        assert len(ids) == len(set(ids)) == 600


def test_a_long_queue_holds_the_reader_back() -> None:
    """While MSG91 is slow the rest stays in the stream, and nothing is dropped."""
    settings = {"MSG91_DESTINATION_STREAM_QUEUE_LIMIT": "100", "MSG91_DESTINATION_STREAM_BATCH": "50"}
    with System(settings=settings, sandbox={"faults": ["slow=300"]}, concurrency=1) as system:
        client = system.core.store.client
        write(client, many(500))
        seen: list[int] = []

        def done() -> bool:
            seen.append(system.reconcile().counts.events["queued"])
            return client.xlen(KEY) == 0

        wait_until(done, what="all read")
        assert max(seen) <= 150
        assert wait_received(system, 500) == {"accepted": 500}
        assert set(texts_sent(system).values()) == {1}
