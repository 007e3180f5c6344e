"""Reading a long sorted set page by page while others work on it."""

from __future__ import annotations

from collections.abc import Iterator

from .store import Store


def pages(store: Store, name: str, *, low: str, high: str, size: int) -> Iterator[list[tuple[str, int]]]:
    """Pairs of member and score in the order of their scores, ``size`` at a time.

    What is taken from the set, or moved behind ``high``, between two pages shifts nothing, and nothing comes twice
    unless its score grows meanwhile.

    Args:
        store: The store.
        name: The key of the sorted set.
        low: Lowest score, as ``ZRANGEBYSCORE`` writes it.
        high: Highest score.
        size: Members a page.
    """
    client = store.client
    at, seen = low, set[bytes]()
    while True:
        wanted = size + len(seen)
        found = store.ask(
            lambda at=at, wanted=wanted: client.zrangebyscore(name, at, high, 0, wanted, withscores=True)  # type: ignore[misc]
        )
        fresh = [(member, int(score)) for member, score in found if member not in seen]
        if not fresh:
            return
        last = fresh[-1][1]
        if str(last) != at:
            at, seen = str(last), set()
        seen |= {member for member, score in fresh if score == last}
        yield [(member.decode(), score) for member, score in fresh]
