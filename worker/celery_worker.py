"""The body of one worker process: ``python -m worker.celery_worker CONCURRENCY NUMBER``.

It prints ``ready`` when it takes work, and nothing else on its standard output. It stops when it is told to (TERM), and
when its standard input ends: whoever started it is gone then. Either way it finishes what is in flight, within its
grace time. When that is over, at a second TERM, or at a line on its standard input, it lets go at once: what has not
left is handed back, what has is in doubt. Only while the store is away is that left to the leases.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
import warnings
from typing import Any

from celery.platforms import SecurityWarning
from celery.signals import worker_ready, worker_shutting_down

from worker import process
from worker.app import QUEUES, app
from worker.configuration import ConfigurationError
from worker.delivery import DeliveryError, StoreUnavailable
from worker.logs import configure_logging
from worker.settings import load_settings
from worker.supervisor import EXIT_USAGE, OVERTIME
from worker.tracing import configure_tracing

log = logging.getLogger(__name__)

#: What a worker exits with that could not end within its grace time.
EXIT_OVERTIME = 3
#: Seconds within which another TERM is taken for the same one: service managers send it to the whole group, too.
SAME_SIGNAL = 1.0
#: Seconds that letting go may take; longer only when the store is away.
LET_GO = 3.0


def main(concurrency: int, number: int) -> int:
    """Run a Celery worker with threads until TERM."""
    # Celery warns of running as root for the sake of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    starter = _take_stdout()
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        configure_tracing("worker")
        _end_with_parent(settings.shutdown_grace, _end_in_time(settings.shutdown_grace))
        process.current()
    except (ConfigurationError, DeliveryError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE

    def tell(**_: Any) -> None:
        os.write(starter, b"ready\n")
        os.close(starter)

    worker_ready.connect(tell, weak=False)
    _calm_garbage_collector()
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


def _calm_garbage_collector() -> None:
    """Look for reference cycles rarely: events are trees, and walking them all costs a fifth of a worker's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _take_stdout() -> int:
    """Keep standard output for ourselves: Celery prints its farewells there."""
    ours = os.dup(1)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 1)
    return ours


def _end_with_parent(grace: float, shutdown: Shutdown) -> None:
    """Stop when the supervisor is gone, however it ended: its end of our standard input closes then."""
    if sys.stdin is None or sys.stdin.isatty():
        return

    def watch() -> None:
        while os.read(0, 4096):
            shutdown.hurry.set()
        if not shutdown.begun:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace + 3 * OVERTIME)
        os._exit(EXIT_OVERTIME)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class Shutdown:
    """Bounds the shutdown: Celery waits for its threads without end, and a thread may wait for a store that is away.

    Args:
        grace: Seconds to finish what is in flight.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self.begun = 0.0
        #: Set when nothing is to be waited for any more.
        self.hurry = threading.Event()

    def signalled(self, **_: Any) -> None:
        """A TERM has come."""
        now = time.monotonic()
        if not self.begun:
            self.begun = now
            threading.Thread(target=self._watch, name="shutdown-watch", daemon=True).start()
        elif now - self.begun > SAME_SIGNAL:
            self.hurry.set()

    def _watch(self) -> None:
        hurried = self.hurry.wait(self._grace)
        log.warning("told to stop at once" if hurried else f"the grace time of {self._grace:g} s is over")
        let_go = threading.Thread(target=self._let_go, name="let-go", daemon=True)
        let_go.start()
        let_go.join(LET_GO)
        current = process.current()
        current.runtime.core.store.patience.stop.set()
        # Threads that wait for the store end now; those that wait for an answer have nothing more to do.
        time.sleep(0.2 if current.runtime.sender.under_way or hurried else OVERTIME)
        os._exit(EXIT_OVERTIME)

    def _let_go(self) -> None:
        try:
            given_up = process.current().give_up()
        except StoreUnavailable as error:
            log.warning("what is unfinished is left to its leases, the store is away: %s", error)
        else:
            log.warning("what was unfinished is handed back; %d requests were under way", given_up)


def _end_in_time(grace: float) -> Shutdown:
    shutdown = Shutdown(grace)
    worker_shutting_down.connect(shutdown.signalled, weak=False)
    return shutdown


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
