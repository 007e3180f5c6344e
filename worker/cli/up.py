"""``msg91-destination up``: everything on one machine, in the foreground."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from worker import __version__
from worker.cli.output import Exit, fail, stdout, warn
from worker.cli.sandbox_callbacks import callbacks_with_door
from worker.configuration import ConfigurationError
from worker.delivery import Schedule, State, StoreUnavailable, read_counts
from worker.destinations import Destinations, load_destinations
from worker.destinations.load import DEFAULT_FILE
from worker.intake.sockets import bind, url_of
from worker.intake.write_key import kept_write_key
from worker.logs import configure_logging
from worker.machine import Machine, towards
from worker.runtime import Core, open_core
from worker.sandbox.callbacks.settings import read_callbacks
from worker.sandbox.errors import SandboxError
from worker.sandbox.settings import DEFAULT_AUTHKEY, DEFAULT_PORT
from worker.settings import Settings, load_settings, variable_of
from worker.supervisor import StopSignals

#: Seconds in which workers must take work.
READY_WITHIN: Final = 60.0
#: Seconds between two looks at what runs.
LOOK: Final = 0.2
SANDBOX_RECORD: Final = "sandbox-requests.ndjson"


def up(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Where the data lives.  [default: data]", show_default=False),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option("--processes", "-p", min=1, max=256, help="Worker processes.  [default: 1]", show_default=False),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", "-c", min=1, max=1000, help="Threads per process.  [default: 16]", show_default=False
        ),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Send to a stand-in for MSG91 that runs here too: no account needed.")
    ] = False,
    sandbox_port: Annotated[
        int, typer.Option("--sandbox-port", min=0, max=65535, help="Its port; 0 takes a free one.")
    ] = DEFAULT_PORT,
    sandbox_callback: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING",
            help="Have it post delivery reports: to=door takes them to the HTTP door that runs here; "
            "may be given again. See: sandbox callbacks --help.",
        ),
    ] = None,
    intake: Annotated[bool, typer.Option("--intake/--no-intake", help="Take events over HTTP too.")] = True,
    intake_port: Annotated[
        int | None,
        typer.Option(
            "--intake-port", min=0, max=65535, help="Its port; 0 takes a free one.  [default: 8080]", show_default=False
        ),
    ] = None,
) -> None:
    """Run everything on this machine until Ctrl-C: the store, the workers, the HTTP door and, if wanted, the sandbox.

    The store is a Valkey server of our own with an append-only file in the data directory, or the one that REDIS_URL
    names. Events that wait when it ends go on at the next start.

    Ctrl-C or TERM finishes the requests under way, hands the rest back to the schedule, and stops the store last; a
    second one does not wait for MSG91's answers: those requests are in doubt then. Nothing is lost either way, nor when
    it is killed.

    Exit codes: 0 stopped in good order; 1 something had to be killed or broke down; 2 wrong usage or configuration.

    Examples:
      msg91-destination up --sandbox
      msg91-destination up --sandbox --sandbox-callback to=door --sandbox-callback delay=1-5
      MSG91_AUTHKEY=… msg91-destination up --data-dir /var/lib/msg91-destination --processes 2
    """
    if sandbox_callback and not sandbox:
        fail("--sandbox-callback: there is no sandbox without --sandbox")
    environ, settings, destinations = _configured(sandbox=sandbox, port=sandbox_port)
    configure_logging(settings.log_level, settings.log_format)
    plan = _Plan(
        environ=environ,
        settings=settings,
        destinations=destinations,
        data_dir=data_dir or settings.data_dir,
        processes=processes or settings.processes,
        concurrency=concurrency or settings.concurrency,
        sandbox_port=sandbox_port if sandbox else None,
        sandbox_callbacks=tuple(sandbox_callback or ()),
        intake_port=(settings.intake_port if intake_port is None else intake_port) if intake else None,
    )
    if data_dir is not None and settings.redis_url is not None:
        warn("REDIS_URL names the store: what it holds is not in --data-dir")
    with ExitStack() as stack:
        door = None if plan.intake_port is None else stack.enter_context(_door(plan, plan.intake_port))
        address = None if door is None else url_of(door)
        settings_of_callbacks, secret = callbacks_with_door(plan.sandbox_callbacks, destinations, address)
        plan = replace(plan, sandbox_callbacks=settings_of_callbacks, sandbox_secret=secret)
        signals, machine = stack.enter_context(StopSignals()), stack.enter_context(Machine())
        try:
            code = _run(plan, machine, signals, door)
        except SandboxError as error:
            fail(str(error), "Take another port with --sandbox-port, or a free one with --sandbox-port 0")
    raise typer.Exit(int(code))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to run."""

    environ: Mapping[str, str]
    settings: Settings
    destinations: Destinations
    data_dir: Path
    processes: int
    concurrency: int
    sandbox_port: int | None
    sandbox_callbacks: tuple[str, ...]
    intake_port: int | None
    sandbox_secret: str | None = field(default=None, repr=False)


def _configured(*, sandbox: bool, port: int) -> tuple[Mapping[str, str], Settings, Destinations]:
    """The configuration, checked before anything is started; with the sandbox, that nothing reaches MSG91."""
    environ: Mapping[str, str] = os.environ
    if sandbox:
        environ = towards(f"http://127.0.0.1:{port or DEFAULT_PORT}", DEFAULT_AUTHKEY, environ)
    settings = load_settings(environ)
    nothing = settings.destinations_file is None and settings.msg91_authkey is None and not Path(DEFAULT_FILE).exists()
    if nothing and not sandbox:
        fail(
            "there is no destination: neither DESTINATIONS_FILE nor MSG91_AUTHKEY is set, "
            f"and there is no {DEFAULT_FILE} here",
            "Set MSG91_AUTHKEY to your MSG91 account's authkey, or try it without one: msg91-destination up --sandbox",
        )
    destinations = load_destinations(settings.destinations_file, environ, settings=settings)
    for warning in destinations.warnings:
        warn(str(warning))
    for one in destinations if sandbox else ():
        if one.base_url != settings.msg91_base_url:
            fail(
                f"--sandbox: destination {one.name} has a base_url of its own, {one.base_url}, "
                "and would not send to the sandbox",
                f"Take base_url out of {destinations.origin}: MSG91_BASE_URL says it for all, and --sandbox sets that",
            )
        if one.authkey.get_secret_value() != DEFAULT_AUTHKEY:
            fail(
                f"--sandbox: the authkey of destination {one.name} is not the sandbox's",
                f"Run it with the variable that {destinations.origin} names set to {DEFAULT_AUTHKEY}",
            )
    return environ, settings, destinations


def _door(plan: _Plan, port: int) -> socket.socket:
    try:
        return bind(plan.settings.intake_host, port)
    except ConfigurationError as error:
        fail(str(error), "Take another port with --intake-port, a free one with --intake-port 0, or go --no-intake")


def _run(plan: _Plan, machine: Machine, signals: StopSignals, door: socket.socket | None) -> Exit:
    store_url = plan.settings.redis_url
    stdout.print(Text.assemble((f"msg91-destination {__version__}", "bold"), " — Ctrl-C stops it"))
    if store_url is None:
        store_url = machine.start_store(plan.data_dir, fsync=plan.settings.data_fsync).url
    core = open_core(plan.settings, store_url)
    environ = {**plan.environ, "REDIS_URL": store_url}
    if plan.sandbox_port is not None:
        sandbox = machine.start_sandbox(
            port=plan.sandbox_port,
            record=plan.data_dir / SANDBOX_RECORD,
            callbacks=plan.sandbox_callbacks,
            callback_secret=plan.sandbox_secret,
        )
        environ = towards(sandbox.url, sandbox.authkey, environ)
    machine.start_workers(
        processes=plan.processes,
        concurrency=plan.concurrency,
        grace=plan.settings.shutdown_grace,
        environ=environ,
    )
    if door is not None:
        who, environ = _senders(plan, environ)
        machine.start_intake(
            door, processes=plan.settings.intake_processes, grace=plan.settings.shutdown_grace, environ=environ
        )
    for name, what in [*_lines(plan, machine), *([("http", f"{url_of(door)}, {who}")] if door else [])]:
        stdout.print(Text.assemble((f"  {name:<14}", "bold"), what), soft_wrap=True)
    is_ready = machine.wait_ready(signals, seconds=READY_WITHIN)
    if machine.workers is not None and machine.workers.unusable:
        return Exit.USAGE
    if is_ready:
        stdout.print(Text(_first_steps(plan, machine)), soft_wrap=True)
    elif not signals.asked:
        warn(f"the workers have not been ready within {READY_WITHIN:.0f} s; they are tried on")
    try:
        while not signals.wait(LOOK):
            machine.check()
    except (ConfigurationError, SandboxError) as error:
        machine.stop_intake(signals)
        machine.stop_workers(signals)
        fail(str(error), code=Exit.PROBLEM)
    stdout.print("stopping: requests under way are finished first (Ctrl-C again: at once)")
    in_order = machine.stop_intake(signals)
    in_order = machine.stop_workers(signals) and in_order
    stdout.print(_left(core, plan), soft_wrap=True)
    core.store.client.close()
    return Exit.OK if in_order else Exit.PROBLEM


def _senders(plan: _Plan, environ: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Who may send over HTTP, in words, and the environment in which that is so."""
    if any(one.write_keys for one in plan.destinations):
        return f"with a write key of {plan.destinations.origin}", environ
    if plan.destinations.origin != "environment":
        return f"but no destination in {plan.destinations.origin} has write_keys: nobody can send", environ
    key, path = kept_write_key(plan.data_dir)
    return f"with the write key in {path}", {**environ, variable_of("write_key"): key}


def _lines(plan: _Plan, machine: Machine) -> Iterator[tuple[str, str]]:
    """What runs where."""
    if machine.valkey is not None:
        yield "store", f"embedded Valkey on 127.0.0.1:{machine.valkey.port}, append-only file in {plan.data_dir}"
    else:
        yield "store", "the one that REDIS_URL names"
    if plan.settings.celery_broker_url is not None:
        yield "broker", "the one that CELERY_BROKER_URL names"
    processes = f"{plan.processes} processes" if plan.processes > 1 else "one process"
    yield "workers", f"{processes}, {plan.concurrency} threads each"
    for one in plan.destinations:
        url = one.base_url if machine.sandbox is None else f"the sandbox, {machine.sandbox.url}"
        yield "destination", f"{one.name} → {url} ({one.mode}, from {plan.destinations.origin})"
    if machine.sandbox is not None:
        yield "record", f"{machine.sandbox.record}: every request as MSG91 would have got it"
        for setting in read_callbacks(plan.sandbox_callbacks).shown():
            yield "reports", setting


def _first_steps(plan: _Plan, machine: Machine) -> str:
    number = "YOUR NUMBER" if machine.sandbox is None else "+91 98765 43210"
    event = (
        '{"type": "track", "event": "Order Shipped", "properties": '
        f'{{"phone": "{number}", "message": "Your order is on its way", "senderID": "MSGIND"}}}}'
    )
    lines = ["ready; in another terminal:"]
    exports = {}
    if machine.valkey is not None and plan.data_dir != Path("data"):
        exports["MSG91_DESTINATION_DATA_DIR"] = str(plan.data_dir.absolute())
    if machine.sandbox is not None and machine.sandbox.port != DEFAULT_PORT:
        exports["MSG91_SANDBOX_URL"] = machine.sandbox.url
    lines += [f"  export {name}={shlex.quote(value)}" for name, value in exports.items()]
    lines += [f"  echo '{event}' | msg91-destination send -", "  msg91-destination deliveries"]
    if machine.sandbox is not None:
        lines.append("  msg91-destination sandbox requests")
    return "\n".join(lines)


def _left(core: Core, plan: _Plan) -> str:
    """What is unfinished when the workers have stopped."""
    try:
        counts, waiting = read_counts(core.store), Schedule(core.store).depth()
    except StoreUnavailable:
        return "stopped; the store does not answer, so that nobody can say what is unfinished"
    where = f"in {plan.data_dir}" if plan.settings.redis_url is None else "in the store"
    unfinished = counts.events["queued"] + counts.states[State.SCHEDULED]
    parts = [f"{unfinished} unfinished wait {where} for the next start" if waiting else "nothing is unfinished"]
    if counts.states[State.SENDING]:
        parts.append(f"{counts.states[State.SENDING]} were being sent and will be in doubt")
    if counts.states[State.IN_DOUBT]:
        parts.append(f"{counts.states[State.IN_DOUBT]} in doubt: msg91-destination deliveries --state in_doubt")
    return "stopped; " + "; ".join(parts)
