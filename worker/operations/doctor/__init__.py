"""Checks an installation from end to end and says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from celery import Celery

from worker.app import configure
from worker.configuration import ConfigurationError
from worker.configuration.quantities import mask_url
from worker.embedded import find_running
from worker.operations.doctor import environment, provider, store
from worker.operations.doctor.findings import Finding, Verdict, ok, problem
from worker.queueing import Queueing
from worker.settings import Settings, load_settings

__all__ = ["Finding", "Verdict", "examine"]


def examine(
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
    data_dir: Path | None = None,
    offline: bool = False,
    probe: provider.Probe | None = None,
) -> Iterator[Finding]:
    """Check everything, one finding at a time; nothing is changed and nothing is sent to anybody.

    Args:
        environ: The environment variables.
        file: The destinations file, as `load_destinations`.
        data_dir: Directory of the embedded Valkey; that of the settings unless given.
        offline: Do not ask MSG91.
        probe: Asks MSG91 about a destination's authkey; a client of its own unless given.
    """
    yield from environment.examine()
    try:
        settings = load_settings(environ)
    except ConfigurationError as error:
        for one in error.problems:
            yield problem("settings", f"{one.path}: {one.message}", one.suggestion or "Correct it")
        return
    yield from _examine_store(settings, data_dir or settings.data_dir)
    destinations, findings = provider.examine(settings, environ, file)
    yield from findings
    if destinations is not None and not offline:
        yield from provider.examine_accounts(destinations, probe=probe)


def _examine_store(settings: Settings, data_dir: Path) -> Iterator[Finding]:
    url = settings.redis_url or find_running(data_dir)
    if url is None:
        yield environment.examine_embedded()
        yield ok("store", f"REDIS_URL is not set, and no server runs on {data_dir}; `msg91-destination up` starts one")
        return
    findings = list(store.examine(settings, url))
    yield from findings
    broker = settings.broker_url(url)
    if broker == url:
        yield ok("broker", "the store")
    elif findings[0].verdict is not Verdict.PROBLEM or settings.celery_broker_url:
        yield _broker(settings, broker)


def _broker(settings: Settings, url: str) -> Finding:
    app = Celery("msg91-destination doctor", set_as_current=False)
    configure(app, url, namespace=settings.namespace)
    waiting = Queueing(app).length()
    app.close()
    if waiting is None:
        return problem("broker", f"{mask_url(url)} does not answer", "Start it, or correct CELERY_BROKER_URL")
    return ok("broker", f"{mask_url(url)} answers, {waiting:,} messages wait")
