"""The HTTP door of one process: what its endpoints share, from the request to the answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from worker.delivery import Measures, StoreUnavailable
from worker.destinations import Destination, LiveDestinations
from worker.events import TOO_DEEP, join
from worker.intake.batching import Gathering
from worker.intake.bodies import Bodies
from worker.intake.limits import Limits
from worker.intake.pressure import Pressure
from worker.intake.refusals import Refused, unreadable
from worker.intake.tracking import Arrival, Taken
from worker.queueing import Queueing
from worker.runtime import Core
from worker.settings import Settings
from worker.tracing import span, traceparent

log = logging.getLogger(__name__)

#: Seconds between two looks at the store, the broker and the configuration.
LOOK_INTERVAL = 1.0
#: An id that a client gives its request itself.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
#: Threads that write to the store: one for each group of destinations that is busy at a time.
_WRITERS = 8


class Door:
    """Everything the endpoints need.

    Args:
        settings: The process's settings.
        core: The store.
        queueing: The broker.
        destinations: The present configuration.
    """

    def __init__(self, settings: Settings, core: Core, queueing: Queueing, destinations: LiveDestinations) -> None:
        self.settings = settings
        self.core = core
        self.queueing = queueing
        self.destinations = destinations
        self.limits = Limits.of(settings)
        self.bodies = Bodies(self.limits)
        self.pressure = Pressure(core.store, queueing.length, limit=settings.intake_queue_limit)
        origins = [one.strip() for one in (settings.intake_allowed_origins or "").split(",") if one.strip()]
        self.origins = frozenset(origins)
        self.measures = Measures(core.store, "intake")
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="intake")
        #: Slow questions never wait behind each other's writes.
        self.readers = ThreadPoolExecutor(4, thread_name_prefix="look")
        self._watchers = ThreadPoolExecutor(2, thread_name_prefix="watch")
        self.gathering = Gathering(
            core.batches, queueing.publish, self._writers, linger=settings.intake_linger, limit=self.limits.bodies
        )
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Look at store, broker and configuration, and go on doing so."""
        for look in (self._look_at_store, self.pressure.look_at_broker):
            await self._ask(look)
            self._watching.append(asyncio.create_task(self._keep(look)))

    async def stop(self) -> None:
        """Hand over what was taken in, and end."""
        for one in self._watching:
            one.cancel()
        await self.gathering.close()
        await self._ask(self._look_at_store)
        self._writers.shutdown()
        self.readers.shutdown(cancel_futures=True)
        self._watchers.shutdown(cancel_futures=True)

    def _look_at_store(self) -> None:
        self.pressure.look_at_store()
        self.destinations.refresh()
        with contextlib.suppress(StoreUnavailable):
            self.measures.flush()

    async def _ask(self, look: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._watchers, look)

    async def _keep(self, look: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            try:
                await self._ask(look)
            except Exception:
                log.exception("looking at store or broker failed")

    def check(self) -> None:
        """Refuse when nothing can be accepted; before a body is parsed, so that who has to wait costs little.

        Raises:
            Refused: 429, with the seconds to wait.
        """
        self.pressure.check()
        self.gathering.check()

    async def take(
        self,
        arrival: Arrival,
        taken: Taken,
        destinations: tuple[Destination, ...],
        *,
        door: str,
    ) -> Reply:
        """Hand events over and give the answer.

        Raises:
            Refused: they are not accepted.
        """
        self.check()
        names = ",".join([one.name for one in destinations])
        # One text takes a third of the memory of its lines, and may have to wait.
        body, count = join(taken.lines), len(taken.lines)
        taken.lines.clear()
        batch_id = await self.gathering.hand_over(body, count, door=door, destination=names, trace=traceparent())
        if log.isEnabledFor(logging.DEBUG):
            found = {"arrival": batch_id}
            log.debug("request %s: %d events for %s", arrival.id, count, names, extra=found)
        if taken.malformed:
            found = {"arrival": batch_id}
            log.info("request %s: %d events are malformed", arrival.id, len(taken.malformed), extra=found)
        return Reply(taken.answer())


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no refusal."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"


class Endpoint:
    """An ASGI application for one address; subclasses say what it does.

    Args:
        door: The door.
        name: What its refusals are counted under.
    """

    methods: tuple[str, ...] = ("POST",)

    def __init__(self, door: Door, name: str) -> None:
        self.door = door
        self.name = name

    async def handle(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, arrival: Arrival) -> Reply:
        """Do what is asked.

        Raises:
            Refused: with the status and the reason.
        """
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 200, or the refusal."""
        # A header that comes twice counts once, the last.
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        own_id = _new_id()
        request_id = given.decode() if given and _REQUEST_ID.fullmatch(given) else own_id
        # A given id names no events: whoever passes one on from call to call gives it to several requests.
        arrival = Arrival.at(request_id, time.time_ns() // 1_000_000, events=own_id)
        try:
            if scope["method"] not in self.methods:
                raise Refused(405, "method_not_allowed", f"expected {' or '.join(self.methods)}")
            origin = headers.get(b"origin")
            if origin is not None:
                self._check_origin(origin)
            parent = headers.get(b"traceparent", b"").decode("latin-1")
            with span(self.name, parent=parent, request=request_id, path=scope["path"]):
                reply = await self.handle(scope, headers, receive, arrival)
        except Refused as refused:
            await self._refuse(send, refused, arrival)
        except RecursionError:
            # Deep in some field whose text was asked for.
            await self._refuse(send, unreadable(*TOO_DEEP), arrival)
        except ClientDisconnect:
            log.debug("request %s: the client went away", arrival.id)
        else:
            await answer(send, reply.status, reply.body, arrival.id, content_type=reply.content_type)

    def _check_origin(self, origin: bytes) -> None:
        allowed = self.door.origins
        if "*" not in allowed and origin.decode("latin-1") not in allowed:
            raise Refused(403, "origin_not_allowed", "pages of this origin may not send; see intake_allowed_origins")

    async def _refuse(self, send: Send, refused: Refused, arrival: Arrival) -> None:
        self.door.measures.refused(self.name, refused.code)
        log.info("request %s: refused with %d %s: %s", arrival.id, refused.status, refused.code, refused.message)
        body = orjson.dumps(
            {"success": False, "code": refused.code, "message": refused.message, "requestId": arrival.id}
        )
        extra = []
        if refused.retry_after is not None:
            seconds = b"%d" % refused.retry_after
            extra = [(b"retry-after", seconds), (b"x-ratelimit-reset", seconds)]
        if refused.status == 401:
            extra = [(b"www-authenticate", b'Basic realm="write key"')]
        if refused.status == 405:
            extra = [(b"allow", ", ".join(self.methods).encode())]
        await answer(send, refused.status, body, arrival.id, extra)


def _new_id() -> str:
    """An id for a request; it is unique, and no secret (asking the system for randomness costs too much here)."""
    return f"{random.getrandbits(64):016x}"


async def answer(
    send: Send,
    status: int,
    body: bytes,
    request_id: str,
    extra: list[tuple[bytes, bytes]] | None = None,
    *,
    content_type: bytes = b"application/json",
) -> None:
    """Send one answer."""
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
    ]
    if extra:
        headers += extra
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
