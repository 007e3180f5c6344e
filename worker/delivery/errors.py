"""What can go wrong between a worker and its store.

DeliveryError
├── StoreUnavailable      the store does not answer; nothing is known to have been written
├── StoreFormatError      the store was written by a newer version; this worker must not touch it
├── StoreHeld             the store may have lost claims; an operator has to confirm before anything is sent
├── NotFound              no such delivery, batch, lane or dead letter
└── NotAllowed            the delivery's state does not allow what was asked
"""

from __future__ import annotations


class DeliveryError(Exception):
    """Base of everything raised by ``worker.delivery``."""


class StoreUnavailable(DeliveryError):
    """The store does not answer. Whoever asked may ask again: every script is safe to repeat."""


class StoreFormatError(DeliveryError):
    """The store's data has a format this version does not know."""


class StoreHeld(DeliveryError):
    """Sending is held because the store may have lost claims; ``recovery confirm`` releases it."""


class NotFound(DeliveryError):
    """Nothing is stored under that name."""


class NotAllowed(DeliveryError):
    """The delivery is in a state that does not allow what was asked."""
