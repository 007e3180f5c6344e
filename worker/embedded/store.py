"""Which store to use: the one that was named, the one that runs here, or one started for the occasion."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.configuration import DataDirectoryInUse
from worker.embedded.directory import find_running
from worker.embedded.server import START_TIMEOUT, EmbeddedValkey
from worker.settings import Settings

__all__ = ["resolve_store"]


@contextmanager
def resolve_store(settings: Settings, data_dir: Path | str | None = None) -> Iterator[str]:
    """Give the address of the store, and keep it alive for the duration of the ``with`` block.

    ``REDIS_URL`` wins if it is set, and nothing is started; else the server that runs on the data directory;
    else one that is started there, with an append-only file, and stopped at the end of the block (other
    processes that found it meanwhile lose it then; a server that all can rely on is that of ``up``).

    Args:
        settings: The process's settings.
        data_dir: The data directory; None means that of the settings.

    Raises:
        EmbeddedValkeyError: ``REDIS_URL`` is not set, and no server could be found or started.
    """
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    directory = settings.data_dir if data_dir is None else Path(data_dir)
    deadline = time.monotonic() + START_TIMEOUT
    while (url := find_running(directory)) is None:
        server = EmbeddedValkey(directory, fsync=settings.data_fsync, lock_timeout=0)
        try:
            server.start()
        except DataDirectoryInUse:
            # Somebody is just starting or stopping one here.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            with server:
                yield server.url
            return
    yield url
