"""Actions without events: a program hands over the fields of an action, and they become deliveries like any other."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import orjson

from worker.delivery import PRIORITY_QUEUE, Kind, StoreUnavailable
from worker.intake.producer import lives
from worker.intake.producer.calls import EVENT_BYTES, plain
from worker.intake.producer.errors import InvalidEvent, NotAccepted, ProducerClosed
from worker.intake.producer.ways import ClaimCheck

#: The actions there are, and whether they overtake others; said here so that nothing of the worker is imported.
NAMES: Final[dict[str, bool]] = {
    "send_sms": False,
    "send_flow_sms": False,
    "send_otp": True,
    "resend_otp": True,
    "run_campaign": False,
    "send_whatsapp_template": False,
    "send_whatsapp_session": False,
    "record_user_events": False,
    "upsert_contact": False,
}
#: Payloads that one batch carries at most.
BATCH: Final = 500


class Actions:
    """Performs actions: what is accepted is recorded, limited, retried, and sent once, like every delivery.

    ::

        with Actions("redis://127.0.0.1:6379/0", destination="shop") as actions:
            actions.perform("send_otp", {"phone": "+919876543210", "otp": "4321"}, message_id="login-17")

    Thread-safe, and at home in every process that a fork makes. Nothing is buffered: what `perform` returned for is in
    the store.

    Args:
        url: The store; ``REDIS_URL`` unless given.
        destination: Through which destination.
        broker_url: The Celery broker; ``CELERY_BROKER_URL``, else the store.
        namespace: The installation's namespace.
        otp_key: The workers' ``MSG91_DESTINATION_OTP_KEY``, which is read from the environment unless given.

    Raises:
        ValueError: no store or no destination is named.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        destination: str,
        broker_url: str | None = None,
        namespace: str | None = None,
        otp_key: str | None = None,
    ) -> None:
        store = url or os.environ.get("REDIS_URL")
        if not store:
            raise ValueError("no store: pass url, or set REDIS_URL")
        if not destination or "," in destination:
            raise ValueError("destination: expected the name of one destination")
        self._store = store
        self._broker = broker_url or (None if url else os.environ.get("CELERY_BROKER_URL")) or store
        self._namespace = namespace or os.environ.get("MSG91_DESTINATION_NAMESPACE") or "msg91"
        self._destination = destination
        self._otp_key = os.environ.get("MSG91_DESTINATION_OTP_KEY", "") if otp_key is None else otp_key
        self._lock = threading.RLock()
        self._ways: dict[str, ClaimCheck] = {}
        self._is_closed = False
        lives.call_in_children(self._forget_parent)

    def __repr__(self) -> str:
        return f"Actions(destination={self._destination!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def perform(self, action: str, *payloads: Mapping[str, Any], message_id: str | None = None) -> list[str]:
        """Hand payloads over; when this returns they are accepted.

        The fields are checked by the worker: a payload that cannot be sent becomes a rejected delivery with its reason.

        Args:
            action: Such as ``send_sms``.
            payloads: The action's fields, one mapping for each delivery.
            message_id: What tells the delivery from all others, so that handing it over again sends nothing more;
                several payloads get it with their place. Random unless given.

        Returns:
            The ids, one for each payload.

        Raises:
            InvalidEvent: there is no such action, or a payload cannot be written as JSON.
            NotAccepted: the store is away; handing over again with the same ``message_id`` is safe.
            ProducerClosed: it was closed.
        """
        if action not in NAMES:
            raise InvalidEvent("unknown_action", f"there is no action {action!r}; there are: {', '.join(NAMES)}")
        base = message_id or str(uuid.uuid4())
        ids = [base] if len(payloads) == 1 else [f"{base}-{place}" for place in range(len(payloads))]
        lines = [_line(action, *each) for each in zip(ids, payloads, strict=True)]
        queue = PRIORITY_QUEUE if NAMES[action] else "events"
        for start in range(0, len(lines), BATCH):
            self._hand_over(queue, lines[start : start + BATCH], lines[start:])
        return ids

    def close(self) -> None:
        """Close the connections; again does nothing."""
        with self._lock:
            self._is_closed = True
            ways, self._ways = list(self._ways.values()), {}
        for way in ways:
            way.close()

    def _hand_over(self, queue: str, lines: list[bytes], rest: list[bytes]) -> None:
        batch_id = uuid.uuid4().hex[:16]
        with self._lock:
            if self._is_closed:
                raise ProducerClosed("it is closed: make a new one")
            way = self._ways.get(queue)
            if way is None:
                way = self._ways[queue] = self._open(queue)
            try:
                way.send(batch_id, lines)
            except StoreUnavailable as error:
                raise NotAccepted(rest, error) from error
            way.tell(batch_id)

    def _open(self, queue: str) -> ClaimCheck:
        return ClaimCheck(
            self._store,
            self._broker,
            namespace=self._namespace,
            destination=self._destination,
            queue=queue,
            queue_limit=None,
            otp_key=self._otp_key,
            kind=Kind.PAYLOADS,
        )

    def _forget_parent(self) -> object:
        """In a child: connections are the parent's."""
        inherited = (self._ways, self._lock)
        self._ways, self._lock = {}, threading.RLock()
        return inherited


def _line(action: str, message_id: str, payload: Mapping[str, Any]) -> bytes:
    if not isinstance(payload, Mapping):
        raise InvalidEvent("not_an_object", f"a payload is a mapping, this is of type {type(payload).__name__}")
    try:
        line = orjson.dumps({"action": action, "messageId": message_id, "payload": dict(payload)}, default=plain)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise InvalidEvent("not_json", f"a payload holds something that JSON cannot carry: {error}") from error
    if len(line) > EVENT_BYTES:
        raise InvalidEvent("too_long", f"a payload has at most {EVENT_BYTES} bytes, this one {len(line)}")
    return line
