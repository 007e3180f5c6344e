"""The HTTP door under attack: no 500, no leak, no stall of other clients, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.intake import WRITE_KEY, Intake, basic
from tests.system import System, sends_by_text, sms, wait_until
from worker.operations.schedule import hurry_all

pytestmark = pytest.mark.integration

NUMBER = 919000000000
KEY = basic(WRITE_KEY).encode()
HOOK = "token-of-the-webhook-in-tests"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A store and a broker; what is accepted stays in the queue."""
    with System(workers=0, destination={"write_keys": [WRITE_KEY], "webhooks": {"token": HOOK}}) as found:
        yield found


@pytest.fixture(scope="module")
def door(system: System) -> Iterator[Intake]:
    """The door, with little patience."""
    with Intake(system, {"MSG91_DESTINATION_INTAKE_TIMEOUT": "1"}) as found:
        yield found


@pytest.fixture(autouse=True)
def unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every attack the door works, and has logged no error."""
    yield
    if "door" in request.fixturenames:
        door: Intake = request.getfixturevalue("door")
        assert door.post("/v1/track", sms(NUMBER, "after the attack")).status_code == 200
        assert "Traceback" not in door.log
        assert " ERROR " not in door.log


def raw(door: Intake, sent: bytes) -> bytes:
    """Send bytes as they are, and give what comes back until the door closes or has answered."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=15) as connection:
        connection.sendall(sent)
        found = b""
        while True:
            try:
                data = connection.recv(65_536)
            except (ConnectionResetError, BrokenPipeError):
                return found
            found += data
            head, complete, body = found.partition(b"\r\n\r\n")
            length = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
            if not data or (complete and len(body) >= int(length or 0)):
                return found


def request(body: bytes, *headers: bytes, length: int | None = None, path: bytes = b"/v1/batch") -> bytes:
    """A request as it goes over the wire."""
    lines = [b"POST %s HTTP/1.1" % path, b"host: x", b"authorization: " + KEY, *headers]
    lines.append(b"content-length: %d" % (len(body) if length is None else length))
    return b"\r\n".join([*lines, b"", body])


def nested(depth: int) -> bytes:
    """JSON nested so deeply."""
    return b'{"batch": [{"type": "page", "properties": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}]}"


BODIES: dict[str, tuple[bytes, dict[str, str], set[int]]] = {
    "truncated gzip": (gzip.compress(b'{"batch": []}')[:-4], {"content_encoding": "gzip"}, {400}),
    "gzip bomb": (gzip.compress(b"0" * 300_000_000), {"content_encoding": "gzip"}, {413}),
    "gzip bomb in a bomb": (gzip.compress(gzip.compress(b"0" * 100_000_000)), {"content_encoding": "gzip"}, {400}),
    "not gzip": (b'{"batch": []}', {"content_encoding": "gzip"}, {400}),
    "unknown encoding": (b"x", {"content_encoding": "br, gzip"}, {415}),
    "nested deeply": (nested(60_000), {}, {400}),
    "nested beyond writing": (nested(500), {}, {200}),
    "nested as deeply as is read": (nested(1_000), {}, {200}),
    "arrays without end": (b"[" * 400_000, {}, {400}),
    "huge numbers": (b'{"batch": [{"type": "page", "properties": {"a": 1' + b"0" * 20_000 + b"}}]}", {}, {200}),
    "huge exponent": (b'{"batch": [{"type": "page", "properties": {"a": 1e999999999}}]}', {}, {200}),
    "lone surrogates": (rb'{"batch": [{"type": "page", "messageId": "\ud800", "name": "\udfff"}]}', {}, {200}),
    "duplicate keys": (b'{"batch": 5, "batch": [{"type": "page", "type": "track", "event": "x"}]}', {}, {200}),
    "a string of 10 MB": (b'{"batch": [{"type": "page", "name": "' + b"x" * 10_000_000 + b'"}]}', {}, {413}),
    "a string of 400 KB": (b'{"batch": [{"type": "page", "name": "' + b"x" * 400_000 + b'"}]}', {}, {200}),
    "100,000 nulls": (b'{"batch": [' + b"null," * 90_000 + b"null]}", {}, {413}),
    "40,000 keys": (b'{"batch": [{' + b"".join(b'"%d":1,' % n for n in range(40_000)) + b'"z":1}]}', {}, {200}),
    "no UTF-8": (b'{"batch": [{"type": "page", "name": "\xff\xfe"}]}', {}, {400}),
    "a byte order mark": (b'\xef\xbb\xbf{"batch": [{"type": "page"}]}', {}, {400}),
    "nothing": (b"", {}, {400}),
    "a null byte": (b"\x00", {}, {400}),
    "a key of 100 KB": (b'{"writeKey": "' + b"k" * 100_000 + b'", "batch": [{"type": "page"}]}', {"key": ""}, {401}),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_bad_bodies_are_answered(name: str, door: Intake) -> None:
    """Each gets the answer that it deserves."""
    body, headers, statuses = BODIES[name]
    key = headers.pop("key", None)
    answer = door.post("/v1/batch", body, key=WRITE_KEY if key is None else None, **headers)
    assert answer.status_code in statuses, answer.text
    if answer.status_code != 200:
        assert answer.json()["code"]


HEADERS: dict[str, tuple[bytes, bytes]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", b" 400 "),
    "no version": (b"POST /v1/batch\r\n\r\n", b" 400 "),
    "a false length": (request(b"{}", length=0).replace(b"content-length: 0", b"content-length: x"), b" 400 "),
    "a negative length": (request(b"{}", length=0).replace(b"content-length: 0", b"content-length: -5"), b" 400 "),
    "two lengths": (request(b"{}", b"content-length: 5", length=2), b" 400 "),
    "length and chunks": (request(b"0\r\n\r\n", b"transfer-encoding: chunked", length=5), b" 400 "),
    "bad chunks": (
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b" 400 ",
    ),
    "a length beyond all bounds": (request(b"", length=10**17), b" 413 "),
    "headers without end": (b"POST /v1/batch HTTP/1.1\r\n" + b"x-a: " + b"y" * 100_000 + b"\r\n\r\n", b" 400 "),
    "many headers": (
        b"POST /v1/batch HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
        b" 400 ",
    ),
    "a path without end": (b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", b" 400 "),
    "a path that is none": (b"POST http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n", b" 400 "),
    "a method that is none": (b"BREW /v1/batch HTTP/1.1\r\nhost: x\r\n\r\n", b" 400 "),
    "an upgrade": (request(b"{}", b"connection: upgrade", b"upgrade: websocket"), b" 400 "),
    "false authorization": (request(b"{}").replace(KEY, b"Basic \xff\xfe"), b" 401 "),
    "an expectation": (request(b"{}", b"expect: 100-continue"), b" 100 "),
    "an odd request id": (request(b"{}", b"x-request-id: \xff'\"<script>"), b" 400 "),
    "too short a body": (request(b'{"batch"', length=500), b" 408 "),
    "half a head": (b"POST /v1/batch HTTP/1.1\r\nhost: x\r\n", b" 408 "),
    "silence": (b"", b" 408 "),
}


def test_fields_nested_deeply_are_answered(door: Intake) -> None:
    """Where a field's text is asked for, it may be an array as deep as JSON is read: no event, and no failure."""
    body = b'{"to": "1", "msgId": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"
    answer = door.post("/v1/clevertap/msg91", body, authorization=f"Bearer {HOOK}", key=None)
    assert answer.status_code in (200, 400)
    assert "nested too deeply" in answer.text


@pytest.mark.parametrize("name", HEADERS)
def test_bad_requests_are_answered(name: str, door: Intake) -> None:
    """Whatever comes over the wire is answered with a status of its own, and in time."""
    sent, status = HEADERS[name]
    assert status in raw(door, sent).partition(b"\r\n")[0]


def test_requests_that_hang_up_are_forgotten(door: Intake) -> None:
    """Clients that go away in the middle of anything leave nothing behind."""
    whole = request(orjson.dumps({"batch": [sms(NUMBER, "gone")]}))
    for cut in range(1, len(whole), 7):
        with socket.create_connection(("127.0.0.1", door.port)) as connection:
            connection.sendall(whole[:cut])


def test_pipelined_requests_are_answered_in_order(door: Intake) -> None:
    """Requests that do not wait for each other's answers all get one."""
    body = orjson.dumps({"batch": [sms(NUMBER, "pipelined")]})
    last = request(b"{}", b"connection: close")
    with socket.create_connection(("127.0.0.1", door.port), timeout=15) as connection:
        connection.sendall(request(body) * 20 + last)
        found = b""
        while data := connection.recv(65_536):
            found += data
    assert found.count(b"HTTP/1.1 200 ") == 20
    assert found.count(b"HTTP/1.1 400 ") == 1


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=300)
    | st.builds(
        lambda body, cut: body[:cut] + body[cut + 1 :],
        st.just(orjson.dumps({"batch": [sms(NUMBER, "fuzz")], "context": {"a": [1, None, "\u00e9"]}})),
        st.integers(0, 120),
    ),
    st.sampled_from(["/v1/batch", "/v1/track", "/v1/t", "/v1/identify", "/api/s/page", "/v1/webhooks/json/msg91"]),
    st.booleans(),
)
def test_fuzzed_bodies_never_break_it(door: Intake, body: bytes, path: str, compress: bool) -> None:
    """Any bytes, on any path, plain or compressed, get an answer below 500."""
    headers = {"content_encoding": "gzip"} if compress else {}
    answer = door.post(path, gzip.compress(body) if compress else body, **headers)
    assert answer.status_code in (200, 400, 401, 413)


def open_files(pid: int) -> int:
    """How many files a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def resident(pid: int) -> int:
    """Memory of a process, bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_slow_clients_stall_nobody(door: Intake) -> None:
    """A thousand clients that send a byte now and then are shown out in time; others are served meanwhile."""
    before = open_files(door.process.pid)
    whole = request(orjson.dumps({"batch": [sms(NUMBER, "slow")]}))

    async def slow(wait: asyncio.Event) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        try:
            writer.write(whole[:100])
            answer = asyncio.create_task(reader.read())
            for at in range(100, len(whole), 2):
                writer.write(whole[at : at + 2])
                wait.set()
                if (await asyncio.wait({answer}, timeout=0.2))[0]:
                    break
            return await answer
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def attack() -> tuple[list[bytes], list[int]]:
        begun = asyncio.Event()
        slow_ones = [asyncio.create_task(slow(begun)) for _ in range(1_000)]
        await begun.wait()
        served = []
        async with httpx.AsyncClient(base_url=door.url, trust_env=False, timeout=30) as client:
            while not all(one.done() for one in slow_ones):
                event = {**sms(NUMBER, "served meanwhile"), "writeKey": WRITE_KEY}
                served.append((await client.post("/v1/track", json=event)).status_code)
        return [one.result() for one in slow_ones], served

    answers, served = asyncio.run(attack())
    assert {answer.split(b" ")[1] for answer in answers if answer} <= {b"408"}
    assert served
    assert set(served) == {200}
    wait_until(lambda: open_files(door.process.pid) <= before + 5, what="their connections are closed")


def test_a_thousand_connections_are_served(door: Intake) -> None:
    """A thousand clients at once all get their answers."""
    body = request(orjson.dumps({"batch": [sms(NUMBER, "thousand")]}))

    async def send() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return head.partition(b"\r\n")[0]

    async def all_of_them() -> set[bytes]:
        return set(await asyncio.gather(*(send() for _ in range(1_000))))

    assert asyncio.run(all_of_them()) == {b"HTTP/1.1 200 OK"}


def test_attacks_leave_no_memory_behind(door: Intake) -> None:
    """Bombs and large bodies, over and over, do not let the process grow."""
    bomb = gzip.compress(b"0" * 50_000_000)
    large = b'{"batch": [{"type": "page", "name": "' + b"x" * 400_000 + b'"}]}'

    def attack(times: int) -> None:
        for _ in range(times):
            assert door.post("/v1/batch", bomb, content_encoding="gzip").status_code == 413
            assert door.post("/v1/batch", large[:-1]).status_code == 400
            assert door.post("/v1/batch", nested(50_000)).status_code == 400

    attack(30)
    before = resident(door.process.pid)
    attack(150)
    assert resident(door.process.pid) - before < 20_000_000


def test_large_batches_at_once_take_little_memory(door: Intake) -> None:
    """Small bodies that inflate to many events, from many clients at once: only their texts wait for the store."""
    events = [{"type": "page", "name": "x" * 190}] * 1_800
    body = request(gzip.compress(orjson.dumps({"batch": events})), b"content-encoding: gzip")
    before = resident(door.process.pid)

    async def send() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return head.split(b" ", 2)[1]

    async def all_of_them() -> set[bytes]:
        return set(await asyncio.gather(*(send() for _ in range(50))))

    assert asyncio.run(all_of_them()) <= {b"200", b"429"}
    assert resident(door.process.pid) - before < 100_000_000


def test_killed_door_loses_nothing_it_has_acknowledged() -> None:
    """SIGKILL under load, again and again, with clients that retry: every acknowledged event is sent exactly once."""
    with System(workers=1, destination={"write_keys": [WRITE_KEY]}) as system, Intake(system) as intake:
        acknowledged: list[str] = []
        over = threading.Event()

        def send(sender: int) -> None:
            count = 0
            with httpx.Client(base_url=intake.url, trust_env=False, timeout=10) as client:
                while not over.is_set():
                    name = f"kill {sender} {count}"
                    event = {**sms(NUMBER + sender, name, name), "writeKey": WRITE_KEY}
                    while True:
                        try:
                            answer = client.post("/v1/track", json=event)
                        except httpx.HTTPError:
                            time.sleep(0.02)
                            continue
                        if answer.status_code == 200:
                            break
                        assert answer.status_code == 429
                        time.sleep(0.02)
                    acknowledged.append(name)
                    count += 1

        with ThreadPoolExecutor(8) as pool:
            senders = [pool.submit(send, sender) for sender in range(8)]
            try:
                for _ in range(3):
                    seen = len(acknowledged)
                    wait_until(lambda seen=seen: len(acknowledged) > seen + 100, what="the door takes events")
                    intake.kill()
                    intake.start()
                seen = len(acknowledged)
                wait_until(lambda: len(acknowledged) > seen + 100, what="the door takes events")
            finally:
                over.set()
            for one in senders:
                one.result()
        # A batch that nobody was told of waits 15 s for the schedule; nobody needs to wait with it.
        hurry_all(system.core, by="test")
        system.wait_settled()
        sent: dict[str, int] = {}
        for (_, text), times in sends_by_text(system.sandbox.requests()).items():
            sent[text] = sent.get(text, 0) + times
        assert set(acknowledged) <= set(sent)
        assert set(sent.values()) == {1}
