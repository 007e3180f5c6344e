"""The formats a text field may be asked to have. Each check takes time in proportion to the length of the text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

__all__ = ["FORMATS", "is_date_like"]

_MAX_LENGTH: Final = 2048

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# The addresses that HTML's <input type=email> takes, with at least one dot in the domain, as ajv-formats wants it.
_EMAIL = re.compile(
    rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*@(?:{_LABEL}\.)+{_LABEL}"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_UNIX = re.compile(r"-?(?:0|[1-9]\d{0,15})(?:\.\d{1,9})?", re.ASCII)
# What dayjs takes for ISO 8601: everything after the year may be left out.
_ISO_LIKE = re.compile(
    r"""(?P<year>\d{4}) (?:[-/]?(?P<month>\d{1,2}))? (?:[-/]?(?P<day>\d{1,2}))?
        (?:[Tt\s]*(?P<hour>\d{1,2}))? (?::?(?P<minute>\d{1,2}))? (?::?(?P<second>\d{1,2}))? (?:[.:]\d{1,9})?
        \s*(?:[Zz]|[+-]\d\d:?\d\d)?""",
    re.VERBOSE | re.ASCII,
)


def is_date_like(value: str) -> bool:
    """A point in time as text: unix seconds or milliseconds, a date, ISO 8601 or an RFC 5322 date."""
    if len(value) > 64:
        return False
    if _UNIX.fullmatch(value):
        return True
    found = _ISO_LIKE.fullmatch(value)
    if found:
        year, month, day, hour, minute, second = (int(part) if part else None for part in found.groups())
        try:
            datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0)  # noqa: DTZ001 -- only checked
        except ValueError:
            return False
        return True
    try:
        parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return False
    return True


def _is_date(value: str) -> bool:
    return _DATE.fullmatch(value) is not None and _made(date.fromisoformat, value)


def _is_date_time(value: str) -> bool:
    return _DATE_TIME.fullmatch(value) is not None and is_date_like(value)


def _is_uri(value: str) -> bool:
    if not value.isascii() or not value.isprintable() or any(character in ' "<>\\^`{|}' for character in value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme) and bool(parts.netloc or parts.path or parts.query)


def _made(make: Callable[[str], object], value: str) -> bool:
    try:
        make(value)
    except ValueError:
        return False
    return True


_CHECKS: Final[dict[str, tuple[str, Callable[[str], bool]]]] = {
    "email": ("an e-mail address", lambda value: _EMAIL.fullmatch(value) is not None),
    "uri": ("a URI with its scheme", _is_uri),
    "date-time": ("a date and time with its offset, as in RFC 3339", _is_date_time),
    "date": ("a date, as in 2024-05-01", _is_date),
    "date-like": ("a date, a time or a unix timestamp", is_date_like),
    "hostname": ("a host name", lambda value: len(value) <= 253 and _HOSTNAME.fullmatch(value) is not None),
    "ipv4": ("an IPv4 address", lambda value: _made(IPv4Address, value)),
    "ipv6": ("an IPv6 address", lambda value: _made(IPv6Address, value)),
    "uuid": ("a UUID", lambda value: len(value) == 36 and _made(UUID, value)),
}


def _bounded(check: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda value: len(value) <= _MAX_LENGTH and check(value)


#: Format → what it is called in an error, and its check. `text` and `password` only say how a form shows the field.
FORMATS: Final[dict[str, tuple[str, Callable[[str], bool]]]] = {
    **{name: (noun, _bounded(check)) for name, (noun, check) in _CHECKS.items()},
    "text": ("text", lambda _: True),
    "password": ("text", lambda _: True),
}
