"""Kombu's Redis channels, each with one client for all its commands.

Kombu 5.7 makes a client of redis-py anew for each acknowledgement and each look at a queue, and with it a table of all
commands whose answers are read in a way of their own: that took a fifteenth of a worker's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import redis as transport

#: The channel's attribute that holds its client.
_KEPT = "_msg91_client"


@contextmanager
def conn_or_acquire(channel: Any, client: Any = None) -> Iterator[Any]:
    """The client given, or the channel's own; a new one when its connections were given up."""
    if client is None:
        client = getattr(channel, _KEPT, None)
        if client is None or client.connection_pool is not channel.pool:
            client = channel._create_client()  # noqa: SLF001 - as Kombu's own
            setattr(channel, _KEPT, client)
    yield client


def install() -> None:
    """Use it for every channel of this process."""
    transport.Channel.conn_or_acquire = conn_or_acquire  # type: ignore[assignment, method-assign]
