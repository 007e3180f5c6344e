"""Reading JSON as clients really write it: what one odd value would cost is mended. Pure: no I/O.

Half of a surrogate pair (a text cut in the middle of an emoji) becomes U+FFFD; ``NaN``, ``Infinity`` and numbers beyond
all bounds become null, integers beyond 64 bits the nearest number.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import orjson

#: Largest integer that a line of a batch can carry (64 bits).
_LARGEST: Final = 2**64 - 1
#: An escape in JSON text: a pair of surrogates, a lone ``\\u``, or any other.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL
)


def read_json(text: bytes | str) -> Any:
    """The JSON value of a text, mended where JSON or Unicode forbids what it holds.

    Raises:
        orjson.JSONDecodeError: it is not JSON, mended or not.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            whole = text if isinstance(text, str) else text.decode()
            return json.loads(
                _ESCAPE.sub(_mended, whole), parse_constant=lambda _: None, parse_float=_finite, parse_int=_bounded
            )
        except (ValueError, RecursionError):
            raise error from None


def write_json(value: Any) -> bytes:
    """A value as JSON text that every reader here reads, mended where it has to be.

    Raises:
        TypeError: JSON cannot carry it: another type than JSON's, or nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        try:
            return orjson.dumps(read_json(json.dumps(value)))
        except (ValueError, RecursionError) as error:
            raise TypeError(str(error)) from None


def _mended(match: re.Match[str]) -> str:
    escape = match.group()
    if len(escape) == 6 and escape[1] == "u" and escape[2] in "dD" and escape[3] in "89abcdefABCDEF":
        return r"\ufffd"
    return escape


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _bounded(text: str) -> int | float | None:
    if len(text) > 20:
        return _finite(text)
    number = int(text)
    return number if -(2**63) <= number <= _LARGEST else float(text)
