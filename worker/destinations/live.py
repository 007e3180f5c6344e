"""The configuration of a long-running process: it follows changed files, and a broken one never replaces a good one."""

from __future__ import annotations

import logging
import os

from worker.configuration import ConfigurationError
from worker.destinations.load import load_destinations
from worker.destinations.model import Destinations
from worker.settings import Settings

__all__ = ["LiveDestinations"]

log = logging.getLogger(__name__)


class LiveDestinations:
    """The present configuration; a broken file never replaces a good one."""

    def __init__(self, destinations: Destinations, settings: Settings) -> None:
        self.current = destinations
        self._settings = settings
        self._said = ""

    def __call__(self) -> Destinations:
        """The present configuration."""
        return self.current

    def refresh(self) -> bool:
        """Load changed files again; ``True`` when the configuration is a new one."""
        if not self.current.changed():
            return False
        try:
            self.current = load_destinations(self._settings.destinations_file, os.environ, settings=self._settings)
        except ConfigurationError as error:
            if str(error) != self._said:
                self._said = str(error)
                log.error("the changed configuration is not used, the last good one stays: %s", error)  # noqa: TRY400
            return False
        self._said = ""
        log.info("configuration loaded again: %s", ", ".join(self.current.names))
        return True
