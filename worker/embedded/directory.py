"""A data directory: whose it is, and which server runs on it.

The lock is held by the server itself (an inherited file descriptor), so that the kernel frees it exactly when
the server is gone, however that came about. The state file says how to reach the server; it proves nothing
alone.
"""

import contextlib
import errno
import fcntl
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.configuration import DataDirectoryInUse, EmbeddedValkeyError
from worker.delivery import PREDECESSOR_IN_ORDER

__all__ = ["Running", "find_running", "find_running_server"]

HOST = "127.0.0.1"
STATE_FILE = "valkey.json"
LOCK_FILE = "valkey.lock"
_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Running:
    """A running server, as the state file tells it (mode 0600, for it holds the password)."""

    pid: int
    owner_pid: int
    port: int
    password: str
    run_id: str

    @property
    def url(self) -> str:
        """The address, password included, for ``redis.from_url`` and Celery."""
        return server_url(self.port, self.password)

    def write(self, directory: Path) -> None:
        """Leave the state file in a data directory."""
        write_private(directory / STATE_FILE, json.dumps(asdict(self)))

    def __repr__(self) -> str:
        return f"<Running {HOST}:{self.port} process {self.pid}>"


def ended_in_order(directory: Path) -> bool:
    """Whether the last server of a data directory was stopped in good order: then it has taken its state file along."""
    return not (directory / STATE_FILE).exists()


def say_ended_in_order(server: Running) -> None:
    """Tell those who will ask a server that its predecessor wrote everything down before it ended."""
    client = redis.Redis.from_url(server.url, socket_connect_timeout=1, socket_timeout=2)
    with contextlib.suppress(redis.RedisError, OSError), contextlib.closing(client):
        client.set(PREDECESSOR_IN_ORDER, server.run_id)


def find_running_server(data_dir: Path | str) -> Running | None:
    """Find the server that runs on a data directory, or None.

    The server must answer with its password and the run id of the state file, so that what a crash left
    behind, or a stranger on the same port, is not taken for it.
    """
    try:
        state = Running(**json.loads((Path(data_dir).expanduser() / STATE_FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    info = server_info(state.port, state.password)
    return state if info is not None and info.get("run_id") == state.run_id else None


def find_running(data_dir: Path | str) -> str | None:
    """Return the address of the server that runs on a data directory, password included, or None."""
    running = find_running_server(data_dir)
    return None if running is None else running.url


def server_url(port: int, password: str) -> str:
    """Return the address of an embedded server."""
    return f"redis://:{password}@{HOST}:{port}/0"


def server_info(port: int, password: str) -> dict[str, Any] | None:
    """Ask a server who it is; None when it does not answer, or not to this password."""
    client = redis.Redis(
        host=HOST,
        port=port,
        password=password,
        socket_connect_timeout=1,
        socket_timeout=2,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return {**client.info("server"), **client.info("persistence")}
    except (redis.RedisError, OSError):
        return None
    finally:
        client.close()


def prepare_directory(given: Path | None) -> Path:
    """Make the data directory, or a temporary one for None.

    Raises:
        EmbeddedValkeyError: It cannot be made.
    """
    if given is None:
        return Path(tempfile.mkdtemp(prefix="msg91-destination-"))
    try:
        given.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise directory_error(given, error) from error
    return given


def lock_directory(directory: Path, timeout: float) -> int:
    """Take the directory's lock and return its file descriptor, for the server to inherit.

    A server that is on its way out is waited for; one that is at work is not.

    Args:
        directory: The data directory.
        timeout: Seconds to wait at most.

    Raises:
        DataDirectoryInUse: Another server has it.
        EmbeddedValkeyError: The directory cannot be written, or its file system knows no locks.
    """
    try:
        opened = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise directory_error(directory, error) from error
    # Above the descriptors that the launching shell uses itself.
    lock = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(opened)
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = find_running_server(directory)
            if time.monotonic() >= deadline or (running is not None and _alive(running.owner_pid)):
                os.close(lock)
                raise _in_use(directory, running) from None
            time.sleep(_POLL)
        except OSError as error:
            os.close(lock)
            raise directory_error(directory, error) from error
        else:
            return lock


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def directory_error(directory: Path, error: OSError) -> EmbeddedValkeyError:
    """Say why a data directory cannot be used, and what to do."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return EmbeddedValkeyError(
            f"the data directory {directory} is a file, or lies below one", suggestion="Name a directory"
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return EmbeddedValkeyError(
            f"no space is left on the disk of the data directory {directory}",
            suggestion="Free some, or name another directory",
        )
    return EmbeddedValkeyError(
        f"the data directory {directory} cannot be used: {error.strerror}",
        suggestion="Name a directory on a local disk that this user can write to, or set REDIS_URL",
    )


def _in_use(directory: Path, running: Running | None) -> DataDirectoryInUse:
    if running is None:
        return DataDirectoryInUse(
            f"another process uses the data directory {directory}, and its server does not answer (yet)",
            suggestion="Wait until it has started or ended, or name another directory",
        )
    return DataDirectoryInUse(
        f"another process (id {running.owner_pid}) already runs the server of the data directory "
        f"{directory}, on port {running.port}",
        suggestion="Use that one, stop it, or name another directory",
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
