"""Everything on one machine: store, sandbox, workers and HTTP door, started and stopped in the right order.

The door goes first, then the workers, and the store goes last: what is in flight is finished and written down before
its store ends. All of them end with this process, however it ends.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from worker.embedded import EmbeddedValkey
from worker.sandbox.process import Sandbox
from worker.supervisor import IntakeProcesses, StopSignals, Workers

log = logging.getLogger(__name__)

#: Seconds to wait for a store whose last owner was killed: its workers may finish their requests first.
LOCK_TIMEOUT = 60.0


def towards(sandbox_url: str, authkey: str, environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which MSG91 is the sandbox, whatever was configured."""
    return {**environ, "MSG91_BASE_URL": sandbox_url, "MSG91_AUTHKEY": authkey}


class Machine:
    """A store, the sandbox and worker processes in this process's care; each is there once it was started.

    Attributes:
        valkey: The embedded store.
        sandbox: The sandbox.
        workers: The worker processes.
        intake: The processes of the HTTP door.
    """

    def __init__(self) -> None:
        self.valkey: EmbeddedValkey | None = None
        self.sandbox: Sandbox | None = None
        self.workers: Workers | None = None
        self.intake: IntakeProcesses | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_store(self, data_dir: Path | None, *, fsync: str = "everysec") -> EmbeddedValkey:
        """Start the embedded store.

        Args:
            data_dir: Where its data lives; ``None`` means a temporary directory that goes with it.
            fsync: When its file is synced: ``everysec`` or ``always``.

        Raises:
            EmbeddedValkeyError: it cannot be started.
        """
        self.valkey = EmbeddedValkey(data_dir, fsync=fsync, lock_timeout=LOCK_TIMEOUT).start()
        return self.valkey

    def start_sandbox(self, **options: Any) -> Sandbox:
        """Start the sandbox; the options are those of `Sandbox`.

        Raises:
            SandboxStartError: it cannot be started.
        """
        self.sandbox = Sandbox(**options).start()
        return self.sandbox

    def start_workers(
        self,
        *,
        processes: int,
        concurrency: int,
        grace: float,
        environ: Mapping[str, str],
        logs: IO[bytes] | None = None,
    ) -> Workers:
        """Start the worker processes; the arguments are those of `Workers`."""
        self.workers = Workers(
            processes=processes,
            concurrency=concurrency,
            grace=grace,
            environ=environ,
            logs=logs,
            lifeline=None if self.valkey is None else self.valkey.lifeline,
        ).start()
        return self.workers

    def start_intake(
        self,
        listening: socket.socket,
        *,
        processes: int,
        grace: float,
        environ: Mapping[str, str],
        logs: IO[bytes] | None = None,
    ) -> IntakeProcesses:
        """Start the HTTP door; the arguments are those of `IntakeProcesses`."""
        self.intake = IntakeProcesses(
            listening,
            processes=processes,
            grace=grace,
            environ=environ,
            logs=logs,
            lifeline=None if self.valkey is None else self.valkey.lifeline,
        )
        self.intake.start()
        return self.intake

    def wait_ready(self, signals: StopSignals, *, seconds: float) -> bool:
        """Wait until workers and door take work; ``False`` when not in time, never, or when they are told to stop."""
        workers = self.workers
        deadline = time.monotonic() + seconds
        while workers is not None and not workers.unusable and time.monotonic() < deadline:
            self.check()
            if workers.ready and (self.intake is None or self.intake.ready):
                return True
            if signals.wait(0.05):
                break
        return False

    def check(self) -> None:
        """Look after everything, and start again what has died; to be called a few times a second.

        Raises:
            EmbeddedValkeyError: the store has died and cannot be started again.
            SandboxStartError: so has the sandbox.
        """
        if self.valkey is not None and not self.valkey.is_running():
            log.error("the store has ended by itself; it is started again on its data")
            self.valkey.start()
        if self.sandbox is not None and not self.sandbox.is_running:
            log.error("the sandbox has ended by itself; it is started again")
            self.sandbox.restart()
        if self.workers is not None:
            self.workers.check()
        if self.intake is not None:
            self.intake.check()

    def stop_intake(self, signals: StopSignals | None = None) -> bool:
        """Stop the HTTP door as `Processes.stop` does; ``True`` when there is nothing to complain of."""
        intake, self.intake = self.intake, None
        return intake is None or intake.stop(signals)

    def stop_workers(self, signals: StopSignals | None = None) -> bool:
        """Stop the workers as `Workers.stop` does; ``True`` when there is nothing to complain of."""
        workers, self.workers = self.workers, None
        return workers is None or workers.stop(signals)

    def stop(self, signals: StopSignals | None = None) -> bool:
        """Stop everything, the door first and the store last; ``True`` when door and workers ended in good order."""
        in_order = self.stop_intake(signals)
        in_order = self.stop_workers(signals) and in_order
        if self.sandbox is not None:
            self.sandbox.__exit__(None, None, None)
            self.sandbox = None
        if self.valkey is not None:
            self.valkey.stop()
            self.valkey = None
        return in_order
