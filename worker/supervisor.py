"""Runs worker processes: starts them, restarts those that die, passes on the signals that stop them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType

log = logging.getLogger(__name__)

#: Seconds between the death of a process and its successor, at first; doubles while it dies young.
RESTART_PAUSE = 0.5
RESTART_PAUSE_CAP = 30.0
#: A process that lived this long, seconds, did not die young.
GROWN_UP = 30.0
#: Seconds beyond the grace time after which a process that does not end is killed.
KILL_AFTER = 30.0


class WorkerProcess:
    """One child process that runs a Celery worker."""

    def __init__(self, number: int, concurrency: int, environ: Mapping[str, str]) -> None:
        self.number = number
        self._command = [sys.executable, "-m", "worker.celery_worker", str(concurrency), str(number)]
        self._environ = dict(environ)
        self._pause = RESTART_PAUSE
        self._started = 0.0
        self._not_before = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its end of the pipe tells it when we are gone, however that happens."""
        self._started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command, env=self._environ, stdin=subprocess.PIPE, start_new_session=True
        )

    def check(self) -> None:
        """Start a successor when it has died, after a pause that grows while it dies young."""
        if self.process is None:
            if time.monotonic() >= self._not_before:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        young = time.monotonic() - self._started < GROWN_UP
        self._pause = min(self._pause * 2, RESTART_PAUSE_CAP) if young else RESTART_PAUSE
        log.error("worker process %d ended with %d; a new one starts in %.1f s", self.number, code, self._pause)
        self._not_before = time.monotonic() + self._pause
        self.process = None

    def send(self, number: int) -> None:
        """Pass a signal on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def run_workers(
    *, processes: int, concurrency: int, grace: float, environ: Mapping[str, str] | None = None
) -> int:
    """Run worker processes until a signal stops them.

    Args:
        processes: How many.
        concurrency: Threads each.
        grace: Seconds they get to finish what is in flight.
        environ: Their environment; this process's unless given.

    Returns:
        0 when all ended as told.
    """
    stop = threading.Event()
    signals: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    children = [WorkerProcess(number, concurrency, environ or os.environ) for number in range(processes)]
    try:
        for child in children:
            child.start()
        while not stop.wait(0.2):
            for child in children:
                child.check()
        return _stop(children, signals, grace)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop(children: list[WorkerProcess], signals: list[int], grace: float) -> int:
    passed_on = 0
    deadline = time.monotonic() + grace + KILL_AFTER
    while any(child.process is not None and child.process.poll() is None for child in children):
        while passed_on < len(signals):
            passed_on += 1
            for child in children:
                child.send(signal.SIGTERM)
        if time.monotonic() > deadline:
            for child in children:
                child.send(signal.SIGKILL)
        time.sleep(0.05)
    codes = [child.process.returncode for child in children if child.process is not None]
    return 0 if all(code == 0 for code in codes) else 1
