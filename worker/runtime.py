"""Everything one process needs, put together once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from worker.actions import ACTIONS, PublishEvent, SendWhatsAppTemplate
from worker.actions.send_whatsapp_template import template_of
from worker.deliveries import Delivery
from worker.delivery import (
    Batches,
    Journal,
    Lanes,
    Ledger,
    Measures,
    Patience,
    Retention,
    Schedule,
    Sealing,
    Store,
    Trust,
    connect,
)
from worker.destinations import Destination, Destinations
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer
from worker.msg91.approvals import ApprovedTemplates
from worker.msg91.client import Msg91Client, Request
from worker.msg91.receiver import ReceiverClient
from worker.onward import Remembering
from worker.sending import Client, Sender, Timing
from worker.settings import Settings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Core:
    """The store and its parts: what doors and commands need."""

    store: Store
    batches: Batches
    ledger: Ledger
    lanes: Lanes
    schedule: Schedule
    journal: Journal


def open_core(
    settings: Settings,
    store_url: str,
    *,
    patience: float | None = 0.0,
    stopping: threading.Event | None = None,
) -> Core:
    """Connect to the store and check its format.

    Args:
        settings: The process's settings.
        store_url: The store.
        patience: Seconds to wait for a store that is away; ``None`` waits until ``stopping``.
        stopping: Ends the waiting.

    Raises:
        StoreFormatError: the store is newer than this version.
        StoreUnavailable: the store does not answer.
    """
    reconnected = threading.Event()
    client = connect(store_url, on_connect=reconnected.set)
    store = Store(client, settings.namespace, Patience(patience, stopping), reconnected)
    store.open()
    retention = Retention(
        record=settings.record_ttl,
        dead_letter=settings.dead_letter_ttl,
        index=settings.index_ttl,
        journal=settings.journal_length,
    )
    return Core(
        store=store,
        batches=Batches(store, lease=settings.batch_lease, sealing=Sealing(store, settings.sealing_secret())),
        ledger=Ledger(store, retention),
        lanes=Lanes(store),
        schedule=Schedule(store),
        journal=Journal(store),
    )


class Clients:
    """One pooled client per MSG91 account, and one per receiver's origin, in a process; made at first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[tuple[str, str, bool], Msg91Client] = {}
        self._receivers: dict[str, ReceiverClient] = {}
        self._lock = threading.Lock()

    def sending(self, destination: Destination, family: str) -> Client:
        """What sends the requests of one family: the account's client, or whatever client a request asks for."""
        return self if family == PublishEvent.family else self.of(destination, family)

    def send(
        self,
        request: Request,
        *,
        deadline: float | None = None,
        write_by: float | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Answer:
        """Send a request to the receiver that it names; see `HttpClient.send`."""
        client = self._receivers.get(request.receiver)
        if client is None:
            with self._lock:
                client = self._receivers.get(request.receiver)
                if client is None:
                    total = self._settings.request_deadline
                    client = self._receivers[request.receiver] = ReceiverClient(request.receiver, total_timeout=total)
        return client.send(request, deadline=deadline, write_by=write_by, may_leave=may_leave)

    def of(self, destination: Destination, family: str) -> Msg91Client:
        """The account's client for one family of a destination's endpoints."""
        key = (
            destination.base_url,
            destination.authkey.get_secret_value(),
            destination.lanes[family].treat_503_as_in_doubt,
        )
        client = self._clients.get(key)
        if client is None:
            with self._lock:
                client = self._clients.get(key)
                if client is None:
                    client = self._clients[key] = Msg91Client(
                        key[0],
                        key[1],
                        total_timeout=self._settings.request_deadline,
                        read_timeout=self._settings.request_deadline,
                        treat_503_as_unknown=key[2],
                    )
        return client

    def close(self) -> None:
        """Close all connections."""
        for client in (*self._clients.values(), *self._receivers.values()):
            client.close()


class Approvals:
    """The approved WhatsApp templates of every account, asked for when a message first needs them.

    Args:
        clients: Who asks.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[tuple[str, str, float], ApprovedTemplates] = {}
        self._lock = threading.Lock()

    def __call__(self, destination: Destination, delivery: Delivery) -> str | None:
        """Say why a delivery cannot be sent as things are now (MSG91 would refuse its template, say), or None."""
        settings = destination.configuration.whatsapp
        if delivery.action != SendWhatsAppTemplate.name or not settings.check_templates:
            return ACTIONS[delivery.action].objection(delivery.payload, destination.context)
        template = template_of(delivery.payload)
        return self._of(destination, settings.templates_ttl).problem(template.number, template.name, template.language)

    def _of(self, destination: Destination, ttl: float) -> ApprovedTemplates:
        key = (destination.base_url, destination.authkey.get_secret_value(), ttl)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                client = self._clients.of(destination, SendWhatsAppTemplate.family)
                found = self._known[key] = ApprovedTemplates(
                    lambda request, deadline: client.fetch(request, deadline=deadline), ttl=ttl
                )
        return found


@dataclass(slots=True)
class Runtime:
    """What a worker process runs on."""

    core: Core
    sender: Sender
    forwarder: Forwarder
    clients: Clients
    measures: Measures
    trust: Trust
    stopping: threading.Event


def build_runtime(
    settings: Settings,
    store_url: str,
    destinations: Callable[[], Destinations],
    *,
    wake: Callable[[str, str], object],
    patience: float | None = None,
) -> Runtime:
    """Put a worker process together.

    Args:
        settings: Its settings.
        store_url: The store.
        destinations: Gives the present configuration.
        wake: Tells Celery of a batch that can go now.
        patience: As ``open_core``.
    """
    stopping = threading.Event()
    core = open_core(settings, store_url, patience=patience, stopping=threading.Event())
    clients = Clients(settings)
    measures = Measures(core.store, "worker")
    trust = Trust(core.store, settings.recovery)
    sender = Sender(
        core.store,
        core.ledger,
        core.lanes,
        clients.sending,
        timing=Timing(deadline=settings.request_deadline, lease=settings.claim_lease),
        approve=Approvals(clients),
        wake=wake,
        measures=measures,
        stopping=stopping,
        sealing=core.batches.sealing,
        trust=trust,
    )
    remember = Remembering(core.store, core.ledger.retention)
    forwarder = Forwarder(core.store, core.batches, sender, destinations, remember)
    return Runtime(core, sender, forwarder, clients, measures, trust, stopping)
