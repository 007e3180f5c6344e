"""``msg91-destination send``: files of events, or standard input, into the store."""

from __future__ import annotations

import difflib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from celery import Celery

from worker.app import configure
from worker.cli.connection import Connection, DataDir, connected, destinations_of, is_configured
from worker.cli.interrupts import Interrupts
from worker.cli.output import fail, print_json, warn
from worker.cli.progress import Progress
from worker.cli.reading import (
    Call,
    ColumnNames,
    ColumnPaths,
    ColumnTypes,
    Delimiter,
    EventName,
    FileFormat,
    reading_of,
)
from worker.cli.rehearsing import rehearse
from worker.cli.send_report import Report
from worker.cli.sending import Sending, checkpoints_in, checkpoints_of
from worker.delivery import StoreUnavailable, read_counts
from worker.destinations import Destination, Destinations
from worker.intake.files import STANDARD_INPUT, Reading, UnreadableFile, check_file
from worker.intake.folders import NAMES, expand
from worker.intake.follow import Follower
from worker.intake.refused_file import RefusedFile
from worker.intake.run import Announcer, Run
from worker.queueing import Queueing
from worker.settings import Settings, load_settings

#: Seconds that a store which goes away during a run is waited for.
PATIENCE: Final = 60.0
#: Seconds in which a worker that has nothing else to do takes up the first batch.
TAKEN_WITHIN: Final = 1.5
#: Most events in a batch: what one script of the store settles at once without trouble.
MAX_BATCH_SIZE: Final = 2_500


def send(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="NDJSON, JSON or CSV, gzip or zstd; folders of them; - is standard input."
        ),
    ],
    destination: Annotated[
        str, typer.Option("--destination", "-d", help="Send to this destination only.", show_default="all")
    ] = "",
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, max=MAX_BATCH_SIZE, help="Events handed over at a time.")
    ] = 500,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the deliveries to their end.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Longest --wait, in seconds.")] = 600.0,
    refused: Annotated[
        Path | None,
        typer.Option(
            "--refused",
            help="Add refused lines to this file, each under its reason; mend it and send it.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be sent, to whom, in how many parts; send nothing.")
    ] = False,
    checkpoint: Annotated[
        bool,
        typer.Option(
            "--checkpoint/--no-checkpoint",
            help="Note how far it is, so that a killed command goes on when it is run again.",
        ),
    ] = True,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--restart",
            help="Go on with a run that was cut short whatever its age, or send all of it again.",
            show_default="go on where that sends nothing twice",
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
    data_dir: DataDir = None,
    format_: FileFormat = None,
    call: Call = "",
    event: EventName = "",
    paths: ColumnPaths = None,
    types: ColumnTypes = None,
    columns: ColumnNames = "",
    delimiter: Delimiter = "",
) -> None:
    """Send files of events: one event per line (NDJSON), a JSON array, or rows of CSV.

    Every event is checked. Good ones are accepted: they are in the store then, and go out as soon as a worker runs,
    also when none runs now. Bad ones are printed with file, line and reason, and keep nothing else from going.
    Files are streamed: ten million lines take no more memory than ten thousand.

    A command that was killed goes on where it was when it is run again, and sends nothing twice. A file that was sent
    to its end is sent again.

    An event without a messageId gets one that names this run and its line, so that sending the file again sends it
    again. An event with a messageId goes out once, however often it comes.

    Columns of CSV are properties (traits of identify and group calls); type, event, userId, messageId and the like are
    themselves; dotted names, as in context.ip, are paths.

    Exit codes: 0 all accepted; 1 something was refused (with --wait also: something was rejected, died, or is in doubt,
    or time ran out); 2 a file cannot be read, or the store does not answer.

    Examples:
      msg91-destination send events.ndjson
      msg91-destination send --wait monday.json tuesday.ndjson.gz exports/
      msg91-destination send --dry-run exports/
      msg91-destination send --type track --event 'Order Shipped' --map 'Mobile No=properties.phone' orders.csv
      msg91-destination send --refused refused.ndjson events.ndjson
      zcat events.ndjson.gz | msg91-destination send -
    """
    reading = reading_of(format_, call, event, paths, types, columns, delimiter)
    if dry_run and refused is not None:
        fail("--dry-run writes nothing, not even --refused", "Leave one of them out; a dry run prints what it refuses")
    found = _files(files, reading)
    refused_file = _refused_file(refused, found)
    settings = load_settings()
    where = data_dir or settings.data_dir
    options = f"{destination}\n{reading}"
    targets = _targets(settings, destination, why="--dry-run" if dry_run else "--wait" if wait else "")
    if dry_run:
        known = checkpoints_in(settings, where, options=options, resume=resume) if checkpoint else None
        raise typer.Exit(rehearse(found, targets, reading, known, as_json=json_))
    with ExitStack() as stack:
        connection = stack.enter_context(connected(data_dir, settings=settings, create=True))
        if wait and connection.is_temporary:
            fail(
                "--wait needs a worker, and none can be running here: nothing was sent",
                "Start one with `msg91-destination up` in another terminal, or set REDIS_URL",
            )
        patience = connection.core.store.patience
        patience.seconds = PATIENCE
        interrupts = stack.enter_context(Interrupts(patience.stop))
        announce = Announcer(_queueing(connection).publish)
        run = Run(
            connection.core.batches, announce, batch_size=batch_size, destination=destination, guard=interrupts.held
        )
        report = Report(run, where, is_temporary=connection.is_temporary, refused_file=refused_file)
        follower = stack.enter_context(Follower(connection.core, targets)) if wait else None
        if follower is not None:
            run.on_batch = follower.note
        before = read_counts(connection.core.store).created
        checkpoints = None
        if checkpoint:
            checkpoints = checkpoints_of(settings, where, options=options, resume=resume)
        with Progress(found) as progress:
            Sending(report, progress, reading, checkpoints).send(found)
            report.withheld = announce.withheld
            if follower is not None and not report.problem:
                _follow(follower, report, progress, timeout)
                report.created = read_counts(connection.core.store).created - before
            elif run.first_batch and not report.problem:
                report.taken = not connection.is_temporary and _is_taken(connection, run.first_batch)
    if json_:
        print_json(report.as_json())
    else:
        report.print()
    raise typer.Exit(report.exit_code)


def _queueing(connection: Connection) -> Queueing:
    """The way to tell Celery of batches; connects at first use."""
    celery = Celery("msg91-destination", set_as_current=False)
    settings = connection.settings
    configure(celery, settings.broker_url(connection.url), namespace=settings.namespace)
    return Queueing(celery)


def _files(names: Sequence[str], reading: Reading) -> tuple[str, ...]:
    """The files to be sent, folders replaced by what is in them; every one of them can be read."""
    found = expand(names)
    for folder in found.empty:
        endings = ", ".join(f".{one}" for one in NAMES)
        fail(
            f"{folder}: there is no file of events in it",
            f"Files count that end in {endings}, or one of them and .gz or .zst",
        )
    if found.passed_over:
        some = ", ".join(found.passed_over[:3]) + (", …" if len(found.passed_over) > 3 else "")
        warn(f"passed over because of their names: {some}; name them to send them")
    if found.files.count(STANDARD_INPUT) > 1:
        fail("standard input (-) can be read only once")
    try:
        for name in found.files:
            check_file(name, reading)
    except UnreadableFile as error:
        fail(str(error), error.hint)
    return found.files


def _refused_file(path: Path | None, files: Sequence[str]) -> RefusedFile | None:
    if path is None:
        return None
    made = RefusedFile(path, files)
    try:
        made.check()
    except OSError as error:
        fail(f"--refused: {path} cannot be written: {error.strerror}")
    return made


def _targets(settings: Settings, name: str, *, why: str) -> list[Destination]:
    """The destinations the events are for; ``why`` is the option for which they must be known, if there is one."""
    if not name and not why:
        return []
    if name and not is_configured(settings):
        if why:
            fail(
                f"{why} has to know the mappings of {name!r}, and nothing is configured here",
                "Set DESTINATIONS_FILE as for the worker",
            )
        warn(f"nothing is configured here that could say whether there is a destination {name!r}")
        return []
    destinations = destinations_of(settings)
    if not is_configured(settings):
        warn(f"no destination is configured here: {why} looks for what MSG91_AUTHKEY alone would make")
    return [_named(destinations, name)] if name else list(destinations)


def _named(destinations: Destinations, name: str) -> Destination:
    found = destinations.get(name)
    if found is None:
        close = difflib.get_close_matches(name, destinations.names, 1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(destinations.names)}"
        fail(f"--destination: there is no destination {name!r} in {destinations.origin}", hint)
    return found


def _follow(follower: Follower, report: Report, progress: Progress, timeout: float) -> None:
    report.followed = follower.result
    progress.begin_waiting(report.run.accepted)
    try:
        follower.wait(timeout, on_progress=progress.update_waiting)
    except KeyboardInterrupt:
        report.problem, report.interrupted = "interrupted; what was accepted goes on without this command", True
    except StoreUnavailable as error:
        report.problem = f"the store went away: {error}"
        report.hint = "What was accepted is safe. `msg91-destination doctor` looks at the store"


def _is_taken(connection: Connection, batch_id: str) -> bool:
    """Whether a worker takes up a batch within a moment."""
    store = connection.core.store
    name = store.keys.batch(batch_id)
    deadline = time.monotonic() + TAKEN_WITHIN
    while True:
        kind, runs = store.ask(lambda: store.client.hmget(name, ["kind", "runs"]))
        if kind is None or runs is not None:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
