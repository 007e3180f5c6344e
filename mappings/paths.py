"""`$.properties.products[0]['odd key']` → a compiled getter.

A path is a list of keys. `$.` in front is optional; `$.`, `.` and the empty path are the whole payload. Keys are
separated by dots; `[0]` and `[-1]` index lists, `['a.b']` takes a key as it is written. Empty keys vanish.
A key of anything that is not an object, and an index of anything that is not a list, is missing; `length` also counts
lists and text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from mappings.values import MISSING, type_name, utf16_length

__all__ = ["Getter", "compile_keys", "compile_path", "explain_keys", "parse_path", "step"]

Getter = Callable[[Any], Any]

_PART = re.compile(
    r"""\[ (?: '(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<index>-?\d+) ) (?:\]|(?=[.\[]|\Z))   # ['key'] [0] [-1]
      | (?P<dot>\.)
      | (?P<plain>\[ | [^.\[]+)                                            # a bracket that is none of these is text
    """,
    re.VERBOSE,
)
_INDEX = re.compile(r"-?(?:0|[1-9]\d{0,8})", re.ASCII)


def parse_path(path: str) -> tuple[str, ...]:
    """The keys of a path; no path is an error.

    Example:
        >>> parse_path("$.properties.products[0]['odd.key']")
        ('properties', 'products', '0', 'odd.key')
    """
    path = path.removeprefix("$.")
    if "[" not in path:
        return tuple([key for key in path.split(".") if key])
    keys: list[str] = []
    plain = ""
    for part in _PART.finditer(path):
        if part["plain"] is not None:
            plain += part["plain"]
            continue
        keys.append(plain)
        plain = ""
        if part["dot"] is None:
            keys.append(next(key for key in part.group("single", "double", "index") if key is not None))
    keys.append(plain)
    return tuple([key for key in keys if key])


def step(value: Any, key: str) -> Any:
    """What `key` leads to from `value`: the slow, complete rule that the compiled getters shortcut."""
    if isinstance(value, dict):
        return value.get(key, MISSING)
    if isinstance(value, list):
        if _INDEX.fullmatch(key):
            index = int(key)
            return value[index] if -len(value) <= index < len(value) else MISSING
        return len(value) if key == "length" else MISSING
    if isinstance(value, str) and key == "length":
        return utf16_length(value)
    return MISSING


def compile_path(path: str) -> Getter:
    """A function from a payload to the value at `path`, or `MISSING`."""
    return compile_keys(parse_path(path))


def compile_keys(keys: Sequence[str]) -> Getter:
    """A function from a payload to the value that `keys` lead to, or `MISSING`."""
    if not keys:
        return _whole
    if len(keys) == 1:
        return _one_key(keys[0])
    if len(keys) == 2:
        return _two_keys(keys[0], keys[1])
    return _many_keys(tuple(keys))


def _whole(payload: Any) -> Any:
    return payload


def _one_key(key: str) -> Getter:
    def get(payload: Any) -> Any:
        if type(payload) is dict:
            return payload.get(key, MISSING)
        return step(payload, key)

    return get


def _two_keys(first: str, second: str) -> Getter:
    def get(payload: Any) -> Any:
        parent = payload.get(first) if type(payload) is dict else step(payload, first)
        if type(parent) is dict:
            return parent.get(second, MISSING)
        return step(parent, second)

    return get


def _many_keys(keys: tuple[str, ...]) -> Getter:
    def get(payload: Any) -> Any:
        value = payload
        for key in keys:
            value = value.get(key, MISSING) if type(value) is dict else step(value, key)
        return value

    return get


def explain_keys(keys: Sequence[str], payload: Any) -> str | None:
    """Why `keys` lead nowhere in `payload`, in one sentence without any value; None when they lead somewhere."""
    value = payload
    walked = "the event"
    for key in keys:
        following = step(value, key)
        if following is MISSING:
            if isinstance(value, dict):
                return f"{walked} has no {key!r}"
            if isinstance(value, list):
                return f"{walked} is a list of {len(value)} and has no {key!r}"
            return f"{walked} is {type_name(value)}, not an object"
        walked = key if walked == "the event" else f"{walked}.{key}"
        value = following
    return None
