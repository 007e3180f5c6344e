"""The HTTP server: uvicorn, with bounds on what a slow or a false client can hold."""

from __future__ import annotations

import logging
import os
import resource
import socket
from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any

import uvicorn
from celery import Celery
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from worker.app import configure
from worker.destinations import LiveDestinations, load_destinations
from worker.intake.app import create_app
from worker.intake.door import Door
from worker.intake.sockets import BACKLOG
from worker.queueing import Queueing
from worker.runtime import open_core
from worker.settings import Settings

log = logging.getLogger(__name__)

#: Bytes of a request's line and headers.
HEADERS_LIMIT = 32 * 1024
#: Seconds an idle connection is kept.
KEEP_ALIVE = 75
#: Seconds the store has to answer, so that a request ends before its client gives up (10 s, by Segment's clients).
STORE_PATIENCE = 1.0

TOO_SLOW = b'{"success":false,"code":"too_slow","message":"the request did not arrive in time"}'


class Guarded(HttpToolsProtocol):
    """The protocol of one connection: it ends requests that do not arrive in time, or whose headers have no end."""

    #: Seconds from the first byte of a request (or from the connection, for the first one) to its last.
    timeout = 15.0

    _complete = False
    _size = 0
    _deadline: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.timeout, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._end_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request that has begun."""
        super().data_received(data)
        if self._complete:
            self._end_deadline()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.timeout, self._too_slow)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._complete = False
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Bound the request line."""
        self._bound(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Bound the headers."""
        self._bound(len(name) + len(value))
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """A request is here."""
        super().on_message_complete()
        self._complete = True

    def _bound(self, size: int) -> None:
        self._size += size
        if self._size > HEADERS_LIMIT:
            # The parser answers 400 for whatever is raised here.
            msg = "the headers are too large"
            raise ValueError(msg)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started:
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(TOO_SLOW), TOO_SLOW)
            )
        self.transport.close()


def build_door(settings: Settings, store_url: str) -> Door:
    """The door of one process.

    Raises:
        ConfigurationError: a file cannot be used.
        DeliveryError: the store cannot be used.
    """
    destinations = LiveDestinations(
        load_destinations(settings.destinations_file, os.environ, settings=settings), settings
    )
    celery = Celery("msg91-destination", set_as_current=False)
    configure(celery, settings.broker_url(store_url), namespace=settings.namespace)
    core = open_core(settings, store_url, patience=STORE_PATIENCE)
    return Door(settings, core, Queueing(celery), destinations)


def serve(
    settings: Settings,
    store_url: str,
    *,
    listening: socket.socket,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Run one process of the HTTP door until TERM or Ctrl-C; what was taken in by then is handed over and answered.

    Args:
        settings: Its settings.
        store_url: The store.
        listening: A bound socket; several processes may share one.
        ready: Called once it answers.

    Raises:
        ConfigurationError: the configuration cannot be used.
        DeliveryError: the store cannot be used.
    """
    door = build_door(settings, store_url)
    _raise_file_limit()
    config = uvicorn.Config(
        create_app(door),
        http=type("Guarded", (Guarded,), {"timeout": settings.intake_timeout}),
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(settings.shutdown_grace) or 1,
    )
    _Server(config, ready).run(sockets=[listening])
    door.core.store.client.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
