"""Dates for `@liquid`: what LiquidJS takes for a date, and how it writes one (strftime of Ruby, names in English).

Dates are shown in UTC unless the template names a time zone, as on Segment's servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

__all__ = ["DEFAULT_FORMAT", "format_date", "parse_date"]

DEFAULT_FORMAT: Final = "%A, %B %-e, %Y at %-l:%M %P %z"

_MAX_WIDTH: Final = 64
_MAX_LENGTH: Final = 64
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SLASHED = re.compile(r"\A(\d{4})/(\d\d)/(\d\d)(?!\d)", re.ASCII)
_CONVERSION = re.compile(r"%([-_0^#:]*)(\d{0,4})([EO]?)(.)", re.DOTALL)


def parse_date(value: Any, zone: Any = None) -> datetime | None:
    """A moment, or None when the value is none: unix seconds, ISO 8601, RFC 5322, `now` or `today`.

    Args:
        value: Number or text.
        zone: Name of a time zone, or minutes west of UTC; None is UTC.
    """
    try:
        moment = _moment(value)
        return None if moment is None else moment.astimezone(_zone(zone))
    except (ValueError, TypeError, OverflowError, OSError, IndexError, KeyError):
        return None


def _moment(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return datetime.fromtimestamp(value, UTC)
    if value in {"now", "today"}:
        return datetime.now(UTC)
    if len(value) > _MAX_LENGTH:
        return None
    if value.isascii() and value.isdigit():
        return datetime.fromtimestamp(int(value), UTC)
    try:
        moment = datetime.fromisoformat(_SLASHED.sub(r"\1-\2-\3", value))
    except ValueError:
        moment = parsedate_to_datetime(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _zone(zone: Any) -> tzinfo:
    if zone is None or zone == "":
        return UTC
    if isinstance(zone, str):
        return ZoneInfo(zone)
    return timezone(timedelta(minutes=-zone))


def format_date(moment: datetime, template: str) -> str:
    """Write a moment by a strftime template; a conversion nobody knows stays as it is."""
    return _CONVERSION.sub(lambda found: _converted(moment, found), template)


def _converted(moment: datetime, found: re.Match[str]) -> str:
    flags, width, _, conversion = found.groups()
    if conversion not in _CONVERSIONS:
        return found[0]
    convert, digits, padding = _CONVERSIONS[conversion]
    written = convert(moment, flags)
    if "^" in flags:
        written = written.upper()
    elif "#" in flags:
        written = written.lower() if written.isupper() else written.upper()
    padding = " " if "_" in flags else "0" if "0" in flags else padding
    places = 0 if "-" in flags else min(int(width), _MAX_WIDTH) if width else digits
    return written.rjust(places, padding)


def _offset(moment: datetime, flags: str) -> str:
    seconds = (moment.utcoffset() or timedelta()).total_seconds()
    hours, minutes = divmod(abs(int(seconds)) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}{':' if ':' in flags else ''}{minutes:02}"


def _ordinal(day: int) -> str:
    return "th" if day in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _week(moment: datetime, first_weekday: int) -> int:
    """Week of the year, counted from its first Sunday (6) or Monday (0)."""
    since = (moment.weekday() - first_weekday) % 7
    return (moment.timetuple().tm_yday + 6 - since) // 7


#: Conversion → how to write it, to how many places, padded with what.
_CONVERSIONS: Final[dict[str, tuple[Callable[[datetime, str], str], int, str]]] = {
    "a": (lambda d, _: _DAYS[d.weekday()][:3], 0, " "),
    "A": (lambda d, _: _DAYS[d.weekday()], 0, " "),
    "b": (lambda d, _: _MONTHS[d.month - 1][:3], 0, " "),
    "B": (lambda d, _: _MONTHS[d.month - 1], 0, " "),
    "c": (lambda d, _: format_date(d, "%-m/%-d/%Y, %-l:%M:%S %p"), 0, " "),
    "C": (lambda d, _: str(d.year // 100), 0, "0"),
    "d": (lambda d, _: str(d.day), 2, "0"),
    "e": (lambda d, _: str(d.day), 2, " "),
    "h": (lambda d, _: _MONTHS[d.month - 1][:3], 0, " "),
    "H": (lambda d, _: str(d.hour), 2, "0"),
    "I": (lambda d, _: str(d.hour % 12 or 12), 2, "0"),
    "j": (lambda d, _: str(d.timetuple().tm_yday), 3, "0"),
    "k": (lambda d, _: str(d.hour), 2, " "),
    "l": (lambda d, _: str(d.hour % 12 or 12), 2, " "),
    "L": (lambda d, _: str(d.microsecond // 1000), 3, "0"),
    "m": (lambda d, _: str(d.month), 2, "0"),
    "M": (lambda d, _: str(d.minute), 2, "0"),
    "N": (lambda d, _: f"{d.microsecond:06}000", 0, "0"),
    "p": (lambda d, _: "AM" if d.hour < 12 else "PM", 0, " "),
    "P": (lambda d, _: "am" if d.hour < 12 else "pm", 0, " "),
    "q": (lambda d, _: _ordinal(d.day), 0, "0"),
    "s": (lambda d, _: str(round(d.timestamp())), 0, "0"),
    "S": (lambda d, _: str(d.second), 2, "0"),
    "u": (lambda d, _: str(d.isoweekday()), 0, "0"),
    "U": (lambda d, _: str(_week(d, 6)), 2, "0"),
    "w": (lambda d, _: str(d.isoweekday() % 7), 0, "0"),
    "W": (lambda d, _: str(_week(d, 0)), 2, "0"),
    "x": (lambda d, _: format_date(d, "%-m/%-d/%Y"), 0, "0"),
    "X": (lambda d, _: format_date(d, "%-l:%M:%S %p"), 0, "0"),
    "y": (lambda d, _: f"{d.year % 100:02}", 0, "0"),
    "Y": (lambda d, _: str(d.year), 0, "0"),
    "z": (_offset, 0, "0"),
    "t": (lambda _d, _: "\t", 0, "0"),
    "n": (lambda _d, _: "\n", 0, "0"),
    "%": (lambda _d, _: "%", 0, "0"),
}
