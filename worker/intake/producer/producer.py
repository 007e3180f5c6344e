"""The producer: what a program that sends events holds."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from worker.intake.producer import lives
from worker.intake.producer.calls import call, encode
from worker.intake.producer.engine import Engine, Limits
from worker.intake.producer.errors import ProducerClosed
from worker.intake.producer.ways import ClaimCheck, Inline, Way


class Producer:
    """Sends events; thread-safe, buffered, at home in every process that a fork makes.

    ::

        with Producer("redis://127.0.0.1:6379/0") as producer:
            producer.track("user-1", "Order Shipped", {"phone": "+919876543210", "message": "On its way."})

    An event is taken when a call returns, and safe when `flush` or `close` has returned. In between it is in this
    process's memory. What the store does not take is kept and tried again; nothing is dropped silently.

    Args:
        url: The store; batches go there by claim check. Neither this nor ``broker_url``: ``REDIS_URL`` and
            ``CELERY_BROKER_URL`` are read from the environment.
        broker_url: The Celery broker; the store unless it is another one. Without a store, events travel in Celery
            messages, and the broker's guarantee is theirs until a worker has them.
        namespace: The installation's namespace.
        destination: Restricts the events to one destination.
        queue: The Celery queue, ``events`` or ``events.priority``.
        batch_size: Events in a batch, at most.
        linger: Seconds in which events gather for a batch.
        max_buffer: Events that may wait to be accepted.
        on_full: What happens when they do: ``block`` waits, ``raise`` raises `BufferFull`.
        block_timeout: Seconds a blocked call waits before it raises `BufferFull`; ``None`` waits as long as it takes.
        queue_limit: Nothing goes to the store while more events than this wait there for a worker.
        exit_timeout: Seconds that the end of the process may be delayed; what is not accepted by then is logged.
        otp_key: The workers' ``MSG91_DESTINATION_OTP_KEY``, which is read from the environment unless given.

    Raises:
        ValueError: neither a store nor a broker is known, or a number is out of range.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        broker_url: str | None = None,
        namespace: str | None = None,
        destination: str = "",
        queue: str = "events",
        batch_size: int = 500,
        linger: float = 0.01,
        max_buffer: int = 10_000,
        on_full: Literal["block", "raise"] = "block",
        block_timeout: float | None = None,
        queue_limit: int = 500_000,
        exit_timeout: float = 10.0,
        otp_key: str | None = None,
    ) -> None:
        if url is None and broker_url is None:
            url, broker_url = os.environ.get("REDIS_URL"), os.environ.get("CELERY_BROKER_URL")
        namespace = namespace or os.environ.get("MSG91_DESTINATION_NAMESPACE") or "msg91"
        if min(batch_size, max_buffer, queue_limit) < 1 or min(linger, exit_timeout) < 0:
            raise ValueError(
                "batch_size, max_buffer and queue_limit are at least 1, linger and exit_timeout at least 0"
            )
        if on_full not in ("block", "raise"):
            raise ValueError(f"on_full: expected 'block' or 'raise', got {on_full!r}")
        otp_key = os.environ.get("MSG91_DESTINATION_OTP_KEY", "") if otp_key is None else otp_key
        self._open_way = _way(url, broker_url, namespace, destination, queue, queue_limit, otp_key)
        self._open_way().close()  # says now what is wrong with an address
        self._limits = Limits(batch_size, linger, max_buffer, on_full, block_timeout, exit_timeout)
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._is_closed = False
        lives.call_in_children(self._forget_parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Events that are taken and not known to be accepted."""
        engine = self._engine
        return 0 if engine is None else engine.pending

    def send(self, event: Mapping[str, Any]) -> str:
        """Take an event of the Segment spec as it is; it gets a ``messageId`` if it has none.

        Returns:
            The ``messageId``.

        Raises:
            InvalidEvent: it can never be read as an event.
            BufferFull: too many wait, and ``on_full`` or ``block_timeout`` says so.
            ProducerClosed: the producer was closed.
        """
        message_id, line = encode(event)
        (self._engine or self._start()).add(line)
        return message_id

    def identify(
        self,
        user_id: Any = None,
        traits: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str:
        """Say who somebody is. Arguments as in Segment's library; returns and raises as `send`."""
        fields = {"traits": traits or {}}
        return self.send(call("identify", fields, user_id, context, timestamp, anonymous_id, integrations, message_id))

    def track(
        self,
        user_id: Any = None,
        event: str | None = None,
        properties: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str:
        """Say what somebody did. Arguments as in Segment's library; returns and raises as `send`."""
        fields = {"event": event, "properties": properties or {}}
        return self.send(call("track", fields, user_id, context, timestamp, anonymous_id, integrations, message_id))

    def page(
        self,
        user_id: Any = None,
        category: str | None = None,
        name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str:
        """Say which page somebody saw. Arguments as in Segment's library; returns and raises as `send`."""
        fields = {"category": category, "name": name, "properties": properties or {}}
        return self.send(call("page", fields, user_id, context, timestamp, anonymous_id, integrations, message_id))

    def screen(
        self,
        user_id: Any = None,
        category: str | None = None,
        name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str:
        """Say which screen of an app somebody saw. Arguments as in Segment's library; returns and raises as `send`."""
        fields = {"category": category, "name": name, "properties": properties or {}}
        return self.send(call("screen", fields, user_id, context, timestamp, anonymous_id, integrations, message_id))

    def flush(self, timeout: float | None = None) -> None:
        """Wait until every event taken before is accepted.

        Args:
            timeout: Seconds to wait; ``None`` waits as long as it takes.

        Raises:
            NotAccepted: the time was over; it has the events, which stay in the buffer and are tried on.
        """
        engine = self._engine
        if engine is not None:
            engine.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Take nothing more, and wait until every event is accepted; again does nothing.

        Args:
            timeout: Seconds to wait; ``None`` waits for ``exit_timeout``.

        Raises:
            NotAccepted: the time was over; it has the events, which are not tried any more.
        """
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
            engine = self._engine
        if engine is not None and not was_closed:
            engine.close(self._limits.exit_timeout if timeout is None else timeout)

    def _start(self) -> Engine:
        with self._lock:
            if self._is_closed:
                raise ProducerClosed("the producer is closed: make a new one")
            if self._engine is None:
                self._engine = Engine(self._open_way, self._limits)
                # A producer that nobody has any more is still emptied, and its thread ends.
                self._finalizer = weakref.finalize(self, self._engine.begin_close)
                self._finalizer.atexit = False
                lives.look_after(self._engine)
            return self._engine

    def _forget_parent(self) -> object:
        """In a child: begin anew. What the parent has in its buffer is the parent's to send."""
        inherited = (self._engine, self._finalizer, self._lock)
        if self._finalizer is not None:
            self._finalizer.detach()
        self._engine, self._finalizer, self._lock = None, None, threading.RLock()
        return inherited


def _way(
    url: str | None,
    broker_url: str | None,
    namespace: str,
    destination: str,
    queue: str,
    queue_limit: int,
    otp_key: str,
) -> Callable[[], Way]:
    if url is not None:
        return partial(
            ClaimCheck,
            url,
            broker_url or url,
            namespace=namespace,
            destination=destination,
            queue=queue,
            queue_limit=queue_limit,
            otp_key=otp_key,
        )
    if broker_url is not None:
        return partial(Inline, broker_url, namespace=namespace, destination=destination, queue=queue)
    raise ValueError("neither a store nor a broker: pass url or broker_url, or set REDIS_URL or CELERY_BROKER_URL")
