"""What the commands that send one thing share: hand it to the workers, by the way of all deliveries, and follow it."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import orjson
import typer
from celery import Celery
from rich.text import Text

from worker.actions import ACTIONS, FieldErrors
from worker.app import PRIORITY_QUEUE, QUEUE, configure
from worker.cli.connection import Connection, connected, destinations_of, is_configured
from worker.cli.output import Exit, fail, print_json, stdout, table, warn
from worker.delivery import Kind, Record, State, delivery_key, new_id
from worker.destinations import Destination
from worker.masking import mask_text
from worker.msg91.api import Msg91
from worker.msg91.numbers import mask
from worker.queueing import Queueing
from worker.runtime import Clients
from worker.settings import load_settings
from worker.taking import read_items

__all__ = [
    "CONTEXT",
    "DestinationOption",
    "VarOption",
    "WaitOption",
    "account",
    "chosen",
    "digits_of",
    "hand_over",
    "items_in",
    "variables_of",
]

CONTEXT: Final = {"help_option_names": ["-h", "--help"]}
#: Payloads of one batch, and errors that are shown.
BATCH: Final = 500
_SHOWN: Final = 20
_UNDER_WAY: Final = (State.SENDING, State.SCHEDULED)
_GOOD: Final = (*_UNDER_WAY, State.ACCEPTED, State.DELIVERED)

DestinationOption = Annotated[
    str, typer.Option("--destination", "-d", help="Whose account.", show_default="the first one")
]
WaitOption = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for what becomes of it.")]
VarOption = Annotated[list[str] | None, typer.Option("--var", "-v", help="A variable, NAME=VALUE; repeat it.")]


def chosen(name: str) -> Destination:
    """The destination of a name, else the first one.

    Raises:
        typer.Exit: there is none.
    """
    settings = load_settings()
    if not is_configured(settings):
        fail("there is no destination configured", "Set DESTINATIONS_FILE or MSG91_AUTHKEY as the workers have them")
    destinations = destinations_of(settings)
    if not name:
        return destinations.all[0]
    found = destinations.get(name)
    if found is None:
        fail(f"there is no destination {name!r}", f"There are: {', '.join(destinations.names)}")
    return found


@contextmanager
def account(destination: Destination, family: str) -> Iterator[Msg91]:
    """A destination's account, to be asked questions."""
    clients = Clients(load_settings())
    segmento = destination.configuration.segmento
    try:
        yield Msg91(
            client=clients.of(destination, family),
            default_country=destination.configuration.default_country,
            phonebook_id=segmento.phonebook_id,
            event_types_path=segmento.event_types_path,
            failed_events_path=segmento.failed_events_path,
        )
    finally:
        clients.close()


def hand_over(
    destination: Destination,
    action: str,
    items: Sequence[dict[str, Any]],
    *,
    wait: float,
    data_dir: Path | None,
    json_: bool,
) -> NoReturn:
    """Hand payloads to the workers, say what became of them, and leave.

    Args:
        destination: Through which they go.
        action: The action's name.
        items: Its fields, for each of them.
        wait: Seconds to follow them.
        data_dir: Where an embedded store is.
        json_: Print JSON.

    Raises:
        typer.Exit: always. 0: accepted or on their way; 1: one was not; 2: one cannot be sent so.
    """
    recipients = _checked(destination, action, items)
    run = f"cli-{new_id()}"
    ids = [f"{run}-{number}" for number in range(len(items))]
    keys = [delivery_key(destination.name, one, action) for one in ids]
    queue = PRIORITY_QUEUE if ACTIONS[action].urgent else QUEUE
    with connected(data_dir, create=True) as connection:
        batches = [
            connection.core.batches.accept(
                b"\n".join(
                    orjson.dumps({"action": action, "messageId": ids[at], "payload": items[at]}, default=str)
                    for at in range(start, min(start + BATCH, len(items)))
                ),
                min(BATCH, len(items) - start),
                kind=Kind.PAYLOADS,
                door="command",
                destination=destination.name,
                queue=queue,
            )
            for start in range(0, len(items), BATCH)
        ]
        if not connection.is_temporary:
            queueing = _queueing(connection)
            for batch_id in batches:
                queueing.publish(batch_id, queue)
        records = _follow(connection, keys, 0.0 if connection.is_temporary else wait)
    states = [record.state.value if record else "queued" for record in records]
    rows = [
        {"recipient": recipient, "state": state, "reason": record.reason if record else "", "messageId": one, "id": key}
        for recipient, state, record, one, key in zip(recipients, states, records, ids, keys, strict=True)
    ]
    if json_:
        print_json({"destination": destination.name, "action": action, "deliveries": rows})
    elif len(rows) == 1:
        reason = f"  {rows[0]['reason']}" if rows[0]["reason"] else ""
        line = (f"  {recipients[0]}{reason}  ", (rows[0]["messageId"], "dim"))
        stdout.print(Text.assemble((states[0], "bold"), *line), soft_wrap=True)
    else:
        table(("recipient", "state", "reason", "messageId"), [tuple(row.values())[:4] for row in rows])
    if "queued" in states and not json_:
        stdout.print("What is queued goes out as soon as a worker runs.")
    good = all(record is None or record.state in _GOOD for record in records)
    raise typer.Exit(int(Exit.OK if good else Exit.PROBLEM))


def _checked(destination: Destination, action: str, items: Sequence[dict[str, Any]]) -> list[str]:
    """Look for what can never be sent, before anything is recorded; gives the recipients, masked."""
    recipients = []
    wrong = 0
    for number, fields in enumerate(items):
        try:
            recipient = ACTIONS[action].prepare(fields, destination.context).recipient
            recipients.append(mask(recipient) if ACTIONS[action].people_receive else mask_text(recipient))
        except FieldErrors as refusal:
            wrong += 1
            place = f"{number + 1}: " if len(items) > 1 else ""
            for error in refusal.errors[: _SHOWN if wrong <= _SHOWN else 0]:
                warn(f"{place}{error.field}: {error.message}")
    if wrong:
        fail("nothing was sent: it cannot be sent so" if len(items) == 1 else f"nothing was sent: {wrong} cannot be")
    return recipients


def _follow(connection: Connection, keys: Sequence[str], wait: float) -> list[Record | None]:
    deadline = time.monotonic() + wait
    while True:
        records = connection.core.ledger.records(keys)
        settled = all(one is not None and one.state not in _UNDER_WAY for one in records)
        if settled or time.monotonic() >= deadline:
            return records
        time.sleep(0.05)


def _queueing(connection: Connection) -> Queueing:
    celery = Celery("msg91-destination", set_as_current=False)
    settings = connection.settings
    configure(celery, settings.broker_url(connection.url), namespace=settings.namespace)
    return Queueing(celery)


def variables_of(given: Sequence[str] | None) -> dict[str, str]:
    """Variables as they stand on the command line: ``NAME=VALUE``."""
    variables: dict[str, str] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals or not name:
            fail(f"--var: expected NAME=VALUE, but there is no {'name' if equals else 'equals sign'}")
        variables[name] = value
    return variables


def digits_of(given: str, prompt: str) -> str:
    """Digits as they were given, or asked for when that was ``-``: arguments are seen by everybody on the machine."""
    if given != "-":
        return given
    return getpass.getpass(f"{prompt}: ").strip() if sys.stdin.isatty() else sys.stdin.readline().strip()


def items_in(file: str) -> list[dict[str, Any]]:
    """The objects in a file: a JSON array, one object, or one object a line; ``-`` is standard input."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: {getattr(error, 'strerror', None) or 'expected text in UTF-8'}")
    items = read_items(text)
    if not items or not all(isinstance(one, dict) for one in items):
        fail(f"{file}: expected JSON objects: an array of them, or one a line")
    return items
