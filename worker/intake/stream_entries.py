"""What producers wrote on an event stream, told apart: events, and entries that can never be read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from worker.events import Malformed, malformed, nesting_problem, problem_with

#: The field of an entry that holds the event, as JSON text.
EVENT_FIELD = b"event"
#: Longest text of one event, bytes.
EVENT_BYTES = 1 << 20
#: How much of an entry that cannot be read is kept, bytes.
KEPT_BYTES = 1 << 16

#: An entry as the store gives it: its id, and its fields and values in turn; none when somebody else deleted it.
Entry = tuple[bytes, Sequence[bytes] | None]


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that can never be read as an event.

    Attributes:
        entry_id: Its id.
        why: The record of what is wrong with it.
        original: What it held, to be mended and sent again; cut at `KEPT_BYTES`.
    """

    entry_id: bytes
    why: Malformed
    original: bytes


@dataclass(slots=True)
class Sorted:
    """Entries told apart.

    Attributes:
        ids: Entry ids of the events.
        lines: Their texts, in the same order, each a whole JSON object without a line break.
        refused: Entries that can never be read.
        deleted: Ids of entries that were given out but are no longer in the stream.
    """

    ids: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)


def sort_entries(entries: Iterable[Entry]) -> Sorted:
    """Tell events from what can never be read; an event without a ``messageId`` gets its entry's id."""
    result = Sorted()
    for entry_id, fields in entries:
        if fields is None:
            result.deleted.append(entry_id)
            continue
        found = _read(entry_id, fields)
        if isinstance(found, Refused):
            result.refused.append(found)
        else:
            result.ids.append(entry_id)
            result.lines.append(found)
    return result


def _read(entry_id: bytes, fields: Sequence[bytes]) -> bytes | Refused:
    # The usual entry has one field; of several of the same name the last one counts, as in a JSON object.
    text = fields[1] if len(fields) == 2 and fields[0] == EVENT_FIELD else dict(_pairs(fields)).get(EVENT_FIELD)
    if text is None:
        return _without_event(entry_id, fields)
    if len(text) > EVENT_BYTES:
        return _refuse(entry_id, text, "too_long", f"event: at most {EVENT_BYTES} bytes, got {len(text)}")
    # Each text is read by itself: joined with others, a broken one could swallow its neighbours.
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _refuse(entry_id, text, "not_json", f"not JSON: {error.msg} at character {error.pos + 1}")
    problem = problem_with(event) or nesting_problem(event, text)
    if problem is not None:
        return Refused(entry_id, malformed(0, problem, event), text[:KEPT_BYTES])
    if not event.get("messageId"):
        event["messageId"] = entry_id.decode()
        return orjson.dumps(event)
    return orjson.dumps(event) if b"\n" in text else text


def _without_event(entry_id: bytes, fields: Sequence[bytes]) -> Refused:
    pairs = [[name.decode("utf-8", "replace"), value.decode("utf-8", "replace")] for name, value in _pairs(fields)]
    names = ", ".join(repr(name[:40]) for name, _ in pairs[:5])
    return _refuse(entry_id, orjson.dumps(pairs), "field_missing", f"event: no field of this name, only {names}")


def _refuse(entry_id: bytes, original: bytes, code: str, message: str) -> Refused:
    raw = original[:8000].decode("utf-8", "replace")[:2000]
    return Refused(entry_id, Malformed(0, code, message, raw), original[:KEPT_BYTES])


def _pairs(fields: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(fields[::2], fields[1::2], strict=True)
