"""The worker a user would write instead: one Celery task and one HTTP request per event.

Idiomatic Celery and httpx, with late acknowledgement and retries; no ledger, no lanes, no journal, no claim check. It
can lose an event when a worker is killed and send one twice when an answer is lost; it is here for its speed alone.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import time
from typing import Any

import httpx
import orjson
from celery import Celery

from benchmarks.machine import cpu_seconds, family
from benchmarks.workload import event
from tests.system import System, wait_until

URL = os.environ.get("NAIVE_URL", "")
AUTHKEY = os.environ.get("NAIVE_AUTHKEY", "")

app = Celery("naive", broker=os.environ.get("NAIVE_BROKER", "redis://"), set_as_current=False)
app.conf.update(task_ignore_result=True, task_acks_late=True, broker_connection_retry_on_startup=True)


@functools.cache
def client() -> httpx.Client:
    """One client a process."""
    return httpx.Client(base_url=URL, headers={"authkey": AUTHKEY}, timeout=20)


@app.task(name="naive.send", autoretry_for=(httpx.HTTPError,), retry_backoff=True, max_retries=10)
def send(event: dict[str, Any]) -> None:
    """Send one SMS."""
    properties = event["properties"]
    answer = client().post(
        "/api/v2/sendsms",
        json={
            "sender": properties["senderID"],
            "route": "4",
            "sms": [{"message": properties["message"], "to": [str(properties["phone"])]}],
        },
    )
    answer.raise_for_status()
    if answer.json()["type"] != "success":
        raise httpx.HTTPError(answer.text)


def run(*, events: int, pool: str, concurrency: int) -> dict[str, Any]:
    """One run; the clock runs from the worker's readiness until the sandbox took the last message."""
    with System(workers=0) as system:
        broker = system.valkey.url
        environ = {
            **os.environ,
            "NAIVE_URL": system.sandbox.url,
            "NAIVE_AUTHKEY": system.sandbox.authkey,
            "NAIVE_BROKER": broker,
        }
        producer = Celery(broker=broker, set_as_current=False)
        for number in range(events):
            producer.send_task("naive.send", args=[event(number)], ignore_result=True)
        began = time.perf_counter()
        worker = subprocess.Popen(
            [
                sys.executable, "-m", "celery", "-A", "benchmarks.naive", "worker", "-P", pool, "-c", str(concurrency),
                "--without-gossip", "--without-mingle", "-l", "error",
            ],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: system.sandbox.stats()["taken"] > 0, seconds=60, what="the first message")
            began = time.perf_counter()
            first = system.sandbox.stats()["taken"]
            pids = family(worker.pid)
            before = sum(cpu_seconds(pid) for pid in pids)
            wait_until(lambda: system.sandbox.stats()["taken"] >= events, seconds=300, what="all messages")
            seconds = time.perf_counter() - began
            cpu = sum(cpu_seconds(pid) for pid in pids) - before
        finally:
            worker.terminate()
            worker.wait(30)
        done = events - first
        return {
            "events": done,
            "pool": pool,
            "concurrency": concurrency,
            "seconds": round(seconds, 3),
            "events_per_second": round(done / seconds),
            "cpu_us_per_event": {"worker": round(cpu / done * 1e6, 1)},
        }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--pool", choices=("prefork", "threads"), default="threads")
    parser.add_argument("--concurrency", type=int, default=20)
    print(orjson.dumps(run(**vars(parser.parse_args())), option=orjson.OPT_INDENT_2).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
