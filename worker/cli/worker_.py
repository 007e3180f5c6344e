"""``msg91-destination worker``: Celery workers with the right pool, queues and limits."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from worker.cli.output import fail, stderr
from worker.destinations import load_destinations
from worker.logs import configure_logging
from worker.settings import load_settings
from worker.supervisor import run_workers


def worker(
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", min=1, max=1000, help="Threads per process.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", "-p", min=1, max=256, help="Worker processes.")
    ] = None,
) -> None:
    """Run workers against REDIS_URL until they are told to stop.

    TERM or Ctrl-C finishes what is in flight and hands the rest back to the schedule; a second one hands back at once.
    Nothing is lost either way, nor when a worker is killed.

    Examples:
      REDIS_URL=redis://localhost:6379/0 MSG91_AUTHKEY=… msg91-destination worker
      msg91-destination worker --processes 2 --concurrency 32
    """
    settings = load_settings()
    if settings.redis_url is None:
        fail(
            "a worker needs a store, and REDIS_URL is not set",
            "Set REDIS_URL, or run `msg91-destination up`, which brings its own.",
        )
    destinations = load_destinations(settings.destinations_file, os.environ, settings=settings)
    configure_logging(settings.log_level, settings.log_format)
    stderr.print(f"destinations: {', '.join(destinations.names)} (from {destinations.origin})")
    raise typer.Exit(
        run_workers(
            processes=processes or settings.processes,
            concurrency=concurrency or settings.concurrency,
            grace=settings.shutdown_grace,
        )
    )
