"""Following the events of a run until every delivery of theirs has come to an end.

The message ids are kept in a temporary file, and per block of some hundred events only its place there is held in
memory: ten million events take a few megabytes. A block is done when its batches have left the schedule and none of its
deliveries is being sent or waits. Then its records are counted, once.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, Self

import orjson

from worker.delivery import Record, State, delivery_key
from worker.delivery.records import ORIGIN_LENGTH
from worker.destinations import Destination
from worker.runtime import Core

__all__ = ["Followed", "Follower", "Outcome"]

#: Events in a block.
BLOCK: Final = 500
#: Records asked for at a time.
RECORDS: Final = 2000
#: Different outcomes that are told apart; the others are counted together.
OUTCOMES: Final = 1000
#: States that call for a person.
TROUBLE: Final = frozenset({State.REJECTED, State.DEAD, State.IN_DOUBT, State.UNDELIVERED})

#: Open blocks looked at before the next pause.
UNDONE: Final = 50

_Rows = list[tuple[str, list[str]]]
_MOVING: Final = frozenset({State.SENDING, State.SCHEDULED})


@dataclass(frozen=True, slots=True, order=True)
class Outcome:
    """What became of deliveries: counted by these."""

    state: State
    destination: str
    mapping: str
    reason: str


@dataclass(slots=True)
class Followed:
    """What became of a run.

    Attributes:
        finished: Everything has come to an end.
        seconds: How long it took, from the moment the last event was accepted.
        queued: Events that no worker has finished with.
        parents: Events with at least one delivery made by this run.
        duplicates: Events whose delivery existed already: another event has the same ``messageId``.
        filtered: Events that no mapping took.
        outcomes: How many deliveries by state, destination, mapping and reason.
    """

    finished: bool = False
    seconds: float = 0.0
    queued: int = 0
    parents: int = 0
    duplicates: int = 0
    filtered: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    @property
    def settled(self) -> int:
        """Events that have come to an end."""
        return self.parents + self.duplicates + self.filtered

    @property
    def trouble(self) -> int:
        """Deliveries that call for a person."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.state in TROUBLE)

    @property
    def by_state(self) -> dict[str, int]:
        """Deliveries by state, the empty ones left out."""
        counts: Counter[str] = Counter()
        for outcome, count in self.outcomes.items():
            counts[outcome.state.value] += count
        return {state.value: counts[state.value] for state in State if counts[state.value]}

    def as_json(self) -> dict[str, Any]:
        """The form in which ``--json`` prints it."""
        return {
            "finished": self.finished,
            "seconds": round(self.seconds, 3),
            "events": {
                "queued": self.queued,
                "parent": self.parents,
                "duplicate": self.duplicates,
                "filtered": self.filtered,
            },
            "states": self.by_state,
            "outcomes": [
                {
                    "state": outcome.state.value,
                    "destination": outcome.destination,
                    "mapping": outcome.mapping,
                    "reason": outcome.reason,
                    "count": count,
                }
                for outcome, count in sorted(self.outcomes.items())
            ],
        }


@dataclass(frozen=True, slots=True)
class _Block:
    """Where some batches stand in the file: rows of batch id and message ids."""

    offset: int
    length: int


@dataclass(slots=True)
class _Count:
    """What one look at a block found."""

    queued: int = 0
    moving: int = 0
    parents: int = 0
    duplicates: int = 0
    filtered: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)


class Follower:
    """Follows the events of one run; a context manager, since it has a temporary file.

    Args:
        core: The store.
        destinations: Those the events are for: their mappings name the deliveries.
    """

    def __init__(self, core: Core, destinations: Iterable[Destination]) -> None:
        self._core = core
        self._names = [(one.name, mapping.name) for one in destinations for mapping in one.mappings]
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="msg91-send-")  # noqa: SIM115 - closed by `close`
        self._rows: _Rows = []
        self._gathered = 0
        self._blocks: deque[_Block] = deque()
        self._end = 0
        self.result = Followed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()

    def note(self, batch_id: str, message_ids: Sequence[str]) -> None:
        """Remember the events of a batch."""
        self._rows.append((batch_id, list(message_ids)))
        self._gathered += len(message_ids)
        if self._gathered >= BLOCK:
            self._close_block()

    def wait(
        self,
        timeout: float,
        *,
        on_progress: Callable[[Followed], object] = lambda _: None,
        pause: float = 0.1,
    ) -> Followed:
        """Wait until everything has come to an end, or time is up; then count what has not, as it stands.

        Args:
            timeout: Seconds.
            on_progress: Called after each look.
            pause: Seconds between two looks that found nothing new.
        """
        self._close_block()
        began = time.monotonic()
        result = self.result
        try:
            while self._blocks and time.monotonic() - began < timeout:
                news = self._look_around(began + timeout)
                result.seconds = time.monotonic() - began
                on_progress(result)
                if self._blocks and not news:
                    time.sleep(min(pause, max(0.0, began + timeout - time.monotonic())))
        finally:
            result.finished = not self._blocks
            self._count_the_rest()
            result.seconds = time.monotonic() - began
        return result

    def _look_around(self, deadline: float) -> int:
        """Look at open blocks, the longest unseen first, until some are not done; gives how many are."""
        done = undone = 0
        for _ in range(len(self._blocks)):
            block = self._blocks.popleft()
            rows = self._read(block)
            queued = self._in_schedule(rows)
            count = _Count() if queued else self._count(rows, queued)
            if queued or count.moving:
                self._blocks.append(block)
                undone += 1
            else:
                self._add(count)
                done += 1
            if undone == UNDONE or time.monotonic() > deadline:
                break
        return done

    def _count_the_rest(self) -> None:
        while self._blocks:
            rows = self._read(self._blocks.popleft())
            self._add(self._count(rows, self._in_schedule(rows)))

    def _add(self, count: _Count) -> None:
        result = self.result
        result.queued += count.queued
        result.parents += count.parents
        result.duplicates += count.duplicates
        result.filtered += count.filtered
        for outcome, number in count.outcomes.items():
            known = outcome in result.outcomes or len(result.outcomes) < OUTCOMES
            result.outcomes[outcome if known else Outcome(outcome.state, "", "", "(other reasons)")] += number

    def _count(self, rows: _Rows, queued: set[str]) -> _Count:
        """Count the events of some batches by the records of their deliveries.

        A record says by its origin which batch made it: what another one made makes this event a duplicate.
        """
        count = _Count()
        for batch_id, message_ids in rows:
            is_queued = batch_id in queued
            seen: set[str] = set()
            for message_id, records in zip(message_ids, self._records(message_ids), strict=True):
                repeated = message_id in seen
                seen.add(message_id)
                mine = [] if repeated else [one for one in records if one[1].origin == batch_id[:ORIGIN_LENGTH]]
                for (destination, mapping), record in mine:
                    count.outcomes[Outcome(record.state, destination, mapping, record.reason)] += 1
                    count.moving += record.state in _MOVING
                if mine:
                    count.parents += 1
                elif is_queued:
                    count.queued += 1
                elif records:
                    count.duplicates += 1
                else:
                    count.filtered += 1
        return count

    def _records(self, message_ids: list[str]) -> Iterator[list[tuple[tuple[str, str], Record]]]:
        names = self._names
        size = max(1, RECORDS // max(1, len(names)))
        for start in range(0, len(message_ids), size):
            some = message_ids[start : start + size]
            keys = [delivery_key(destination, one, mapping) for one in some for destination, mapping in names]
            found = self._core.ledger.records(keys)
            for at in range(len(some)):
                mine = found[at * len(names) : (at + 1) * len(names)]
                yield [(name, record) for name, record in zip(names, mine, strict=True) if record]

    def _in_schedule(self, rows: _Rows) -> set[str]:
        store = self._core.store

        def ask() -> list[Any]:
            pipe = store.client.pipeline(transaction=False)
            for batch_id, _ in rows:
                pipe.exists(store.keys.batch(batch_id))
            return pipe.execute()

        return {row[0] for row, is_there in zip(rows, store.ask(ask), strict=True) if is_there}

    def _close_block(self) -> None:
        if not self._rows:
            return
        data = orjson.dumps(self._rows)
        self._file.seek(self._end)
        self._file.write(data)
        self._blocks.append(_Block(self._end, len(data)))
        self._end += len(data)
        self._rows, self._gathered = [], 0

    def _read(self, block: _Block) -> _Rows:
        self._file.seek(block.offset)
        rows: _Rows = orjson.loads(self._file.read(block.length))
        return rows
