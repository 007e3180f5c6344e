"""What is read of the ledger: records, what is kept of deliveries, the requests under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from . import index
from .records import Record
from .states import LETTERS, State
from .store import Store
from .terms import HOUR_MS, Claim, Retention


class Looking:
    """Reads records and requests.

    Args:
        store: The store.
        retention: How long things stay.
    """

    def __init__(self, store: Store, retention: Retention | None = None) -> None:
        self.store = store
        self.retention = retention or Retention()

    def records(self, delivery_keys: Sequence[str]) -> list[Record | None]:
        """The records of these deliveries, ``None`` where there is none."""
        if not delivery_keys:
            return []
        names = [self.store.keys.record(key) for key in delivery_keys]
        found = self.store.ask(lambda: self.store.client.mget(names))
        return [Record.parse(value) if value else None for value in found]

    def kept(self, delivery_keys: Sequence[str]) -> list[dict[str, Any] | None]:
        """What is kept of these deliveries, ``None`` where nothing is."""
        if not delivery_keys:
            return []
        names = [self.store.keys.kept(key) for key in delivery_keys]
        found = self.store.ask(lambda: self.store.client.mget(names))
        return [orjson.loads(value) if value else None for value in found]

    def attention(self, state: State, *, limit: int | None = None, offset: int = 0) -> list[str]:
        """Keys of deliveries in doubt, dead or rejected, oldest first."""
        name = self.store.keys.attention(LETTERS[state])
        end = -1 if limit is None else offset + limit - 1
        found = self.store.ask(lambda: self.store.client.zrange(name, offset, end))
        return [one.decode() for one in found]

    def abandoned(self, *, limit: int = 20) -> list[Claim]:
        """Requests whose lease has run out without an answer."""
        keys = self.store.keys
        now = self.store.now_ms()
        found = self.store.ask(
            lambda: self.store.client.zrangebyscore(keys.claims, "-inf", f"({now}", start=0, num=limit, withscores=True)
        )
        return [self._read_claim(token.decode(), int(end)) for token, end in found]

    def under_way(self) -> list[str]:
        """Tokens of all requests that are claimed and not settled."""
        found = self.store.ask(lambda: self.store.client.zrange(self.store.keys.claims, 0, -1))
        return [one.decode() for one in found]

    def request(self, token: str) -> Claim | None:
        """A request by its token, while its index lives."""
        claim = self._read_claim(token, 0)
        return claim if claim.about else None

    def drop_claim(self, token: str) -> None:
        """Forget a claim that holds nothing any more."""
        self.store.ask(lambda: self.store.client.zrem(self.store.keys.claims, token))

    def put_off_claim(self, token: str, seconds: float) -> None:
        """Look at an abandoned claim again later; it stays what it is."""
        later = self.store.now_ms() + round(seconds * 1000)
        self.store.ask(lambda: self.store.client.zadd(self.store.keys.claims, {token: later}, xx=True))

    def _read_claim(self, token: str, lease_end_ms: int) -> Claim:
        found = self.store.ask(lambda: self.store.client.hgetall(self.store.keys.request(token)))
        values = {name.decode(): value for name, value in found.items()}
        return Claim(
            token=token,
            lease_end_ms=lease_end_ms,
            about=values.get("_about", b"").decode(),
            items=values.get("_items", b""),
            request_id=values.get("_request_id", b"").decode(),
            deliveries=index.unpack(values),
        )

    def _life_ends(self, now_ms: int, seconds: float | None = None) -> tuple[int, int]:
        life = self.retention.record if seconds is None else max(seconds, self.retention.record)
        hour = (now_ms + round(life * 1000)) // HOUR_MS
        return hour, (hour + 1) * HOUR_MS
