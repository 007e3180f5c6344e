"""How an explanation looks: to people, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson
from rich.text import Text

from mappings import MISSING
from worker.explaining import Considered, Explanation, Field, Verdict
from worker.intake.files import Found, Refused
from worker.masking import mask_text, mask_value

__all__ = ["as_json", "lines_of"]

_STYLES: Final = {
    Verdict.SENT: ("would be sent", "green"),
    Verdict.REJECTED: ("rejected", "red"),
    Verdict.SUPPRESSED: ("suppressed", "yellow"),
    Verdict.EXPIRED: ("expired", "yellow"),
    Verdict.NOT_MATCHED: ("not matched", "dim"),
    Verdict.DISABLED: ("disabled", "dim"),
}
#: Longest value shown on one line, characters.
_SHOWN: Final = 200

Mask = Callable[[Any, str], Any]


def lines_of(name: str, found: Found, explanation: Explanation, *, show: bool) -> Iterator[Text]:
    """Lines for people.

    Args:
        name: The file.
        found: The event, with its place there.
        explanation: What would become of it.
        show: Phone numbers in full.
    """
    mask = _unmasked if show else mask_value
    yield Text(f"{name}:{found.line}: {_title(found.event)}", "bold")
    for there in explanation.destinations:
        if there.filtered:
            yield Text(f"  {there.destination}: filtered: {there.filtered}")
            continue
        for one in there.considered:
            verdict, style = _STYLES[one.verdict]
            reason = f": {one.reason}" if one.reason and one.verdict is not Verdict.NOT_MATCHED else ""
            yield Text.assemble(f"  {there.destination} / {one.mapping} → {one.action}: ", (verdict, style), reason)
            yield from (Text(f"      {line}") for line in _details(one, mask))
    if all(there.filtered for there in explanation.destinations):
        yield Text("  no destination takes it", "yellow")
    elif not explanation.verdicts:
        yield Text("  no mapping takes it: it would be filtered", "yellow")
    yield Text("")


def as_json(name: str, item: Found | Refused, explanation: Explanation, *, show: bool) -> dict[str, Any]:
    """One object; arguments as for `lines_of`."""
    mask = _unmasked if show else mask_value
    about: dict[str, Any] = {"file": name, "line": item.line, "number": item.number}
    if explanation.malformed is not None:
        code, message = explanation.malformed
        return {**about, "malformed": {"code": code, "message": message}}
    event = explanation.event
    return {
        **about,
        "type": event.get("type"),
        "event": event.get("event"),
        "messageId": event.get("messageId"),
        "destinations": [
            {
                "destination": there.destination,
                "filtered": there.filtered or None,
                "mappings": [_considered_json(one, mask) for one in there.considered],
            }
            for there in explanation.destinations
        ],
    }


def _considered_json(one: Considered, mask: Mask) -> dict[str, Any]:
    request, size = one.request, one.size
    return {
        "mapping": one.mapping,
        "action": one.action,
        "verdict": one.verdict.value,
        "reason": one.reason or None,
        "trigger": one.trigger,
        "clauses": [
            {"clause": clause.clause, "holds": clause.holds, "depth": clause.depth, "reason": clause.reason or None}
            for clause in one.clauses
        ],
        "fields": [
            {
                "field": field.name,
                **({} if field.value is MISSING else {"value": _value(field, mask)}),
                "from": list(field.paths),
                "note": field.note or None,
            }
            for field in one.fields
        ],
        "errors": [{"field": field, "message": message} for field, message in one.errors],
        "delivery": one.key or None,
        "request": None
        if request is None
        else {"method": request.method, "url": one.url, "body": mask(one.body(), "")},
        "text": None
        if size is None
        else {
            "encoding": size.encoding,
            "characters": size.characters,
            "units": size.units,
            "parts": size.parts,
        },
    }


def _details(one: Considered, mask: Mask) -> Iterator[str]:
    if one.verdict is Verdict.NOT_MATCHED:
        for clause in one.clauses:
            reason = f"  ({clause.reason})" if clause.reason else ""
            yield f"{'  ' * clause.depth}{'yes' if clause.holds else 'no '}  {clause.clause}{reason}"
        return
    width = max((len(field.name) for field in one.fields), default=0)
    for field in one.fields:
        yield f"{field.name:<{width}}  {_shown(field, mask)}"
    for name, message in one.errors:
        yield f"error  {name}: {message}"
    if one.size is not None:
        size = one.size
        parts = "SMS part" if size.parts == 1 else "SMS parts"
        yield f"text: {size.encoding}, {size.characters} characters, {size.units} units, {size.parts} {parts}"
    elif one.action == "send_flow_sms" and one.request is not None:
        yield "text: the template's, which only MSG91 knows; so are encoding and parts"
    if one.request is not None:
        yield f"{one.request.method} {one.url}"
        body = orjson.dumps(mask(one.body(), ""), option=orjson.OPT_INDENT_2).decode()
        yield from body.split("\n")


def _shown(field: Field, mask: Mask) -> str:
    source = f"  ← {', '.join(field.paths)}" if field.paths else ""
    if field.value is MISSING:
        return f"-  ({field.note})" if field.note else f"-{source}"
    value = _value(field, mask)
    is_plain = isinstance(value, str) and bool(value.strip())
    text = str(value) if is_plain else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    text = text.replace("\n", "\\n")
    return (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…") + source


def _value(field: Field, mask: Mask) -> Any:
    value = mask(field.value, field.name)
    try:
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        return repr(value)
    return value


def _title(event: dict[str, Any]) -> str:
    name = event.get("event") or event.get("name")
    label = f" {mask_text(str(name))!r}" if name else ""
    message_id = event.get("messageId")
    return f"{event['type']}{label}" + (f", messageId {message_id}" if message_id else ", without messageId")


def _unmasked(value: Any, _key: str) -> Any:
    return value
