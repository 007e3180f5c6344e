"""`@liquid`: python-liquid with the tags and filters that Segment allows, and with bounds."""

from __future__ import annotations

from typing import Any, Final

from liquid import Environment, Mode
from liquid.exceptions import LiquidError

from mappings.compiler import Compiler, Place, Resolver, constant
from mappings.errors import MappingError, Problem
from mappings.values import utf16_length

__all__ = ["build_liquid"]

MAX_TEMPLATE: Final = 1000

_ENVIRONMENT = Environment(tolerance=Mode.STRICT, strict_filters=False)


def build_liquid(compiler: Compiler, template: Any, place: Place) -> Resolver:
    """Compile the option of `@liquid`."""
    if not compiler.check(template, "text", place):
        return constant("")
    compiler.reads += 1
    if utf16_length(template) > MAX_TEMPLATE:
        return compiler.problem(place, f"should be at most {MAX_TEMPLATE} characters long, but it is longer.")
    try:
        compiled = _ENVIRONMENT.from_string(template)
    except LiquidError as error:
        return compiler.problem(place, f"is not a Liquid template: {error.message}.")

    def resolve(payload: Any) -> str:
        try:
            return compiled.render(payload if isinstance(payload, dict) else {})
        except Exception:  # noqa: BLE001
            raise MappingError([Problem(str(place), "cannot be rendered for this event.")]) from None

    return resolve
