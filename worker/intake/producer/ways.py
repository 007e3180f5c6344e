"""The two ways out of a producer: claim check into the store, or inline over a Celery broker.

A way is used by one thread of one process, and has connections that nobody else uses.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from celery import Celery
from kombu.connection import Connection
from kombu.messaging import Producer

from worker.app import AMQP_TRANSPORT_OPTIONS, configure
from worker.delivery import Batches, Kind, Sealing, Store, connect
from worker.events import join
from worker.intake.producer.errors import QueueTooLong

log = logging.getLogger(__name__)

FORWARD_EVENTS = "worker.forward_events"
#: Seconds in which a broker that did not answer is not asked again, doubled up to the cap.
BROKER_PAUSE, BROKER_PAUSE_CAP = 1.0, 30.0


class Way(Protocol):
    """How a batch leaves."""

    def send(self, batch_id: str, lines: Sequence[bytes]) -> None:
        """Hand a batch over, or raise; doing it again under the same id is safe."""

    def tell(self, batch_id: str) -> None:
        """Have a batch that was handed over worked on at once; never raises."""

    def close(self) -> None:
        """Close connections."""


class Broker:
    """A Celery broker on a connection of its own."""

    def __init__(self, url: str, namespace: str) -> None:
        self._app = Celery(set_as_current=False)
        configure(self._app, url, namespace=namespace)
        # Nobody would send the beats while there is nothing to publish.
        self._app.conf.broker_heartbeat = 0
        if url.startswith(("amqp", "pyamqp")):
            # Otherwise nothing says whether the broker has a message.
            self._app.conf.broker_transport_options = {**AMQP_TRANSPORT_OPTIONS, "confirm_publish": True}
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def publish(self, arguments: dict[str, Any], *, queue: str, task_id: str, label: str) -> None:
        """Send one task.

        Raises:
            Exception: whatever the transport raises; the next call connects again.
        """
        try:
            if self._producer is None:
                self._connection = self._app.connection_for_write()
                self._producer = self._app.amqp.Producer(self._connection)
            self._app.send_task(
                FORWARD_EVENTS,
                kwargs=arguments,
                queue=queue,
                task_id=task_id,
                producer=self._producer,
                argsrepr="",
                kwargsrepr=label,
                ignore_result=True,
            )
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.release()  # type: ignore[no-untyped-call]


class ClaimCheck:
    """Batches go into the store by claim check; Celery is told of their ids.

    Args:
        url: The store.
        broker_url: The broker; the store unless it is another one.
        namespace: First part of every key.
        destination: Restricts the events to one destination, ``""`` does not.
        queue: The Celery queue.
        queue_limit: Nothing is handed over while more events than this wait for a worker; ``None`` for no limit.
        otp_key: The workers' secret for events that may carry one-time passwords, ``""`` for none.
        kind: What the lines are: events, or payloads of actions.
    """

    def __init__(
        self,
        url: str,
        broker_url: str,
        *,
        namespace: str,
        destination: str,
        queue: str,
        queue_limit: int | None,
        otp_key: str,
        kind: Kind = Kind.EVENTS,
    ) -> None:
        self._kind = kind
        self._store = Store(connect(url), namespace)
        self._batches = Batches(self._store, sealing=Sealing(self._store, otp_key))
        self._broker = Broker(broker_url, namespace)
        self._destination = destination
        self._queue = queue
        self._queue_limit = queue_limit
        self._is_open = False
        self._pause = 0.0
        self._broker_again = 0.0

    def send(self, batch_id: str, lines: Sequence[bytes]) -> None:
        """Take the claim check.

        Raises:
            QueueTooLong: nothing was handed over.
            StoreUnavailable: nothing is known to be handed over.
        """
        if not self._is_open:
            self._store.open()
            self._is_open = True
        self._check_queue()
        self._batches.accept(
            join(lines),
            len(lines),
            kind=self._kind,
            batch_id=batch_id,
            door="producer",
            destination=self._destination,
            queue=self._queue,
        )

    def tell(self, batch_id: str) -> None:
        """Tell Celery; a broker that is away does no harm, the schedule has the batch."""
        if time.monotonic() < self._broker_again:
            return
        try:
            self._broker.publish({"batch_id": batch_id}, queue=self._queue, task_id=batch_id, label=batch_id)
            self._pause = 0.0
        except Exception as error:  # noqa: BLE001 - each transport has its own, and the batch is accepted in any case
            if not self._pause:
                log.warning("the broker is away (%s); accepted batches wait in the schedule", type(error).__name__)
            self._pause = min(max(2 * self._pause, BROKER_PAUSE), BROKER_PAUSE_CAP)
            self._broker_again = time.monotonic() + self._pause

    def close(self) -> None:
        """Close connections."""
        self._broker.close()
        self._store.client.close()

    def _check_queue(self) -> None:
        if self._queue_limit is None:
            return
        store = self._store
        queued = int(store.ask(lambda: store.client.hget(store.keys.counters, "events:queued")) or 0)
        if queued >= self._queue_limit:
            raise QueueTooLong(f"{queued} events wait for a worker, the limit is {self._queue_limit}")


class Inline:
    """Events travel in the Celery message: what the broker guarantees is the guarantee until a worker has them."""

    def __init__(self, broker_url: str, *, namespace: str, destination: str, queue: str) -> None:
        self._broker = Broker(broker_url, namespace)
        self._destination = destination
        self._queue = queue

    def send(self, batch_id: str, lines: Sequence[bytes]) -> None:
        """Send a task; a repeated one has the same id, and so makes no second batch."""
        events = orjson.loads(b"[" + b",".join(lines) + b"]")
        arguments = {"events": events, "destination": self._destination}
        self._broker.publish(arguments, queue=self._queue, task_id=batch_id, label=f"{len(events)} events")

    def tell(self, batch_id: str) -> None:
        """The message has told already."""

    def close(self) -> None:
        """Close the connection."""
        self._broker.close()
