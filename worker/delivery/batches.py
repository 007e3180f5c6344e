"""The claim check: a batch's bytes and its schedule entry live in the store, the queue carries only its id."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .records import ORIGIN_LENGTH
from .sealing import Sealing, may_carry
from .store import Store

#: Batches of this queue overtake others, and are sealed whatever they hold.
PRIORITY_QUEUE = "events.priority"
#: What has waited comes back by a queue of its own, so that it does not stand behind everything that is new.
RETRY_QUEUE = "events.retries"


class Kind(StrEnum):
    """What the bytes of a batch are."""

    EVENTS = "events"  #: a JSON array of events as they came through a door
    PAYLOADS = "payloads"  #: a JSON array of payloads another Celery producer resolved itself
    DELIVERIES = "deliveries"  #: deliveries that wait: resolved payloads, events and attempts
    GRACE = "grace"  #: a timer for deliveries in doubt


def new_id() -> str:
    """An id for a batch, a run or a request: 16 random hexadecimal characters."""
    return secrets.token_hex(8)


@dataclass(slots=True)
class Batch:
    """One batch, taken to be worked on.

    Attributes:
        count: Events it was accepted with; 0 for kinds that hold none.
        token: This run's token.
        slot: Lane whose rate it has paid for already, ``""`` for none.
        stored: The bytes as they are in the store, sealed or not.
        trace: The ``traceparent`` of who brought it, ``""`` for none.
    """

    id: str
    kind: Kind
    body: bytes
    count: int = 0
    door: str = ""
    destination: str = ""
    queue: str = "events"
    received_ms: int = 0
    runs: int = 0
    slot: str = ""
    token: str = ""
    malformed: list[bytes] = field(default_factory=list)
    stored: bytes = b""
    trace: str = ""

    @property
    def origin(self) -> str:
        """What a record remembers of it."""
        return self.id[:ORIGIN_LENGTH]


@dataclass(frozen=True, slots=True)
class Look:
    """A batch that was looked at, and whether a worker is at it."""

    batch: Batch
    running: bool


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What became of the events of one batch: ``parsed = filtered + duplicate + parent``."""

    parsed: int = 0
    malformed: int = 0
    filtered: int = 0
    duplicate: int = 0
    parent: int = 0


class Batches:
    """Accept, begin, extend, postpone and finish batches.

    Args:
        store: The store.
        lease: How long a run may be silent, seconds.
        malformed_length: Longest list of events that could not be read.
        sealing: Encrypts batches that may carry one-time passwords.
    """

    def __init__(
        self, store: Store, *, lease: float = 60.0, malformed_length: int = 10_000, sealing: Sealing | None = None
    ) -> None:
        self.store = store
        self.sealing = sealing or Sealing(store)
        self.lease_ms = round(lease * 1000)
        self._malformed_length = malformed_length

    def accept(
        self,
        body: bytes,
        count: int,
        *,
        kind: Kind = Kind.EVENTS,
        batch_id: str | None = None,
        door: str = "",
        destination: str = "",
        queue: str = "events",
        sealed: bool | None = None,
        begun: bool = False,
        trace: str = "",
    ) -> str:
        """Write a batch and its schedule entry in one transaction; only then is it accepted.

        Args:
            body: The events, as JSON array.
            count: How many events they are.
            kind: What the bytes are.
            batch_id: Given where the arrival has an id of its own (a Celery task), so that it makes no second batch.
            door: Where it came in, for people.
            destination: Restricts it to one destination, or to several: their names, joined by commas.
            queue: The Celery queue it belongs to.
            sealed: Whether it is encrypted; unless given, when it may carry a one-time password, by queue or words.
            begun: The caller goes on to run it itself, so nobody else needs to be told for a lease.
            trace: The ``traceparent`` of who brought it, ``""`` for none.

        Returns:
            The batch id.

        Raises:
            StoreUnavailable: nothing is known to be accepted; accepting again under the same id is safe.
        """
        batch_id = batch_id or new_id()
        keys = self.store.keys
        now = self.store.now_ms()
        due = now + (self.lease_ms if begun else 15_000)
        if sealed is None:
            sealed = queue == PRIORITY_QUEUE or may_carry(body)
        stored = self.sealing.body(body, always=True) if sealed else body
        fields = ("kind", kind, "body", stored, "door", door, "destination", destination, "queue", queue)
        self.store.script(
            "accept",
            [keys.batch(batch_id), keys.schedule, keys.counters],
            [batch_id, now, due, count, *fields, *(("trace", trace) if trace else ())],
        )
        return batch_id

    def begin(self, batch_id: str) -> Batch | None:
        """Take a batch to work on, or ``None`` when it is gone or another run has it."""
        keys = self.store.keys
        now = self.store.now_ms()
        token = new_id()
        answer = self.store.script(
            "begin", [keys.batch(batch_id), keys.schedule], [batch_id, now, token, now + self.lease_ms]
        )
        if answer[0] != b"run":
            return None
        batch = self._read(batch_id, dict(zip(answer[1::2], answer[2::2], strict=True)))
        batch.runs += 1
        batch.token = token
        return batch

    def look(self, batch_ids: Sequence[str]) -> list[Look | None]:
        """Look at batches without taking them; ``None`` for those that are gone."""
        if not batch_ids:
            return []
        client, names = self.store.client, [self.store.keys.batch(one) for one in batch_ids]

        def read() -> list[dict[bytes, bytes]]:
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(name)
            return list(pipe.execute())

        now = self.store.now_ms()
        return [
            Look(self._read(batch_id, found), int(found.get(b"lease", 0)) > now) if found else None
            for batch_id, found in zip(batch_ids, self.store.ask(read), strict=True)
        ]

    def rewrite(self, batch: Batch, body: bytes, *, items: int | None = None) -> bool:
        """Put other bytes in the place of ``batch.body``; a run under way goes on with what it has read.

        Args:
            batch: As it was looked at; its id and body count.
            body: The new bytes: as many lines as before, for events and payloads.
            items: How many deliveries they hold, for those.

        Returns:
            ``False`` when the batch is gone or holds other bytes by now.
        """
        answer = self.store.script(
            "rewrite",
            [self.store.keys.batch(batch.id)],
            [
                batch.stored or batch.body,
                self.sealing.body(body, always=True) if batch.stored not in (b"", batch.body) else body,
                "" if items is None else items,
            ],
        )
        return bool(answer)

    def hand_back(self, batch_id: str, seconds: float = 0.0) -> None:
        """Give a batch that was not begun to another worker: it is due after so many seconds, unless one is at it."""
        keys = self.store.keys
        due = self.store.now_ms() + round(seconds * 1000)
        self.store.script("postpone", [keys.batch(batch_id), keys.schedule], [batch_id, "", due])

    def extend(self, batch: Batch) -> bool:
        """Push the lease on; ``False`` when the batch is no longer this run's."""
        keys = self.store.keys
        end = self.store.now_ms() + self.lease_ms
        answer = self.store.script("extend", [keys.batch(batch.id), keys.schedule], [batch.id, batch.token, end])
        return bool(answer)

    def postpone(self, batch: Batch, due_ms: int) -> bool:
        """Hand the batch back, to be run again at ``due_ms``."""
        keys = self.store.keys
        answer = self.store.script("postpone", [keys.batch(batch.id), keys.schedule], [batch.id, batch.token, due_ms])
        return bool(answer)

    def finish(self, batch: Batch, counts: EventCounts, malformed: Sequence[bytes] = ()) -> bool:
        """Count the batch's events and remove it; ``False`` (and nothing counted) when it is no longer this run's."""
        keys = self.store.keys
        answer = self.store.script(
            "finish",
            [keys.batch(batch.id), keys.schedule, keys.counters, keys.malformed],
            [
                batch.id,
                batch.token,
                batch.count,
                counts.parsed,
                counts.malformed,
                counts.filtered,
                counts.duplicate,
                counts.parent,
                self._malformed_length,
                *malformed,
            ],
        )
        return bool(answer)

    def body_of(self, batch_id: str) -> tuple[Kind, bytes, int] | None:
        """Kind, bytes and count of a batch that may be under way; ``None`` when it is gone."""
        client, name = self.store.client, self.store.keys.batch(batch_id)
        kind, body, count = self.store.ask(lambda: client.hmget(name, ["kind", "body", "count"]))
        return None if kind is None else (Kind(kind.decode()), self.sealing.read(body), int(count or 0))

    def _read(self, batch_id: str, found: Mapping[bytes, bytes]) -> Batch:
        stored = found[b"body"]
        return Batch(
            id=batch_id,
            kind=Kind(found[b"kind"].decode()),
            body=self.sealing.read(stored),
            stored=stored,
            count=int(found.get(b"count", 0)),
            door=found.get(b"door", b"").decode(),
            destination=found.get(b"destination", b"").decode(),
            queue=found.get(b"queue", b"events").decode(),
            received_ms=int(found.get(b"received", 0)),
            runs=int(found.get(b"runs", 0)),
            slot=found.get(b"slot", b"").decode(),
            trace=found.get(b"trace", b"").decode(),
            token=found.get(b"token", b"").decode(),
        )
