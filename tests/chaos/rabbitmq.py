"""A RabbitMQ of our own for one run: on loopback, in a directory of its own, gone when the run is over."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

#: Where Debian and Ubuntu put it; the wrapper in the path changes the user and is of no use here.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
#: Seconds for the installation and for the start.
INSTALL_LIMIT, START_LIMIT = 300, 90


class Unavailable(Exception):
    """RabbitMQ cannot be had here; says why."""


def ensure_installed() -> None:
    """Install RabbitMQ where that is possible.

    Raises:
        Unavailable: it is not there and cannot be installed.
    """
    if SERVER.exists() and shutil.which("epmd"):
        return
    if os.geteuid() != 0:
        raise Unavailable("rabbitmq-server is not installed, and only root can install it")
    if shutil.which("apt-get") is None:
        raise Unavailable("rabbitmq-server is not installed, and there is no apt-get to install it with")
    # The package starts a server of its own unless told not to.
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "rabbitmq-server"]
    try:
        for attempt in (command, ["apt-get", "update"], command):
            done = subprocess.run(attempt, env=environ, capture_output=True, timeout=INSTALL_LIMIT, check=False)
            if SERVER.exists():
                return
    except subprocess.TimeoutExpired:
        raise Unavailable(f"apt-get did not install rabbitmq-server within {INSTALL_LIMIT} s") from None
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
    raise Unavailable(f"apt-get cannot install rabbitmq-server: {last[0]}")


class RabbitMQ:
    """One server, as a context manager.

    Raises:
        Unavailable: it did not start.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="msg91-rabbitmq-", ignore_cleanup_errors=True)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = _free_port()

    @property
    def url(self) -> str:
        """The address for Celery."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def __enter__(self) -> Self:
        folder = Path(self._folder.name)
        # Its name server would outlive it if it were left to start its own.
        epmd_port = _free_port()
        (folder / "plugins").write_text("[].\n")
        environ = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_NODENAME": f"chaos{os.getpid()}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none-env"),
        }
        try:
            self._start([shutil.which("epmd") or "epmd", "-port", str(epmd_port)], environ)
            self._start([str(SERVER)], environ)
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._folder.cleanup()

    def _start(self, command: list[str], environ: dict[str, str]) -> None:
        with Path(self._folder.name, "server.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env=environ,
                    cwd=self._folder.name,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, and no lock is taken
                )
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self._processes):
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                # It greets a client that speaks another version with its own.
                probe.sendall(b"AMQP\x00\x00\x00\x00")
                probe.settimeout(5)
                if probe.recv(4) == b"AMQP":
                    return
            time.sleep(0.2)
        text = Path(self._folder.name, "server.log").read_text(errors="replace")[-500:]
        raise Unavailable(f"rabbitmq-server did not start within {START_LIMIT} s: {text}")


def _die_with_parent() -> None:
    """Let the kernel end this process when the one that started it is gone, however that happens."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
