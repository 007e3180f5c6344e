"""A worker that says what its threads are at when it is asked to (SIGUSR2), for whoever has to find out."""

from __future__ import annotations

import faulthandler
import signal
import sys

from worker import celery_worker

if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    sys.exit(celery_worker.main(int(sys.argv[1]), int(sys.argv[2])))
