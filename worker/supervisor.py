"""Runs workers and the HTTP door as child processes: starts them, restarts those that die, stops them in good order."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, TracebackType
from typing import IO, Any, Self

log = logging.getLogger(__name__)

#: Seconds between the death of a process and its successor, at first; doubles while it dies young.
RESTART_PAUSE = 0.5
RESTART_PAUSE_CAP = 30.0
#: A process that lived this long, seconds, did not die young.
GROWN_UP = 30.0
#: A worker ends itself this long, seconds, after its grace time, whatever it hangs on.
OVERTIME = 5.0
#: Seconds beyond the grace time after which a process that does not end is killed.
KILL_AFTER = 10.0
#: Seconds that are left to let go of everything when the signal to stop comes a second time.
HURRY = 5.0

#: What a worker exits with when its configuration or its store cannot be used.
EXIT_USAGE = 2


class StopSignals:
    """TERM, Ctrl-C and the end of the terminal: counted, not obeyed, for the duration of a ``with`` block."""

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self._event = threading.Event()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # What was started to survive its terminal (nohup) does.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.count > 0

    def wait(self, seconds: float) -> bool:
        """Wait for the first signal, at most ``seconds``; whether one has come."""
        return self._event.wait(seconds)

    def _count(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.first = self.first or number
        self._event.set()


class WorkerProcess:
    """One child process of ours: a Celery worker, or whatever else keeps to the same terms.

    It says on its standard output when it takes work, and stops when its standard input ends: when we are gone,
    however that happens.

    Args:
        name: What it is called in logs.
        arguments: What Python runs: ``-m``, a module, and its arguments.
        environ: Its environment.
        logs: Where it writes its logs; this process's standard error unless given.
        files: File descriptors it has from us.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        logs: IO[bytes] | None = None,
        files: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.is_ready = False
        self._command = [sys.executable, *arguments]
        self._environ = dict(environ)
        self._logs = logs
        self._files = tuple(files)
        self._pause = RESTART_PAUSE
        self._started = 0.0
        self._not_before = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it."""
        self._started = time.monotonic()
        self.is_ready = False
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._logs,
            pass_fds=self._files,
            # Ctrl-C at the terminal is for us, who then stop it in good order.
            start_new_session=True,
        )
        assert self.process.stdout is not None  # noqa: S101 - opened as a pipe
        os.set_blocking(self.process.stdout.fileno(), False)

    def check(self) -> int | None:
        """Look after it: start a successor when it has died, after a pause that grows while it dies young.

        Returns:
            What it exited with, when that is news.
        """
        if self.process is None:
            if time.monotonic() >= self._not_before:
                self.start()
            return None
        code = self.process.poll()
        self._listen(self.process)
        if code is None:
            return None
        self._forget(self.process)
        if time.monotonic() - self._started >= GROWN_UP:
            self._pause = RESTART_PAUSE
        log.error("%s ended with %d; a new one starts in %.1f s", self.name, code, self._pause)
        self._not_before = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, RESTART_PAUSE_CAP)
        return code

    def send(self, number: int) -> None:
        """Pass a signal on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def hurry(self) -> None:
        """Tell it to let go of what it is finishing: a second TERM could be the first one, sent to the whole group."""
        if self.is_running and self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self.process.stdin.fileno(), b"now\n")

    def close(self) -> bool:
        """Put away what is left of a process that has ended; ``True`` when it ended as it was told to."""
        if self.process is None:
            return True
        code = self.process.wait()
        self._listen(self.process)
        # Before it is ready a worker has nothing to finish, and TERM ends it the hard way.
        told = code == 0 or (code == -signal.SIGTERM and not self.is_ready)
        self._forget(self.process)
        return told

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        if not self.is_ready and process.stdout is not None:
            self.is_ready = bool(process.stdout.read(64))

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process = None


class Processes:
    """Child processes that are kept running, as a context manager or by `start` and `stop`.

    Args:
        children: The processes.
        grace: Seconds they get to finish what is in flight when they are stopped.
    """

    def __init__(self, children: Sequence[WorkerProcess], *, grace: float) -> None:
        self._grace = grace
        self._was_ready = False
        self._children = list(children)
        #: One found the configuration or the store unusable before any of them ever took work.
        self.unusable = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The process ids of those that run."""
        return [child.process.pid for child in self._children if child.process is not None and child.is_running]

    @property
    def ready(self) -> bool:
        """Whether all of them take work."""
        return all(child.is_ready for child in self._children)

    def start(self) -> Self:
        """Start them; `check` tells when they are ready."""
        for child in self._children:
            child.start()
        return self

    def check(self) -> None:
        """Look after all of them; to be called a few times a second."""
        for child in self._children:
            code = child.check()
            self._was_ready = self._was_ready or child.is_ready
            # A configuration that breaks later does not bring down the workers that still run on the good one.
            if code == EXIT_USAGE and not self._was_ready:
                self.unusable = True

    def stop(self, signals: StopSignals | None = None, *, on_hurry: Callable[[], object] | None = None) -> bool:
        """Stop them: each finishes what is in flight, hands back the rest, and ends.

        Args:
            signals: A second signal leaves them only `HURRY` seconds more, a third none.
            on_hurry: Called once when that happens.

        Returns:
            ``True`` when all ended by themselves and in time.
        """
        log.info("stopping: %d worker processes finish what is in flight", len(self.pids))
        for child in self._children:
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + self._grace + KILL_AFTER
        hurried = False
        while any(child.is_running for child in self._children):
            if signals is not None and signals.count > 1 and not hurried:
                hurried = True
                log.warning("stopping at once: what has not left is handed back, what is under way is in doubt")
                for child in self._children:
                    child.hurry()
                deadline = min(deadline, time.monotonic() + HURRY)
                if on_hurry is not None:
                    on_hurry()
            if time.monotonic() > deadline or (signals is not None and signals.count > 2):
                for child in self._children:
                    child.send(signal.SIGKILL)
            time.sleep(0.02)
        in_order = [child.close() for child in self._children]
        return all(in_order)


class Workers(Processes):
    """Worker processes that are kept running.

    Args:
        processes: How many.
        concurrency: Threads each.
        grace: Seconds they get to finish what is in flight when they are stopped.
        environ: Their environment; this process's unless given.
        logs: Where they write their logs; this process's standard error unless given.
        lifeline: File descriptor they hold open while they live (`EmbeddedValkey.lifeline`).
    """

    def __init__(
        self,
        *,
        processes: int,
        concurrency: int,
        grace: float,
        environ: Mapping[str, str] | None = None,
        logs: IO[bytes] | None = None,
        lifeline: int | None = None,
    ) -> None:
        children = [
            WorkerProcess(
                f"worker process {number}",
                ["-m", "worker.celery_worker", str(concurrency), str(number)],
                environ or os.environ,
                logs=logs,
                files=() if lifeline is None else (lifeline,),
            )
            for number in range(processes)
        ]
        super().__init__(children, grace=grace)


class IntakeProcesses(Processes):
    """The HTTP door, as child processes that are kept running.

    Args:
        listening: A bound socket that all of them share. It stays open here, so that connections wait while a process
            that died is followed by the next.
        processes: How many.
        grace: Seconds they get to answer what is on its way when they are stopped.
        environ: Their environment, with ``REDIS_URL``; this process's unless given.
        logs: Where they write their logs; this process's standard error unless given.
        lifeline: File descriptor they hold open while they live (`EmbeddedValkey.lifeline`).
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        processes: int = 1,
        grace: float = 30.0,
        environ: Mapping[str, str] | None = None,
        logs: IO[bytes] | None = None,
        lifeline: int | None = None,
    ) -> None:
        files = [listening.fileno(), *([] if lifeline is None else [lifeline])]
        children = [
            WorkerProcess(
                f"intake process {number}",
                ["-m", "worker.intake", str(listening.fileno())],
                environ or os.environ,
                logs=logs,
                files=files,
            )
            for number in range(processes)
        ]
        super().__init__(children, grace=grace)


def run_workers(*, processes: int, concurrency: int, grace: float, environ: Mapping[str, str] | None = None) -> int:
    """Run worker processes until a signal stops them.

    Args:
        processes: How many.
        concurrency: Threads each.
        grace: Seconds they get to finish what is in flight.
        environ: Their environment; this process's unless given.

    Returns:
        0 when all ended as told, 1 when one had to be killed, 2 when they cannot run at all.
    """
    return run_processes(Workers(processes=processes, concurrency=concurrency, grace=grace, environ=environ))


def run_processes(children: Processes) -> int:
    """Run child processes until a signal stops them; returns as `run_workers`."""
    with StopSignals() as signals:
        children.start()
        while not signals.wait(0.2) and not children.unusable:
            children.check()
        in_order = children.stop(signals)
    return EXIT_USAGE if children.unusable else 0 if in_order else 1
