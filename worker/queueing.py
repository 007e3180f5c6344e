"""Telling Celery of a batch, and asking the broker how much waits there."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any

from amqp.exceptions import AMQPError  # type: ignore[import-untyped]
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from worker.app import QUEUE, QUEUES, RETRY_QUEUE

log = logging.getLogger(__name__)

FORWARD_EVENTS = "worker.forward_events"

#: What a broker that is away raises: Kombu's own error where it looks after the call, the library's where it does not.
AWAY = (OperationalError, RedisError, AMQPError, OSError)

#: Seconds without a try after the broker did not take a message.
PAUSE = 2.0


class Queueing:
    """The broker, as far as batches are concerned. A lost message harms nothing: the schedule has the batch.

    A broker that is away costs one call its time limit; the calls that follow do not try until `PAUSE` is over, so
    that nobody who has a schedule to look after waits for one message after the other.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._said_away = False
        self._not_before = 0.0
        self._connection: Any = None
        self._channel: Any = None
        self._lock = threading.Lock()

    def publish(self, batch_id: str, queue: str) -> bool:
        """Send one batch id; ``False`` when the broker does not take it now."""
        if time.monotonic() < self._not_before:
            return False
        try:
            self._app.send_task(
                FORWARD_EVENTS,
                kwargs={"batch_id": batch_id},
                queue=queue,
                argsrepr="",
                kwargsrepr=batch_id,
                ignore_result=True,
            )
        except AWAY as error:
            self._not_before = time.monotonic() + PAUSE
            if not self._said_away:
                log.warning("the broker is away (%s); batches wait in the schedule", type(error).__name__)
            self._said_away = True
            return False
        self._said_away = False
        return True

    def wake(self, batch_id: str, queue: str) -> bool:
        """As `publish`, for a batch that has waited."""
        return self.publish(batch_id, RETRY_QUEUE if queue == QUEUE else queue)

    def length(self) -> int | None:
        """How many messages wait in all our queues, ``None`` when the broker cannot be asked."""
        lengths = self.lengths()
        return None if lengths is None else sum(lengths.values())

    def lengths(self) -> dict[str, int] | None:
        """How many messages wait in each of our queues, ``None`` when the broker cannot be asked."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._app.connection_for_write()
                    self._connection.ensure_connection(max_retries=1, timeout=3)
                return {queue: self._messages(queue) for queue in QUEUES}
            except AWAY:
                self._forget_connection()
                return None

    def close(self) -> None:
        """Close the connection that is kept for asking."""
        with self._lock:
            self._forget_connection()

    def _forget_connection(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                if hasattr(connection.transport, "_collect"):
                    # AMQP says farewell and waits for an answer, which a dead link never gives.
                    connection.collect()
                else:
                    connection.release()

    def _messages(self, queue: str) -> int:
        """How many messages wait in a queue; none in one that is not there."""
        if self._channel is None:
            self._channel = self._connection.channel()
        try:
            return int(self._channel.queue_declare(queue=queue, passive=True).message_count)
        except self._connection.channel_errors:
            # AMQP closes a channel that asked for what is not there.
            channel, self._channel = self._channel, None
            with contextlib.suppress(Exception):
                channel.close()
            return 0
