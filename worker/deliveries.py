"""A delivery on its way: everything needed to send it, keep it, and pick it up again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from worker.delivery import REDACTED, Slip, is_sealed
from worker.events import Event

#: Attempts remembered per delivery; older ones are forgotten first.
HISTORY_LENGTH = 20


@dataclass(slots=True)
class Delivery(Slip):
    """One (event, mapping) pair with its resolved payload. ``Slip`` holds its key, message id, mapping and recipient.

    Attributes:
        destination: The destination's name.
        version: Short hash of the mapping it was made by.
        action: The action's name.
        payload: The final fields; a retry sends exactly these, whatever the mapping says by then.
        group: Deliveries of equal group may share a request.
        cost: SMS parts; 1 for everything else.
        expires_ms: After this moment it is not sent any more; ``None`` for never.
        position: The event's place in its batch.
        event: The event it came from, while it is known.
        attempts: Requests that counted so far.
        first_ms: When the first request left, 0 before.
        received_ms: When its event was accepted, 0 when unknown.
        arrival: Id of the batch that its event was accepted in.
        history: One entry per request so far, newest last.
    """

    destination: str = ""
    version: str = ""
    action: str = ""
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    group: str = field(default="", repr=False)
    cost: int = 1
    expires_ms: int | None = None
    position: int = -1
    event: Event | None = field(default=None, repr=False)
    attempts: int = 0
    first_ms: int = 0
    received_ms: int = 0
    arrival: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)

    def as_kept(self) -> dict[str, Any]:
        """The form in which it is kept in the store."""
        return asdict(self)

    def keep(self, *, secrets: bool = False) -> bytes:
        """Its kept form, as bytes.

        Args:
            secrets: Keep sealed values, too: for what goes on by itself. What waits for a person is kept without.
        """
        kept = self.as_kept()
        if not secrets and any(map(is_sealed, self.payload.values())):
            kept["payload"] = {name: REDACTED if is_sealed(one) else one for name, one in self.payload.items()}
        return dump_json(kept)

    @property
    def lacks_secret(self) -> bool:
        """Whether it carried a one-time password that is gone, so that it can never be sent again."""
        return REDACTED in self.payload.values()

    def remember(self, attempt: dict[str, Any]) -> None:
        """Add one attempt to its history."""
        self.history = [*self.history[-(HISTORY_LENGTH - 1) :], attempt]


def look_again(delivery: Delivery, due_ms: int) -> int:
    """When a delivery that waits until ``due_ms`` has to be looked at: earlier when its time to live ends before that.

    Then to the full second, so that those whose time ends together stay in one batch, and never before it has ended.
    """
    if delivery.expires_ms is None:
        return due_ms
    return min(due_ms, -(-delivery.expires_ms // 1000) * 1000)


def dump_json(value: Any) -> bytes:
    """JSON of anything an event or a mapping can give; what JSON cannot carry is kept as near as it gets."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # integers beyond 64 bits, lone surrogates: rare, and no reason to lose a delivery
        return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace")


def dump(deliveries: Sequence[Delivery]) -> bytes:
    """The bytes of a batch of deliveries that wait."""
    return dump_json([one.as_kept() for one in deliveries])


def load(body: bytes) -> list[Delivery]:
    """Read a batch of deliveries that wait."""
    return [restore(one) for one in orjson.loads(body)]


def restore(kept: dict[str, Any]) -> Delivery:
    """A delivery from its kept form; fields of a newer version are left out."""
    return Delivery(**{name: value for name, value in kept.items() if name in _FIELDS})


def dump_claim(batch_id: str, deliveries: Iterable[Delivery]) -> bytes:
    """What a claim remembers of its deliveries: everything but the event, which the batch still holds."""
    return dump_json(
        [
            batch_id,
            *[
                [
                    one.key,
                    one.message_id,
                    one.mapping,
                    one.recipient,
                    one.destination,
                    one.version,
                    one.action,
                    one.payload,
                    one.group,
                    one.cost,
                    one.expires_ms,
                    one.position,
                    one.attempts,
                    one.first_ms,
                    one.history,
                ]
                for one in deliveries
            ],
        ]
    )


def load_claim(items: bytes) -> tuple[str, list[Delivery]]:
    """The batch that brought them and the deliveries a claim remembers, without their events."""
    batch_id, *rows = orjson.loads(items)
    return batch_id, [
        Delivery(
            key=key,
            message_id=message_id,
            mapping=mapping,
            recipient=recipient,
            destination=destination,
            version=version,
            action=action,
            payload=payload,
            group=group,
            cost=cost,
            expires_ms=expires_ms,
            position=position,
            attempts=attempts,
            first_ms=first_ms,
            history=history,
        )
        for (
            key,
            message_id,
            mapping,
            recipient,
            destination,
            version,
            action,
            payload,
            group,
            cost,
            expires_ms,
            position,
            attempts,
            first_ms,
            history,
            *_,  # what a newer version adds
        ) in rows
    ]


_FIELDS = frozenset(Delivery.__dataclass_fields__)
