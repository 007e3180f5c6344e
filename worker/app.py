"""The Celery application: queues, acknowledgement, time limits, connections.

The numbers that differ from Celery's defaults are there because the defaults lose or double work on Redis: without
``socket_timeout`` a half-open link hangs a worker for good, early acknowledgement loses what a killed worker held.
No result backend, no pickle, no ``countdown``: what has to wait waits in the schedule.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu.entity import Queue

QUEUE = "events"
PRIORITY_QUEUE = "events.priority"
RETRY_QUEUE = "events.retries"
#: Workers take from all of them in turn.
QUEUES = (PRIORITY_QUEUE, RETRY_QUEUE, QUEUE)

#: Seconds after which the broker gives an unacknowledged message to another worker. The schedule is faster; this only
#: keeps the broker's own bookkeeping from growing.
VISIBILITY_TIMEOUT = 3600


def redis_transport_options(namespace: str) -> dict[str, Any]:
    """Options of Kombu's Redis transport."""
    return {
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "global_keyprefix": f"{{{namespace}}}:celery:",
        "priority_steps": [0],
        "visibility_timeout": VISIBILITY_TIMEOUT,
        "unacked_restore_interval": 60,
        "unacked_restore_throttle": 1,
        "fanout_prefix": True,
        "fanout_patterns": True,
    }


#: Options of the AMQP transport: a link that has gone silent must not hold a call for good. Celery says farewell to
#: each of its connections that way, twice, before it makes new ones. And a message is told only when the broker has
#: confirmed it: a link that has gone silent takes messages for a long time, and none of them arrives.
AMQP_TRANSPORT_OPTIONS = {"read_timeout": 5, "write_timeout": 5, "confirm_publish": True}


def configure(celery: Celery, broker_url: str, *, namespace: str = "msg91", soft_shutdown: float = 30.0) -> None:
    """Give an application our settings.

    Args:
        celery: The application.
        broker_url: Redis, Valkey or RabbitMQ.
        namespace: Prefix of the broker's keys on Redis.
        soft_shutdown: Seconds a worker gets to finish what is in flight.
    """
    is_redis = broker_url.startswith(("redis", "rediss", "unix", "valkey", "sentinel"))
    celery.conf.update(
        broker_url=broker_url.replace("unix://", "redis+socket://", 1)
        if broker_url.startswith("unix://")
        else broker_url,
        broker_transport_options=redis_transport_options(namespace) if is_redis else AMQP_TRANSPORT_OPTIONS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A broker that is full or read-only answers with an error; that is no reason to end.
        broker_channel_error_retry=True,
        worker_consumer="worker.consuming:Consumer",
        broker_connection_timeout=5,
        broker_heartbeat=10,
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_store_errors_even_if_ignored=False,
        task_default_queue=QUEUE,
        task_queues=[Queue(name) for name in QUEUES],  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_send_sent_event=False,
        worker_send_task_events=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_soft_shutdown_timeout=soft_shutdown,
        worker_enable_soft_shutdown_on_idle=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_publish_retry_policy={
            "max_retries": 2,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        imports=["worker.tasks"],
    )


app = Celery("msg91-destination", set_as_current=False)
configure(
    app,
    os.environ.get("CELERY_BROKER_URL") or os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0",
    namespace=os.environ.get("MSG91_DESTINATION_NAMESPACE") or "msg91",
)
