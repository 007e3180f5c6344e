"""Everything that can be broken, and how: store, link, provider, broker, workers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson
import yaml
from celery import Celery

from tests.chaos.link import Link
from worker.app import QUEUE, QUEUES, configure
from worker.delivery import delivery_key
from worker.embedded import EmbeddedValkey
from worker.events import join
from worker.queueing import Queueing
from worker.runtime import Core, open_core
from worker.sandbox.process import Sandbox
from worker.settings import load_settings

ROOT = Path(__file__).parents[2]

#: What becomes of a message that may have been sent, by destination.
HOLD, RESEND = "hold", "resend"
DESTINATIONS = (HOLD, RESEND)

#: The shortest leases that the settings allow.
SHORT_LEASES = {
    "MSG91_DESTINATION_REQUEST_DEADLINE": "1",
    "MSG91_DESTINATION_CLAIM_LEASE": "11",
    "MSG91_DESTINATION_BATCH_LEASE": "11",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One event that is sent, and what is looked for at the provider and in the ledger."""

    number: int
    destination: str

    @property
    def message_id(self) -> str:
        """The event's id."""
        return f"{self.destination}-{self.number}"

    @property
    def phone(self) -> str:
        """The recipient, a number of its own for each event of a destination."""
        return str(919_000_000_000 + self.number)

    @property
    def pair(self) -> tuple[str, str]:
        """Recipient and text: what the provider's record shows."""
        return self.phone, f"text {self.message_id}"

    @property
    def key(self) -> str:
        """The delivery's key in the ledger."""
        return delivery_key(self.destination, self.message_id, "track")

    def event(self) -> bytes:
        """The event."""
        phone, text = self.pair
        return orjson.dumps(
            {
                "type": "track",
                "event": "Order Shipped",
                "messageId": self.message_id,
                "properties": {"phone": phone, "message": text, "senderID": "MSGIND"},
            }
        )


def samples(count: int) -> list[Sample]:
    """That many events, half of them for each destination."""
    return [Sample(number, DESTINATIONS[number % 2]) for number in range(count)]


class WorkerProcess:
    """One real worker process."""

    def __init__(self, module: str, environ: dict[str, str], concurrency: int, log: Path) -> None:
        self._log = log.open("ab")
        self.frozen = False
        self._ready = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(concurrency), "0"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def ready(self) -> bool:
        """Whether it takes work."""
        if not self._ready and self.process.stdout is not None:
            self._ready = bool(self.process.stdout.read(64))
        return self._ready and self.alive

    @property
    def alive(self) -> bool:
        """Whether it runs (or is frozen)."""
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def send(self, number: int) -> None:
        """Send a signal."""
        if self.alive:
            self.process.send_signal(number)

    def close(self) -> None:
        """End it, whatever it takes."""
        if self.alive:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self._log.close()


@dataclass(slots=True)
class Outage:
    """A time in which nothing could move: no store, no way to it, or no worker."""

    why: str
    began: float
    ended: float | None = None


@dataclass(slots=True)
class Diary:
    """What was done to the world, for people who have to understand a failure, and for the clock of the check."""

    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    verbose: bool = False

    def note(self, text: str) -> None:
        """Write down what is done."""
        line = f"{time.monotonic() - self.began:7.2f}  {text}"
        self.lines.append(line)
        if self.verbose:
            sys.stderr.write(line + "\n")

    @contextmanager
    def outage(self, why: str) -> Iterator[None]:
        """A time in which nothing can be expected to move."""
        entry = Outage(why, time.monotonic())
        self.outages.append(entry)
        try:
            yield
        finally:
            entry.ended = time.monotonic()

    def moving_time(self, start: float, end: float) -> float:
        """Seconds between two moments in which the world could have moved."""
        blocked: list[tuple[float, float]] = sorted(
            (max(start, one.began), min(end, one.ended if one.ended is not None else end)) for one in self.outages
        )
        total, at = end - start, start
        for low, high in blocked:
            if high > max(low, at):
                total -= high - max(low, at)
                at = high
        return total


class World:
    """A whole system with a handle on everything that can go wrong.

    Args:
        seed: Where all dice start.
        workers: Worker processes.
        concurrency: Threads each.
        settings: More environment variables for the workers.
        actions: How `send_sms` tries, for both destinations.
        lanes: Lane settings of both destinations.
        broker: Address and port of another broker than the store.
        module: What a worker runs.
        slow: Milliseconds an answer of the provider takes.
        verbose: Tell what is done while it is done.
    """

    def __init__(
        self,
        seed: int,
        *,
        workers: int = 3,
        concurrency: int = 4,
        settings: dict[str, str] | None = None,
        actions: dict[str, Any] | None = None,
        lanes: dict[str, Any] | None = None,
        broker: tuple[str, int] | None = None,
        module: str = "tests.chaos.traced_worker",
        slow: str = "50-250",
        verbose: bool = False,
    ) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.diary = Diary(verbose=verbose)
        self.count = workers
        self.concurrency = concurrency
        self._settings = settings or {}
        self._actions = actions or {}
        self._lanes = lanes or {}
        self._broker = broker
        self._module = module
        self._slow = slow
        self._stack = ExitStack()
        self._lock = threading.RLock()
        self.fleet: list[WorkerProcess] = []
        self._retired: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        try:
            self._enter()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _enter(self) -> None:
        enter = self._stack.enter_context
        self.folder = Path(enter(tempfile.TemporaryDirectory(prefix="msg91-chaos-")))
        self.valkey = enter(EmbeddedValkey(self.folder / "store", fsync="always"))
        self.link = enter(Link(self.valkey.port))
        self._links = [self.link]
        broker_url, behind_link = None, None
        if self._broker is not None:
            broker_url, port = self._broker
            self._links.append(enter(Link(port)))
            behind_link = self._links[1].url(broker_url)
        self.sandbox = enter(Sandbox(duplicate_window=0.0, seed=self.seed, faults=[f"slow={self._slow}"]))
        file = self.folder / "destinations.yaml"
        file.write_text(yaml.safe_dump({"destinations": [self._destination(name) for name in DESTINATIONS]}))
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MSG91", "CELERY", "REDIS"))},
            "DESTINATIONS_FILE": str(file),
            "REDIS_URL": self.link.url(self.valkey.url),
            "MSG91_AUTHKEY": self.sandbox.authkey,
            "MSG91_DESTINATION_PROMOTE_INTERVAL": "0.3",
            "MSG91_DESTINATION_JOURNAL_LENGTH": "200000",
            **({"CELERY_BROKER_URL": behind_link} if behind_link else {}),
            **self._settings,
        }
        self.settings = load_settings(self.environ)
        self.core: Core = open_core(self.settings, self.valkey.url, patience=120.0)
        self.celery = Celery(set_as_current=False)
        configure(self.celery, broker_url or self.valkey.url, namespace=self.settings.namespace)
        self.queueing = Queueing(self.celery)
        for _ in range(self.count):
            self.fleet.append(self._worker())

    def __exit__(self, *_: object) -> None:
        for worker in [*self.fleet, *self._retired]:
            worker.close()
        if hasattr(self, "celery"):
            self.celery.close()
        if hasattr(self, "core"):
            self.core.store.client.close()
        self._stack.close()

    def _destination(self, name: str) -> dict[str, Any]:
        policy = {"in_doubt": name} | ({"in_doubt_grace": 0.5} if name == RESEND else {})
        return {
            "name": name,
            "authkey": "${MSG91_AUTHKEY}",
            "base_url": self.sandbox.url,
            "default_sender": "MSGIND",
            "actions": {"send_sms": {**self._actions, **policy}},
            "lanes": {"sms": {"recipients": 5, **self._lanes}},
        }

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self._module, self.environ, self.concurrency, self.folder / "workers.log")

    @property
    def log(self) -> str:
        """What all workers have logged."""
        path = self.folder / "workers.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    # Events.

    def send(self, events: Sequence[Sample], *, publish: bool = True, twice: bool = False) -> list[str]:
        """Take events in by claim check, as every door does, a batch for each destination.

        Args:
            events: The events.
            publish: Tell the broker.
            twice: Tell it two times.
        """
        ids = []
        for destination in DESTINATIONS:
            lines = [one.event() for one in events if one.destination == destination]
            if lines:
                batch_id = self.core.batches.accept(join(lines), len(lines), door="chaos", destination=destination)
                ids.append(batch_id)
                for _ in range((1 + twice) if publish else 0):
                    self.queueing.publish(batch_id, QUEUE)
        return ids

    # What can be done to it. Each returns when it is over.

    def kill_workers(self, number: int, pause: float) -> None:
        """SIGKILL some workers; others take their place after a pause."""
        with self._lock:
            running = self._running()
            victims = self.dice.sample(running, k=min(number, len(running)))
            if not victims:
                return
            for one in victims:
                one.kill()
            self.diary.note(f"killed {len(victims)} of {len(self.fleet)} workers")
            self.diary.kills.append(time.monotonic())
            nobody = not any(one.alive and not one.frozen for one in self.fleet)
        if nobody:
            with self.diary.outage("no worker"):
                time.sleep(pause)
                self.replace_dead()
        else:
            time.sleep(pause)
            self.replace_dead()

    def _running(self) -> list[WorkerProcess]:
        """Workers that take work."""
        return [one for one in self.fleet if one.ready and not one.frozen]

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until all workers take work."""
        deadline = time.monotonic() + seconds
        while not all(one.ready for one in self.fleet):
            if time.monotonic() > deadline:
                raise AssertionError(f"the workers are not ready after {seconds:.0f} s:\n{self.log[-2000:]}")
            time.sleep(0.05)

    def replace_dead(self) -> None:
        """Start a worker in the place of each that has ended."""
        with self._lock:
            for at, one in enumerate(self.fleet):
                if not one.alive:
                    self._retired.append(one)
                    self.fleet[at] = self._worker()

    def stop_worker(self, *, twice: bool = False) -> None:
        """Stop one worker in good order, with one TERM or two, and start another."""
        with self._lock:
            running = self._running()
        if not running:
            return
        victim = self.dice.choice(running)
        self.diary.note(f"TERM{' twice' if twice else ''} to a worker")
        told = time.monotonic()
        victim.send(signal.SIGTERM)
        if twice:
            time.sleep(0.2)
            victim.send(signal.SIGTERM)
        deadline = time.monotonic() + self.settings.shutdown_grace + 15
        ask = time.monotonic() + self.settings.request_deadline + 5
        while victim.alive and time.monotonic() < deadline:
            time.sleep(0.05)
            if time.monotonic() > ask:
                # No request takes that long: its log will tell what its threads are at.
                victim.send(signal.SIGUSR2)
                ask = deadline
        if victim.alive:
            self.diary.note("the worker did not stop")
            victim.kill()
        code = victim.process.wait()
        self.diary.note(f"a worker told to stop took {time.monotonic() - told:.1f} s and ended with {code}")
        self.replace_dead()

    def freeze_worker(self, seconds: float) -> None:
        """SIGSTOP a worker beyond its leases, and let it go on as if nothing had happened."""
        with self._lock:
            running = self._running()
            if len(running) < 2:
                return
            victim = self.dice.choice(running)
            victim.frozen = True
        self.diary.note(f"froze a worker for {seconds:.1f} s")
        self.diary.kills.append(time.monotonic())
        victim.send(signal.SIGSTOP)
        time.sleep(seconds)
        victim.send(signal.SIGCONT)
        self.diary.note("the frozen worker goes on")
        victim.frozen = False

    def kill_store(self, pause: float) -> None:
        """SIGKILL the store and start it again from its append-only file."""
        with self._lock, self.diary.outage("no store"):
            self.diary.note("killed the store")
            self.valkey.kill()
            time.sleep(pause)
            self.valkey.restart()
            self.diary.note("the store is back")

    def black_link(self, seconds: float, *, late: bool) -> None:
        """Let the links between workers and store (and broker) go black."""
        with self.diary.outage("no link"):
            self.diary.note(f"the link is black for {seconds:.1f} s, then {'late' if late else 'lost'}")
            for link in self._links:
                link.black()
            before = self._processor_seconds()
            time.sleep(seconds / 2)
            self._ask_the_busy(before, seconds / 2)
            time.sleep(seconds / 2)
            self._judge_idleness(before, seconds)
            for link in self._links:
                link.heal(late=late)
            self.diary.note("the link carries again")

    def _processor_seconds(self) -> dict[int, float]:
        """Processor time of every worker that takes work, where the system tells it."""
        found = {}
        for one in self._running():
            with suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(")")[2].split()
                found[one.process.pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def _ask_the_busy(self, before: dict[int, float], seconds: float) -> None:
        """Let those that spin write down what they are at."""
        for pid, spent in self._processor_seconds().items():
            if pid in before and (spent - before[pid]) / seconds > 0.2:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR2)

    def _judge_idleness(self, before: dict[int, float], seconds: float) -> None:
        """While there is no store, nobody may spin: a fifth of a processor is generous for waiting."""
        after = self._processor_seconds()
        for pid, spent in before.items():
            share = (after.get(pid, spent) - spent) / seconds
            if seconds >= 10 and share > 0.2:
                self.diary.busy.append(f"worker {pid} used {share:.0%} of a processor while the link was black")

    def fault(self, *faults: str) -> None:
        """Give the provider faults, for so many requests."""
        self.diary.note(f"faults: {'; '.join(faults)}")
        self.sandbox.fault(*faults)

    def delete_queue(self) -> None:
        """Delete the Celery queues with everything in them."""
        self.diary.note("deleted the queues")
        if self._broker is not None:
            with self.celery.connection_for_write() as connection:
                for queue in QUEUES:
                    connection.default_channel.queue_delete(queue)
            return
        store = self.core.store
        names = [f"{{{self.settings.namespace}}}:celery:{queue}" for queue in QUEUES]
        store.ask(lambda: store.client.delete(*names))

    def double_messages(self) -> None:
        """Tell the broker of everything unfinished once more."""
        store = self.core.store
        ids = store.ask(lambda: store.client.zrange(store.keys.schedule, 0, 100))
        self.diary.note(f"doubled {len(ids)} messages")
        for one in ids:
            self.queueing.publish(one.decode(), QUEUE)

    def calm(self) -> None:
        """End everything that was started: faults, frozen workers, closed lanes."""
        self.diary.note("calm")
        self.sandbox.clear_faults()
        with self._lock:
            for one in self.fleet:
                one.frozen = False
                one.send(signal.SIGCONT)
        self.replace_dead()
        for destination in DESTINATIONS:
            for batch_id in self.core.lanes.resume(f"{destination}:sms"):
                self.core.schedule.make_due(batch_id)
