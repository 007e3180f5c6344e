"""The address that MSG91 calls back: a call is answered with 200 once the store has what it said."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from starlette.types import Receive, Scope

from worker.delivery import StoreUnavailable, Unmatched
from worker.destinations import Destination
from worker.intake import callbacks
from worker.intake.batching import PATIENCE, STORE_PAUSE
from worker.intake.door import Door, Endpoint, Reply
from worker.intake.refusals import Refused
from worker.intake.tracking import Arrival
from worker.onward import Publisher

log = logging.getLogger(__name__)

#: Calls that are being written down at a time, and those that may wait for it; more are told to come again.
WRITERS: Final = 4
WAITING: Final = 64

_TAKEN: Final = Reply(b'{"success":true}')


class CallbackEndpoint(Endpoint):
    """``/v1/callbacks/{destination}/{sms,whatsapp,whatsapp/inbound}``: delivery reports and inbound messages.

    A GET with the right secret only says that the address is right.
    """

    methods = ("POST", "GET", "HEAD")

    def __init__(self, door: Door, name: str) -> None:
        super().__init__(door, name)
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="callback")
        self._unmatched = Unmatched(door.core.store)
        core = door.core
        self._publisher = Publisher(core.store, core.batches, core.ledger.retention, door.queueing.publish)
        self._waiting = 0

    async def handle(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, arrival: Arrival) -> Reply:
        """Take one call."""
        channel = scope["path_params"]["channel"]
        if channel not in callbacks.CHANNELS:
            raise Refused(404, "not_found", f"the callbacks are {', '.join(callbacks.CHANNELS)}")
        named = self.door.destinations.current.get(scope["path_params"]["destination"])
        destination = callbacks.verify(named, headers, scope["query_string"])
        if scope["method"] != "POST":
            return _TAKEN
        body = await self.door.bodies.read(headers, receive)
        if not self.door.pressure.store_answers:
            raise _again("store_away", "the store is away: nothing can be taken")
        if self._waiting >= WAITING:
            raise _again("busy", "too many callbacks wait at this moment")
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        loop = asyncio.get_running_loop()
        self._waiting += 1
        work = loop.run_in_executor(self._writers, self._take, destination, channel, content_type, body, arrival.id)
        work.add_done_callback(self._done)
        try:
            async with asyncio.timeout(PATIENCE):
                # Who has waited too long calls again; what is being written down is finished, and harmless twice.
                await asyncio.shield(work)
        except TimeoutError:
            raise _again("store_away", "the store does not answer: nothing is known to be taken") from None
        return _TAKEN

    def _take(self, destination: Destination, channel: str, content_type: str, body: bytes, request: str) -> None:
        """Read and write down one call; in a thread, since it asks the store for every report."""
        door, destinations = self.door, self.door.destinations.current
        found = callbacks.read(destination, channel, content_type, body, most=door.limits.events)
        try:
            taken = callbacks.take(found, channel, destination, destinations, door.core.ledger)
            callbacks.note(taken, door.measures, self._unmatched)
            self._publisher.publish(
                destination,
                found,
                channel="sms" if channel == callbacks.SMS else "whatsapp",
                destinations=destinations,
            )
        except StoreUnavailable:
            raise _again("store_away", "the store is away: nothing is known to be taken") from None
        except Exception:
            log.exception("request %s: a callback of %d reports could not be taken", request, len(found))
            raise _again("not_taken", "the callback could not be taken") from None

    def _done(self, work: asyncio.Future[None]) -> None:
        self._waiting -= 1
        if not work.cancelled():
            work.exception()


def _again(code: str, message: str) -> Refused:
    """What cannot be taken now. Whatever calls back repeats a 503 rather than a 429."""
    return Refused(503, code, message, retry_after=STORE_PAUSE)
