"""From a callback that was read to deliveries: joined to the event it came from, and handed over by claim check."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from worker.delivery import Batches, Contacts, Kind, Origins, Reported, Retention, Store, Whose
from worker.destinations import Destination, Destinations
from worker.events import join
from worker.msg91.reports import Inbound, Report
from worker.onward.items import Item, items_of, reply_of
from worker.onward.pseudonyms import pseudonym
from worker.onward.reading import Channel, bounded, replied_to

__all__ = ["DOOR", "Publisher"]

log = logging.getLogger(__name__)

#: Where what is published came in, for people.
DOOR: Final = "onward"
#: The Celery queue it belongs to.
QUEUE: Final = "events"
#: Deliveries in a batch: each is a request of its own, and one worker makes those of a batch one after the other.
CHUNK: Final = 50
#: Messages that want no answer.
_SILENT: Final = frozenset({"reaction", "system", "unsupported", "deleted"})


class Publisher:
    """Publishes for one process.

    Args:
        store: The store.
        batches: Its batches.
        retention: As the ledger's.
        wake: Tells Celery of a batch that can go now: batch id, queue.
    """

    def __init__(
        self,
        store: Store,
        batches: Batches,
        retention: Retention | None = None,
        wake: Callable[[str, str], object] = lambda _batch_id, _queue: None,
    ) -> None:
        self._store = store
        self._batches = batches
        self._origins = Origins(store, retention)
        self._contacts = Contacts(store)
        self._wake = wake

    def publish(
        self,
        destination: Destination,
        read: Sequence[Report | Inbound],
        *,
        channel: Channel,
        destinations: Destinations,
    ) -> int:
        """Hand over what there is to publish of one callback. The same callback again publishes nothing again.

        Args:
            destination: Whose callback it is. A report is published for the destination that sent the message, if
                that shares its account, whichever of them MSG91 calls.
            read: What it holds.
            channel: What it came by.
            destinations: All of them.

        Returns:
            How many deliveries were handed over; those that are known already end as duplicates.

        Raises:
            StoreUnavailable: not everything is known to be handed over; calling again is safe.
        """
        account = destinations.sharing_account(destination)
        publishing = any(one.publishes for one in destinations if one.name in account)
        if not publishing and destination.configuration.onward.auto_reply is None:
            return 0
        at_ms, read = self._store.now_ms(), [bounded(one) for one in read]
        items: dict[tuple[str, str, str], Item] = {}
        whose = (
            self._origins.find([_about(one, channel) for one in read], account) if publishing else [Whose()] * len(read)
        )
        for one, known in zip(read, whose, strict=True):
            sender = destinations.get(known.destination) if isinstance(one, Report) else None
            owner = sender or destination
            found = items_of(owner, one, channel=channel, origin=known.origin, at_ms=at_ms)
            if isinstance(one, Inbound) and channel == "whatsapp":
                reply = self._reply(destination, one)
                found += [reply] if reply is not None else []
            items |= {(owner.name, item.action, item.message_id): item for item in found}
        for name in dict.fromkeys(owner for owner, _, _ in items):
            self._hand_over(name, [item.line() for (owner, _, _), item in items.items() if owner == name])
        return len(items)

    def _hand_over(self, name: str, lines: Sequence[bytes]) -> None:
        """Accept deliveries of one destination, in batches."""
        for at in range(0, len(lines), CHUNK):
            chunk = lines[at : at + CHUNK]
            batch_id = self._batches.accept(
                join(chunk), len(chunk), kind=Kind.PAYLOADS, door=DOOR, destination=name, queue=QUEUE
            )
            self._wake(batch_id, QUEUE)
            log.debug("%d deliveries onward for %s", len(chunk), name, extra={"arrival": batch_id})

    def _reply(self, destination: Destination, inbound: Inbound) -> Item | None:
        """The answer to a sender whom no event has named, where one is due."""
        settings = destination.configuration.onward.auto_reply
        reply = reply_of(destination, inbound)
        if settings is None or reply is None or inbound.kind.lower() in _SILENT:
            return None
        known = pseudonym(destination, inbound.sender)
        if self._contacts.is_named(destination.name, known, remember=settings.remember):
            return None
        if not self._contacts.may_answer(destination.name, known, reply.message_id, every=settings.every):
            return None
        return reply


def _about(read: Report | Inbound, channel: Channel) -> Reported:
    """The message that a report is about, or that a customer replies to."""
    if isinstance(read, Report):
        # The answer to a single WhatsApp message has no other id than that of the message.
        message_id = read.message_id if channel == "whatsapp" else ""
        return Reported(read.token, read.request_id, read.recipient, message_id)
    return Reported(request_id=replied_to(read), recipient=read.sender)
