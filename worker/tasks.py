"""The Celery tasks. Thin: unpack, call one function, return. Their names are stable API for other producers.

| task | arguments |
| --- | --- |
| ``worker.forward_events`` | ``events``: a list, one event, or JSON text; or ``batch_id`` (our own claim checks) |
| ``worker.send_sms`` | ``payloads``: one or a list of `send_sms` fields; ``destination``, ``message_id`` |
| ``worker.send_flow_sms`` | the same for `send_flow_sms` |
| ``worker.send_otp`` | the same for `send_otp`; send it to the queue ``events.priority`` |
| ``worker.resend_otp`` | the same for `resend_otp` |
| ``worker.run_campaign`` | the same for `run_campaign` |
| ``worker.record_user_events`` | the same for `record_user_events` |
| ``worker.upsert_contact`` | the same for `upsert_contact` |
| ``worker.send_whatsapp_template`` | the same for `send_whatsapp_template` |
| ``worker.send_whatsapp_session`` | the same for `send_whatsapp_session` |
| ``worker.publish_event`` | the same for `publish_event` |
| ``worker.post_callback`` | the same for `post_callback` |
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task
from celery.exceptions import Reject
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from worker import process
from worker.actions import ACTIONS
from worker.actions.record_user_events import spread
from worker.app import PRIORITY_QUEUE, QUEUE, QUEUES, app
from worker.delivery import StoreUnavailable
from worker.runtime import Runtime
from worker.taking import names_of, read_items, take_call, take_payloads

log = logging.getLogger(__name__)


@app.task(name="worker.forward_events", bind=True)
def forward_events(self: Task, *events: Any, batch_id: str | None = None, **named: Any) -> None:
    """Run a batch, by its id or given inline; inline events are claim-checked first.

    Takes ``events`` and ``destination``; whatever else it is called with, no event is lost by it.
    """
    runtime = process.current().runtime
    if batch_id is None:
        with _unaccepted():
            batch_id = take_call(runtime.core.batches, events, named, task_id=self.request.id, queue=_queue(self))
    _run(runtime, batch_id)


def _perform(self: Task, action: str, payloads: Any, destination: Any, message_id: str | None) -> None:
    current = process.current()
    runtime = current.runtime
    with _unaccepted():
        batch_id = take_payloads(
            runtime.core.batches,
            action,
            payloads,
            task_id=self.request.id,
            destination=names_of(destination) or current.destinations().names[0],
            message_id=message_id,
            queue=PRIORITY_QUEUE if ACTIONS[action].urgent else _queue(self),
        )
    _run(runtime, batch_id)


@app.task(name="worker.send_sms", bind=True)
def send_sms(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Send free-text SMS; without ``destination`` through the first one configured."""
    _perform(self, "send_sms", payloads, destination, message_id)


@app.task(name="worker.send_flow_sms", bind=True)
def send_flow_sms(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Send SMS by Flow template."""
    _perform(self, "send_flow_sms", payloads, destination, message_id)


@app.task(name="worker.send_otp", bind=True)
def send_otp(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Send one-time passwords."""
    _perform(self, "send_otp", payloads, destination, message_id)


@app.task(name="worker.resend_otp", bind=True)
def resend_otp(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Send one-time passwords again, as text or by a call."""
    _perform(self, "resend_otp", payloads, destination, message_id)


@app.task(name="worker.run_campaign", bind=True)
def run_campaign(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Run campaigns for people."""
    _perform(self, "run_campaign", payloads, destination, message_id)


@app.task(name="worker.record_user_events", bind=True)
def record_user_events(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Record Segmento user events; ``{identifier, events: […]}`` is taken as well."""
    items = [one for item in read_items(payloads) for one in (spread(item) if isinstance(item, dict) else [item])]
    _perform(self, "record_user_events", items, destination, message_id)


@app.task(name="worker.upsert_contact", bind=True)
def upsert_contact(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Create or update Segmento contacts."""
    _perform(self, "upsert_contact", payloads, destination, message_id)


@app.task(name="worker.send_whatsapp_template", bind=True)
def send_whatsapp_template(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Send WhatsApp templates."""
    _perform(self, "send_whatsapp_template", payloads, destination, message_id)


@app.task(name="worker.send_whatsapp_session", bind=True)
def send_whatsapp_session(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Send WhatsApp messages to people who wrote within 24 hours."""
    _perform(self, "send_whatsapp_session", payloads, destination, message_id)


@app.task(name="worker.publish_event", bind=True)
def publish_event(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Publish track events to a tracking API that the destination names."""
    _perform(self, "publish_event", payloads, destination, message_id)


@app.task(name="worker.post_callback", bind=True)
def post_callback(self: Task, payloads: Any, destination: str = "", message_id: str | None = None) -> None:
    """Post callbacks to a receiver that the destination names."""
    _perform(self, "post_callback", payloads, destination, message_id)


def _run(runtime: Runtime, batch_id: str) -> None:
    """Run a batch; only a worker that is stopping gives up on a store that is away, and the schedule has the batch."""
    try:
        runtime.forwarder.run(batch_id)
    except StoreUnavailable as error:
        log.warning("batch %s is left to the schedule, the store is away: %s", batch_id, error)


@contextmanager
def _unaccepted() -> Iterator[None]:
    """Until the claim check is taken, the message is all there is: it goes back to the broker."""
    try:
        yield
    except StoreUnavailable as error:
        raise Reject(f"the store is away: {error}", requeue=True) from error


def _queue(task: Task) -> str:
    """The queue its batch belongs to; another program may have sent it by a routing key of its own."""
    info = task.request.delivery_info or {}
    key = str(info.get("routing_key"))
    return key if key in QUEUES else QUEUE


@worker_ready.connect(weak=False)
def _start(**_: Any) -> None:
    process.current().start()


@worker_shutting_down.connect(weak=False)
def _begin_shutdown(**_: Any) -> None:
    process.current().begin_shutdown()


@worker_shutdown.connect(weak=False)
def _stop(**_: Any) -> None:
    process.close()
