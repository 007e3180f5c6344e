"""From the text of an event to the event, or to the reason why it is none. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from worker.events import Event, nesting_problem, problem_with
from worker.intake.csv_reader import Rows
from worker.intake.splitting import Refused, Text

__all__ = ["Found", "check_json", "check_row"]


@dataclass(frozen=True, slots=True)
class Found:
    """An event of the spec.

    Attributes:
        number: Its place in the file: the line in NDJSON and CSV, else the place among the events; from 1.
        line: The line it starts in, from 1.
        raw: Its JSON text, as it stands in the file.
        event: The same, parsed.
    """

    number: int
    line: int
    raw: bytes
    event: Event


def check_json(text: Text) -> Found | Refused:
    """Read the JSON text of an event."""
    try:
        event = orjson.loads(text.raw)
    except orjson.JSONDecodeError as error:
        if not _is_utf8(text.raw):
            return Refused(text.number, text.line, "not_utf8", "the text is not valid UTF-8", text.raw)
        message = f"not JSON: {error.msg}{_place_in(text, error)}"
        return Refused(text.number, text.line, "not_json", message, text.raw)
    problem = problem_with(event) or nesting_problem(event, text.raw)
    if problem is not None:
        return Refused(text.number, text.line, *problem, text.raw)
    return Found(text.number, text.line, text.raw, event)


def check_row(rows: Rows, text: Text) -> Found | Refused:
    """Read a row of a CSV file."""
    made = rows.event_of(text)
    if isinstance(made, Refused):
        return made
    event, raw = made
    problem = problem_with(event)
    if problem is not None:
        return Refused(text.number, text.line, *problem, text.raw)
    return Found(text.number, text.line, raw, event)


def _place_in(text: Text, error: orjson.JSONDecodeError) -> str:
    if b"\n" in text.raw:
        return f" (line {text.line + error.lineno - 1}, column {error.colno})"
    return f" (character {error.colno})"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
