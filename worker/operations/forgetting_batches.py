"""Erasing a person from unfinished batches: places and counts stay, so that every other delivery keeps its identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from worker import deliveries as kept
from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import (
    Batch,
    EventCounts,
    Expectation,
    Kind,
    Look,
    Outcome,
    State,
    delivery_key,
    new_id,
)
from worker.destinations import Destination, Destinations
from worker.events import Event, Malformed, parse
from worker.operations.person import Person
from worker.pipeline import resolve_events
from worker.runtime import Core

FORGOTTEN = "forgotten"
#: Stands in the place of an event: an event of the spec that goes to no destination, and so is counted as filtered.
TOMBSTONE = orjson.dumps({"type": "track", "event": "forgotten", "integrations": {"All": False}})
#: Deliveries settled in one step.
CHUNK = 500


def names(person: Person, delivery: dict[str, Any]) -> bool:
    """Whether a delivery in its kept form is one to, or about, a person."""
    return (
        delivery.get("recipient") in person.recipients
        or person.is_named_in(delivery.get("payload"))
        or person.is_named_in(delivery.get("event"))
        or person.is_named_in(delivery.get("message_id"))
    )


class BatchEraser:
    """Erases a person from batches.

    Args:
        core: The store's parts.
        destinations: The present configuration: says what an event would have made.
        person: Whom.
        by: Who says so, for the journal.
        dry: Only count.

    Attributes:
        waiting: Deliveries that waited and are suppressed now.
        queued: Events that stood in batches nobody had looked at.
        keys: The deliveries concerned.
        running: Batches that named them while a worker was at them.
    """

    def __init__(self, core: Core, destinations: Destinations, person: Person, by: str, *, dry: bool) -> None:
        self._core = core
        self._destinations = destinations
        self._person = person
        self._by = by
        self._dry = dry
        self.waiting = 0
        self.queued = 0
        self.keys: set[str] = set()
        self.running: set[str] = set()
        self._sending: set[str] = set()

    def erase(self, batch_ids: Sequence[str]) -> None:
        """Erase the person from these batches."""
        for look in self._core.batches.look(batch_ids):
            if look is None or not self._person.may_be_named_in(look.batch.body):
                continue
            match look.batch.kind:
                case Kind.EVENTS:
                    concerned = self._events(look.batch)
                case Kind.PAYLOADS:
                    concerned = self._payloads(look.batch)
                case Kind.DELIVERIES:
                    concerned = self._deliveries(look)
                case _:
                    concerned = False
            if concerned and look.running:
                self.running.add(look.batch.id)

    def count_under_way(self) -> int:
        """How many of those batches a worker is still at, and how many of those deliveries are still being sent."""
        looks = self._core.batches.look(list(self.running))
        self.running = {look.batch.id for look in looks if look is not None and look.running}
        sending = list(self._sending)
        records = self._core.ledger.records(sending)
        self._sending = {
            key for key, one in zip(sending, records, strict=True) if one is not None and one.state is State.SENDING
        }
        return len(self.running) + len(self._sending)

    def _events(self, batch: Batch) -> bool:
        lines = batch.body.split(b"\n")
        events = parse(batch.body, batch.count)
        mine = {
            position
            for position, (event, line) in enumerate(zip(events, lines, strict=True))
            if self._person.may_be_named_in(line) and self._names_event(event, line)
        }
        if not mine:
            return False
        self.queued += len(mine)
        # Only theirs, each in its own place: places are part of the identity of events without an id.
        theirs = [event if at in mine else Malformed(at, "", "", "") for at, event in enumerate(events)]
        resolved = resolve_events(theirs, self._targets(batch), now_ms=self._core.store.now_ms(), arrival=batch.id)
        self._suppress([*resolved.deliveries, *(one.delivery for one in resolved.over)], batch, "-")
        if not self._dry:
            body = b"\n".join(TOMBSTONE if at in mine else line for at, line in enumerate(lines))
            self._core.batches.rewrite(batch, body)
        return True

    def _payloads(self, batch: Batch) -> bool:
        lines = batch.body.split(b"\n")
        suppressed: list[Delivery] = []
        found = False
        for position, line in enumerate(lines):
            item = _json(line)
            if not self._names_payload(item, line):
                continue
            found = True
            self.queued += 1
            if not isinstance(item, dict) or item.get("action") not in ACTIONS:
                lines[position] = orjson.dumps(FORGOTTEN)  # malformed it was, and malformed it stays
                continue
            action, message_id = item["action"], str(item.get("messageId") or f"{batch.id}-{position}")
            nameless = f"{FORGOTTEN}-{new_id()}" if self._person.is_named_in_text(message_id) else message_id
            suppressed += [
                Delivery(delivery_key(one.name, an_id, action), "", action, destination=one.name, action=action)
                for one in self._targets(batch)
                for an_id in {message_id, nameless}
            ]
            # Its fields are refused when it runs, and its delivery is found suppressed: the event stays its parent.
            lines[position] = orjson.dumps({"action": action, "messageId": nameless, "payload": {}})
        if found:
            self._suppress(suppressed, batch, "-")
            if not self._dry:
                self._core.batches.rewrite(batch, b"\n".join(lines))
        return found

    def _deliveries(self, look: Look) -> bool:
        batch = look.batch
        rest: list[dict[str, Any]] = []
        mine: list[Delivery] = []
        for one in orjson.loads(batch.body):
            if names(self._person, one):
                mine.append(kept.restore(one))
            else:
                rest.append(one)
        if not mine:
            return False
        self.waiting += self._suppress(mine, batch, "w", batch.id)
        if self._dry:
            return True
        self._core.batches.rewrite(batch, orjson.dumps(rest), items=len(rest))
        if not rest and not look.running:
            taken = self._core.batches.begin(batch.id)
            if taken is not None:
                self._core.batches.finish(taken, EventCounts())
        return True

    def _suppress(self, deliveries: Sequence[Delivery], batch: Batch, letters: str, ref: str = "") -> int:
        """Suppress what nobody is sending; note what somebody is. Gives how many were (or would be) suppressed."""
        self.keys |= {one.key for one in deliveries}
        groups: dict[str, list[Delivery]] = {}
        for one in deliveries:
            nameless = Delivery(one.key, "", one.mapping, destination=one.destination, action=one.action)
            groups.setdefault(f"{one.destination}|{one.action}", []).append(nameless)
        suppressed = 0
        for about, members in groups.items():
            for at in range(0, len(members), CHUNK):
                chunk = members[at : at + CHUNK]
                if self._dry:
                    records = self._core.ledger.records([one.key for one in chunk])
                    suppressed += sum(one is not None and one.ref == ref for one in records)
                    continue
                refused = self._core.ledger.settle(
                    chunk,
                    [Outcome(State.SUPPRESSED, FORGOTTEN)] * len(chunk),
                    expect=Expectation(letters, ref),
                    about=about,
                    origin=batch.origin,
                    journal={"decided": FORGOTTEN, "by": self._by},
                )
                suppressed += len(chunk) - len(refused)
                self._sending |= {
                    chunk[at].key for at, one in refused.items() if one is not None and one.state is State.SENDING
                }
        return suppressed

    def _targets(self, batch: Batch) -> list[Destination]:
        if not batch.destination:
            return list(self._destinations)
        found = [self._destinations.get(name) for name in batch.destination.split(",")]
        return [one for one in found if one is not None]

    def _names_event(self, event: Event | Malformed, line: bytes) -> bool:
        if isinstance(event, Malformed):
            text = line.decode("utf-8", "replace")
            return self._person.is_named_in_text(text) or self._person.is_named_in_text(event.raw)
        return self._person.is_named_in(event)

    def _names_payload(self, item: Any, line: bytes) -> bool:
        if isinstance(item, dict):
            return self._person.is_named_in(item)
        return self._person.is_named_in_text(line.decode("utf-8", "replace"))


def _json(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
