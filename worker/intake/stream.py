"""An event stream in the store: read in blocks under a consumer group, handed over by claim check.

Producers in any language ``XADD`` one event per entry. An entry leaves the stream in the same step in which its event
becomes part of a batch, so at no moment is it nowhere, or in two places.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from dataclasses import dataclass, replace
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from worker.delivery import Sealing, Store, new_id
from worker.intake.stream_entries import Entry, Refused, Sorted
from worker.masking import redact_text

log = logging.getLogger(__name__)

#: The consumer group of the workers.
GROUP = "workers"
#: The Celery queue of the batches.
QUEUE = "events"
#: Seconds after which a batch that nobody was told of is promoted.
UNTOLD = 15.0
#: Entries that cannot be read, of which a record is kept.
MALFORMED_LENGTH = 10_000
#: Seconds of silence after which a consumer that holds nothing is struck from the group.
SILENCE = 3600.0
#: Seconds beyond the wait for entries after which a link that says nothing is given up.
LINK_TIMEOUT = 5.0


def connect_reader(url: str) -> redis.Redis:
    """A client for one reader: nothing is repeated behind its back, because a repeated read gives other entries."""
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=LINK_TIMEOUT,
        socket_connect_timeout=LINK_TIMEOUT,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 0),
    )


def consumer_name() -> str:
    """A name for one reader that no other one has."""
    return f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What became of entries that were handed over.

    Attributes:
        batch_id: The batch the events are in, ``None`` when there were none.
        events: How many were taken.
        malformed: Entries recorded as such.
        elsewhere: Entries that somebody else had taken in the meantime.
        queued: Events of all doors that no worker has finished with.
    """

    batch_id: str | None
    events: int
    malformed: int
    elsewhere: int
    queued: int


class EventStream:
    """One consumer's view of an event stream.

    Args:
        store: The store; takes the hand-over.
        client: The connection that waits for entries, of `connect_reader`.
        name: The stream's name; its key is ``{<namespace>}:stream:<name>``.
        consumer: This consumer's name.
        sealing: Encrypts events that may carry one-time passwords, once they are taken.
    """

    def __init__(
        self,
        store: Store,
        client: redis.Redis,
        *,
        name: str = "events",
        consumer: str = "",
        sealing: Sealing | None = None,
    ) -> None:
        self.store = store
        self._sealing = sealing or Sealing(store)
        self.key = store.keys.stream(name)
        self.consumer = consumer or consumer_name()
        self._client = client
        # The plain answers: the library's own reading makes a dict of every entry.
        for command in ("XREADGROUP", "XAUTOCLAIM"):
            client.set_response_callback(command, _as_it_is)

    def open(self) -> None:
        """Make the stream and its group, where they are missing; the group begins with the oldest entry."""
        try:
            self._client.xgroup_create(self.key, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def read(self, count: int, *, wait_ms: int) -> list[Entry]:
        """Take up to ``count`` new entries; waits for the first one, at most ``wait_ms``."""
        return self._read_group(count, b">", "BLOCK", wait_ms)

    def mine(self, count: int) -> list[Entry]:
        """Up to ``count`` entries that were given to this consumer before and are not handed over."""
        return self._read_group(count, b"0")

    def claim(self, count: int, *, idle_ms: int) -> list[Entry]:
        """Take up to ``count`` entries over from consumers that have held them for ``idle_ms``."""
        answer = self._ask("XAUTOCLAIM", self.key, GROUP, self.consumer, idle_ms, "0-0", "COUNT", count)
        if len(answer) > 2 and answer[2]:
            log.warning(
                "%d entries of %s were deleted by somebody else before they were taken", len(answer[2]), self.key
            )
        return [(entry_id, fields) for entry_id, fields in answer[1]]

    def hand_over(self, found: Sorted, *, door: str = "stream") -> HandedOver:
        """Take the claim check for events and acknowledge their entries, in one step.

        Raises:
            StoreUnavailable: nothing is known to be taken; doing it again is safe.
        """
        store, keys = self.store, self.store.keys
        if found.deleted:
            store.ask(lambda: store.client.xack(self.key, GROUP, *found.deleted))
            log.warning("%d entries of %s were deleted by somebody else", len(found.deleted), self.key)
        batch_id, now = new_id(), store.now_ms()
        refused: list[bytes] = []
        for one in found.refused:
            refused += (one.entry_id, *_without_secrets(one))
        events, malformed, elsewhere, queued = store.script(
            "accept_stream",
            [self.key, keys.batch(batch_id), keys.schedule, keys.counters, keys.malformed],
            [
                *(GROUP, batch_id, now, now + round(UNTOLD * 1000), door, QUEUE, MALFORMED_LENGTH, len(found.lines)),
                self._sealing.lines(found.lines),
                *found.ids,
                *refused,
            ],
        )
        return HandedOver(batch_id if events else None, events, malformed, elsewhere, queued)

    def leave(self) -> int:
        """Leave the group, if nothing is left to hand over, and strike those that left without a word."""
        keys, silence = [self.key], round(SILENCE * 1000)
        return int(self.store.script("leave_stream", keys, [GROUP, self.consumer, silence]))

    def sweep(self) -> int:
        """Strike consumers that have long been silent and hold nothing."""
        return int(self.store.script("leave_stream", [self.key], [GROUP, "", round(SILENCE * 1000)]))

    def queued(self) -> int:
        """Events of all doors that no worker has finished with."""
        return int(self.store.ask(lambda: self.store.client.hget(self.store.keys.counters, "events:queued")) or 0)

    def close(self) -> None:
        """Close the connection that waits."""
        self._client.close()

    def _read_group(self, count: int, start: bytes, *options: Any) -> list[Entry]:
        group = ("GROUP", GROUP, self.consumer, "COUNT", count)
        answer = self._ask("XREADGROUP", *group, *options, "STREAMS", self.key, start)
        return [(entry_id, fields) for entry_id, fields in answer[0][1]] if answer else []

    def _ask(self, *words: Any) -> Any:
        return self._client.execute_command(*words)  # type: ignore[no-untyped-call]


def _without_secrets(one: Refused) -> tuple[bytes, bytes]:
    """The record of an entry that cannot be read, and what it held, without one-time passwords."""
    original = redact_text(one.original.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return replace(one.why, raw=redact_text(one.why.raw)).as_json(), original


def _as_it_is(answer: Any, **_: Any) -> Any:
    return answer
