"""The endpoints: what each address does with a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from starlette.types import Receive, Scope

from worker.delivery import StoreUnavailable
from worker.destinations import Destination
from worker.intake import tracking, webhooks
from worker.intake.authentication import bearer_of, equal, key_of_headers, reached
from worker.intake.batching import STORE_PAUSE
from worker.intake.bodies import parse
from worker.intake.door import Endpoint, Reply
from worker.intake.looking import deliveries_of
from worker.intake.metrics import CONTENT_TYPE, exposition
from worker.intake.refusals import Refused, later, unauthorized
from worker.intake.tracking import Arrival, Taken

T = TypeVar("T")

Headers = dict[bytes, bytes]

_SUCCESS = Reply(b'{"success":true}')


class TrackingEndpoint(Endpoint):
    """``POST /v1/{call}``: Segment's tracking API; ``/api/s/{call}`` is the same for Jitsu's clients."""

    async def handle(self, scope: Scope, headers: Headers, receive: Receive, arrival: Arrival) -> Reply:
        """Take one event or a batch."""
        kind = tracking.CALLS.get(scope["path_params"]["call"])
        if kind is None:
            raise Refused(404, "not_found", f"the calls are {', '.join(tracking.CALLS)}")
        body = await self.door.bodies.read(headers, receive)
        if kind == tracking.METRICS:
            return _SUCCESS
        self.door.check()
        taken, destinations = self._read(kind, headers, body, arrival)
        # Only the lines are kept while they wait for the store: a parsed body is many times as large.
        del body
        return await self.door.take(arrival, taken, destinations, door=self.name)

    def _read(
        self, kind: str, headers: Headers, body: bytes, arrival: Arrival
    ) -> tuple[Taken, tuple[Destination, ...]]:
        document: Any = parse(body)
        key = document.get("writeKey") if isinstance(document, dict) else None
        destinations = reached(self.door.destinations.current, headers, key)
        limits = self.door.limits
        if kind == tracking.BATCH:
            return tracking.take_batch(document, arrival, limits), destinations
        return tracking.take_one(kind, document, arrival, limits), destinations


class WebhookEndpoint(Endpoint):
    """``POST /v1/webhooks/{source}/{destination}``: webhooks of Segment, RudderStack, Jitsu, and bare JSON."""

    async def handle(self, scope: Scope, headers: Headers, receive: Receive, arrival: Arrival) -> Reply:
        """Take what the webhook carries."""
        source = scope["path_params"]["source"]
        if source not in webhooks.SOURCES:
            raise webhooks.unknown_source()
        body = await self.door.bodies.read(headers, receive)
        named = self.door.destinations.current.get(scope["path_params"]["destination"])
        destination = webhooks.verify(named, source, headers, body)
        self.door.check()
        taken = webhooks.take(source, parse(body), arrival, self.door.limits)
        del body
        return await self.door.take(arrival, taken, (destination,), door=self.name)


class NowhereEndpoint(Endpoint):
    """Any other address."""

    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

    async def handle(self, scope: Scope, headers: Headers, receive: Receive, arrival: Arrival) -> Reply:  # noqa: ARG002
        """Say that there is nothing."""
        raise Refused(404, "not_found", "there is nothing at this address; docs/intake.md lists them all")


class LookingEndpoint(Endpoint):
    """Answers from the store."""

    methods = ("GET", "HEAD")

    async def ask(self, question: Callable[[], T]) -> T:
        """Ask the store, in a thread.

        Raises:
            Refused: it does not answer.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self.door.readers, question)
        except StoreUnavailable:
            raise later("store_away", "the store is away: nothing can be looked up", STORE_PAUSE) from None

    def is_operator(self, headers: Headers) -> bool:
        """Whether the request carries the token of the door itself."""
        token, known = bearer_of(headers), self.door.settings.intake_token
        return token is not None and known is not None and equal(token, known.get_secret_value())


class DeliveriesEndpoint(LookingEndpoint):
    """``GET /v1/deliveries/{messageId}``: what became of an event."""

    async def handle(self, scope: Scope, headers: Headers, receive: Receive, arrival: Arrival) -> Reply:  # noqa: ARG002
        """Find the deliveries of an event, of the destinations that the asker may send to."""
        message_id = scope["path_params"]["message_id"]
        current = self.door.destinations.current
        destinations: tuple[Destination, ...]
        if self.is_operator(headers):
            destinations = current.all
        elif key_of_headers(headers) is None:
            raise unauthorized("a write key (Basic) or the token of the door (Bearer) is needed")
        else:
            destinations = reached(current, headers, None)
        found = await self.ask(lambda: deliveries_of(self.door.core, destinations, message_id))
        if not found:
            message = (
                "no delivery of this event is known: it waits in the queue, no mapping takes it, or it is forgotten"
            )
            raise Refused(404, "not_found", message)
        return Reply(orjson.dumps({"messageId": message_id, "deliveries": found}))


class HealthEndpoint(LookingEndpoint):
    """``GET /healthz``: whether the process is alive."""

    async def handle(self, scope: Scope, headers: Headers, receive: Receive, arrival: Arrival) -> Reply:  # noqa: ARG002
        """Say that it is."""
        return Reply(b'{"status":"ok"}')


class ReadyEndpoint(LookingEndpoint):
    """``GET /readyz``: whether events can be accepted and go on; a closed lane only makes them wait."""

    async def handle(self, scope: Scope, headers: Headers, receive: Receive, arrival: Arrival) -> Reply:  # noqa: ARG002
        """Say what store, broker and lanes do."""
        pressure = self.door.pressure
        store, broker = pressure.store_answers, pressure.broker_answers
        found: dict[str, Any] = {
            "status": "ready" if store and broker else "not ready",
            "store": "ok" if store else "away",
            "broker": "ok" if broker else "away",
            "queued": pressure.queued,
        }
        if store:
            try:
                found["lanes"] = await self.ask(self._lanes)
            except Refused:
                found |= {"status": "not ready", "store": "away"}
        return Reply(orjson.dumps(found), 200 if found["status"] == "ready" else 503)

    def _lanes(self) -> dict[str, str]:
        lanes = self.door.core.lanes
        found = {}
        for name in lanes.names():
            status = lanes.status(name)
            found[name] = "held" if status.held else "paused" if status.paused_until_ms else "open"
        return found


class MetricsEndpoint(LookingEndpoint):
    """``GET /metrics``: numbers for Prometheus."""

    async def handle(self, scope: Scope, headers: Headers, receive: Receive, arrival: Arrival) -> Reply:  # noqa: ARG002
        """Give them; to the operator alone where the door has a token."""
        if self.door.settings.intake_token is not None and not self.is_operator(headers):
            raise unauthorized("the token of the door is needed, as Authorization: Bearer")
        door = self.door
        text = await self.ask(lambda: exposition(door.core, door.destinations.current, door.pressure.messages))
        return Reply(text, content_type=CONTENT_TYPE)
