"""The journal: every outcome in the order it was written, bounded in length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from .states import BY_LETTER, State
from .store import Store


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


class Journal:
    """Read the journal; the settling scripts write it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def newest_first(self, *, block: int = 200) -> Iterator[Line]:
        """All lines, newest first."""
        end = "+"
        while True:
            rows = self.store.ask(
                lambda end=end: self.store.client.xrevrange(self.store.keys.journal, max=end, min="-", count=block)  # type: ignore[misc]
            )
            for entry_id, fields in rows:
                yield from reversed(list(_lines(fields)))
                end = f"({entry_id.decode()}"
            if len(rows) < block:
                return

    def of(self, key: str) -> list[Line]:
        """What the journal still knows of one delivery, oldest first."""
        return [line for line in self.newest_first() if line.key == key][::-1]


def _lines(fields: dict[bytes, bytes]) -> Iterator[Line]:
    at_ms = int(fields[b"at"])
    about = orjson.loads(fields[b"about"])
    for letter, (message_id, mapping, key, reason) in zip(
        fields[b"letters"].decode(), orjson.loads(fields[b"lines"]), strict=True
    ):
        if letter != ".":
            yield Line(at_ms, key, message_id, mapping, BY_LETTER[letter], reason, about)
