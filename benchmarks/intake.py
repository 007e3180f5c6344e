"""Events per second through the HTTP door, end to end: from the request to MSG91's (the sandbox's) answer.

Everything runs here and shares the cores: store and broker (an embedded Valkey with append-only file), sandbox, one
worker, the door, and the client. The client keeps a number of connections, each with one request under way at a time,
as the clients of Segment do.

    python -m benchmarks.intake                       single events, then batches of 100
    python -m benchmarks.intake --json
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import orjson
import uvloop

from benchmarks.machine import Meter
from tests.intake import Intake
from tests.system import System, wait_until
from worker.delivery import read_counts

WRITE_KEY = "benchmark-write-key"


def event(number: int) -> dict[str, Any]:
    """One event of about 500 bytes, as a shop sends it."""
    return {
        "type": "track",
        "event": "Order Shipped",
        "messageId": f"bench-{number:09d}-4bd1-9c0e-5f1a2b3c4d5e",
        "userId": f"user-{number}",
        "timestamp": "2026-11-20T10:00:00.000Z",
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}, "ip": "203.0.113.7"},
        "integrations": {},
        "properties": {
            "phone": f"9190{number % 100_000_000:08d}",
            "message": f"Hello {number}, your order {number} is on its way and arrives tomorrow.",
            "senderID": "MSGIND",
            "orderId": f"order-{number}",
            "total": 1499.5,
            "currency": "INR",
        },
    }


def requests_of(events: int, size: int) -> Iterator[bytes]:
    """Requests as they go over the wire: single events, or batches."""
    for start in range(0, events, size):
        if size == 1:
            path, body = b"/v1/track", orjson.dumps({**event(start), "writeKey": WRITE_KEY})
        else:
            batch = [event(number) for number in range(start, min(start + size, events))]
            path, body = b"/v1/batch", orjson.dumps({"batch": batch, "writeKey": WRITE_KEY})
        yield (
            b"POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (path, len(body), body)
        )


class Connection(asyncio.Protocol):
    """Sends one request after the other, each when the one before is answered."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None], latencies: list[float]) -> None:
        self._requests = requests
        self._done = done
        self._latencies = latencies
        self._began = 0.0
        self._seen = b""

    def connection_made(self, transport: Any) -> None:
        """Send the first."""
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Send the next once the answer is whole."""
        self._seen += data
        head, found, body = self._seen.partition(b"\r\n\r\n")
        if not found:
            return
        assert head.startswith(b"HTTP/1.1 200"), self._seen[:300]
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._seen = b""
        self._latencies.append(time.perf_counter() - self._began)
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(request)


async def load(port: int, requests: list[bytes], connections: int) -> dict[str, Any]:
    """Send all requests; what the client saw."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    waiting = iter(requests)
    ends = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    await asyncio.gather(
        *(
            loop.create_connection(lambda end=end: Connection(waiting, end, latencies), "127.0.0.1", port)
            for end in ends
        )
    )
    await asyncio.gather(*ends)
    assert len(latencies) == len(requests)
    seconds = time.perf_counter() - began
    latencies.sort()
    return {
        "seconds": seconds,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
        "cpu": time.process_time(),
    }


def client(port: int, events: int, size: int, connections: int) -> None:
    """The body of the client's own process: makes the requests, says so, waits for the word, sends them."""
    requests = list(requests_of(events, size))
    sys.stdout.write("made\n")
    sys.stdout.flush()
    sys.stdin.readline()
    prepared = time.process_time()
    seen = uvloop.run(load(port, requests, connections))
    seen["cpu"] -= prepared
    sys.stdout.write(orjson.dumps(seen).decode() + "\n")


def run(*, events: int, size: int, connections: int, concurrency: int, settings: dict[str, str]) -> dict[str, Any]:
    """One run; everything in the result was measured in it."""
    with (
        System(
            workers=0,
            concurrency=concurrency,
            destination={"write_keys": [WRITE_KEY], "lanes": {"sms": {"concurrency": 100}}},
        ) as system,
        Intake(system, settings) as intake,
    ):
        worker = system.start_worker()
        wait_until(lambda: system.log.count(" ready.") == 1, what="the worker is ready")
        sender = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.intake",
                "--client",
                str(intake.port),
                str(events),
                str(size),
                str(connections),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert sender.stdout is not None
        assert sender.stdin is not None
        sender.stdout.readline()
        parts = {"door": [intake.process.pid], "worker": [worker.process.pid], "sandbox": [system.sandbox.pid or 0]}
        meter = Meter(system.core.store, parts)
        began = time.perf_counter()
        sender.stdin.write("go\n")
        sender.stdin.flush()
        seen = orjson.loads(sender.stdout.readline())
        sender.wait()
        store = system.core.store
        wait_until(
            lambda: (counts := read_counts(store)).events["queued"] == 0 and counts.states_on_the_way == 0,
            seconds=600,
            what="all settled",
        )
        seconds = time.perf_counter() - began
        cpu = meter.per_event(events)
        found = system.reconcile()
        commands = store.client.info("commandstats")
        batches = commands.get("cmdstat_lpush", {}).get("calls", 0)
        return {
            "events": events,
            "size": size,
            "connections": connections,
            "requests_per_second": round(len(range(0, events, size)) / seen["seconds"]),
            "events_per_second_accepted": round(events / seen["seconds"]),
            "events_per_second_delivered": round(events / seconds),
            "p50_ms": round(seen["p50_ms"], 2),
            "p99_ms": round(seen["p99_ms"], 2),
            "cpu_us_per_event": {**cpu, "client": round(seen["cpu"] / events * 1e6, 1)},
            "broker_messages": batches,
            "identity_holds": found.holds,
            "accepted": found.as_json()["states"]["accepted"],
            "provider_duplicates": system.sandbox.stats()["duplicates"],
        }


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--client"]:
        port, events, size, connections = map(int, sys.argv[2:])
        client(port, events, size, connections)
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--single", type=int, default=20_000, help="single events")
    parser.add_argument("--batched", type=int, default=60_000, help="events in batches")
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--setting", action="append", default=[], help="NAME=VALUE for the door")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = dict(one.split("=", 1) for one in options.setting)
    results = []
    for events, size, connections in (
        (options.single, 1, options.connections),
        (options.batched, options.size, max(1, options.connections // 8)),
    ):
        for _ in range(options.repeat if events else 0):
            one = run(
                events=events,
                size=size,
                connections=connections,
                concurrency=options.concurrency,
                settings=settings,
            )
            results.append(one)
            if not options.json:
                print(
                    f"{size:>4} a request, {connections} connections: {one['requests_per_second']} requests/s, "
                    f"{one['events_per_second_accepted']} events/s accepted, {one['events_per_second_delivered']} "
                    f"delivered; p50 {one['p50_ms']} ms, p99 {one['p99_ms']} ms; CPU µs per event "
                    f"{one['cpu_us_per_event']}; {one['broker_messages']} broker messages; accepted {one['accepted']}, "
                    f"provider duplicates {one['provider_duplicates']}, identity holds: {one['identity_holds']}"
                )
    if options.json:
        sys.stdout.write(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    return 0 if all(one["identity_holds"] and one["provider_duplicates"] == 0 for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
