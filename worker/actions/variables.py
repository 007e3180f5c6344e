"""The variables of a template: flat, and text on the wire."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from worker.actions import rules
from worker.actions.base import Problems

_BAD_NAME: Final = "a variable cannot be called {name!r} ({what} own key) or have an empty name"


def texts_of(
    values: Mapping[str, Any] | None,
    problems: Problems,
    *,
    reserved: Collection[str] = ("mobiles",),
    what: str = "the number's",
) -> dict[str, str]:
    """Bring variables to text: booleans as ``true`` and ``false``, null as empty text, whole numbers without ``.0``.

    Args:
        values: by name.
        problems: where those that are no text, number or boolean are noted, under ``variables``.
        reserved: names that have another meaning in the call.
        what: whose names they are.
    """
    variables: dict[str, str] = {}
    for name, value in (values or {}).items():
        if name in reserved or not name or not rules.well_formed(name):
            known = name in reserved
            sentence = _BAD_NAME.format(name=next(iter(reserved)), what=what)
            problems.add(f"variables.{name}" if known else "variables", sentence)
            continue
        text = _text(value)
        if text is None:
            kind = "an object" if isinstance(value, Mapping) else "a list"
            problems.add(f"variables.{name}", f"expected text, a number or a boolean, but it was {kind}")
        elif not rules.well_formed(text):
            problems.add(f"variables.{name}", rules.HALF_CHARACTER)
        else:
            variables[name] = text
    return variables


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if isinstance(value, int) else None
