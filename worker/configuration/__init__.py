"""The destinations file: reading it with positions, checking it, and saying what is wrong."""

from worker.configuration.errors import (
    ConfigurationError,
    DataDirectoryInUse,
    EmbeddedValkeyError,
    Problem,
)

__all__ = ["ConfigurationError", "DataDirectoryInUse", "EmbeddedValkeyError", "Problem"]
