"""Send events from Python code: ``from worker.intake.producer import Producer``; actions without events: ``Actions``.

Needs redis, orjson and celery, and of this project only what a door needs; nothing of the worker is imported.
"""

from worker.intake.producer.actions import Actions
from worker.intake.producer.errors import (
    BufferFull,
    InvalidEvent,
    NotAccepted,
    ProducerClosed,
    ProducerError,
    QueueTooLong,
)
from worker.intake.producer.producer import Producer

__all__ = [
    "Actions",
    "BufferFull",
    "InvalidEvent",
    "NotAccepted",
    "Producer",
    "ProducerClosed",
    "ProducerError",
    "QueueTooLong",
]
