"""Which event a delivery came from, kept as long as a report of it may come; only where somebody is told of reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from .keys import recipient_hash
from .ledger import Retention
from .store import Store

__all__ = ["Origin", "Origins"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The event that a delivery came from, as far as a report's readers want to know it.

    Attributes:
        message_id: The event's ``messageId``.
        mapping: The mapping's name, or the action's.
        action: The action.
        user_id: The event's ``userId``; may be empty.
        anonymous_id: Its ``anonymousId``; may be empty.
        recipient: ``recipient_hash`` of whom it went to, so that a person is found by number.
    """

    message_id: str
    mapping: str
    action: str
    user_id: str = ""
    anonymous_id: str = ""
    recipient: str = ""


class Origins:
    """Notes and finds origins.

    Args:
        store: The store.
        retention: How long reports can be joined.
    """

    def __init__(self, store: Store, retention: Retention | None = None) -> None:
        self._store = store
        self._life_ms = round((retention or Retention()).index * 1000)

    def note(self, origins: Mapping[str, Origin]) -> None:
        """Note origins by the key of their delivery; one trip to the store.

        Raises:
            StoreUnavailable: nothing is known to be noted; noting again is safe.
        """
        store, keys = self._store, self._store.keys

        def write() -> None:
            pipe = store.client.pipeline(transaction=False)
            for key, one in origins.items():
                row = [one.message_id, one.mapping, one.action, one.user_id, one.anonymous_id, one.recipient]
                pipe.set(keys.origin(key), orjson.dumps(row), px=self._life_ms)
            pipe.execute()

        if origins:
            store.ask(write)

    def find(self, *, token: str = "", request_id: str = "", recipient: str = "") -> Origin | None:
        """The origin of the delivery that a report is about, joined as ``Ledger.report`` joins it.

        Args:
            token: The correlation token, when the report echoes it.
            request_id: MSG91's request id otherwise.
            recipient: The number as it was on the wire; may be empty when the request had one recipient.

        Raises:
            StoreUnavailable: the store is away.
        """
        store = self._store
        found = self._delivery(token, recipient) if token else None
        if found is None and request_id:
            name = store.keys.request_id(request_id)
            # Before the answer is settled, a hash of early reports stands there.
            if store.ask(lambda: store.client.type(name)) == b"string":
                known = store.ask(lambda: store.client.get(name))
                found = self._delivery(known.decode(), recipient) if known else None
        if found is None:
            return None
        raw = store.ask(lambda: store.client.get(store.keys.origin(found)))
        return Origin(*orjson.loads(raw)) if raw else None

    def _delivery(self, token: str, recipient: str) -> str | None:
        store = self._store
        name = store.keys.request(token)
        if recipient:
            key = store.ask(lambda: store.client.hget(name, recipient_hash(recipient)))
            return key.decode() if key else None
        found = store.ask(lambda: store.client.hgetall(name))
        keys = [value.decode() for field, value in found.items() if not field.startswith(b"_")]
        return keys[0] if len(keys) == 1 else None

    def read(self, delivery_keys: Iterable[str]) -> dict[str, Origin]:
        """The origins that are noted for these deliveries."""
        keys = list(delivery_keys)
        if not keys:
            return {}
        store = self._store
        found = store.ask(lambda: store.client.mget([store.keys.origin(key) for key in keys]))
        return {key: Origin(*orjson.loads(raw)) for key, raw in zip(keys, found, strict=True) if raw}

    def erase(self, delivery_keys: Iterable[str]) -> int:
        """Forget origins; gives how many there were."""
        names = [self._store.keys.origin(key) for key in delivery_keys]
        return int(self._store.ask(lambda: self._store.client.delete(*names))) if names else 0
