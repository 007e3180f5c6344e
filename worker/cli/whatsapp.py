"""``msg91-destination whatsapp``: the account's numbers and templates, and single messages."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from celery import Celery
from rich.text import Text

from worker.actions import ACTIONS, FieldErrors, Prepared
from worker.app import configure
from worker.cli.connection import Connection, DataDir, connected
from worker.cli.operating import JsonOption
from worker.cli.output import Exit, fail, print_json, stdout, table, warn
from worker.cli.whatsapp_account import (
    DestinationOption,
    FromOption,
    asked,
    chosen_destination,
    fetched_from,
    unread,
)
from worker.cli.whatsapp_fields import session_fields, template_fields
from worker.cli.whatsapp_templates import templates_app
from worker.delivery import Kind, State, delivery_key, new_id
from worker.destinations import Destination
from worker.msg91.numbers import mask
from worker.msg91.whatsapp_panel import list_numbers, read_numbers
from worker.queueing import Queueing

TEMPLATE: Final = "send_whatsapp_template"
SESSION: Final = "send_whatsapp_session"
#: States in which a message is not through yet.
_UNDER_WAY: Final = (State.SENDING, State.SCHEDULED)

app = typer.Typer(
    help="WhatsApp: the account's numbers and templates, and single messages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(templates_app, name="templates")


@app.command("numbers")
def numbers(destination: DestinationOption = "", json_: JsonOption = False) -> None:
    """List the numbers that the account can send WhatsApp messages from.

    Exit codes: 0 listed; 1 MSG91 says no; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination whatsapp numbers
    """
    chosen = chosen_destination(destination)
    fetched = asked(chosen, list_numbers())
    found = read_numbers(fetched.document)
    if found is None:
        unread(fetched)
    configured = chosen.context.whatsapp.numbers
    rows = [
        {
            "number": one.number,
            "name": one.name,
            "status": one.status,
            "default": one.number == chosen.context.whatsapp.default_number,
            "configured": one.number in configured,
        }
        for one in found
    ]
    if json_:
        print_json({"destination": chosen.name, "numbers": rows})
        return
    table(("number", "name", "status", "configured"), [(*_cells(row), _configured(row)) for row in rows])
    for number in configured:
        if number not in {one.number for one in found}:
            warn(f"{number} stands in the configuration of {chosen.name}, and the account does not have it")


def _cells(row: dict[str, Any]) -> tuple[Any, Any, Any]:
    return row["number"], row["name"], row["status"]


def _configured(row: dict[str, Any]) -> str:
    return "default" if row["default"] else "yes" if row["configured"] else "no"


@app.command("send")
def send(
    phone: Annotated[str, typer.Argument(help="The recipient's number.")],
    template: Annotated[str, typer.Option("--template", "-t", help="Send this template.")] = "",
    language: Annotated[str, typer.Option("--language", "-l", help="Its language code.")] = "",
    body: Annotated[list[str] | None, typer.Option("--body", "-b", help="A variable; repeat it, in order.")] = None,
    header: Annotated[
        str, typer.Option("--header", help="text=…, image=URL, video=URL, document=URL, location=LAT,LONG[,NAME].")
    ] = "",
    filename: Annotated[str, typer.Option("--filename", help="What a document is called.")] = "",
    button: Annotated[
        list[str] | None,
        typer.Option("--button", help="url=…, quick_reply=… or copy_code=…, by position; - takes nothing."),
    ] = None,
    offer_ends: Annotated[str, typer.Option("--offer-ends", help="When a limited-time offer ends (ISO 8601).")] = "",
    text: Annotated[str, typer.Option("--text", help="Send this text, to somebody who wrote within 24 hours.")] = "",
    media: Annotated[str, typer.Option("--media", help="Send a file so: image=URL, document=URL, …")] = "",
    location: Annotated[str, typer.Option("--location", help="Send this place: LAT,LONG[,NAME].")] = "",
    interactive: Annotated[
        Path | None, typer.Option("--interactive", help="Send Meta's interactive object of this file (YAML or JSON).")
    ] = None,
    contact: Annotated[
        Path | None, typer.Option("--contact", help="Send Meta's contact object of this file (YAML or JSON).")
    ] = None,
    from_: FromOption = "",
    test: Annotated[bool, typer.Option("--test", help="Send it now, and show MSG91's answer whole.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for its fate.")] = 10.0,
    destination: DestinationOption = "",
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Send one message: a template, or a text or a file to somebody who wrote.

    It goes the way of all messages: recorded, limited, checked against the approved templates. With --test it goes
    straight to MSG91, is not recorded, and the answer is shown as it came.

    Exit codes: 0 accepted (without a worker: handed over); 1 refused or in doubt; 2 wrong usage.

    Examples:
      msg91-destination whatsapp send +918818888758 -t order_shipped -b Ada -b 4711
      msg91-destination whatsapp send +918818888758 --text "Your order left this morning." --test
    """
    chosen = chosen_destination(destination)
    fields: dict[str, Any] = {"phone": phone, "integratedNumber": from_}
    if bool(template) == bool(text or media or location or interactive or contact):
        fail("give either --template, or what a session message has: --text, --media, --location, …")
    if template:
        fields |= {"template": template, "language": language, "offerEnds": offer_ends}
        fields |= template_fields(body or [], header, filename, button or [])
    else:
        fields |= session_fields(text, media, filename, location, interactive, contact)
    fields = {name: value for name, value in fields.items() if value not in (None, "", [])}
    action = ACTIONS[TEMPLATE if template else SESSION]
    try:
        prepared = action.prepare(fields, chosen.context)
    except FieldErrors as error:
        for one in error.errors:
            warn(f"{one.field}: {one.message}")
        fail("the message cannot be sent so", code=Exit.PROBLEM)
    if test:
        _test(chosen, action.name, prepared, json_=json_)
    else:
        _hand_over(chosen, action.name, fields, wait, data_dir, json_=json_)


def _test(destination: Destination, name: str, prepared: Prepared, *, json_: bool) -> None:
    """Send straight to MSG91, and show what it says."""
    if destination.mode == "dry":
        fail(f"{destination.name} is in mode dry: nothing is sent", "Set mode: live, or allow-list", code=Exit.PROBLEM)
    if destination.mode == "allow-list" and not destination.allows(prepared.recipient):
        fail(f"{mask(prepared.recipient)} is not on the allow_list of {destination.name}", code=Exit.PROBLEM)
    request = ACTIONS[name].build([prepared.payload], destination.context, f"test-{new_id()}")
    fetched = fetched_from(destination, request)
    answer = fetched.answer
    whole = fetched.document if fetched.document is not None else fetched.body.decode("utf-8", "replace")
    if json_:
        print_json(
            {
                "destination": destination.name,
                "request": {
                    "method": request.method,
                    "path": request.path,
                    "body": orjson.loads(request.body or b"null"),
                },
                "status": answer.status,
                "answer": whole,
                "class": answer.klass.value,
                "message": answer.message,
                "requestId": answer.request_id,
                "seconds": round(answer.elapsed, 3),
            }
        )
    else:
        status = f"HTTP {answer.status}" if answer.status else "no answer"
        stdout.print(Text.assemble((answer.klass.value, "bold"), f"  {status} in {answer.elapsed:.2f} s"))
        stdout.print(Text(f"  {answer.message}"), soft_wrap=True)
        sys.stdout.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
    raise typer.Exit(int(Exit.OK if answer.klass == "accepted" else Exit.PROBLEM))


def _hand_over(
    destination: Destination,
    action: str,
    fields: dict[str, Any],
    wait: float,
    data_dir: Path | None,
    *,
    json_: bool,
) -> None:
    """Hand the message to the workers, and say what became of it."""
    message_id = f"whatsapp-{new_id()}"
    line = orjson.dumps({"action": action, "messageId": message_id, "payload": fields})
    with connected(data_dir, create=True) as connection:
        batch_id = connection.core.batches.accept(
            line,
            1,
            kind=Kind.PAYLOADS,
            door="command",
            destination=destination.name,
        )
        if not connection.is_temporary:
            _queueing(connection).publish(batch_id, "events")
        record = None
        key = delivery_key(destination.name, message_id, action)
        deadline = time.monotonic() + (0.0 if connection.is_temporary else wait)
        while record is None or record.state in _UNDER_WAY:
            record = connection.core.ledger.records([key])[0]
            if time.monotonic() >= deadline:
                break
            time.sleep(0.05)
    state = record.state.value if record else "queued"
    reason = record.reason if record else ""
    if json_:
        print_json({"destination": destination.name, "messageId": message_id, "state": state, "reason": reason})
    else:
        stdout.print(Text.assemble((state, "bold"), f"  {reason}" if reason else "", f"  {message_id}"), soft_wrap=True)
        if state == "queued":
            stdout.print("It goes out as soon as a worker runs.")
    good = record is None or record.state in (*_UNDER_WAY, State.ACCEPTED, State.DELIVERED)
    raise typer.Exit(int(Exit.OK if good else Exit.PROBLEM))


def _queueing(connection: Connection) -> Queueing:
    celery = Celery("msg91-destination", set_as_current=False)
    settings = connection.settings
    configure(celery, settings.broker_url(connection.url), namespace=settings.namespace)
    return Queueing(celery)
