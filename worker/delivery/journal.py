"""The journal: every outcome in the order it was written, and what operators did, bounded in length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import ResponseError

from .batches import new_id
from .states import BY_LETTER, State
from .store import Store

#: Seconds after which an unfinished copy of the journal is gone.
COPY_LIFE = 3600


@dataclass(frozen=True, slots=True)
class Line:
    """One outcome of one delivery."""

    at_ms: int
    key: str
    message_id: str
    mapping: str
    state: State
    reason: str
    about: dict[str, Any]

    @property
    def destination(self) -> str:
        """The destination's name."""
        return str(self.about.get("about", "")).partition("|")[0]

    @property
    def action(self) -> str:
        """The action's name."""
        return str(self.about.get("about", "")).partition("|")[2]


@dataclass(frozen=True, slots=True)
class Note:
    """What an operator did.

    Attributes:
        at_ms: When, ms since 1970.
        did: The command.
        by: Who.
        detail: What more is to be known; never a number, a text or a payload.
    """

    at_ms: int
    did: str
    by: str
    detail: dict[str, Any]


class Journal:
    """Read the journal and note what operators do; the settling scripts write the rest."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def newest_first(self, *, block: int = 200) -> Iterator[Line]:
        """All outcomes, newest first."""
        for _, fields in self._newest_first(block):
            yield from reversed(list(_lines(fields)))

    def of(self, key: str) -> list[Line]:
        """What the journal still knows of one delivery, oldest first."""
        return [line for line in self.newest_first() if line.key == key][::-1]

    def note(self, did: str, by: str, **detail: Any) -> None:
        """Note what an operator did.

        Args:
            did: The command.
            by: Who.
            detail: What more is to be known; JSON-able, never a number, a text or a payload.
        """
        entry: dict[Any, Any] = {
            "at": self.store.now_ms(),
            "about": orjson.dumps({"did": did, "by": by, "detail": detail}),
            "letters": "",
            "lines": "[]",
        }
        self.store.ask(lambda: self.store.client.xadd(self.store.keys.journal, entry))

    def notes(self, *, block: int = 200) -> Iterator[Note]:
        """What operators did, newest first."""
        for _, fields in self._newest_first(block):
            about = orjson.loads(fields[b"about"])
            if "did" in about:
                yield Note(int(fields[b"at"]), about["did"], about.get("by", ""), about.get("detail", {}))

    def rewrite(self, change: Callable[[list[list[str]]], int], *, dry: bool = False, block: int = 200) -> int:
        """Change lines that were written, in place: nothing else can be said of a stream's old entries.

        The journal is copied with the changes and the copy put in its place in one step, so that readers and writers
        never see half of it.

        Args:
            change: Is given the lines of one entry, each ``[message id, mapping, delivery key, reason]``, changes them
                as it likes and says how many it changed.
            dry: Only count.
            block: Entries read at a time.

        Returns:
            How many lines were changed.
        """
        while True:
            planned = sum(change(orjson.loads(fields[b"lines"])) for rows in self._blocks(block) for _, fields in rows)
            if dry or not planned:
                return planned
            changed = self._copy_and_swap(change, block)
            if changed is not None:
                return changed

    def _copy_and_swap(self, change: Callable[[list[list[str]]], int], block: int) -> int | None:
        """One try; ``None`` when somebody else was quicker, or the copy is not complete."""
        store, client, keys = self.store, self.store.client, self.store.keys
        generation = store.ask(lambda: client.hget(keys.meta, "journal")) or b"0"
        copy, last, changed = f"{keys.journal}:{new_id()}", "", 0
        for rows in self._blocks(block):
            pipe = client.pipeline(transaction=False)
            for entry_id, fields in rows:
                lines = orjson.loads(fields[b"lines"])
                here = change(lines)
                changed += here
                entry: dict[Any, Any] = {**fields, b"lines": orjson.dumps(lines)} if here else dict(fields)
                pipe.xadd(copy, entry, id=entry_id)
            pipe.expire(copy, COPY_LIFE)
            try:
                store.ask(pipe.execute)
            except ResponseError:
                # The store was away for a moment, and part of the block had been written: an id cannot come twice.
                store.ask(lambda: client.delete(copy))
                return None
            last = rows[-1][0].decode()
        return changed if last and store.script("swap", [keys.journal, copy, keys.meta], [generation, last]) else None

    def _newest_first(self, block: int) -> Iterator[tuple[bytes, Mapping[bytes, bytes]]]:
        end = "+"
        while True:
            rows = self.store.ask(
                lambda end=end: self.store.client.xrevrange(self.store.keys.journal, max=end, min="-", count=block)  # type: ignore[misc]
            )
            yield from rows
            if len(rows) < block:
                return
            end = f"({rows[-1][0].decode()}"

    def _blocks(self, block: int) -> Iterator[list[tuple[bytes, Mapping[bytes, bytes]]]]:
        start = "-"
        while True:
            rows = self.store.ask(
                lambda start=start: self.store.client.xrange(self.store.keys.journal, min=start, max="+", count=block)  # type: ignore[misc]
            )
            if rows:
                yield rows
            if len(rows) < block:
                return
            start = f"({rows[-1][0].decode()}"


def _lines(fields: Mapping[bytes, bytes]) -> Iterator[Line]:
    at_ms = int(fields[b"at"])
    about = orjson.loads(fields[b"about"])
    for letter, (message_id, mapping, key, reason) in zip(
        fields[b"letters"].decode(), orjson.loads(fields[b"lines"]), strict=True
    ):
        if letter != ".":
            yield Line(at_ms, key, message_id, mapping, BY_LETTER[letter], reason, about)
