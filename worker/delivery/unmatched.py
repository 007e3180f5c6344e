"""Callbacks that changed nothing although they should have: kept, bounded in number, for a person to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from .store import Store

#: How many are kept, about.
LENGTH: Final = 1_000
_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Stray:
    """One of them.

    Attributes:
        at_ms: When it came, ms since 1970.
        about: What it said, as it was given to `Unmatched.keep`.
    """

    at_ms: int
    about: dict[str, Any]


class Unmatched:
    """The record of them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def keep(self, reports: Sequence[Mapping[str, Any]]) -> None:
        """Keep some; the oldest go.

        Args:
            reports: What each said: JSON-able, phone numbers hidden.

        Raises:
            StoreUnavailable: whether they are kept is unknown.
        """
        if not reports:
            return
        name, now = self.store.keys.unmatched, self.store.now_ms()

        def write() -> None:
            pipe = self.store.client.pipeline(transaction=False)
            for one in reports:
                pipe.xadd(name, {"at": now, "about": orjson.dumps(one)}, maxlen=LENGTH, approximate=True)
            pipe.execute()

        self.store.ask(write)

    def newest_first(self) -> Iterator[Stray]:
        """All of them, newest first."""
        client, name, end = self.store.client, self.store.keys.unmatched, "+"
        while True:
            rows = self.store.ask(lambda end=end: client.xrevrange(name, max=end, min="-", count=_PAGE))  # type: ignore[misc]
            for _, fields in rows:
                yield Stray(int(fields[b"at"]), orjson.loads(fields[b"about"]))
            if len(rows) < _PAGE:
                return
            end = f"({rows[-1][0].decode()}"
