"""The destinations: what the destinations file, or else the environment, says; checked and compiled."""

from worker.destinations.live import LiveDestinations
from worker.destinations.load import load_destinations
from worker.destinations.model import (
    INTEGRATION,
    ActionPolicy,
    Destination,
    Destinations,
    InDoubt,
    LaneSettings,
    Mode,
)

__all__ = [
    "INTEGRATION",
    "ActionPolicy",
    "Destination",
    "Destinations",
    "InDoubt",
    "LaneSettings",
    "LiveDestinations",
    "Mode",
    "load_destinations",
]
