"""Acknowledging over Kombu's Redis transport when the broker is away at that moment.

Kombu 5.7 holds a message for unacknowledged until the broker has heard otherwise, and Celery does not acknowledge
twice. When the store is gone just while tasks end, and back before anybody reads from it, the channel lives on with
these messages for good: each takes one of the places a worker has for messages, and when all are taken the worker
looks alive and fetches nothing any more.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as transport
from kombu.transport import virtual


class QoS(transport.QoS):
    """Kombu's, except that a message whose acknowledgement failed takes no place.

    The broker gives it out again after its visibility timeout, which harms nothing: the batch is gone by then.
    """

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message; what the broker raises is raised, and the message is done with all the same."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


def install() -> None:
    """Use it for every connection of this process."""
    transport.Channel.QoS = QoS
