"""The schedule: the one record of all unfinished work, and how it gets back to the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .batches import Kind
from .store import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the schedule, as an operator sees it."""

    batch_id: str
    due_ms: int
    kind: Kind
    items: int
    queue: str
    received_ms: int
    runs: int
    running: bool


class Schedule:
    """Promote what is due, and let an operator look at it and change it.

    Args:
        store: The store.
        lease: Seconds after which a promoted batch that nobody began is promoted again; doubles each time.
        lease_cap: Longest such wait, seconds.
    """

    def __init__(self, store: Store, *, lease: float = 15.0, lease_cap: float = 60.0) -> None:
        self.store = store
        self._lease_ms = round(lease * 1000)
        self._lease_cap_ms = round(lease_cap * 1000)

    def promote(self, limit: int) -> list[tuple[str, str]]:
        """Lease up to ``limit`` due batches to the queue.

        Returns:
            Pairs of batch id and queue, to be sent to Celery. Losing one harms nothing: it is promoted again.
        """
        keys = self.store.keys
        now = self.store.now_ms()
        due = self.store.ask(lambda: self.store.client.zrangebyscore(keys.schedule, "-inf", now, start=0, num=limit))
        if not due:
            return []
        ids = [one.decode() for one in due]
        answer = self.store.script(
            "promote",
            [keys.schedule, *(keys.batch(one) for one in ids)],
            [now, self._lease_ms, self._lease_cap_ms, *ids],
        )
        texts = [one.decode() for one in answer]
        return list(zip(texts[::2], texts[1::2], strict=True))

    def depth(self) -> int:
        """How many batches are unfinished."""
        return int(self.store.ask(lambda: self.store.client.zcard(self.store.keys.schedule)))

    def entries(self, *, limit: int = 100) -> list[Entry]:
        """The first ``limit`` entries, soonest due first."""
        keys = self.store.keys
        client = self.store.client
        rows = self.store.ask(lambda: client.zrange(keys.schedule, 0, limit - 1, withscores=True))
        now = self.store.now_ms()

        def read() -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for batch_id, _ in rows:
                pipe.hmget(
                    keys.batch(batch_id.decode()),
                    ["kind", "count", "items", "queue", "received", "runs", "lease"],
                )
            return pipe.execute()

        entries = []
        for (batch_id, due), found in zip(rows, self.store.ask(read) if rows else [], strict=True):
            kind, count, items, queue, received, runs, lease = found
            if kind is None:
                continue
            entries.append(
                Entry(
                    batch_id=batch_id.decode(),
                    due_ms=int(due),
                    kind=Kind(kind.decode()),
                    items=int(items or count or 0),
                    queue=(queue or b"events").decode(),
                    received_ms=int(received or 0),
                    runs=int(runs or 0),
                    running=bool(lease and int(lease) > now),
                )
            )
        return entries

    def make_due(self, batch_id: str) -> bool:
        """Make one batch due now; ``False`` when there is no such batch."""
        keys = self.store.keys
        now = self.store.now_ms()
        client = self.store.client
        self.store.ask(lambda: client.zadd(keys.schedule, {batch_id: now}, xx=True))
        return self.store.ask(lambda: client.zscore(keys.schedule, batch_id)) is not None
