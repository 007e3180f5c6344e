"""More workers, more machines: throughput and who is busy, against one store.

``python -m benchmarks.scale_out`` starts 1, 2, 3 and 4 worker processes on one store, one after the other, and measures
each time; ``--machines`` gives every worker a network namespace of its own (a host as the network sees it: its own
addresses, a virtual cable to the store), which needs root and ``ip``; ``--broker rabbitmq`` puts RabbitMQ between.
All of it shares the cores of this machine: the workers fill them first. What the store takes of an event is measured,
so that its own limit can be computed: one core, which is all that its commands use.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import orjson
import yaml

from benchmarks.end_to_end import start_workers, until_idle
from benchmarks.machine import Meter, family, machine
from benchmarks.workload import batches
from tests.chaos.rabbitmq import RabbitMQ, Unavailable, ensure_installed
from tests.system import System, Worker, wait_until
from worker.sandbox.process import Sandbox

BRIDGE, NETWORK = "m91bench", "10.91.0"


class Skipped(Exception):
    """It cannot be measured here; says why."""


class Machines:
    """Network namespaces on one bridge: hosts of their own for workers.

    Args:
        count: How many.

    Raises:
        Skipped: this machine cannot make them.
    """

    def __init__(self, count: int) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise Skipped("network namespaces need root and the command ip")
        self.names = [f"{BRIDGE}-{number}" for number in range(1, count + 1)]

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            self._ip("link", "add", BRIDGE, "type", "bridge")
            self._stack.callback(self._ip, "link", "delete", BRIDGE)
            self._ip("address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
            self._ip("link", "set", BRIDGE, "up")
            for number, name in enumerate(self.names, 1):
                self._ip("netns", "add", name)
                self._stack.callback(self._ip, "netns", "delete", name)
                cable = f"{BRIDGE}{number}"
                self._ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
                self._ip("link", "set", cable, "master", BRIDGE, "up")
                self._ip("-netns", name, "address", "add", f"{NETWORK}.{number + 1}/24", "dev", "eth0")
                for link in ("eth0", "lo"):
                    self._ip("-netns", name, "link", "set", link, "up")
        except subprocess.CalledProcessError as error:
            self._stack.close()
            raise Skipped(f"a network namespace cannot be made: {error.stderr.decode().strip()}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """Where the store and the provider are, as the machines see it."""
        return f"{NETWORK}.1"

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)


class RemoteWorker(Worker):
    """A worker process in a network namespace."""

    def __init__(self, name: str, environ: dict[str, str], concurrency: int, log: Path) -> None:
        self._log = log.open("ab")
        worker = [sys.executable, "-m", "worker.celery_worker", str(concurrency), "0"]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", name, *worker],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )


@contextmanager
def broker(kind: str) -> Iterator[tuple[str | None, list[int]]]:
    """The broker's address (``None``: the store itself) and its processes."""
    if kind == "store":
        yield None, []
        return
    try:
        ensure_installed()
        server = RabbitMQ().__enter__()
    except Unavailable as error:
        raise Skipped(str(error)) from None
    try:
        yield server.url, sorted({pid for one in server._processes for pid in family(one.pid)})  # noqa: SLF001
    finally:
        server.__exit__(None, None, None)


def run(*, workers: int, events: int, recipients: int, machines: bool, kind: str, concurrency: int) -> dict[str, Any]:
    """One run.

    Args:
        workers: Worker processes.
        events: Events, in batches of 500.
        recipients: Recipients in a request, at most.
        machines: Whether every worker has a network namespace of its own.
        kind: ``store`` or ``rabbitmq``.
        concurrency: Threads in a worker.

    Raises:
        Skipped: it cannot be done here.
    """
    lanes = {"lanes": {"sms": {"recipients": recipients, "concurrency": 100}}}
    with broker(kind) as (url, pids), ExitStack() as stack:
        hosts = stack.enter_context(Machines(workers)) if machines else None
        system = stack.enter_context(System(workers=0, concurrency=concurrency, destination=lanes, broker_url=url))
        ids = [system.core.batches.accept(body, size, door="bench") for body, size in batches(events, 500)]
        sandbox = system.sandbox
        if hosts is None:
            start_workers(system, workers)
        else:
            sandbox = stack.enter_context(Sandbox(duplicate_window=0.0, host=hosts.address))
            _start_remote(system, hosts, sandbox)
        processes = [pid for one in system.workers for pid in family(one.process.pid)]
        parts = {"worker": processes, "sandbox": [sandbox.pid or 0], **({"broker": pids} if pids else {})}
        meter = Meter(system.core.store, parts)
        began = time.perf_counter()
        for batch_id in ids:
            system.queueing.publish(batch_id, "events")
        until_idle(system)
        seconds = time.perf_counter() - began
        cpu = meter.per_event(events)
        found = system.reconcile()
        sent = [message["text"] for request in sandbox.requests() for message in request["messages"]]
        return {
            "workers": workers,
            "machines": machines,
            "broker": kind,
            "events": events,
            "recipients": recipients,
            "events_per_second": round(events / seconds),
            "cpu_us_per_event": cpu,
            "cores_busy": {name: round(value * events / seconds / 1e6, 2) for name, value in cpu.items()},
            "store_ceiling": round(1e6 / cpu["store"]),
            "identity_holds": found.holds,
            "provider_duplicates": len(sent) - len(set(sent)),
        }


def _start_remote(system: System, hosts: Machines, sandbox: Sandbox) -> None:
    """Let the store be reached from the machines, and start a worker on each."""
    system.core.store.client.config_set("bind", f"127.0.0.1 {hosts.address}")
    file = Path(system.environ["DESTINATIONS_FILE"])
    destinations = yaml.safe_load(file.read_text(encoding="utf-8"))
    destinations["destinations"][0]["base_url"] = sandbox.url
    file.write_text(yaml.safe_dump(destinations), encoding="utf-8")
    environ = {**system.environ, "REDIS_URL": system.valkey.url.replace("127.0.0.1", hosts.address)}
    for name in hosts.names:
        system.workers.append(RemoteWorker(name, environ, system.concurrency, system.folder / "workers.log"))
    wait_until(lambda: system.log.count(" ready.") == len(hosts.names), what="the workers are ready")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_out", description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--recipients", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--machines", action="store_true", help="a network namespace for each worker; needs root")
    parser.add_argument("--broker", choices=("store", "rabbitmq"), default="store")
    parser.add_argument("--json", type=Path, help="add the numbers to this file")
    options = parser.parse_args()
    if options.machines and options.broker == "rabbitmq":
        parser.error("RabbitMQ listens on loopback, which no other machine reaches: --machines goes with the store")
    rows = []
    for workers in options.workers:
        try:
            one = run(
                workers=workers,
                events=options.events,
                recipients=options.recipients,
                machines=options.machines,
                kind=options.broker,
                concurrency=options.concurrency,
            )
        except Skipped as why:
            print(f"skipped: {why}")
            break
        rows.append(one)
        print(
            f"{workers} {'machines' if options.machines else 'processes'}: {one['events_per_second']:,} events/s; "
            f"CPU µs per event {one['cpu_us_per_event']}; cores busy {one['cores_busy']}; "
            f"the store's limit: {one['store_ceiling']:,} events/s"
        )
    if options.json and rows:
        known = orjson.loads(options.json.read_bytes()) if options.json.exists() else {"rows": []}
        found = {"machine": machine(), "rows": [*known["rows"], *rows]}
        options.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    return 0 if all(one["identity_holds"] and one["provider_duplicates"] == 0 for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
