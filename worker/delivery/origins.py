"""Which event a delivery came from, kept as long as a report of it may come; only where somebody is told of reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from .index import unpack
from .keys import recipient_hash
from .store import Store
from .terms import Retention

__all__ = ["Origin", "Origins", "Reported", "Whose"]


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


@dataclass(frozen=True, slots=True)
class Reported:
    """What a report says of the message that it is about.

    Attributes:
        token: The correlation token, when the report echoes it.
        request_id: MSG91's request id.
        recipient: The number as it was on the wire; may be empty when the request had one recipient.
        message_id: MSG91's id of the one message, where the answer to a request may have given that instead.
    """

    token: str = ""
    request_id: str = ""
    recipient: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose message it is that a report is about.

    Attributes:
        destination: The destination that sent it; ``""`` when none is known.
        origin: The event that it came from, where that was noted.
    """

    destination: str = ""
    origin: Origin | None = None


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

    def find(self, messages: Sequence[Reported], destinations: Collection[str]) -> list[Whose]:
        """Whose the deliveries are that reports are about, joined as ``Ledger.report`` joins them.

        A few trips to the store, however many they are.

        Args:
            messages: What the reports say.
            destinations: The only destinations whose deliveries are looked at.

        Raises:
            StoreUnavailable: the store is away.
        """
        found = self._deliveries([one.token for one in messages], messages, destinations)
        for name in ("request_id", "message_id"):
            rest = [at for at, one in enumerate(messages) if found[at] is None and getattr(one, name)]
            # Before its answer is settled, a hash of early reports stands where the token of a request id will be.
            answers = self._ask([("GET", self._store.keys.request_id(getattr(messages[at], name))) for at in rest])
            tokens = [one.decode() if isinstance(one, bytes) else "" for one in answers]
            late = self._deliveries(tokens, [messages[at] for at in rest], destinations)
            for at, delivery in zip(rest, late, strict=True):
                found[at] = delivery
        origins = self.read([delivery[1] for delivery in found if delivery])
        return [Whose(one[0], origins.get(one[1])) if one else Whose() for one in found]

    def _deliveries(
        self, tokens: Sequence[str], messages: Sequence[Reported], destinations: Collection[str]
    ) -> list[tuple[str, str] | None]:
        """Destination and key of the deliveries, by the tokens of their requests; None where there is no such one."""
        known = list(dict.fromkeys(token for token in tokens if token))
        answers = self._ask([("HGETALL", self._store.keys.request(token)) for token in known])
        indexes: dict[str, tuple[str, dict[str, str]]] = {}
        for token, answer in zip(known, answers, strict=True):
            fields = {name.decode(): value for name, value in answer.items()} if isinstance(answer, dict) else {}
            destination = fields.get("_about", b"").decode().partition("|")[0]
            if destination in destinations:
                indexes[token] = destination, unpack(fields)
        found: list[tuple[str, str] | None] = []
        for token, message in zip(tokens, messages, strict=True):
            destination, index = indexes.get(token, ("", {}))
            if message.recipient:
                key = index.get(recipient_hash(message.recipient))
            else:
                key = next(iter(index.values())) if len(index) == 1 else None
            found.append(None if key is None else (destination, key))
        return found

    def _ask(self, commands: Sequence[tuple[str, ...]]) -> list[Any]:
        """Ask several things in one trip; what is of another type than expected answers with an error of its own."""
        store = self._store

        def ask() -> list[Any]:
            pipe = store.client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            return list(pipe.execute(raise_on_error=False))

        return list(store.ask(ask)) if commands else []

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
