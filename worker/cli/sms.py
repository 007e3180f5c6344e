"""``msg91-destination sms``: one message, the account's templates, and what a text will look like."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.connection import DataDir
from worker.cli.gate import (
    CONTEXT,
    DestinationOption,
    VarOption,
    WaitOption,
    account,
    chosen,
    hand_over,
    items_in,
    variables_of,
)
from worker.cli.operating import JsonOption
from worker.cli.output import Exit, fail, print_json, stdout, table, warn
from worker.msg91.templates import TemplateVersion, fill_template
from worker.msg91.text import measure

app = typer.Typer(
    help="SMS: one message, templates with their DLT status, and previews.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


@app.command("send")
def send(
    phone: Annotated[str, typer.Argument(metavar="[PHONE]", help="The recipient's number.")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="Free text.")] = "",
    template: Annotated[
        str, typer.Option("--template", "-t", help="A Flow template instead; `default` takes the destination's.")
    ] = "",
    var: VarOption = None,
    sender: Annotated[str, typer.Option("--sender", help="Sender ID.")] = "",
    route: Annotated[str, typer.Option("--route", help="4 transactional, 1 promotional (free text).")] = "",
    country: Annotated[str, typer.Option("--country", help="0 international, 91 India (free text).")] = "",
    dlt_template: Annotated[str, typer.Option("--dlt-template", help="DLT template id (free text, India).")] = "",
    campaign: Annotated[str, typer.Option("--campaign", help="Name in MSG91's reports (free text).")] = "",
    at: Annotated[str, typer.Option("--at", help="Schedule time (free text).")] = "",
    flash: Annotated[bool, typer.Option("--flash", help="Show it at once, unsaved (free text).")] = False,
    unicode: Annotated[
        bool | None, typer.Option("--unicode/--no-unicode", help="Free text.", show_default="by the text")
    ] = None,
    short_url: Annotated[bool, typer.Option("--short-url", help="Shorten links (template).")] = False,
    short_url_expiry: Annotated[
        int | None, typer.Option("--short-url-expiry", min=1, help="Seconds that they work.")
    ] = None,
    real_time: Annotated[bool, typer.Option("--real-time", help="Let MSG91 check more first (template).")] = False,
    file: Annotated[
        str,
        typer.Option("--file", "-f", help="Many: JSON objects of phone, and message or variables; - is stdin."),
    ] = "",
    wait: WaitOption = 20.0,
    destination: DestinationOption = "",
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Send a message, or those of a file: free text, or a template with its variables.

    A file has objects of the fields; options fill in what an object leaves out. Messages that differ in nothing
    but number, text and variables share requests. They go the way of all messages: recorded, limited, retried.

    Exit codes: 0 accepted, or on its way; 1 refused or in doubt; 2 it cannot be sent so.

    Examples:
      msg91-destination sms send +918818888758 -m "Your order has shipped"
      msg91-destination sms send +918818888758 -t 61e8f2a3b4c5d6e7f8091a2b -v name=Ada -v order=42
      msg91-destination sms send --file people.ndjson --sender MSGIND
    """
    if bool(phone) == bool(file):
        fail("give either PHONE or --file")
    if (message and template) or not (message or template or file):
        fail("give either --message or --template")
    variables = variables_of(var)
    fields: dict[str, Any] = {"phone": phone, "senderID": sender}
    if not template:
        fields |= {"message": message, "route": route, "country": country, "dltTemplateId": dlt_template}
        fields |= {"campaign": campaign, "schtime": at, "flash": flash or None, "unicode": unicode}
    else:
        fields |= {"templateId": "" if template == "default" else template, "variables": variables or None}
        fields |= {"shortUrl": short_url or None, "shortUrlExpiry": short_url_expiry}
        fields |= {"realTimeResponse": real_time or None}
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    items = [given | one for one in items_in(file)] if file else [given]
    if template and variables:
        items = [{**one, "variables": variables | (one.get("variables") or {})} for one in items]
    action = "send_flow_sms" if template else "send_sms"
    hand_over(chosen(destination), action, items, wait=wait, data_dir=data_dir, json_=json_)


@app.command("templates")
def templates(
    template: Annotated[str, typer.Argument(metavar="[ID]", help="Show the versions of this one.")] = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """List the account's Flow templates; with an id its versions, with text and DLT status.

    Exit codes: 0 listed; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination sms templates
      msg91-destination sms templates 61e8f2a3b4c5d6e7f8091a2b
    """
    where = chosen(destination)
    with account(where, "sms") as msg91:
        if template:
            _show_versions(where.name, template, msg91.template_versions(template), json_=json_)
            return
        found = msg91.templates()
    if json_:
        print_json({"destination": where.name, "templates": [one.raw for one in found]})
        return
    table(("id", "name"), [(one.id, one.name) for one in found])


def _show_versions(name: str, template: str, versions: list[TemplateVersion], *, json_: bool) -> None:
    if json_:
        print_json({"destination": name, "template": template, "versions": [one.raw for one in versions]})
        return
    rows = [
        (one.sender, one.dlt_id, f"{one.dlt_status}: {one.dlt_reason}" if one.dlt_reason else one.dlt_status, one.text)
        for one in versions
    ]
    table(("sender", "DLT id", "DLT status", "text"), rows)


@app.command("preview")
def preview(
    template: Annotated[str, typer.Argument(metavar="[ID]", help="A template of the account.")] = "",
    text: Annotated[str, typer.Option("--text", help="This text instead, with ##name## for variables.")] = "",
    var: VarOption = None,
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """Show a text with its variables filled in, how many SMS parts it takes, and what is missing. Sends nothing.

    Exit codes: 0 complete; 1 a variable is missing, or is none of the text's; 2 wrong usage.

    Examples:
      msg91-destination sms preview 61e8f2a3b4c5d6e7f8091a2b -v name=Ada
      msg91-destination sms preview --text "Hi ##name##" -v name=Ada
    """
    if bool(template) == bool(text):
        fail("give either the ID of a template or --text")
    variables = variables_of(var)
    if template:
        with account(chosen(destination), "sms") as msg91:
            versions = [one for one in msg91.template_versions(template) if one.text]
        if not versions:
            fail("MSG91 tells no text of this template", code=Exit.PROBLEM)
        text = next((one for one in versions if one.dlt_status == "approved"), versions[0]).text
    filled = fill_template(text, variables)
    size = measure(filled.text)
    if json_:
        print_json(
            {
                "text": filled.text,
                "encoding": size.encoding,
                "characters": size.characters,
                "units": size.units,
                "parts": size.parts,
                "missing": filled.missing,
                "unused": filled.unused,
            }
        )
    else:
        stdout.print(Text(filled.text), soft_wrap=True)
        parts = "SMS part" if size.parts == 1 else "SMS parts"
        stdout.print(f"{size.encoding}, {size.characters} characters, {size.units} units, {size.parts} {parts}")
        for name in filled.missing:
            warn(f"##{name}## has no value: give -v {name}=…")
        for name in filled.unused:
            warn(f"the text has no ##{name}##; case matters")
    raise typer.Exit(int(Exit.PROBLEM if filled.missing or filled.unused else Exit.OK))
