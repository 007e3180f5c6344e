"""From the settings to the store: REDIS_URL, or the server of a data directory, running or started for the command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from worker.cli.output import fail
from worker.destinations import Destinations, load_destinations
from worker.destinations.load import DEFAULT_FILE
from worker.embedded import find_running_server, resolve_store
from worker.runtime import Core, open_core
from worker.settings import Settings, load_settings

__all__ = ["Connection", "DataDir", "connected", "destinations_of", "is_configured"]

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where `up` keeps its data; used when REDIS_URL is not set.  [default: data]",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Connection:
    """A store to work with.

    Attributes:
        settings: The process's settings.
        url: The store's address.
        core: The store and its parts.
        is_temporary: Its server was started for this command and ends with it.
    """

    settings: Settings
    url: str
    core: Core
    is_temporary: bool


@contextmanager
def connected(data_dir: Path | None, *, settings: Settings | None = None, create: bool = False) -> Iterator[Connection]:
    """Open the store for the duration of the ``with`` block.

    Args:
        data_dir: Where the embedded server has its data; the setting's unless given.
        settings: The process's settings; read from the environment unless given.
        create: Make the data directory when there is none. Commands that only look leave without a trace.

    Raises:
        ConfigurationError: The settings are wrong, or no server can be found or started.
        DeliveryError: The store does not answer, or is not ours.
        typer.Exit: There is no store to look into.
    """
    settings = settings or load_settings()
    directory = data_dir or settings.data_dir
    if settings.redis_url is None and not create and not directory.exists():
        fail(
            f"there is no store: REDIS_URL is not set, and there is no data directory {directory}",
            "Set REDIS_URL, or name the directory of `msg91-destination up` by --data-dir",
        )
    with resolve_store(settings, directory) as url:
        running = None if settings.redis_url is not None else find_running_server(directory)
        core = open_core(settings, url)
        try:
            yield Connection(settings, url, core, running is not None and running.owner_pid == os.getpid())
        finally:
            core.store.client.close()


def is_configured(settings: Settings) -> bool:
    """Whether there is any configuration of destinations at all; a broken one counts."""
    return settings.destinations_file is not None or settings.msg91_authkey is not None or Path(DEFAULT_FILE).exists()


def destinations_of(settings: Settings) -> Destinations:
    """The configured destinations; where nothing is configured, the one that an authkey alone would make.

    Commands that make no request to MSG91 need no authkey.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    if not is_configured(settings):
        settings = settings.model_copy(update={"msg91_authkey": SecretStr("not-configured")})
    return load_destinations(settings.destinations_file, os.environ, settings=settings)
