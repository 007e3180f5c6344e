"""The schedule: the one record of all unfinished work, and how it gets back to the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .batches import Kind
from .store import Store

#: Due batches that are looked at in one step, and steps in one round.
PAGE: Final = 1_000
PAGES: Final = 10


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
        self._seen = 0

    def promote(self, limit: int, room: Mapping[str, int] | None = None) -> list[tuple[str, str]]:
        """Lease due batches to the queue, those that are due longest first.

        Args:
            limit: How many at most.
            room: How many more messages each queue of the broker may hold; no bound unless given. A full queue keeps
                nobody from another one.

        Returns:
            Pairs of batch id and queue, to be sent to Celery. Losing one harms nothing: it is promoted again.
        """
        promoted: list[tuple[str, str]] = []
        left = dict(room or {})
        offset = 0
        for page in range(PAGES):
            found, stayed, more = self._promote_page(offset, limit - len(promoted), left)
            promoted += found
            for _, queue in found:
                if queue in left:
                    left[queue] -= 1
            offset += stayed
            if page == 0:
                # Where so much stays due that a round does not see the end of it, the next one goes on from there.
                offset = max(offset, self._seen)
            if not more or len(promoted) >= limit or (room is not None and not any(one > 0 for one in left.values())):
                self._seen = 0
                break
        else:
            self._seen = offset
        return promoted

    def _promote_page(
        self, offset: int, limit: int, room: Mapping[str, int]
    ) -> tuple[list[tuple[str, str]], int, bool]:
        """Look at one page of what is due: what was promoted, how much stayed due, and whether there may be more."""
        keys = self.store.keys
        now = self.store.now_ms()
        due = self.store.ask(
            lambda: self.store.client.zrangebyscore(keys.schedule, "-inf", now, start=offset, num=PAGE)
        )
        if not due:
            return [], 0, False
        ids = [one.decode() for one in due]
        bounds = [value for pair in room.items() for value in pair]
        answer = self.store.script(
            "promote",
            [keys.schedule, *(keys.batch(one) for one in ids)],
            [now, self._lease_ms, self._lease_cap_ms, limit, len(room), *bounds, *ids],
        )
        texts = [one.decode() for one in answer[1:]]
        return list(zip(texts[::2], texts[1::2], strict=True)), int(answer[0]), len(ids) == PAGE

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
