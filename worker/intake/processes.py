"""The processes of the HTTP door: they share one socket, and are kept running."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import IO

from worker.supervisor import Processes, WorkerProcess


class IntakeProcesses(Processes):
    """The HTTP door, as child processes that are kept running.

    Args:
        listening: A bound socket (`server.bind`). It stays open here, so that a connection waits while a process that
            died is followed by the next.
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
