"""How much a sender may send at once."""

from __future__ import annotations

from dataclasses import dataclass

from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request; Segment's own unless configured.

    Attributes:
        event: Bytes of one event, as JSON.
        body: Bytes of a request's body, and of what it inflates to.
        events: Events in a batch.
        bodies: Bytes of bodies that may be on their way in at the same time, over all requests of this process; and
            again as many of events that wait for the store.
    """

    event: int = 32 * 1024
    body: int = 500 * 1024
    events: int = 2_500
    bodies: int = 64 * 1024 * 1024

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings give."""
        return cls(
            event=settings.intake_event_bytes,
            body=settings.intake_batch_bytes,
            events=settings.intake_batch_events,
        )
