"""Numbers in `@liquid`: what counts as one, and what the filters reckon with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from mappings.values import javascript_number

__all__ = [
    "FilterError", "Number", "arithmetic", "decimal", "divided_by", "modulo", "number", "plain_number", "rounded",
    "to_integer",
]  # fmt: skip

Number = int | float
#: Whole numbers are smaller, or a template could make them grow without end.
_LARGEST: Final = 10**308


class FilterError(ValueError):
    """A filter cannot do what it is asked; the sentence shows no value of the event."""


def number(value: Any) -> Number:
    """A value as a number; what is none counts as 0."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else 0
    if isinstance(value, str):
        try:
            return javascript_number(value)
        except ValueError:
            return 0
    return 0


def arithmetic(operate: Callable[[Any, Any], Any]) -> Callable[..., Number]:
    """Whole numbers are exact; others are reckoned as decimals, so that 0.1 + 0.2 is 0.3, as in Shopify's Liquid."""

    def compute(value: Any, other: Any = None) -> Number:
        one, two = number(value), number(other)
        if isinstance(one, int) and isinstance(two, int):
            return _in_reach(operate(one, two))
        return plain_number(operate(decimal(one), decimal(two)))

    return compute


def _in_reach(result: int) -> int:
    if abs(result) >= _LARGEST:
        raise FilterError("the result is too large a number")
    return result


def decimal(value: Any) -> Decimal:
    """A value as a decimal; what is no number counts as 0."""
    counted = number(value)
    return Decimal(counted) if isinstance(counted, int) else Decimal(repr(counted))


def plain_number(result: Decimal) -> Number:
    """A decimal as the number that a template shows.

    Raises:
        FilterError: It is larger than any float.
    """
    if not result.is_finite() or math.isinf(float(result)):
        raise FilterError("the result is too large a number")
    return int(result) if result == result.to_integral_value() and abs(result) < 10**21 else float(result)


def divided_by(value: Any, divisor: Any = None, whole: Any = None) -> Number:
    """The filter `divided_by`; with `whole` the result is rounded down."""
    below = decimal(divisor)
    if below == 0:
        raise FilterError("it divides by zero")
    quotient = decimal(value) / below
    return math.floor(quotient) if whole else plain_number(quotient)


def modulo(value: Any, divisor: Any = None) -> Number:
    """The filter `modulo`; the result has the sign of the value."""
    below = decimal(divisor)
    if below == 0:
        raise FilterError("it divides by zero")
    try:
        return plain_number(decimal(value) % below)
    except InvalidOperation:
        raise FilterError("the numbers are too far apart") from None


def rounded(value: Any, places: Any = 0) -> Number:
    """Halves go up, also below zero."""
    shift = Decimal(10) ** max(-30, min(30, int(number(places))))
    return plain_number(Decimal(math.floor(decimal(value) * shift + Decimal("0.5"))) / shift)


def to_integer(value: Any) -> Number:
    """The filter `to_integer`: JavaScript's `Number(value)`, so that text that is none gives NaN."""
    if isinstance(value, str) and value.strip():
        try:
            return javascript_number(value)
        except ValueError:
            return math.nan
    return number(value)
