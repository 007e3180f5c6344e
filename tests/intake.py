"""The HTTP door for tests: a real process of its own, on a free port, beside a `System`."""

from __future__ import annotations

import signal
import subprocess
import sys
from base64 import b64encode
from typing import Any, Self

import httpx

from tests.system import System
from worker.intake.sockets import bind, url_of

WRITE_KEY = "write-key-of-the-tests"


class Intake:
    """One process of the HTTP door.

    Args:
        system: Its store, broker and destinations.
        settings: More environment variables.
    """

    def __init__(self, system: System, settings: dict[str, str] | None = None) -> None:
        self._environ = {**system.environ, **(settings or {})}
        self._path = system.folder / "intake.log"

    def __enter__(self) -> Self:
        self._listening = bind("127.0.0.1", 0)
        self.url = url_of(self._listening)
        self.port = int(self.url.rpartition(":")[2])
        self._log = self._path.open("ab")
        self.http = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.kill()
        self._log.close()
        self._listening.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        descriptor = self._listening.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker.intake", str(descriptor)],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            pass_fds=(descriptor,),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.log

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._reap()

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self._reap()
        return code

    def _reap(self) -> None:
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._path.read_text(encoding="utf-8")

    def post(self, path: str, body: Any, *, key: str | None = WRITE_KEY, **headers: str) -> httpx.Response:
        """Send one request: JSON, or bytes as they are."""
        if key is not None:
            headers["authorization"] = basic(key)
        content = body if isinstance(body, bytes) else None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, content=content, json=None if content is not None else body, headers=named)


def basic(key: str) -> str:
    """The value of ``Authorization`` for a write key."""
    return "Basic " + b64encode(f"{key}:".encode()).decode()
