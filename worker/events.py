"""Events as they come in: Segment's spec, one event at a time, so that a bad one cannot sink its neighbours.

The field rules and the error codes are those of Segment's tracking API
(https://segment.com/docs/connections/spec/common/ and the codes its Delivery Overview shows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

#: The calls of the Segment spec.
TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias", "delete"})

#: Longest messageId, characters. Segment allows 100; producers that join ids get some room.
MESSAGE_ID_LENGTH = 255

#: The problem of an event that can be read and not written again.
TOO_DEEP = ("too_deep", "the event is nested too deeply; at most 250 levels are read")
#: Brackets that no event needs to be too deep for.
_SHALLOW = 200

Event = dict[str, Any]

#: First item of a line that stands for a malformed event.
_MARK = "malformed"


@dataclass(frozen=True, slots=True)
class Malformed:
    """An event that can never be read as one.

    Attributes:
        position: Its place in the batch, from 0.
        code: Segment's error code, or ours where it has none.
        message: What is wrong and what was expected; shows no values.
        raw: The first 2,000 characters of what came in.
    """

    position: int
    code: str
    message: str
    raw: str

    def as_json(self) -> bytes:
        """The form in which it is recorded."""
        return orjson.dumps({"position": self.position, "code": self.code, "message": self.message, "raw": self.raw})


def malformed_line(code: str, message: str, event: Any) -> bytes:
    """The line of a batch that stands for an event whose door has found that it can never be read as one.

    It is counted and recorded as malformed, with the door's reason, when the batch is run.
    """
    return orjson.dumps([_MARK, code, message, _shown(event)[:2000].encode("utf-8", "replace").decode()])


def join(events: Sequence[bytes]) -> bytes:
    """The bytes of a batch: one JSON text per line.

    Args:
        events: JSON texts without raw line breaks (``orjson.dumps`` writes none).
    """
    return b"\n".join(events)


def parse(body: bytes, count: int) -> list[Event | Malformed]:
    """Read the bytes of a batch.

    All events are read in one go; only when that fails is each line read by itself.

    Args:
        body: What ``join`` made.
        count: How many lines it was made of.

    Returns:
        One entry per line, in order.
    """
    try:
        found = orjson.loads(b"[" + body.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        found = None
    if found is None or len(found) != count:
        return [_parse_line(position, line) for position, line in enumerate(body.split(b"\n"))]
    return [
        event if (problem := problem_with(event)) is None else malformed(position, problem, event)
        for position, event in enumerate(found)
    ]


def problem_with(event: Any) -> tuple[str, str] | None:
    """Why this is not an event of the spec: a code and a sentence, or ``None`` when it is one."""
    if not isinstance(event, dict):
        return "not_an_object", f"an event is a JSON object, this is {kind_of(event)}"
    call = event.get("type")
    if call not in TYPES if isinstance(call, str) else True:
        return _type_problem(call)
    if call == "track":
        name = event.get("event")
        if not isinstance(name, str):
            if name is None:
                return "event_not_defined", "event: a track call needs the event's name, a string"
            return "event_not_string", f"event: expected a string, got {kind_of(name)}"
    for field, code in (
        ("properties", "properties_not_object"),
        ("traits", "traits_not_object"),
        ("context", "context_not_object"),
        ("integrations", "integrations_not_object"),
    ):
        value = event.get(field)
        if value is not None and not isinstance(value, dict):
            return code, f"{field}: expected an object, got {kind_of(value)}"
    message_id = event.get("messageId")
    if message_id is not None:
        if not isinstance(message_id, str):
            return "id_not_string", f"messageId: expected a string, got {kind_of(message_id)}"
        if len(message_id) > MESSAGE_ID_LENGTH:
            return "id_too_long", f"messageId: at most {MESSAGE_ID_LENGTH} characters, got {len(message_id)}"
    return None


def malformed(position: int, problem: tuple[str, str], event: Any) -> Malformed:
    """Record what is wrong with an event; where its door has said so already (`malformed_line`), that stands."""
    if isinstance(event, list) and len(event) == 4 and event[0] == _MARK and all(isinstance(one, str) for one in event):
        return Malformed(position, event[1][:100], event[2][:500], event[3][:2000])
    return Malformed(position, problem[0], problem[1], _shown(event)[:2000])


def kind_of(value: Any) -> str:
    """The JSON name of a value's type, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string" if value else "an empty string"
    return "an array" if isinstance(value, list) else "an object"


def nesting_problem(event: Any, text: bytes) -> tuple[str, str] | None:
    """Why an event cannot go on although it could be read: a code and a sentence, or ``None`` when it can.

    Args:
        event: The event.
        text: Its JSON text; one with few brackets needs no further look.
    """
    if text.count(b"{") + text.count(b"[") < _SHALLOW:
        return None
    try:
        orjson.dumps(event)
    except TypeError:
        return TOO_DEEP
    return None


def _shown(event: Any) -> str:
    """What a record shows of something that is no event."""
    try:
        return orjson.dumps(event).decode()
    except TypeError:
        pass
    try:
        return repr(event)
    except RecursionError:
        return f"{kind_of(event)}, nested too deeply to be shown"


def _type_problem(call: Any) -> tuple[str, str]:
    expected = "identify, track, page, screen, group, alias or delete"
    if call is None:
        return "type_not_defined", f"type: missing; expected {expected}"
    if not isinstance(call, str):
        return "type_not_string", f"type: expected a string, got {kind_of(call)}"
    return "type_unknown", f"type: {call[:40]!r} is not a call of the spec; expected {expected}"


def _parse_line(position: int, line: bytes) -> Event | Malformed:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raw = line[:2000].decode("utf-8", "replace")
        return Malformed(position, "not_json", f"not JSON: {error.msg} at character {error.pos + 1}", raw)
    problem = problem_with(event)
    return event if problem is None else malformed(position, problem, event)
