"""What is noted while events are resolved: whose event a delivery is, and which numbers events name.

Only for destinations that publish or answer; one trip to the store for each of the two and batch.
"""

from __future__ import annotations

from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import Batch, Contacts, Origin, Origins, Retention, Store, recipient_hash
from worker.destinations import Destination, Destinations
from worker.onward.pseudonyms import pseudonym
from worker.onward.publisher import DOOR
from worker.pipeline import Resolved

__all__ = ["Remembering"]


class Remembering:
    """Notes for one process.

    Args:
        store: The store.
        retention: As the ledger's.
    """

    def __init__(self, store: Store, retention: Retention | None = None) -> None:
        self._origins = Origins(store, retention)
        self._contacts = Contacts(store)

    def __call__(self, resolved: Resolved, destinations: Destinations, batch: Batch) -> None:
        """Note what a batch of new events tells.

        Raises:
            StoreUnavailable: nothing is known to be noted; noting again is safe.
        """
        if batch.door == DOOR:
            # What is published onward names people, too, and an automatic answer makes nobody known.
            return
        for destination in destinations:
            if destination.publishes:
                self._origins.note(
                    {
                        one.key: _origin(one)
                        for one in resolved.deliveries
                        if one.destination == destination.name and ACTIONS[one.action].people_receive
                    }
                )
            if destination.configuration.onward.auto_reply is not None:
                self._name(resolved, destination)

    def _name(self, resolved: Resolved, destination: Destination) -> None:
        settings = destination.configuration.onward.auto_reply
        if settings is None:
            return
        everybody = [*resolved.deliveries, *(one.delivery for one in resolved.over)]
        numbers = {one.recipient for one in everybody if one.destination == destination.name and _is_number(one)}
        self._contacts.note(
            destination.name,
            [pseudonym(destination, number) for number in numbers],
            remember=settings.remember,
            most=settings.most,
        )


def _origin(delivery: Delivery) -> Origin:
    event = delivery.event or {}
    user_id, anonymous_id = event.get("userId"), event.get("anonymousId")
    return Origin(
        delivery.message_id,
        delivery.mapping,
        delivery.action,
        str(user_id) if isinstance(user_id, str | int) else "",
        str(anonymous_id) if isinstance(anonymous_id, str | int) else "",
        recipient_hash(delivery.recipient),
    )


def _is_number(delivery: Delivery) -> bool:
    recipient = delivery.recipient
    return recipient.isascii() and recipient.isdigit() and 7 <= len(recipient) <= 15
