"""Telling Celery of a batch, and asking the broker how much waits there."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from worker.app import QUEUES

log = logging.getLogger(__name__)

FORWARD_EVENTS = "worker.forward_events"


class Queueing:
    """The broker, as far as batches are concerned. A lost message harms nothing: the schedule has the batch."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._said_away = False

    def publish(self, batch_id: str, queue: str) -> bool:
        """Send one batch id; ``False`` when the broker does not take it now."""
        try:
            self._app.send_task(
                FORWARD_EVENTS,
                kwargs={"batch_id": batch_id},
                queue=queue,
                argsrepr="",
                kwargsrepr=batch_id,
                ignore_result=True,
            )
        except (OperationalError, ConnectionError, TimeoutError, OSError) as error:
            if not self._said_away:
                log.warning("the broker is away (%s); batches wait in the schedule", type(error).__name__)
            self._said_away = True
            return False
        self._said_away = False
        return True

    def length(self) -> int | None:
        """How many messages wait in our queues, ``None`` when the broker cannot be asked."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=3)
                return sum(_messages(connection, queue) for queue in QUEUES)
        except (OperationalError, ConnectionError, TimeoutError, OSError):
            return None


def _messages(connection: Any, queue: str) -> int:
    channel = connection.channel()
    try:
        with contextlib.suppress(*connection.channel_errors):
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        return 0
    finally:
        with contextlib.suppress(Exception):
            channel.close()
