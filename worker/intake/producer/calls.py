"""Events as bytes: what a caller hands over is checked and written down at once, while the caller is there to hear."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from worker import __version__
from worker.events import problem_with
from worker.intake.producer.errors import InvalidEvent

#: Longest event, bytes of JSON.
EVENT_BYTES = 1 << 20

_LIBRARY = {"name": "msg91-destination-python", "version": __version__}


def encode(event: Mapping[str, Any]) -> tuple[str, bytes]:
    """Write an event down, with a ``messageId`` of its own if it has none.

    Returns:
        The ``messageId`` and one line of JSON.

    Raises:
        InvalidEvent: it can never be read as an event.
    """
    if not isinstance(event, Mapping):
        raise InvalidEvent("not_an_object", f"an event is a mapping, this is of type {type(event).__name__}")
    whole = dict(event)
    if not whole.get("messageId"):
        whole["messageId"] = str(uuid.uuid4())
    problem = problem_with(whole)
    if problem is not None:
        raise InvalidEvent(*problem)
    try:
        line = orjson.dumps(whole, default=plain)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise InvalidEvent("not_json", f"the event holds something that JSON cannot carry: {error}") from error
    if len(line) > EVENT_BYTES:
        raise InvalidEvent("too_long", f"an event has at most {EVENT_BYTES} bytes, this one {len(line)}")
    return whole["messageId"], line


def call(
    kind: str,
    fields: Mapping[str, Any],
    user_id: Any,
    context: Mapping[str, Any] | None,
    timestamp: datetime | str | None,
    anonymous_id: Any,
    integrations: Mapping[str, Any] | None,
    message_id: str | None,
) -> dict[str, Any]:
    """Build a call of the Segment spec, as Segment's own library does; what is ``None`` is left out."""
    event = {
        "type": kind,
        "messageId": message_id,
        "timestamp": _moment(timestamp),
        "userId": user_id,
        "anonymousId": anonymous_id,
        "context": {"library": _LIBRARY, **(context or {})},
        "integrations": integrations,
        **fields,
    }
    return {name: value for name, value in event.items() if value is not None}


def _moment(timestamp: datetime | str | None) -> str:
    if isinstance(timestamp, str):
        return timestamp
    moment = (timestamp or datetime.now(UTC)).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A value that JSON has no form of its own for, in the nearest that it has.

    Raises:
        TypeError: it has none.
    """
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
