"""What both WhatsApp actions share: the integrated number, and values that WhatsApp takes."""

from __future__ import annotations

import re
from typing import Any, Final

from worker.actions import rules
from worker.actions.base import ActionContext, Problems
from worker.msg91.errors import InvalidNumber
from worker.msg91.numbers import mask

NO_NUMBER: Final = "the destination has no integrated number, which whatsapp: {numbers: …} names"

_BREAKS: Final = re.compile(r"\s*[\r\n\t\v\f\u0085\u2028\u2029]+\s*")
_GAP: Final = re.compile(r" {5,}")
_LINK: Final = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)


def integrated_number(fields: dict[str, Any], context: ActionContext, problems: Problems) -> str:
    """The number that a message is sent from; empty when there is none."""
    known = context.whatsapp
    given = fields.get("integratedNumber")
    if not given:
        if known.default_number is None:
            problems.add("integratedNumber", f"missing: the event names none, and {NO_NUMBER}")
        return known.default_number or ""
    number = str(given).removeprefix("+")
    if number in known.numbers:
        return number
    try:
        number = context.numbers.read(given)
    except InvalidNumber as error:
        problems.add("integratedNumber", str(error))
        return ""
    if known.numbers and number not in known.numbers:
        there = ", ".join(mask(each) for each in known.numbers)
        problems.add("integratedNumber", f"it is none of the destination's integrated numbers ({there})")
    return number


def one_line(value: str) -> str:
    """A value as WhatsApp takes it for a variable: without line breaks and tabs, and with four spaces at most."""
    return _GAP.sub("    ", _BREAKS.sub(" ", value)).strip()


def text_of(value: Any) -> str | None:
    """A value as text; None when it is a list, an object, or nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if isinstance(value, int) else None


def variable(field: str, value: Any, problems: Problems) -> str:
    """The value of a variable; empty when it has a problem, which is noted under `field`."""
    text = text_of(value)
    if text is None:
        kind = "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else "null or missing"
        problems.add(field, f"expected text, a number or a boolean, but it was {kind}")
        return ""
    if not rules.well_formed(text):
        problems.add(field, rules.HALF_CHARACTER)
        return ""
    text = one_line(text)
    if not text:
        problems.add(field, "expected a text: WhatsApp refuses a template with an empty variable")
    return text


def link(field: str, value: Any, problems: Problems) -> str:
    """The address of a file, which MSG91 fetches; empty when it is none."""
    text = text_of(value)
    if text is None or not _LINK.fullmatch(text.strip()):
        problems.add(field, "expected the address of a file: https://…")
        return ""
    return text.strip()


def location(field: str, value: dict[str, Any], problems: Problems) -> dict[str, str]:
    """A place on the map: ``latitude`` and ``longitude``, and what it is called."""
    found: dict[str, str] = {}
    for name, bound in (("latitude", 90.0), ("longitude", 180.0)):
        text = text_of(value.get(name)) or ""
        try:
            inside = -bound <= float(text) <= bound
        except ValueError:
            inside = False
        if not inside:
            problems.add(f"{field}.{name}", f"expected degrees from -{bound:g} to {bound:g}")
        found[name] = text
    for name in ("name", "address"):
        if value.get(name):
            found[name] = variable(f"{field}.{name}", value[name], problems)
    return found
