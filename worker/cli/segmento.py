"""``msg91-destination segmento``: record user events, keep contacts, and see what the phonebook knows."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated

import typer

from worker.actions.record_user_events import spread
from worker.cli.connection import DataDir
from worker.cli.gate import CONTEXT, DestinationOption, WaitOption, account, chosen, hand_over, items_in
from worker.cli.operating import JsonOption, LimitOption
from worker.cli.output import Exit, print_json, table, warn
from worker.destinations import Destination
from worker.masking import mask_text, mask_value

app = typer.Typer(
    help="Segmento: user events, contacts, event types, failed events.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="JSON objects, an array or one a line; - is stdin.")]
DayOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="YYYY-MM-DD.")]


@app.command("events")
def events(
    file: FileArgument,
    wait: WaitOption = 20.0,
    destination: DestinationOption = "",
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Record user events: objects of visitorId, eventName, properties, timestamp, context, type.

    The shape that agent toolkits use is taken as well: {identifier, events: [{name, properties, timestamp}]}.

    Exit codes: 0 accepted, or on their way; 1 one was refused; 2 one cannot be sent so.

    Examples:
      echo '{"visitorId": "u-1", "eventName": "order-placed"}' | msg91-destination segmento events -
    """
    items = [one for item in items_in(file) for one in spread(item)]
    hand_over(chosen(destination), "record_user_events", items, wait=wait, data_dir=data_dir, json_=json_)


@app.command("contacts")
def contacts(
    file: FileArgument,
    wait: WaitOption = 20.0,
    destination: DestinationOption = "",
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """Create or update contacts: objects of contactId, name, email, phone, details.

    Exit codes: 0 accepted, or on their way; 1 one was refused; 2 one cannot be sent so.

    Examples:
      echo '{"contactId": "u-1", "name": "Ada"}' | msg91-destination segmento contacts -
    """
    hand_over(chosen(destination), "upsert_contact", items_in(file), wait=wait, data_dir=data_dir, json_=json_)


@app.command("event-types")
def event_types(destination: DestinationOption = "", json_: JsonOption = False) -> None:
    """List the types of events that the phonebook knows.

    No public source states the path: set segmento.event_types_path if this fails.

    Exit codes: 0 listed; 2 wrong usage, or MSG91 could not be asked.

    Examples:
      msg91-destination segmento event-types --json
    """
    where = chosen(destination)
    _say_guess(where, "event_types_path")
    with account(where, "segmento") as msg91:
        found = msg91.event_types()
    if json_:
        print_json({"destination": where.name, "eventTypes": [one.raw for one in found]})
        return
    table(("id", "name", "description"), [(one.id, one.name, one.description) for one in found])


@app.command("failed-events")
def failed_events(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN_ID", help="MSG91 asks for a campaign.")],
    start: DayOption = None,
    end: DayOption = None,
    limit: LimitOption = 1000,
    destination: DestinationOption = "",
    json_: JsonOption = False,
) -> None:
    """List events that were taken and then failed, page after page to the end.

    No public source states the path: set segmento.failed_events_path if this fails.

    Exit codes: 0 there are none; 1 there are some; 2 MSG91 could not be asked.

    Examples:
      msg91-destination segmento failed-events CAMPAIGN_ID --json
    """
    where = chosen(destination)
    _say_guess(where, "failed_events_path")
    days = [day.date() if day else None for day in (start, end)]
    with account(where, "segmento") as msg91:
        found = list(islice(msg91.failed_events(campaign, start=days[0], end=days[1]), limit + 1))
    shown = found[:limit]
    if json_:
        # The recipient is a contact id, which need not be a number.
        raw = [{**mask_value(one.raw), "recipient": mask_text(one.recipient)} for one in shown]
        print_json({"destination": where.name, "failedEvents": raw, "more": len(found) > limit})
    else:
        rows = [(one.id, one.timestamp, mask_text(one.recipient), mask_text(one.reason)) for one in shown]
        table(("id", "time", "recipient", "reason"), rows)
        if len(found) > limit:
            warn(f"there are more than {limit}: --limit")
    raise typer.Exit(int(Exit.PROBLEM if found else Exit.OK))


def _say_guess(destination: Destination, setting: str) -> None:
    """Say that the path is a guess, as long as it is."""
    if setting not in destination.configuration.segmento.model_fields_set:
        warn(f"the path is a guess, no public source states it; segmento: {{{setting}: …}} sets another")
