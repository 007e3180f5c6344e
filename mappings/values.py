"""Values of events, as Segment's language (JavaScript) sees them: what is missing, and how a value reads as text.

Numbers are written the way JavaScript writes them (`3.0` is `3`, `1e21` is `1e+21`), except that whole numbers
keep every digit.
"""

from __future__ import annotations

import math
import re
from json.encoder import encode_basestring
from typing import Any, Final, Literal, final

from mappings.errors import MappingError

__all__ = [
    "MISSING",
    "Missing",
    "javascript_number",
    "json_text",
    "number_text",
    "text",
    "type_name",
    "utf16_length",
    "without_missing",
]


@final
class Missing:
    """The type of `MISSING`: what a path gives that leads nowhere. Not the same as null (`None`)."""

    __slots__ = ()
    _only: Missing | None = None

    def __new__(cls) -> Missing:
        """The one and only."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def type_name(value: Any) -> str:
    """The type of a value in plain words, with its article; never the value itself."""
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"


def utf16_length(value: str) -> int:
    """Length in UTF-16 code units, which is what `length` means in Segment's language."""
    return len(value) if value.isascii() else len(value) + sum(character > "\uffff" for character in value)


def number_text(value: float) -> str:
    """A number as JavaScript prints it (ECMA-262, Number::toString); whole numbers keep every digit.

    Raises:
        MappingError: A whole number with more digits than Python is willing to print.
    """
    if isinstance(value, int):
        try:
            return int.__repr__(value)
        except ValueError:
            raise MappingError("a whole number has too many digits to be written as text.") from None
    if value != value:  # noqa: PLR0124 -- the test for NaN
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS x 10^point.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"


_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DIGITS = re.compile(r"[+-]?\d{1,4000}", re.ASCII)
_PREFIXED = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)", re.ASCII)


def javascript_number(value: str) -> int | float:
    """Text as a number, by the rules of JavaScript's `Number(text)`: blanks around it, `1e3`, `.5`, `0x1F`.

    Raises:
        ValueError: It is not a finite number; blank text is none either.
    """
    word = value.strip()
    if _DIGITS.fullmatch(word):
        return int(word)
    if _DECIMAL.fullmatch(word):
        number = float(word)
        if math.isfinite(number):
            return number
    elif _PREFIXED.fullmatch(word):
        return int(word, 0)
    raise ValueError("not a finite number")


def text(value: Any) -> str:
    """A value as the text that a template shows: missing and null are empty, lists join by commas, objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return ""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, list | tuple):
        return ",".join([text(item) for item in value])
    return json_text(value)


def json_text(value: Any) -> str:
    """A value as compact JSON, non-ASCII characters as they are, NaN and infinities as null.

    Raises:
        MappingError: The value holds something that JSON cannot carry.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or value is MISSING:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return number_text(value)
    if isinstance(value, float):
        return number_text(value) if math.isfinite(value) else "null"
    if isinstance(value, list | tuple):
        return f"[{','.join([json_text(item) for item in value])}]"
    if isinstance(value, dict):
        members = [
            f"{encode_basestring(str(key))}:{json_text(item)}" for key, item in value.items() if item is not MISSING
        ]
        return f"{{{','.join(members)}}}"
    raise MappingError(f"{type_name(value)} cannot be written as JSON.")


def without_missing(value: Any) -> Any:
    """The value with missing members removed from objects and missing items of lists made null, as JSON does it.

    What holds nothing missing is returned as it is, not copied.
    """
    if isinstance(value, list):
        items = [None if item is MISSING else without_missing(item) for item in value]
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return items if changed else value
    if isinstance(value, dict):
        members = {key: without_missing(item) for key, item in value.items() if item is not MISSING}
        changed = len(members) != len(value) or any(members[key] is not value[key] for key in members)
        return members if changed else value
    return value
