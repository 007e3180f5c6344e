"""One run of `send`: events from files become batches, accepted by claim check and told to the broker."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from worker.delivery import Batches, new_id
from worker.events import join
from worker.intake.checkpoints import Checkpoint, Position
from worker.intake.files import Found, Refused

__all__ = ["DOOR", "Announcer", "FileCount", "Run", "Span"]

#: How these events came in, for people.
DOOR: Final = "send"
#: A batch is closed at this many bytes, however few events they are.
MAX_BATCH_BYTES: Final = 4 << 20
#: Refusals that a run remembers one by one; all are counted.
REMEMBERED: Final = 100
#: Refusals in a row after which a checkpoint is written, although no event was accepted.
REFUSED_AT_ONCE: Final = 500


class Announcer:
    """Tells the broker of batches; while it is away, asks it again only now and then.

    Nothing hangs on it: the schedule has every batch, and a worker finds it there.

    Args:
        publish: Sends one batch id to a queue; ``False`` when the broker does not take it.
        pause: Seconds between two tries while the broker is away.

    Attributes:
        published: Batches the broker has been told of.
        withheld: Batches it has not.
    """

    def __init__(self, publish: Callable[[str, str], bool], *, pause: float = 5.0) -> None:
        self.published = 0
        self.withheld = 0
        self._publish = publish
        self._pause = pause
        self._away_until = 0.0

    def __call__(self, batch_id: str, queue: str) -> bool:
        """Tell of one batch; ``False`` when the broker was not told."""
        if time.monotonic() >= self._away_until:
            if self._publish(batch_id, queue):
                self.published += 1
                return True
            self._away_until = time.monotonic() + self._pause
        self.withheld += 1
        return False


@dataclass(slots=True)
class FileCount:
    """What became of one file.

    Attributes:
        name: For people.
        prefix: What the ids of its events begin with, where they bring none.
        accepted: Events that are in the store.
        refused: What was no event.
        accepted_to: The line of the last event in the store.
        before: How far an earlier command came with it, where this one goes on.
        checkpoint: Where it is noted how far it is, if anywhere.
    """

    name: str
    prefix: str
    accepted: int = 0
    refused: int = 0
    accepted_to: int = 0
    before: Position = field(default_factory=Position)
    checkpoint: Checkpoint | None = None

    @property
    def seen(self) -> int:
        """Everything that has come to its end in this run, by whatever command."""
        return self.before.accepted + self.accepted + self.before.refused + self.refused

    def as_json(self) -> dict[str, Any]:
        """The form in which ``--json`` prints it."""
        return {
            "file": self.name,
            "accepted": self.accepted,
            "refused": self.refused,
            "accepted_before": self.before.accepted,
            "refused_before": self.before.refused,
        }


@dataclass(frozen=True, slots=True)
class Span:
    """Events of one file, from line to line."""

    file: str
    first_line: int
    last_line: int


@dataclass(slots=True)
class Run:
    """Gathers events into batches and hands them over. Holds one batch, however many events there are.

    Attributes:
        batches: Where they go.
        announce: Tells the broker of a batch.
        batch_size: Events in a batch, at most.
        destination: The only destination they are for, ``""`` for all.
        queue: The Celery queue they belong to.
        on_batch: Called after each batch with its id and the message ids in it.
        on_checkpoint: Called before a checkpoint is written: what is lost with the process must be on its way by then.
        guard: Entered while a batch is handed over and counted, so that nothing interrupts just then.
        id: Names this run; events without a ``messageId`` get one that begins so.
        first_batch: Id of the first batch, ``""`` before.
        refused_by_code: How many were refused, by code.
        refused: The first of them.
        in_hand: What is being handed over. Still set after a failure: whether it was accepted is unknown then.
    """

    batches: Batches
    announce: Callable[[str, str], object]
    batch_size: int = 500
    destination: str = ""
    queue: str = "events"
    on_batch: Callable[[str, Sequence[str]], object] = lambda _batch_id, _message_ids: None
    on_checkpoint: Callable[[], object] = lambda: None
    guard: Callable[[], AbstractContextManager[object]] = nullcontext
    id: str = field(default_factory=new_id)
    files: list[FileCount] = field(default_factory=list)
    batch_count: int = 0
    first_batch: str = ""
    refused_by_code: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, Refused]] = field(default_factory=list)
    in_hand: Span | None = None
    _lines: list[bytes] = field(default_factory=list)
    _message_ids: list[str] = field(default_factory=list)
    _bytes: int = 0
    _first_line: int = 0
    _last_line: int = 0
    _number: int = 0
    _not_noted: int = 0

    @property
    def accepted(self) -> int:
        """Events that are in the store."""
        return sum(file.accepted for file in self.files)

    @property
    def refused_count(self) -> int:
        """How many were refused."""
        return sum(file.refused for file in self.files)

    def begin(self, name: str, *, alone: bool = True, checkpoint: Checkpoint | None = None) -> FileCount:
        """Begin a file, or go on with it.

        Args:
            name: For people.
            alone: It is the only one of this run; otherwise its number becomes part of the ids.
            checkpoint: Where it is noted how far it is; its ids are those of the run that it goes on with.
        """
        number = len(self.files) + 1
        file = FileCount(name, f"{self.id}-" if alone else f"{self.id}-{number}-", checkpoint=checkpoint)
        self._number = 0
        if checkpoint is not None and checkpoint.run:
            file.prefix, file.before = checkpoint.prefix, checkpoint.position
            file.accepted_to, self._number = checkpoint.position.line, checkpoint.position.number
            self.id = checkpoint.run if alone else self.id
        elif checkpoint is not None:
            checkpoint.begin(self.id, file.prefix)
        self.files.append(file)
        return file

    def add(self, found: Found) -> None:
        """Add one event of the present file.

        Raises:
            StoreUnavailable: the batch that was full with it may or may not have been accepted.
        """
        message_id, line = identified(found, self.files[-1].prefix)
        if not self._lines:
            self._first_line = found.line
        self._last_line, self._number = found.line, found.number
        self._lines.append(line)
        self._message_ids.append(message_id)
        self._bytes += len(line)
        if len(self._lines) >= self.batch_size or self._bytes >= MAX_BATCH_BYTES:
            self.flush()

    def refuse(self, refused: Refused) -> None:
        """Count something of the present file that is no event."""
        file = self.files[-1]
        file.refused += 1
        self.refused_by_code[refused.code] += 1
        if len(self.refused) < REMEMBERED:
            self.refused.append((file.name, replace(refused, raw=b"")))
        self._number = refused.number
        self._not_noted += 1
        if self._not_noted >= REFUSED_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Hand over what has been gathered.

        Raises:
            StoreUnavailable: as `add`.
        """
        if not self._lines:
            if self._not_noted:
                self._note()
            return
        body = join(self._lines)
        batch_id = self._batch_id(body)
        with self.guard():
            self._hand_over(batch_id, body)
        self.announce(batch_id, self.queue)

    def _batch_id(self, body: bytes) -> str:
        """The same for the same events of the same run: what is still queued is not queued twice."""
        place = f"{self.files[-1].prefix}{self._first_line}\n".encode()
        return hashlib.blake2b(place + body, digest_size=8).hexdigest()

    def _hand_over(self, batch_id: str, body: bytes) -> None:
        file, count = self.files[-1], len(self._lines)
        self.in_hand = Span(file.name, self._first_line, self._last_line)
        self.batches.accept(
            body,
            count,
            batch_id=batch_id,
            door=DOOR,
            destination=self.destination,
            queue=self.queue,
        )
        self.in_hand = None
        file.accepted += count
        file.accepted_to = self._last_line
        self.batch_count += 1
        self.first_batch = self.first_batch or batch_id
        message_ids = self._message_ids
        self._lines, self._message_ids, self._bytes = [], [], 0
        self.on_batch(batch_id, message_ids)
        self._note()

    def _note(self) -> None:
        """Write down how far the present file is."""
        file = self.files[-1]
        self._not_noted = 0
        self.on_checkpoint()
        if file.checkpoint is not None:
            before = file.before
            accepted, refused = before.accepted + file.accepted, before.refused + file.refused
            file.checkpoint.write(Position(self._number, file.accepted_to, accepted, refused))


def identified(found: Found, prefix: str) -> tuple[str, bytes]:
    """An event's ``messageId`` and its text on one line; without an id it gets one from its place.

    The text stays as it is, byte for byte, wherever it can: numbers keep their digits.
    """
    raw = found.raw.replace(b"\n", b" ") if b"\n" in found.raw else found.raw
    message_id = found.event.get("messageId")
    if message_id:
        return message_id, raw
    message_id = f"{prefix}{found.number}"
    if "messageId" in found.event:
        return message_id, orjson.dumps({**found.event, "messageId": message_id})
    return message_id, b'{"messageId":"%b",%b' % (message_id.encode(), raw[1:])
