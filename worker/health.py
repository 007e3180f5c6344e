"""``python -m worker.health``: whether the worker of this container is well, for ``HEALTHCHECK``.

Well means: the store answers, and a worker process runs here. The supervisor restarts processes by itself; a container
that stays unwell has a cause outside of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from worker.configuration import ConfigurationError
from worker.delivery import DeliveryError, Store, connect
from worker.settings import load_settings

#: Seconds that the store has to answer.
TIMEOUT: Final = 3.0
_WORKER: Final = b"worker.celery_worker"


def problem() -> str | None:
    """What is wrong, in words; ``None`` when nothing is."""
    try:
        settings = load_settings()
        if settings.redis_url is None:
            return "REDIS_URL is not set"
        client = connect(settings.redis_url, timeout=TIMEOUT, connect_timeout=TIMEOUT)
        Store(client, settings.namespace).ask(client.ping)
    except (ConfigurationError, DeliveryError) as error:
        return str(error)
    return None if any(map(_is_worker, Path("/proc").glob("[0-9]*/cmdline"))) else "no worker process runs"


def _is_worker(command_line: Path) -> bool:
    try:
        return _WORKER in command_line.read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile, or is somebody else's
        return False


if __name__ == "__main__":
    wrong = problem()
    if wrong is not None:
        sys.stderr.write(f"{wrong}\n")
    sys.exit(0 if wrong is None else 1)
