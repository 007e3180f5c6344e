"""``msg91-destination campaigns``: which there are, what they want to know, and running one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

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
from worker.cli.output import fail, print_json, stdout, table

app = typer.Typer(
    help="Campaigns: list, fields, run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)

SlugArgument = Annotated[str, typer.Argument(metavar="SLUG", help="As `campaigns list` shows it.")]


@app.command("list")
def list_(
    name: Annotated[str, typer.Option("--name", help="Only those with this in their name.")] = "",
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """List the account's campaigns, page after page to the end.

    Exit codes: 0 listed; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination campaigns list --name diwali
    """
    where = chosen(destination)
    with account(where, "campaign") as msg91:
        found = list(msg91.campaigns(name=name))
    if json_:
        print_json({"destination": where.name, "campaigns": [one.raw for one in found]})
        return
    states = {True: "active", False: "paused", None: ""}
    table(("slug", "name", "state", "id"), [(one.slug, one.name, states[one.is_active], one.id) for one in found])


@app.command("fields")
def fields(slug: SlugArgument, destination: DestinationOption = "", json_: JsonOption = False) -> None:
    """Show what a campaign wants to know of a person, and its variables.

    Exit codes: 0 shown; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination campaigns fields diwali-offer
    """
    where = chosen(destination)
    with account(where, "campaign") as msg91:
        found = msg91.campaign_fields(slug)
    if json_:
        print_json({"destination": where.name, "campaign": slug, "fields": found.raw})
        return
    table(
        ("field", "label", "required"), [(name, label, "yes" if must else "no") for name, label, must in found.mapping]
    )
    stdout.print(f"variables: {', '.join(found.variables) or 'none'}", soft_wrap=True)


@app.command("run")
def run(
    slug: SlugArgument,
    phone: Annotated[str, typer.Option("--phone", "-p", help="The person's number.")] = "",
    email: Annotated[str, typer.Option("--email", help="The person's address.")] = "",
    name: Annotated[str, typer.Option("--name", help="The person's name.")] = "",
    var: VarOption = None,
    file: Annotated[
        str,
        typer.Option("--file", "-f", help="Many people: JSON objects of phone, email, name, variables; - is stdin."),
    ] = "",
    wait: WaitOption = 20.0,
    destination: DestinationOption = "",
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Run a campaign for one person, or for those of a file; large runs are split into calls of MSG91's size.

    Exit codes: 0 accepted, or on their way; 1 one was refused or is in doubt; 2 one cannot be sent so.

    Examples:
      msg91-destination campaigns run order-shipped --phone +918818888758 -v order=42
      msg91-destination campaigns run welcome --file people.ndjson
    """
    if bool(file) == bool(phone or email):
        fail("give either --phone or --email, or --file")
    person: dict[str, Any] = {"phone": phone, "email": email, "name": name}
    people = items_in(file) if file else [{key: value for key, value in person.items() if value}]
    shared = variables_of(var)
    items = [
        {**one, "campaign": slug, **({"variables": {**shared, **(one.get("variables") or {})}} if shared else {})}
        for one in people
    ]
    hand_over(chosen(destination), "run_campaign", items, wait=wait, data_dir=data_dir, json_=json_)
