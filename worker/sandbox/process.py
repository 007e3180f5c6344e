"""A sandbox in a process of its own, for tests, demonstrations and benchmarks."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from worker.sandbox.callbacks.settings import SECRET_VARIABLE
from worker.sandbox.client import SandboxClient
from worker.sandbox.errors import SandboxStartError
from worker.sandbox.record import read_record
from worker.sandbox.settings import DEFAULT_AUTHKEY, DEFAULT_HOST, TOKEN_VARIABLE, Settings

_START_LIMIT: Final = 30.0  # seconds until it must answer
_STOP_LIMIT: Final = 5.0  # seconds it has to stop before it is killed


class Sandbox:
    """A sandbox as a subprocess; it ends with the ``with`` block, and with this process, however that ends.

    ::

        with Sandbox(faults=["503,p=0.1"]) as sandbox:
            send_something_to(sandbox.url, sandbox.authkey)
            sandbox.fault("429,retry-after=2,count=3")
            sent = sends(sandbox.requests())

    Args:
        port: Port on the loopback interface; 0 takes a free one.
        record: The record; ``None`` makes one in a temporary directory that goes with the ``with`` block.
        faults: Faults from the start.
        callbacks: How it calls back, each setting written ``NAME=VALUE``.
        callback_secret: What its callbacks bring to prove who they are.
        duplicate_window: Seconds in which an identical request is refused with code 311. A test that counts
            double sends from the record wants 0 here, or must count the refused ones too.
        templates: The template ids it knows; ``None`` takes every id of 24 hexadecimal digits.
        seed: Seed of the faults' dice.
        fsync: Force every record to the disk before the answer.
        host: Address it listens on; from another one than this machine's its control needs a token.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        record: str | Path | None = None,
        faults: Sequence[str] = (),
        callbacks: Sequence[str] = (),
        callback_secret: str | None = None,
        duplicate_window: float = 10.0,
        templates: Sequence[str] | None = None,
        seed: int | None = None,
        fsync: bool = False,
        host: str = DEFAULT_HOST,
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="msg91-sandbox-") if record is None else None
        self.record = Path(self._directory.name if self._directory else "", record or "requests.ndjson")
        self.authkey = DEFAULT_AUTHKEY
        self.url = ""
        self._settings = Settings(
            host=host,
            port=port,
            record=str(self.record),
            faults=tuple(faults),
            callbacks=tuple(callbacks),
            duplicate_window=duplicate_window,
            templates=None if templates is None else tuple(templates),
            seed=seed,
            fsync=fsync,
            stop_with_stdin=True,
        )
        self._secret = callback_secret
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"Sandbox(url={self.url!r}, record={str(self.record)!r})"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._directory is not None:
            self._directory.cleanup()

    @property
    def is_running(self) -> bool:
        """Whether its process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it was started on a free one."""
        return self._settings.port

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            SandboxStartError: it ended or stayed silent; the message says why where the sandbox did.
        """
        if self._process is not None:
            return self
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "worker.sandbox", self._settings.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C at the terminal is for whoever started it, who then stops it in good order.
            start_new_session=True,
            env=self._environment(),
        )
        said = _first_line(self._process)
        if "url" not in said:
            self.kill()
            raise SandboxStartError(f"the sandbox did not start: {said.get('error', 'it stayed silent')}")
        self.url = said["url"]
        # A restart comes back to the same port.
        self._settings = replace(self._settings, port=int(self.url.rpartition(":")[2]))
        return self

    def stop(self) -> None:
        """Stop it in good order; connections that still hang are closed."""
        if self._process is None:
            return
        assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._forget()

    def kill(self) -> None:
        """Kill it where it stands (SIGKILL); the record stays true."""
        if self._process is not None:
            self._process.kill()
            self._forget()

    def restart(self) -> Self:
        """Start it again on the same port and record, with the faults it had at its first start.

        Contacts stay known and repeats keep counting; faults added later are gone, as is what was in flight.
        """
        self.kill()
        return self.start()

    def fault(self, *faults: str) -> list[dict[str, Any]]:
        """Add faults, written as for ``msg91-destination sandbox fault``.

        Raises:
            FaultError: one of them is no fault; none is added then.
        """
        return self._client.add_faults(*faults)

    def faults(self) -> list[dict[str, Any]]:
        """List the standing faults: number, fault, hits, and hits left."""
        return self._client.faults()

    def clear_faults(self) -> None:
        """Take every fault away."""
        self._client.clear_faults()

    def requests(self) -> list[dict[str, Any]]:
        """Read the whole record, numbers unhidden; also of a sandbox that was killed."""
        return list(read_record(self.record)) if self.record.exists() else []

    def stats(self) -> dict[str, Any]:
        """Give the counts of `worker.sandbox.stats.Stats`."""
        return self._client.stats()

    def callbacks(self) -> dict[str, Any]:
        """Tell how it calls back, what is owed and what was done."""
        return self._client.callbacks()

    def set_callbacks(self, *settings: str, secret: str | None = None) -> None:
        """Tell it how to call back; a restart comes back to what it was told at its first start.

        Raises:
            CallbackError: one of the settings cannot be read, or they do not go together.
        """
        self._client.set_callbacks(*settings, secret=secret)

    def report(self, **which: Any) -> int:
        """Post reports on demand, as `SandboxClient.report`."""
        return self._client.report(**which)

    def inbound(self, sender: str, text: str = "", **more: str) -> str:
        """Post an inbound WhatsApp message, as `SandboxClient.inbound`."""
        return self._client.inbound(sender, text, **more)

    def _environment(self) -> dict[str, str]:
        """What its process sees: secrets travel here and on no command line."""
        secrets = {TOKEN_VARIABLE, SECRET_VARIABLE}
        inherited = {name: value for name, value in os.environ.items() if name not in secrets}
        return inherited if self._secret is None else {**inherited, SECRET_VARIABLE: self._secret}

    @property
    def _client(self) -> SandboxClient:
        return SandboxClient(self.url)

    def _forget(self) -> None:
        assert self._process is not None  # noqa: S101 - callers looked
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for the line that says it answers, or why not; empty where it ends or stays silent first."""
    assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
    limit = time.monotonic() + _START_LIMIT
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not data.endswith(b"\n"):
            if not selector.select(max(0.0, limit - time.monotonic())):
                return {}
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                return {}
            data += piece
    line: dict[str, Any] = orjson.loads(data)
    return line
