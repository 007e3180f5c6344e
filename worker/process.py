"""One worker process: its configuration, its runtime, its maintenance, from start to shutdown."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading

from worker import acknowledging, redis_channels
from worker.app import app, configure
from worker.configuration import ConfigurationError
from worker.delivery import Awaiting, StoreUnavailable
from worker.destinations import LiveDestinations, load_destinations
from worker.intake.stream import EventStream, connect_reader
from worker.intake.stream_reader import StreamReader
from worker.maintenance import Maintenance
from worker.queueing import Queueing
from worker.runtime import Runtime, build_runtime
from worker.settings import Settings, load_settings

log = logging.getLogger(__name__)


class Process:
    """A worker process.

    Args:
        settings: Its settings; ``REDIS_URL`` must be set.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.redis_url is None:
            msg = "a worker needs REDIS_URL; `msg91-destination up` starts everything on one machine"
            raise ConfigurationError(msg)
        self.settings = settings
        self.destinations = LiveDestinations(
            load_destinations(settings.destinations_file, os.environ, settings=settings), settings
        )
        acknowledging.install()
        redis_channels.install()
        configure(
            app,
            settings.broker_url(settings.redis_url),
            namespace=settings.namespace,
            soft_shutdown=settings.shutdown_grace,
        )
        self.queueing = Queueing(app)
        self.runtime: Runtime = build_runtime(settings, settings.redis_url, self.destinations, wake=self.queueing.wake)
        self.maintenance = Maintenance(
            self.runtime.core.schedule,
            self.runtime.sender,
            self.destinations,
            Awaiting(self.runtime.core.store, self.runtime.core.ledger),
            publish=self.queueing.publish,
            queue_lengths=self.queueing.lengths,
            refresh=self._refresh,
            interval=settings.promote_interval,
            limit=settings.promote_limit,
            queue_limit=settings.promote_queue_limit,
        )

        self.stream = self._stream_reader(settings.redis_url) if settings.stream else None

    def _stream_reader(self, store_url: str) -> StreamReader:
        settings = self.settings
        stream = EventStream(
            self.runtime.core.store,
            connect_reader(store_url),
            name=settings.stream_name,
            sealing=self.runtime.core.batches.sealing,
        )
        return StreamReader(
            stream,
            self.queueing.publish,
            batch=settings.stream_batch,
            linger=settings.stream_linger,
            claim_after=settings.stream_claim_after,
            queue_limit=settings.stream_queue_limit,
        )

    def _refresh(self) -> None:
        self.destinations.refresh()
        self.runtime.measures.flush()
        self.runtime.trust.look()
        if self.runtime.trust.outdated and not self.runtime.stopping.is_set():
            log.error("this worker ends: %s", self.runtime.core.store.format_problem)
            self.begin_shutdown()
            os.kill(os.getpid(), signal.SIGTERM)

    def start(self) -> None:
        """Start what runs on the side; look first whether the store can be trusted."""
        self.runtime.trust.look()
        self.maintenance.start()
        if self.stream is not None:
            self.stream.start()

    def begin_shutdown(self) -> None:
        """Take no new request; what is in flight is finished, the rest is handed back."""
        self.runtime.stopping.set()
        if self.stream is not None:
            self.stream.begin_stop()

    def give_up(self) -> int:
        """Wait for nothing any more; as `Forwarder.give_up`."""
        self.begin_shutdown()
        return self.runtime.forwarder.give_up()

    def stop(self) -> None:
        """Stop what runs on the side and close connections."""
        self.begin_shutdown()
        if self.stream is not None:
            self.stream.stop()
        self.maintenance.stop()
        self.runtime.core.store.patience.stop.set()
        with contextlib.suppress(StoreUnavailable):
            self.runtime.trust.stop()
        self.queueing.close()
        self.runtime.clients.close()


_lock = threading.Lock()
_process: Process | None = None


def current() -> Process:
    """This process's runtime, made at first use.

    Raises:
        ConfigurationError: the environment or a file cannot be used.
    """
    global _process  # noqa: PLW0603 - one per process, by Celery's nature
    with _lock:
        if _process is None:
            _process = Process(load_settings())
        return _process


def close() -> None:
    """Stop this process's runtime, if there is one."""
    global _process  # noqa: PLW0603
    with _lock:
        if _process is not None:
            _process.stop()
            _process = None
