"""Taking the claim check for events that a Celery producer sent inline: the first act of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from worker.delivery import Batches, Kind
from worker.events import TOO_DEEP, join, malformed_line
from worker.mending import read_json, write_json


def batch_id_of(task_id: str) -> str:
    """The batch id of a task, so that a redelivered task makes no second batch."""
    return blake2b(task_id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def take_call(batches: Batches, given: Sequence[Any], named: Mapping[str, Any], *, task_id: str, queue: str) -> str:
    """Accept the events of a task, whatever way it was called: the message is all there is of them.

    Args:
        batches: Where they go.
        given: Positional arguments, each as `take_events` has it: ``args=events`` for ``args=[events]`` is meant well.
        named: ``events`` and ``destination``. With any other name nothing says that they are meant for everybody, so
            they are recorded as malformed.
        task_id: Names this arrival.
        queue: The Celery queue it came by.

    Returns:
        The batch id; the caller runs the batch.
    """
    sources = [*given, *([named["events"]] if "events" in named else [])] or [None]
    items = [item for source in sources for item in read_items(source)]
    unknown = sorted(named.keys() - {"events", "destination"})
    if unknown:
        message = f"worker.forward_events has no argument {', '.join(unknown)[:200]}; expected events and destination"
        lines = [malformed_line("argument_unknown", message, item) for item in items]
        return _accept(batches, lines, task_id=task_id, destination="", queue=queue)
    return take_events(batches, items, task_id=task_id, destination=names_of(named.get("destination")), queue=queue)


def names_of(destination: Any) -> str:
    """The destinations that a producer names: one, or a list; none at all where it says None."""
    if isinstance(destination, list | tuple):
        return ",".join(map(str, destination))
    return "" if destination is None else str(destination)


def take_events(batches: Batches, events: Any, *, task_id: str, destination: str = "", queue: str = "events") -> str:
    """Accept events as a producer sent them: a list, one event, or JSON text of either, or one event per line.

    Events without a ``messageId`` get one from the task's id and their place, the same at each redelivery.

    Returns:
        The batch id; the caller runs the batch.
    """
    items = read_items(events)
    lines = [_line(item, f"{task_id}-{position}") for position, item in enumerate(items)]
    return _accept(batches, lines, task_id=task_id, destination=destination, queue=queue)


def take_payloads(
    batches: Batches,
    action: str,
    payloads: Any,
    *,
    task_id: str,
    destination: str,
    message_id: str | None = None,
    queue: str = "events",
) -> str:
    """Accept payloads for one action: an object, a list of objects, or JSON text of either.

    Args:
        batches: Where they go.
        action: The action's name.
        payloads: Its fields, resolved by the producer.
        task_id: Names this arrival.
        destination: The destination's name.
        message_id: Idempotency key of a single payload; several get it with their place.
        queue: The Celery queue they belong to.

    Returns:
        The batch id; the caller runs the batch.
    """
    items = read_items(payloads)
    base = message_id or task_id
    lines = [
        _payload(action, item, base if len(items) == 1 and message_id else f"{base}-{position}")
        for position, item in enumerate(items)
    ]
    return _accept(batches, lines, task_id=task_id, destination=destination, queue=queue, kind=Kind.PAYLOADS)


def read_items(events: Any) -> list[Any]:
    """A list of what came: items of a list, one object, or what JSON text holds; text that is no JSON stays text."""
    if isinstance(events, bytes | str):
        try:
            events = read_json(events)
        except orjson.JSONDecodeError:
            text = events.decode("utf-8", "replace") if isinstance(events, bytes) else events
            lines = [line for line in text.split("\n") if line.strip()]
            return [_or_text(line) for line in lines] if len(lines) > 1 else [text]
    return events if isinstance(events, list) else [events]


def _accept(
    batches: Batches, lines: list[bytes], *, task_id: str, destination: str, queue: str, kind: Kind = Kind.EVENTS
) -> str:
    return batches.accept(
        join(lines),
        len(lines),
        kind=kind,
        batch_id=batch_id_of(task_id),
        door="celery",
        destination=destination,
        queue=queue,
        begun=True,
    )


def _or_text(line: str) -> Any:
    try:
        return read_json(line)
    except orjson.JSONDecodeError:
        return line


def _line(item: Any, message_id: str) -> bytes:
    if isinstance(item, dict) and not item.get("messageId"):
        item = {**item, "messageId": message_id}
    return _written(item, item)


def _payload(action: str, item: Any, message_id: str) -> bytes:
    try:
        return orjson.dumps({"action": action, "messageId": message_id, "payload": item}, default=str)
    except TypeError:
        return _written({"action": action, "messageId": message_id, "payload": item}, item)


def _written(value: Any, item: Any) -> bytes:
    """One line of a batch; what JSON cannot carry is recorded as malformed, so that it keeps out no neighbour."""
    try:
        return write_json(value)
    except TypeError as error:
        if "ecursion" in str(error):
            return malformed_line(*TOO_DEEP, item)
        return malformed_line("not_json", f"it holds something that JSON cannot carry: {str(error)[:200]}", item)
