"""``msg91-destination intake``: the HTTP door."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from worker.cli.output import fail, print_json, stderr, warn
from worker.destinations import load_destinations
from worker.intake.limits import Limits
from worker.intake.openapi import description
from worker.intake.sockets import bind, url_of
from worker.logs import configure_logging
from worker.settings import load_settings
from worker.supervisor import IntakeProcesses, run_processes


def intake(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; loopback unless given.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = None,
    processes: Annotated[int | None, typer.Option("--processes", min=1, max=64, help="Processes.")] = None,
    openapi: Annotated[bool, typer.Option("--openapi", help="Print the OpenAPI description and exit.")] = False,
) -> None:
    """Take events over HTTP: Segment's tracking API, and webhooks of Segment, RudderStack and Jitsu.

    Swap the host in a Segment client for this address; the write key is one of `write_keys` in the destinations file.
    An event that was answered with 200 is in the store, and is not lost.

    Examples:
      REDIS_URL=redis://localhost:6379/0 msg91-destination intake
      curl -u my-write-key: http://127.0.0.1:8080/v1/track -d '{"event": "Order Shipped", "userId": "u1",
      "properties": {"phone": "+918818888758", "message": "Your order is on its way"}}'
    """
    settings = load_settings()
    if openapi:
        print_json(description(Limits.of(settings)))
        return
    if settings.redis_url is None:
        fail(
            "the HTTP door needs a store, and REDIS_URL is not set",
            "Set REDIS_URL, or run `msg91-destination up`, which brings its own.",
        )
    destinations = load_destinations(settings.destinations_file, os.environ, settings=settings)
    configure_logging(settings.log_level, settings.log_format)
    if not any(one.write_keys for one in destinations):
        warn("no destination has a write key, so nobody can send to /v1; add write_keys to the destinations file")
    with bind(host or settings.intake_host, settings.intake_port if port is None else port) as listening:
        stderr.print(f"listening on {url_of(listening)} for {', '.join(destinations.names)}")
        door = IntakeProcesses(
            listening, processes=processes or settings.intake_processes, grace=settings.shutdown_grace
        )
        raise typer.Exit(run_processes(door))
