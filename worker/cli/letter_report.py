"""How deliveries that wait for an operator look in a list, and one of them in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from rich.text import Text

from worker.cli.delivery_report import STYLES, moment
from worker.cli.operating import ago
from worker.masking import mask_text, mask_value
from worker.operations.letters import Letter

__all__ = ["COLUMNS", "as_json", "first", "lines_of", "row"]

COLUMNS = ("id", "state", "since", "destination", "action", "mapping", "message id", "reason")


def first(pages: Iterable[list[Letter]], limit: int) -> list[Letter]:
    """So many letters of several pages."""
    found: list[Letter] = []
    for page in pages:
        found += page
        if len(found) >= limit:
            break
    return found[:limit]


def row(letter: Letter, now_ms: int) -> Sequence[Any]:
    """A letter as a row of a table."""
    delivery = letter.standing_in()
    state = letter.record.state
    return (
        letter.key,
        Text(state.value, STYLES.get(state, "")),
        ago(letter.since_ms, now_ms),
        letter.destination,
        letter.action,
        delivery.mapping,
        delivery.message_id,
        mask_text(letter.record.reason),
    )


def as_json(letter: Letter) -> dict[str, Any]:
    """A letter of a list, as JSON."""
    delivery = letter.delivery
    return {
        "id": letter.key,
        "state": letter.record.state.value,
        "since": moment(letter.since_ms),
        "destination": letter.destination or None,
        "action": letter.action or None,
        "mapping": delivery.mapping if delivery else None,
        "message_id": delivery.message_id if delivery else None,
        "reason": mask_text(letter.record.reason),
        "parts": delivery.cost if delivery else None,
        "once_in_doubt": letter.once_in_doubt,
    }


def lines_of(shown: dict[str, Any]) -> Iterator[Text]:
    """Everything that is known of a letter, as lines for people.

    Args:
        shown: As ``worker.operations.dead_letters.describe`` gives it.
    """
    yield Text.assemble(
        (
            f"{shown['message_id'] or shown['id']}: {shown['destination']} / {shown['mapping']} → {shown['action']}: ",
            "bold",
        ),
        (shown["state"], "red"),
    )
    facts = [
        ("id", shown["id"]),
        ("since", moment(shown["since_ms"])),
        ("reason", mask_text(shown["reason"])),
        (
            "mapping",
            f"{shown['mapping']}" + (f", version {shown['mapping_version']}" if shown["mapping_version"] else ""),
        ),
        ("SMS parts", str(shown["parts"])),
    ]
    if shown["once_in_doubt"]:
        facts.append(("in doubt", "once: a request may have reached MSG91 without an answer"))
    facts.append(("replay", f"not now: {shown['replay']}" if shown["replay"] else "would send it"))
    yield from (Text(f"  {name + ':':<11} {value}") for name, value in facts)
    if shown["field_errors"]:
        yield Text("  field errors:")
        yield from (Text(f"    {one['field']}: {mask_text(str(one['message']))}") for one in shown["field_errors"])
    for number, attempt in enumerate(shown["attempts"], 1):
        yield from _attempt(number, attempt)
    yield from _block("event", shown["event"])
    yield from _block("fields", shown["fields"])


def _attempt(number: int, attempt: dict[str, Any]) -> Iterator[Text]:
    words = [
        f"HTTP {attempt['status']}" if attempt.get("status") else "",
        f"code {attempt['code']}" if attempt.get("code") else "",
        mask_text(str(attempt.get("message") or "")),
    ]
    said = " ".join(word for word in words if word)
    yield Text(f"  {number}. {moment(attempt['at'])}  {attempt.get('class', '')}" + (f": {said}" if said else ""))
    if attempt.get("request"):
        yield Text(f"     request: {_json(attempt['request'])}")
    if attempt.get("answer"):
        yield Text(f"     answer:  {mask_text(str(attempt['answer']))}")


def _block(name: str, value: Any) -> Iterator[Text]:
    if value in (None, {}):
        return
    yield Text(f"  {name}:")
    body = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str)
    yield from (Text(f"    {line}") for line in body.decode().split("\n"))


def _json(value: Any) -> str:
    return orjson.dumps(mask_value(value), option=orjson.OPT_NON_STR_KEYS, default=str).decode()
