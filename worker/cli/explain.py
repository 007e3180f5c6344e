"""``msg91-destination explain``: a dry run that says what would become of each event, and why."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from worker.cli.connection import destinations_of, is_configured
from worker.cli.explain_report import as_json, lines_of
from worker.cli.output import Exit, fail, stderr, stdout
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
from worker.cli.send_report import refusal
from worker.explaining import Explanation, Verdict, explain_event
from worker.intake.files import EventFile, Found, Refused, UnreadableFile
from worker.settings import load_settings


def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="NDJSON, JSON or CSV; - is standard input.")],
    destination: Annotated[
        str, typer.Option("--destination", "-d", help="Explain for this destination only.", show_default="all")
    ] = "",
    show_numbers: Annotated[bool, typer.Option("--show-numbers", help="Show phone numbers in full.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON array with one object per event.")] = False,
    format_: FileFormat = None,
    call: Call = "",
    event: EventName = "",
    paths: ColumnPaths = None,
    types: ColumnTypes = None,
    columns: ColumnNames = "",
    delimiter: Delimiter = "",
) -> None:
    """Say what would become of each event, and why. Sends nothing and needs no store.

    For each event: the mappings whose trigger matched and why the others did not, the fields they fill, the exact
    request to MSG91, the encoding and number of SMS parts; or why it would be rejected, suppressed or filtered.

    Exit codes: 0 all well; 1 an event is malformed or would be rejected; 2 the file or the configuration cannot be
    used.

    Examples:
      msg91-destination explain events.ndjson
      echo '{"type": "track", "event": "Hello", "properties": {"phone": "8818888758", "message": "Hi"}}' |
      msg91-destination explain -
    """
    reading = reading_of(format_, call, event, paths, types, columns, delimiter)
    settings = load_settings()
    destinations = destinations_of(settings)
    if not is_configured(settings):
        stderr.print("no destination is configured here: this is what MSG91_AUTHKEY alone would make")
    chosen = [one for one in destinations if one.name == destination] if destination else list(destinations)
    if not chosen:
        fail(
            f"--destination: there is no destination {destination!r} in {destinations.origin}",
            f"There are: {', '.join(destinations.names)}",
        )
    trouble = False
    printed = 0
    try:
        with EventFile(file, reading=reading) as events:
            for item in _items(events):
                if isinstance(item, Refused):
                    explanation = Explanation(None, malformed=(item.code, item.message))
                else:
                    explanation = explain_event(
                        item.event, chosen, now_ms=round(time.time() * 1000), arrival=f"explain-{item.number}"
                    )
                trouble |= explanation.malformed is not None or Verdict.REJECTED in explanation.verdicts
                if json_:
                    _print_json(as_json(events.name, item, explanation, show=show_numbers), first=printed == 0)
                elif isinstance(item, Refused):
                    stdout.print(Text.assemble(refusal(events.name, item), (" (malformed)\n", "red")), soft_wrap=True)
                else:
                    for line in lines_of(events.name, item, explanation, show=show_numbers):
                        stdout.print(line, soft_wrap=True)
                printed += 1
    except UnreadableFile as error:
        fail(str(error), error.hint)
    if json_:
        sys.stdout.write("[]\n" if printed == 0 else "\n]\n")
    elif printed == 0:
        stderr.print("there is no event in it")
    raise typer.Exit(Exit.PROBLEM if trouble else Exit.OK)


def _items(events: EventFile) -> Iterator[Found | Refused]:
    return (item for item in events if isinstance(item, Found | Refused))


def _print_json(explained: dict[str, Any], *, first: bool) -> None:
    sys.stdout.write("[\n" if first else ",\n")
    sys.stdout.write(orjson.dumps(explained, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
