"""The floor: pop, parse, build, post in one bare loop. No Celery, no mapping, no ledger, no journal."""

from __future__ import annotations

import sys
import time
from typing import Any

import httpx
import orjson

from benchmarks.workload import event
from tests.system import System


def run(*, events: int, batch: int) -> dict[str, Any]:
    """One run: batches of events wait in a Redis list; every batch becomes one request."""
    with System(workers=0) as system:
        redis = system.core.store.client
        for start in range(0, events, batch):
            redis.rpush("floor", orjson.dumps([event(number) for number in range(start, min(start + batch, events))]))
        client = httpx.Client(base_url=system.sandbox.url, headers={"authkey": system.sandbox.authkey}, timeout=20)
        client.get("/api/v5/otp/verify", params={"otp": "0000", "mobile": "910000000000"})
        began, cpu = time.perf_counter(), time.process_time()
        while (raw := redis.lpop("floor")) is not None:
            body = {
                "sender": "MSGIND",
                "route": "4",
                "sms": [
                    {"message": one["properties"]["message"], "to": [str(one["properties"]["phone"])]}
                    for one in orjson.loads(raw)
                ],
            }
            headers = {"content-type": "application/json"}
            client.post("/api/v2/sendsms", content=orjson.dumps(body), headers=headers).raise_for_status()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        taken = system.sandbox.stats()["taken"]
        assert taken == events, (taken, events)
        return {
            "events": events,
            "batch": batch,
            "seconds": round(seconds, 3),
            "events_per_second": round(events / seconds),
            "cpu_us_per_event": {"worker": round(cpu / events * 1e6, 1)},
        }


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(run(events=50_000, batch=500), option=orjson.OPT_INDENT_2).decode() + "\n")
