"""What needs a person's attention: deliveries in doubt, dead or rejected, oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from .paging import pages
from .states import KEPT, LETTERS, State
from .store import Store
from .terms import Slip


class Attention:
    """Read the lists of what needs attention, and take from them what is looked after.

    Args:
        store: The store.
        journal: Entries of the journal, as ``Retention.journal``.
    """

    def __init__(self, store: Store, *, journal: int = 5_000) -> None:
        self.store = store
        self._journal = journal

    def count(self, state: State, *, since_ms: int | None = None, until_ms: int | None = None) -> int:
        """How many deliveries came into a state in a span of time (both ends included)."""
        low, high = _span(since_ms, until_ms)
        return int(self.store.ask(lambda: self.store.client.zcount(self._name(state), low, high)))

    def since(self, state: State, delivery_keys: Sequence[str]) -> list[int | None]:
        """When each delivery came into a state (ms); ``None`` where it is not listed there."""
        if not delivery_keys:
            return []
        found = self.store.ask(lambda: self.store.client.zmscore(self._name(state), list(delivery_keys)))
        return [None if score is None else int(score) for score in found]

    def pages(
        self, state: State, *, since_ms: int | None = None, until_ms: int | None = None, size: int = 200
    ) -> Iterator[list[tuple[str, int]]]:
        """Pairs of delivery key and since when, oldest first, ``size`` at a time.

        What is taken from the list between two pages shifts nothing. With an ``until_ms`` the pages end, also when
        the same deliveries come back into the state meanwhile.
        """
        low, high = _span(since_ms, until_ms)
        return pages(self.store, self._name(state), low=low, high=high, size=size)

    def discard(self, slips: Sequence[Slip], *, about: str, reason: str, journal: Mapping[str, Any]) -> int:
        """Forget what is kept of dead and rejected deliveries; their records and all counts stay.

        Args:
            slips: The deliveries; repeating the same call is safe.
            about: ``<destination>|<action>``.
            reason: What the journal says of each.
            journal: What it says of the whole call.

        Returns:
            How many had something to forget.
        """
        if not slips:
            return 0
        keys = self.store.keys
        return int(
            self.store.script(
                "discard",
                [
                    keys.attention(LETTERS[State.DEAD]),
                    keys.attention(LETTERS[State.REJECTED]),
                    keys.journal,
                    *[keys.record(slip.key) for slip in slips],
                    *[keys.kept(slip.key) for slip in slips],
                ],
                [
                    self.store.now_ms(),
                    self._journal,
                    orjson.dumps({"about": about, **journal}),
                    orjson.dumps([[slip.message_id, slip.mapping, slip.key, reason] for slip in slips]),
                    LETTERS[State.DEAD] + LETTERS[State.REJECTED],
                ],
            )
        )

    def _name(self, state: State) -> str:
        return self.store.keys.attention(LETTERS[state])


def sweep(store: Store, *, size: int = 500) -> int:
    """Take from the lists what has expired: oldest first, until one that is still there.

    Returns:
        How many were taken.
    """
    swept = 0
    for state in sorted(KEPT):
        name = store.keys.attention(LETTERS[state])
        while True:
            found = store.ask(lambda name=name: store.client.zrange(name, 0, size - 1))  # type: ignore[misc]
            keys = [one.decode() for one in found]
            gone = int(store.script("sweep", [name, *[store.keys.record(key) for key in keys]], keys)) if keys else 0
            swept += gone
            if gone < size:
                break
    return swept


def _span(since_ms: int | None, until_ms: int | None) -> tuple[str, str]:
    return "-inf" if since_ms is None else str(since_ms), "+inf" if until_ms is None else str(until_ms)
