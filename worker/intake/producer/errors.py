"""What goes wrong with a producer.

ProducerError
├── InvalidEvent     this can never be an event; it was not taken
├── BufferFull       too much waits already; the event was not taken
├── ProducerClosed   the producer was closed before; the event was not taken
├── QueueTooLong     the workers do not keep up; only ever the cause of another error
└── NotAccepted      flush or close: these events have not been accepted, or nothing says so
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson


class ProducerError(Exception):
    """Base of everything a producer raises."""


class InvalidEvent(ProducerError, ValueError):
    """This can never be an event of the spec.

    Attributes:
        code: Segment's error code, or ours where it has none.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BufferFull(ProducerError):
    """As many events wait as the producer may hold."""


class ProducerClosed(ProducerError):
    """The producer was closed."""


class QueueTooLong(ProducerError):
    """More events wait for a worker than the producer's limit says."""


class NotAccepted(ProducerError):
    """Events that are not known to be accepted.

    Attributes:
        cause: What the store or the broker last said, if it said anything.
    """

    def __init__(self, lines: Sequence[bytes], cause: BaseException | None) -> None:
        why = f": {type(cause).__name__}: {str(cause)[:200]}" if cause else " within the time given"
        super().__init__(f"{len(lines)} events are not accepted{why}")
        self.cause = cause
        self._lines = list(lines)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events with their ``messageId``: sending them again, in whatever way, makes no second message of one."""
        return [orjson.loads(line) for line in self._lines]
