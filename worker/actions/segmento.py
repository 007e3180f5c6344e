"""What both Segmento actions share: the phonebook in a path, and times."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import orjson

from worker.actions.base import ActionContext

_PLACEHOLDER: Final = "{phonebook_id}"
NO_JSON: Final = "it cannot be written as JSON: it has an integer beyond 64 bits or half a surrogate pair in it"
NO_PHONEBOOK: Final = "the destination has no phonebook_id, which {setting} needs"


def path_of(template: str, context: ActionContext) -> str:
    """Put the phonebook's id into a path."""
    return template.replace(_PLACEHOLDER, quote(context.phonebook_id or "", safe=""))


def lacks_phonebook(template: str, context: ActionContext) -> bool:
    """Tell whether a path needs a phonebook that the destination does not name."""
    return _PLACEHOLDER in template and not context.phonebook_id


def is_json(value: Any) -> bool:
    """Tell whether a value can be written as JSON; integers beyond 64 bits and half surrogate pairs cannot."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


@lru_cache(32)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def wall_clock(value: Any, zone: str) -> str | None:
    """Bring a time to ``YYYY-MM-DD HH:MM:SS`` in a zone; None when it is no time.

    ISO 8601 with an offset is converted, without one it is taken as it stands; numbers are Unix seconds, or
    milliseconds beyond the year 5000.
    """
    if isinstance(value, str):
        value = value.strip()
        if value.isascii() and value.replace(".", "", 1).isdigit() and len(value.split(".", 1)[0]) >= 9:
            value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if abs(value) >= 1e11 else value
        try:
            moment = datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
    else:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC if zone == "UTC" else _zone(zone))
    return moment.replace(microsecond=0, tzinfo=None).isoformat(" ")
