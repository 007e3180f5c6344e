"""Which numbers events have named, and who was answered lately: by pseudonyms alone, for destinations that answer."""

from __future__ import annotations

from collections.abc import Iterable

from .store import Store

__all__ = ["Contacts"]


class Contacts:
    """The numbers that a destination knows.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, destination: str, pseudonyms: Iterable[str], *, remember: float, most: int) -> None:
        """Note that events have named these numbers; one trip to the store.

        Args:
            destination: The destination's name.
            pseudonyms: What stands in for the numbers.
            remember: Seconds after which a number that was not named again is forgotten.
            most: Numbers kept; those named longest ago go first.

        Raises:
            StoreUnavailable: nothing is known to be noted; noting again is safe.
        """
        store, name = self._store, self._store.keys.named(destination)
        now_ms = store.now_ms()
        members = dict.fromkeys(pseudonyms, now_ms)
        if not members:
            return

        def write() -> None:
            pipe = store.client.pipeline(transaction=False)
            pipe.zadd(name, members)
            pipe.zremrangebyscore(name, "-inf", now_ms - round(remember * 1000))
            pipe.zremrangebyrank(name, 0, -(most + 1))
            pipe.pexpire(name, round(remember * 1000))
            pipe.execute()

        store.ask(write)

    def is_named(self, destination: str, pseudonym: str, *, remember: float) -> bool:
        """Whether an event has named a number within that time."""
        store, name = self._store, self._store.keys.named(destination)
        at_ms = store.ask(lambda: store.client.zscore(name, pseudonym))
        return at_ms is not None and at_ms > store.now_ms() - remember * 1000

    def may_answer(self, destination: str, pseudonym: str, message: str, *, every: float) -> bool:
        """Whether a number may be answered now; whoever is told so first has the answer for that time.

        Args:
            destination: The destination's name.
            pseudonym: What stands in for the number.
            message: What is answered; asking again about the same gives the same, should the first try have been lost.
            every: Seconds in which nothing else is answered.
        """
        store, name = self._store, self._store.keys.answered(destination, pseudonym)
        if store.ask(lambda: store.client.set(name, message, nx=True, px=round(every * 1000))):
            return True
        found = store.ask(lambda: store.client.get(name))
        return bool(found == message.encode())

    def count(self, destination: str, pseudonyms: Iterable[str]) -> int:
        """How many entries there are of these numbers."""
        store = self._store
        return sum(
            (store.ask(lambda one=one: store.client.zscore(store.keys.named(destination), one)) is not None)  # type: ignore[misc]
            + int(store.ask(lambda one=one: store.client.exists(store.keys.answered(destination, one))))  # type: ignore[misc]
            for one in pseudonyms
        )

    def erase(self, destination: str, pseudonyms: Iterable[str]) -> int:
        """Forget numbers; gives how many entries there were."""
        store, gone = self._store, 0
        for one in pseudonyms:
            gone += int(store.ask(lambda one=one: store.client.zrem(store.keys.named(destination), one)))  # type: ignore[misc]
            gone += int(store.ask(lambda one=one: store.client.delete(store.keys.answered(destination, one))))  # type: ignore[misc]
        return gone
