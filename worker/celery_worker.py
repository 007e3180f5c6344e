"""The body of one worker process: ``python -m worker.celery_worker CONCURRENCY NUMBER``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings

from celery.platforms import SecurityWarning

from worker import process
from worker.app import QUEUES, app
from worker.configuration import ConfigurationError
from worker.delivery import DeliveryError
from worker.logs import configure_logging
from worker.settings import load_settings

#: What a worker exits with when its configuration cannot be used.
EXIT_USAGE = 2


def main(concurrency: int, number: int) -> int:
    """Run a Celery worker with threads until TERM."""
    # Celery warns of running as root for the sake of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    _end_with_parent()
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        process.current()
    except (ConfigurationError, DeliveryError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={concurrency}",
            f"--queues={','.join(QUEUES)}",
            f"--hostname=worker-{number}-{os.getpid()}@%h",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={settings.log_level}",
        ]
    )
    return 0


def _end_with_parent() -> None:
    """Stop when the supervisor is gone, however it ended: its end of our standard input closes then."""
    if sys.stdin is None or sys.stdin.isatty():
        return

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
