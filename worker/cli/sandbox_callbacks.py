"""``msg91-destination sandbox callbacks | report | inbound``: what the sandbox calls back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.output import fail, print_json, stdout, table, warn
from worker.cli.sandbox_asking import LOCAL_URL, AsJson, Token, Url, ask
from worker.destinations import Destinations
from worker.sandbox.callbacks.inbound import KINDS
from worker.sandbox.callbacks.settings import SECRET_VARIABLE, SETTINGS, URLS, Callbacks, read_callbacks
from worker.sandbox.callbacks.statuses import STATUSES
from worker.sandbox.client import SandboxClient
from worker.sandbox.errors import SandboxError

_WIDTH = max(len(one.example) for one in SETTINGS.values() if len(one.example) < 30) + 2
_SETTINGS = "\n".join(
    f"  {one.example}\n  {'':<{_WIDTH}}{one.summary}"
    if len(one.example) >= _WIDTH
    else f"  {one.example:<{_WIDTH}}{one.summary}"
    for one in SETTINGS.values()
)

CALLBACKS_HELP = f"""Tell a running sandbox to post delivery reports, or show what it posts and owes.

It posts reports of every message it takes, as MSG91 does, to the webhooks that the settings name. They replace what it
was told before; "off" ends it. The same settings may be given at its start, with --callback.

What the callbacks bring to prove who they are comes from the variable {SECRET_VARIABLE}.

\b
Examples:
  msg91-destination sandbox callbacks to=http://127.0.0.1:8080/v1/callbacks/shop
  msg91-destination sandbox callbacks sms=http://127.0.0.1:8080/v1/callbacks/shop/sms format=v2 delay=0.5-3
  msg91-destination sandbox callbacks to=http://127.0.0.1:8080/v1/callbacks/shop status=delivered:8/failed:1/dnd:1
  msg91-destination sandbox callbacks
  msg91-destination sandbox callbacks off

\b
Settings:
{_SETTINGS}
"""

REPORT_HELP = """Post a delivery report now: one that is held, or one of your choice.

A message that is not on record, named by --to and --request-id or --crqid, is reported all the same: a report that
nobody can place.

\b
Examples:
  msg91-destination sandbox report --held
  msg91-destination sandbox report --to +918818888758 --status failed
  msg91-destination sandbox report --request-id 0f3c9a1b7d2e410000000001 --status delivered
"""

INBOUND_HELP = """Post an inbound WhatsApp message, as if somebody had written to one of our numbers.

\b
Examples:
  msg91-destination sandbox inbound --from +918818888758 --text STOP
  msg91-destination sandbox inbound --from +918818888758 --kind image --file https://example.com/a.png
"""


def with_files(settings: list[str]) -> list[str]:
    """Put the content of a file in the place of ``template=@FILE``."""
    found = []
    for setting in settings:
        name, _, value = setting.partition("=")
        if name in {"template", "whatsapp-template"} and value.startswith("@"):
            try:
                value = Path(value[1:]).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as wrong:
                fail(f"{name}: {value[1:]} cannot be read ({wrong})")
            setting = f"{name}={' '.join(value.split())}"  # noqa: PLW2901 - the file's content in its place
        found.append(setting)
    return found


def callbacks(
    settings: Annotated[list[str] | None, typer.Argument(metavar="[SETTING...|off]", help="Like delay=1-3.")] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Tell a running sandbox to post delivery reports."""
    client = SandboxClient(url, token)
    if settings == ["off"]:
        cleared = ask(client.stop_callbacks)
        if as_json:
            print_json({"cleared": cleared})
        else:
            stdout.print(f"nothing is called back any more; {cleared} were owed")
        return
    if settings:
        wanted, secret = with_files(settings), os.environ.get(SECRET_VARIABLE)
        # Read here first: what cannot be read needs no running sandbox to say so.
        ask(lambda: read_callbacks(wanted, secret))
        summary = ask(lambda: client.set_callbacks(*wanted, secret=secret))
    else:
        summary = ask(client.callbacks)
    if as_json:
        print_json(summary)
    else:
        _show(summary)


def _show(summary: dict[str, Any]) -> None:
    if not summary["settings"]:
        stdout.print("nothing is called back; see: msg91-destination sandbox callbacks --help")
        return
    settings = " ".join(summary["settings"])
    rows = [("settings", settings), ("secret", "yes" if summary["secret"] else f"none ({SECRET_VARIABLE} is not set)")]
    names = ("waiting", "held", "posted", "failed", "given_up", "lost", "dropped")
    table(("what", "value"), [*rows, *((name.replace("_", " "), summary[name]) for name in names)])


def report(
    request_id: Annotated[str | None, typer.Option(help="The id that MSG91 answered the request with.")] = None,
    crqid: Annotated[str | None, typer.Option(help="Its correlation id, as it was sent.")] = None,
    to: Annotated[
        str | None, typer.Option(help="The recipient. Alone: the last message to them; else, only theirs.")
    ] = None,
    status: Annotated[str | None, typer.Option(help=f"{', '.join(STATUSES)}.  [default: delivered]")] = None,
    held: Annotated[
        bool, typer.Option("--held", help="Post what is held back: all of it, or of these messages.")
    ] = False,
    channel: Annotated[str | None, typer.Option(help="Of a message that was never taken: sms or whatsapp.")] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Post a delivery report now."""
    given = {"request_id": request_id, "crqid": crqid, "to": to, "status": status, "channel": channel}
    which = {name: value for name, value in given.items() if value is not None}
    messages = ask(lambda: SandboxClient(url, token).report(held=held, **which))
    if as_json:
        print_json({"messages": messages})
    else:
        stdout.print(f"reports of {messages} {'message' if messages == 1 else 'messages'} are on their way")


def inbound(
    sender: Annotated[str, typer.Option("--from", help="Who it is from, digits with country code.")],
    text: Annotated[str, typer.Option(help="What it says; of a file the caption, of a reaction the emoji.")] = "",
    to: Annotated[str, typer.Option(help="The integrated number.  [default: the sandbox's first]")] = "",
    name: Annotated[str, typer.Option(help="The sender's name.")] = "",
    kind: Annotated[str, typer.Option(help=f"{', '.join(KINDS)}.")] = "text",
    file_url: Annotated[str, typer.Option("--file", help="Address of an image, video, audio or document.")] = "",
    filename: Annotated[str, typer.Option(help="Name of a document.")] = "",
    latitude: Annotated[str, typer.Option(help="Of a location.")] = "",
    longitude: Annotated[str, typer.Option(help="Of a location.")] = "",
    reply_to: Annotated[str, typer.Option(help="Id of the message that it answers.")] = "",
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Post an inbound WhatsApp message."""
    given = {
        "to": to,
        "name": name,
        "kind": kind,
        "url": file_url,
        "filename": filename,
        "latitude": latitude,
        "longitude": longitude,
        "reply_to": reply_to,
    }
    said = ask(lambda: SandboxClient(url, token).inbound(sender, text, **given))
    if as_json:
        print_json({"id": said})
    else:
        stdout.print(f"message {said} is on its way")


def checked_callbacks(settings: list[str] | None, secret: str | None) -> tuple[str, ...]:
    """The settings of callbacks that a command was given, files read; what is wrong with them ends the command."""
    wanted = with_files(settings or [])
    try:
        read_callbacks(wanted, secret)
    except SandboxError as wrong:
        fail(str(wrong), "msg91-destination sandbox callbacks --help lists the settings")
    return tuple(wanted)


def callbacks_with_door(
    settings: Sequence[str], destinations: Destinations, door: str | None
) -> tuple[tuple[str, ...], str | None]:
    """The settings of callbacks, checked, and their secret; ``to=door`` is a door that runs on this machine.

    The door's own secret goes to nobody else: with any other address, the environment has to name one.

    Args:
        settings: As they were given.
        destinations: Whom the door serves. All of them send to the sandbox, through one account.
        door: The door's URL, None when there is no door.
    """
    given, secret = list(settings), os.environ.get(SECRET_VARIABLE)
    if "to=door" not in given:
        return checked_callbacks(given, secret), secret
    if door is None:
        fail("--sandbox-callback to=door: there is no door with --no-intake")
    taker = next((one for one in destinations if one.configuration.callbacks.secrets), None)
    names = [one.partition("=")[0] for one in given]
    if taker is None:
        warn(
            f"--sandbox-callback to=door: no destination from {destinations.origin} has secrets under callbacks, and "
            "without one the door takes no report; without a file, set MSG91_DESTINATION_CALLBACK_SECRET"
        )
    elif not secret and all(one == "to=door" for name, one in zip(names, given, strict=True) if name in URLS):
        secret = taker.configuration.callbacks.secrets[0].get_secret_value()
        header = taker.configuration.callbacks.header
        if not {"header", "secret-in"} & set(names) and header != Callbacks().header:
            given.append(f"header={header}")
    elif secret not in [one.get_secret_value() for one in taker.configuration.callbacks.secrets]:
        what = f"what {SECRET_VARIABLE} says" if secret else f"no secret, as {SECRET_VARIABLE} is not set"
        warn(f"--sandbox-callback to=door: the door refuses reports with {what}: {taker.name} has other secrets")
    address = door.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    url = f"{address}/v1/callbacks/{taker.name if taker else destinations.names[0]}"
    return checked_callbacks([f"to={url}" if one == "to=door" else one for one in given], secret), secret
