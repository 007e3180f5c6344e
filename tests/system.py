"""A whole system for tests: a real Valkey, the sandbox, real worker processes; everything ends with the block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import orjson
import yaml

from worker.app import configure
from worker.delivery import Reconciliation, State, read_counts, reconcile
from worker.embedded import EmbeddedValkey
from worker.events import join
from worker.queueing import Queueing
from worker.runtime import Core, open_core
from worker.sandbox.process import Sandbox
from worker.settings import load_settings


def wait_until(condition: Callable[[], Any], *, seconds: float = 30.0, what: str = "") -> Any:
    """Wait for a condition and return what it gave; fails with a sentence when it does not come true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what or condition}")
        time.sleep(0.05)


class Worker:
    """One real worker process."""

    def __init__(self, environ: dict[str, str], concurrency: int, log: Path) -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker.celery_worker", str(concurrency), "0"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self) -> None:
        """End it, whatever it takes."""
        if self.process.poll() is None:
            self.kill()
        if self.process.stdin:
            self.process.stdin.close()
        self._log.close()


class System:
    """Valkey, sandbox and workers.

    Args:
        workers: Worker processes to start with.
        concurrency: Threads each.
        destination: More keys of the one destination (``msg91``) in its destinations file.
        settings: Environment variables for the workers.
        sandbox: Arguments for the sandbox.
        broker_url: Another broker than the store.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        concurrency: int = 4,
        destination: dict[str, Any] | None = None,
        settings: dict[str, str] | None = None,
        sandbox: dict[str, Any] | None = None,
        broker_url: str | None = None,
    ) -> None:
        self._stack = ExitStack()
        self._count = workers
        self.concurrency = concurrency
        self._destination = destination or {}
        self._settings = settings or {}
        self._sandbox_arguments = {"duplicate_window": 0.0, **(sandbox or {})}
        self._broker_url = broker_url
        self.workers: list[Worker] = []

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="msg91-system-")))
        self.valkey = self._stack.enter_context(EmbeddedValkey(self.folder / "store"))
        self.sandbox = self._stack.enter_context(Sandbox(**self._sandbox_arguments))
        file = self.folder / "destinations.yaml"
        destination = {
            "name": "msg91",
            "authkey": "${MSG91_AUTHKEY}",
            "base_url": self.sandbox.url,
            "default_sender": "MSGIND",
            **self._destination,
        }
        file.write_text(yaml.safe_dump({"destinations": [destination]}), encoding="utf-8")
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MSG91", "CELERY", "REDIS"))},
            "DESTINATIONS_FILE": str(file),
            "REDIS_URL": self.valkey.url,
            "MSG91_AUTHKEY": self.sandbox.authkey,
            "MSG91_DESTINATION_PROMOTE_INTERVAL": "0.2",
            **({"CELERY_BROKER_URL": self._broker_url} if self._broker_url else {}),
            **self._settings,
        }
        self.settings = load_settings(self.environ)
        self.core: Core = open_core(self.settings, self.valkey.url, patience=30.0)
        from celery import Celery

        self.celery = Celery(set_as_current=False)
        configure(self.celery, self.settings.broker_url(self.valkey.url), namespace=self.settings.namespace)
        self.queueing = Queueing(self.celery)
        for _ in range(self._count):
            self.start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.close()
        self.celery.close()
        self.core.store.client.close()
        self._stack.close()

    @property
    def log(self) -> str:
        """What all workers have logged."""
        path = self.folder / "workers.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def start_worker(self, settings: dict[str, str] | None = None) -> Worker:
        """Start one more worker."""
        worker = Worker({**self.environ, **(settings or {})}, self.concurrency, self.folder / "workers.log")
        self.workers.append(worker)
        return worker

    def send(self, events: Sequence[Any], *, size: int = 500, publish: bool = True) -> list[str]:
        """Take events in by claim check, as every door does."""
        ids = []
        for start in range(0, len(events), size):
            lines = [one if isinstance(one, bytes) else orjson.dumps(one) for one in events[start : start + size]]
            ids.append(self.core.batches.accept(join(lines), len(lines), door="test"))
            if publish:
                self.queueing.publish(ids[-1], "events")
        return ids

    def reconcile(self) -> Reconciliation:
        """The identity."""
        return reconcile(self.core.store)

    def counts(self) -> dict[str, int]:
        """Deliveries by state, without the empty states."""
        found = self.reconcile()
        assert found.holds, found.problems
        return {state.value: count for state, count in found.recounted.items() if count}

    def settled(self) -> bool:
        """Whether nothing is queued, being sent or waiting."""
        found = self.reconcile()
        assert found.holds, found.problems
        return (
            found.counts.events["queued"] == 0
            and found.counts.states[State.SENDING] == 0
            and found.counts.states[State.SCHEDULED] == 0
        )

    def idle(self) -> bool:
        """Whether the counters say that nothing is queued, being sent or waiting (``settled`` without the recount)."""
        counts = read_counts(self.core.store)
        return counts.events["queued"] == 0 and counts.states_on_the_way == 0

    def wait_settled(self, seconds: float = 60.0) -> dict[str, int]:
        """Wait until nothing is on its way, and give the deliveries by state."""
        wait_until(self.settled, seconds=seconds, what=f"settled; stands at {self.counts()}")
        return self.counts()


def sms(number: int | str, message_id: str, message: str = "hello", **properties: Any) -> dict[str, Any]:
    """A track event that becomes one SMS."""
    return {
        "type": "track",
        "event": "Order Shipped",
        "messageId": message_id,
        "properties": {"phone": number, "message": message, "senderID": "MSGIND", **properties},
    }


def many(count: int, *, prefix: str = "m") -> list[dict[str, Any]]:
    """That many events to different numbers, each text naming its event."""
    return [sms(919000000000 + n, f"{prefix}{n}", f"text {prefix}{n}") for n in range(count)]


def sends_by_text(requests: Iterable[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """How often MSG91 took each (number, text), by its own record."""
    sent: dict[tuple[str, str], int] = {}
    for request in requests:
        if request.get("taken"):
            for message in request.get("messages", ()):
                pair = (str(message["to"]), str(message["text"]))
                sent[pair] = sent.get(pair, 0) + 1
    return sent
