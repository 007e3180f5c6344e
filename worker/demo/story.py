"""The demonstration from its first event to its last: what is sent, when, and what goes wrong on the way."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from celery import Celery

from worker.app import configure, redis_transport_options
from worker.delivery import Counts, Reconciliation, State, read_counts, reconcile
from worker.demo.outcomes import Arrival, Outcome, outcomes
from worker.demo.progress import Progress
from worker.demo.samples import Door, Kind, kinds, mixed
from worker.intake.files import EventFile, Found, Refused
from worker.intake.run import Announcer, Run
from worker.machine import Machine, towards
from worker.queueing import FORWARD_EVENTS, Queueing
from worker.runtime import Core, open_core
from worker.settings import load_settings
from worker.supervisor import StopSignals
from worker.taking import batch_id_of

#: What the sandbox does wrong: MSG91 throttles once, its gateway fails twice, and every answer takes its time.
FAULTS: Final = (
    "429,retry-after=2,count=1,path=/api/v2",
    "503,count=2,path=/api/v2",
    "slow=100-300,path=/api/v2",
)
CONCURRENCY: Final = 4
#: Events in a batch: small, so that there are several under way.
BATCH_SIZE: Final = 50
#: Seconds that a worker that is told to stop gets.
GRACE: Final = 10.0
#: Seconds until workers must be ready, and until everything that was sent must have come to its end.
READY_WITHIN: Final = 30.0
SETTLED_WITHIN: Final = 60.0

SMS: Final = "msg91"
PROFILES: Final = "profiles"

_DESTINATIONS: Final = f"""\
destinations:
  - name: {SMS}
    authkey: ${{MSG91_AUTHKEY}}
    actions:
      send_sms: {{backoff_base: 1s}}
  - name: {PROFILES}
    authkey: ${{MSG91_AUTHKEY}}
    mappings: segmento-user-events
    segmento: {{phonebook_id: demo}}
"""
_TARGETS: Final = {
    Door.PROFILES: PROFILES,
    Door.SHOP: SMS,
    Door.QUEUE: SMS,
    Door.PROFILES_LATER: PROFILES,
    Door.SHOP_AGAIN: SMS,
}


class Interrupted(Exception):
    """A signal has asked to stop."""


class DemoFailed(Exception):
    """The demonstration could not be brought to its end."""


@dataclass(slots=True)
class Result:
    """What came of it.

    Attributes:
        outcomes: By kind of event.
        reconciliation: The identity.
        requests: Every request, by MSG91's own record.
        fault_hits: How often each fault has hit.
        seconds: From the first event to the last outcome.
    """

    outcomes: list[Outcome]
    reconciliation: Reconciliation
    requests: list[dict[str, Any]]
    fault_hits: dict[str, int]
    seconds: float


@dataclass(slots=True)
class Stage:
    """What has been put up for the demonstration.

    Attributes:
        home: The directory of everything it writes; it goes with the store.
        core: The store.
        queueing: The way to tell Celery of batches.
        producer: A Celery application as another program would have it: it knows nothing of ours.
        arrivals: The samples that have come in, or have tried to.
    """

    home: Path
    core: Core
    queueing: Queueing
    producer: Celery
    arrivals: list[Arrival] = field(default_factory=list)


@contextmanager
def staged(machine: Machine, progress: Progress, signals: StopSignals) -> Iterator[Stage]:
    """Start the store, the sandbox and a worker, and wait until it takes work.

    Raises:
        DemoFailed: the worker does not.
        Interrupted: a signal has come.
    """
    valkey = machine.start_store(None)
    home = valkey.data_dir
    progress.step("store", f"Valkey on 127.0.0.1:{valkey.port}, its data in a temporary directory")
    sandbox = machine.start_sandbox(record=home / "sandbox-requests.ndjson", faults=FAULTS, seed=91)
    progress.step("MSG91", f"the sandbox on {sandbox.url}: 429 once, 503 twice, answers in 100 to 300 ms")
    environ = _environ(home, valkey.url, sandbox.url, sandbox.authkey)
    settings = load_settings(environ)
    with (home / "worker.log").open("wb") as logs:
        machine.start_workers(processes=1, concurrency=CONCURRENCY, grace=GRACE, environ=environ, logs=logs)
        if not machine.wait_ready(signals, seconds=READY_WITHIN):
            if signals.asked:
                raise Interrupted
            raise DemoFailed(f"the worker has not started; its log ends with:\n{log_tail(home)}")
        progress.step("worker", f"a Celery worker with {CONCURRENCY} threads")
        celery = Celery("demo", set_as_current=False)
        configure(celery, valkey.url, namespace=settings.namespace)
        producer = Celery("another-program", broker=valkey.url, set_as_current=False)
        producer.conf.broker_transport_options = {
            key: redis_transport_options(settings.namespace)[key] for key in ("global_keyprefix", "priority_steps")
        }
        core = open_core(settings, valkey.url, patience=5.0)
        try:
            yield Stage(home, core, Queueing(celery), producer)
        finally:
            producer.close()
            celery.close()
            core.store.client.close()


def play(stage: Stage, machine: Machine, progress: Progress, signals: StopSignals) -> Result:
    """Send all samples, wait for their ends, and look what became of them.

    Raises:
        DemoFailed: not everything has come to its end in time.
        Interrupted: a signal has come.
    """
    everything = kinds()
    began = time.monotonic()
    for door in Door:
        group = [kind for kind in everything if kind.door is door]
        if door is Door.PROFILES_LATER:
            _wait_settled(stage, machine, progress, signals)
        if door is Door.QUEUE:
            _send_by_celery(stage, group, progress)
        else:
            _send_file(stage, door, group, progress)
    _wait_settled(stage, machine, progress, signals)
    seconds = time.monotonic() - began
    assert machine.sandbox is not None  # noqa: S101 - `staged` started it
    return Result(
        outcomes(stage.core, everything, stage.arrivals),
        reconcile(stage.core.store),
        machine.sandbox.requests(),
        {one["fault"]: one["hits"] for one in machine.sandbox.faults()},
        seconds,
    )


def log_tail(home: Path, lines: int = 15) -> str:
    """The end of the worker's log."""
    try:
        return "\n".join((home / "worker.log").read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return "(there is no log)"


def _environ(home: Path, store_url: str, msg91_url: str, authkey: str) -> dict[str, str]:
    """An environment that knows nothing of the user's own configuration."""
    file = home / "destinations.yaml"
    file.write_text(_DESTINATIONS, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MSG91", "CELERY", "REDIS"))}
    return {
        **towards(msg91_url, authkey, kept),
        "DESTINATIONS_FILE": str(file),
        "REDIS_URL": store_url,
        "MSG91_DESTINATION_SHUTDOWN_GRACE": str(GRACE),
        "MSG91_DESTINATION_PROMOTE_INTERVAL": "0.2",
    }


def _send_file(stage: Stage, door: Door, group: Sequence[Kind], progress: Progress) -> None:
    """Write a file of samples and send it as ``msg91-destination send`` does."""
    path = stage.home / f"{door}.ndjson"
    samples = mixed((kind, line) for kind in group for line in kind.lines)
    path.write_bytes(b"".join(line + b"\n" for _, line in samples))
    arrivals = [Arrival(kind, _TARGETS[door]) for kind, _ in samples]
    stage.arrivals += arrivals
    waiting: list[Arrival] = []

    def note(batch_id: str, message_ids: Sequence[str]) -> None:
        for position, (arrival, message_id) in enumerate(zip(waiting, message_ids, strict=True)):
            arrival.batch_id, arrival.message_id, arrival.position = batch_id, message_id, position
        waiting.clear()

    run = Run(
        stage.core.batches,
        Announcer(stage.queueing.publish),
        batch_size=BATCH_SIZE,
        destination=_TARGETS[door],
        on_batch=note,
    )
    with EventFile(str(path)) as file:
        run.begin(path.name)
        for item in file:
            if isinstance(item, Found):
                waiting.append(arrivals[item.line - 1])
                run.add(item)
            elif isinstance(item, Refused):
                arrivals[item.line - 1].refusal = item.message
                run.refuse(item)
        run.flush()
    refused = f", {run.refused_count} lines refused" if run.refused_count else ""
    progress.step("send", f"{path.name}: {run.accepted} events accepted{refused}")


def _send_by_celery(stage: Stage, group: Sequence[Kind], progress: Progress) -> None:
    """Send samples as another program does that has Celery and the broker's address, and nothing of ours."""
    for kind in group:
        lines = [line.decode() for line in kind.lines]
        sent = stage.producer.send_task(
            FORWARD_EVENTS,
            args=["\n".join(lines)],
            kwargs={"destination": SMS},
            queue="events",
            ignore_result=True,
        )
        task_id = str(sent.id)
        for position in range(len(lines)):
            message_id = f"demo-{600 + position}" if len(lines) > 1 else f"{task_id}-{position}"
            stage.arrivals.append(Arrival(kind, SMS, batch_id_of(task_id), message_id, position))
    progress.step("celery", f"{sum(len(kind.lines) for kind in group)} events as tasks {FORWARD_EVENTS}")


def _wait_settled(stage: Stage, machine: Machine, progress: Progress, signals: StopSignals) -> None:
    """Wait until nothing is queued, being sent or waiting, and show how it goes."""
    deadline = time.monotonic() + SETTLED_WITHIN
    expected = sum(1 for arrival in stage.arrivals if arrival.batch_id)
    while True:
        counts = read_counts(stage.core.store)
        progress.update(counts, stage.core.journal)
        if counts.events["received"] >= expected and not _unfinished(counts):
            return
        if signals.wait(0.1):
            raise Interrupted
        machine.check()
        if time.monotonic() > deadline:
            left = Counter({state.value: counts.states[state] for state in State if counts.states[state]})
            raise DemoFailed(
                f"not everything has come to its end within {SETTLED_WITHIN:.0f} s: {dict(left)}, "
                f"{counts.events['queued']} queued; the worker's log ends with:\n{log_tail(stage.home)}"
            )


def _unfinished(counts: Counts) -> int:
    return counts.events["queued"] + counts.states[State.SENDING] + counts.states[State.SCHEDULED]
