"""The ASGI application: which address leads where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from worker.intake.callback_endpoint import CallbackEndpoint
from worker.intake.clevertap import ClevertapEndpoint
from worker.intake.door import Door
from worker.intake.endpoints import (
    DeliveriesEndpoint,
    HealthEndpoint,
    MetricsEndpoint,
    NowhereEndpoint,
    ReadyEndpoint,
    TrackingEndpoint,
    WebhookEndpoint,
)


def create_app(door: Door) -> Starlette:
    """The application of one process.

    Args:
        door: What its endpoints share; started and stopped with the application.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await door.start()
        yield
        await door.stop()

    middleware = []
    if door.origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=sorted(door.origins),
                allow_methods=["POST"],
                allow_headers=["authorization", "content-type", "x-retry-count", "x-write-key"],
                expose_headers=["retry-after", "x-request-id"],
                max_age=3600,
            )
        )
    tracking = TrackingEndpoint(door, "http")
    routes = [
        Route("/v1/{call}", tracking),
        Route("/api/s/{call}", tracking),
        Route("/api/s/s2s/{call}", tracking),
        Route("/v1/webhooks/{source}/{destination}", WebhookEndpoint(door, "webhook")),
        Route("/v1/clevertap/{destination}", ClevertapEndpoint(door, "clevertap")),
        Route("/v1/callbacks/{destination}/{channel:path}", CallbackEndpoint(door, "callback")),
        Route("/v1/deliveries/{message_id:path}", DeliveriesEndpoint(door, "deliveries")),
        Route("/healthz", HealthEndpoint(door, "health")),
        Route("/readyz", ReadyEndpoint(door, "health")),
        Route("/metrics", MetricsEndpoint(door, "metrics")),
    ]
    app = Starlette(routes=routes, middleware=middleware, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.router.default = NowhereEndpoint(door, "nowhere")
    return app
