"""``msg91-destination whatsapp``: the account's numbers and templates, and single messages."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import orjson
import typer
import yaml
from celery import Celery
from rich.text import Text

from worker.actions import ACTIONS, FieldErrors, Prepared
from worker.app import configure
from worker.cli.connection import Connection, DataDir, connected
from worker.cli.operating import JsonOption, needed
from worker.cli.output import Exit, fail, print_json, stdout, table, warn
from worker.delivery import Kind, State, delivery_key, new_id
from worker.destinations import Destination
from worker.msg91.client import Fetched, Request
from worker.msg91.numbers import mask
from worker.msg91.whatsapp_panel import (
    MOST_TEMPLATES,
    ListedTemplate,
    create_template,
    delete_template,
    edit_template,
    list_numbers,
    list_templates,
    read_numbers,
    read_templates,
)
from worker.queueing import Queueing
from worker.runtime import Clients
from worker.settings import load_settings

TEMPLATE: Final = "send_whatsapp_template"
SESSION: Final = "send_whatsapp_session"
#: States in which a message is not through yet.
_UNDER_WAY: Final = (State.SENDING, State.SCHEDULED)
_STYLES: Final = {"approved": "green", "pending": "yellow", "rejected": "bold red"}

app = typer.Typer(
    help="WhatsApp: the account's numbers and templates, and single messages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
templates_app = typer.Typer(
    help="List the templates of a number with their states; create, edit and delete them.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(templates_app, name="templates")

DestinationOption = Annotated[
    str, typer.Option("--destination", "-d", help="Whose account.", show_default="the first that has a number")
]
FromOption = Annotated[
    str, typer.Option("--from", help="The integrated number.", show_default="the destination's default_number")
]
ComponentsArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="YAML or JSON: the list of components, as Meta describes them.")
]


@app.command("numbers")
def numbers(destination: DestinationOption = "", json_: JsonOption = False) -> None:
    """List the numbers that the account can send WhatsApp messages from.

    Examples:
      msg91-destination whatsapp numbers
    """
    chosen = _destination(destination)
    fetched = _ask(chosen, list_numbers())
    found = read_numbers(fetched.document)
    if found is None:
        _unread(fetched)
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


@templates_app.callback()
def templates(
    ctx: typer.Context,
    name: Annotated[str, typer.Option("--name", help="Only the template of this name.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only those in this state, such as approved.")] = "",
    language: Annotated[str, typer.Option("--language", "-l", help="Only those in this language.")] = "",
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """List the templates of a number: every language with its state.

    Examples:
      msg91-destination whatsapp templates --status approved

      msg91-destination whatsapp templates create order_shipped components.yaml --category UTILITY
    """
    if ctx.invoked_subcommand is not None:
        return
    chosen = _destination(destination)
    number = _number(chosen, from_)
    request = list_templates(number, name=name or None, status=status or None, language=language or None)
    fetched = _ask(chosen, request)
    found = read_templates(fetched.document)
    if found is None:
        _unread(fetched)
    if json_:
        rows = [
            {
                "name": one.name,
                "language": one.language,
                "status": one.status,
                "category": one.category,
                "id": one.id,
                "namespace": one.namespace,
                "reason": one.reason,
                "components": [dict(component) for component in one.components],
            }
            for one in found
        ]
        print_json({"destination": chosen.name, "number": number, "templates": rows})
        return
    table(
        ("name", "language", "status", "category", "id", "text"),
        [
            (
                one.name,
                one.language,
                Text(f"{one.status} ({one.reason})" if one.reason else one.status, _STYLES.get(one.status, "")),
                one.category.lower(),
                one.id,
                _text(one),
            )
            for one in found
        ],
    )
    if len(found) >= MOST_TEMPLATES:
        warn(f"MSG91 lists {MOST_TEMPLATES} templates at most: there may be more; narrow it down by --name")


def _text(template: ListedTemplate) -> str:
    texts = [str(one.get("text") or "") for one in template.components if str(one.get("type")).upper() == "BODY"]
    return " ".join(" ".join(texts).split())[:80]


@templates_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _.")],
    components: ComponentsArgument,
    category: Annotated[str, typer.Option("--category", help="UTILITY, MARKETING or AUTHENTICATION.")] = "UTILITY",
    language: Annotated[str, typer.Option("--language", "-l", help="Its language code.")] = "en",
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Hand a template in for approval; it can be sent once it is approved."""
    chosen = _destination(destination)
    request = create_template(_number(chosen, from_), name, language, category, _components(components))
    _changed(chosen, request, json_=json_)


@templates_app.command("edit")
def edit(
    template_id: Annotated[str, typer.Argument(metavar="ID", help="As `whatsapp templates` shows it.")],
    components: ComponentsArgument,
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Give a template other components; it has to be approved again."""
    chosen = _destination(destination)
    _changed(chosen, edit_template(_number(chosen, from_), template_id, _components(components)), json_=json_)


@templates_app.command("delete")
def delete(
    name: Annotated[str, typer.Argument(help="Its name.")],
    template_id: Annotated[str, typer.Option("--id", help="Only the language with this id.")] = "",
    from_: FromOption = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Delete a template in all its languages."""
    chosen = _destination(destination)
    _changed(chosen, delete_template(_number(chosen, from_), name, template_id or None), json_=json_)


@app.command("send")
def send(
    phone: Annotated[str, typer.Argument(help="The recipient's number.")],
    template: Annotated[str, typer.Option("--template", "-t", help="Send this template.")] = "",
    language: Annotated[str, typer.Option("--language", "-l", help="Its language code.")] = "",
    body: Annotated[list[str] | None, typer.Option("--body", "-b", help="A variable; repeat it, in order.")] = None,
    header: Annotated[str, typer.Option("--header", help="text=…, image=URL, video=URL, document=URL.")] = "",
    button: Annotated[
        list[str] | None,
        typer.Option("--button", help="url=…, quick_reply=… or copy_code=…, by position; - takes nothing."),
    ] = None,
    offer_ends: Annotated[str, typer.Option("--offer-ends", help="When a limited-time offer ends (ISO 8601).")] = "",
    text: Annotated[str, typer.Option("--text", help="Send this text, to somebody who wrote within 24 hours.")] = "",
    media: Annotated[str, typer.Option("--media", help="Send a file so: image=URL, document=URL, …")] = "",
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
    chosen = _destination(destination)
    fields = _fields(phone, template, language, body or [], header, button or [], offer_ends, text, media, from_)
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


def _fields(
    phone: str,
    template: str,
    language: str,
    body: Sequence[str],
    header: str,
    buttons: Sequence[str],
    offer_ends: str,
    text: str,
    media: str,
    from_: str,
) -> dict[str, Any]:
    if bool(template) == bool(text or media):
        fail("give either --template, or --text and --media")
    fields: dict[str, Any] = {"phone": phone, "integratedNumber": from_ or None}
    if not template:
        kind, address = _pair(media, "--media") if media else ("", "")
        fields |= {"text": text or None, "type": kind or None, "mediaUrl": address or None}
    else:
        fields |= {"template": template, "language": language or None, "body": list(body), "offerEnds": offer_ends}
        if header:
            fields["header"] = dict(zip(("type", "value"), _pair(header, "--header"), strict=True))
        fields["buttons"] = [
            None if one == "-" else dict(zip(("type", "value"), _pair(one, "--button"), strict=True)) for one in buttons
        ]
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def _pair(text: str, option: str) -> tuple[str, str]:
    kind, equals, value = text.partition("=")
    if not equals or not kind or not value:
        fail(f"{option}: expected KIND=VALUE, such as image=https://example.com/a.png")
    return kind, value


def _test(destination: Destination, name: str, prepared: Prepared, *, json_: bool) -> None:
    """Send straight to MSG91, and show what it says."""
    if destination.mode == "dry":
        fail(f"{destination.name} is in mode dry: nothing is sent", "Set mode: live, or allow-list", code=Exit.PROBLEM)
    if destination.mode == "allow-list" and not destination.allows(prepared.recipient):
        fail(f"{mask(prepared.recipient)} is not on the allow_list of {destination.name}", code=Exit.PROBLEM)
    request = ACTIONS[name].build([prepared.payload], destination.context, f"test-{new_id()}")
    fetched = _fetch(destination, request)
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


def _destination(name: str) -> Destination:
    destinations = needed(load_settings())
    if name:
        found = destinations.get(name)
        if found is None:
            fail(f"there is no destination {name!r}", f"There are {', '.join(destinations.names)}")
        return found
    with_number = [one for one in destinations if one.context.whatsapp.default_number]
    return with_number[0] if with_number else destinations.all[0]


def _number(destination: Destination, given: str) -> str:
    number = "".join(character for character in given if character.isdigit())
    number = number or destination.context.whatsapp.default_number or ""
    if not number:
        fail(
            f"{destination.name} has no integrated number",
            "Name one by --from, or under whatsapp: {numbers: […]} in the destinations file",
        )
    return number


def _fetch(destination: Destination, request: Request) -> Fetched:
    clients = Clients(load_settings())
    try:
        return clients.of(destination, "whatsapp").fetch(request)
    finally:
        clients.close()


def _ask(destination: Destination, request: Request) -> Fetched:
    """Ask MSG91; anything but a success ends the command."""
    fetched = _fetch(destination, request)
    if fetched.answer.klass != "accepted":
        fail(f"MSG91 says {fetched.answer.klass.value}: {fetched.answer.message}", code=Exit.PROBLEM)
    return fetched


def _unread(fetched: Fetched) -> NoReturn:
    fail(f"MSG91's answer has another form than is known: {fetched.answer.body[:300]}", code=Exit.PROBLEM)


def _changed(destination: Destination, request: Request, *, json_: bool) -> None:
    fetched = _ask(destination, request)
    data = fetched.document.get("data") if isinstance(fetched.document, dict) else None
    if json_:
        print_json({"destination": destination.name, "data": data})
        return
    said = data.get("message") if isinstance(data, dict) else data
    number = data.get("template_id") if isinstance(data, dict) else None
    stdout.print(Text(f"{said or 'done'}" + (f" (id {number})" if number else "")), soft_wrap=True)


def _components(path: Path) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except (yaml.YAMLError, UnicodeDecodeError):
        fail(f"{path}: expected YAML or JSON")
    if isinstance(found, dict):
        found = found.get("components")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) and "type" in one for one in found):
        fail(f"{path}: expected a list of components, each an object with type: HEADER, BODY, FOOTER or BUTTONS")
    return found
