"""A self-hosted, Segment-style event destination that delivers through MSG91."""

__version__ = "0.1.0"
