"""``msg91-destination up``: everything on one machine, started, used as it says, stopped in every way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.commands import Command, clean_environ, run, wait_gone
from tests.system import many, sends_by_text, wait_until
from worker.delivery import Reconciliation, State, reconcile
from worker.embedded import EmbeddedValkey, find_running
from worker.runtime import Core, open_core
from worker.sandbox.client import SandboxClient
from worker.sandbox.process import Sandbox
from worker.sandbox.record import read_record
from worker.sandbox.settings import DEFAULT_AUTHKEY
from worker.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def environ() -> dict[str, str]:
    """An environment without any configuration but a free port for the HTTP door."""
    return clean_environ(MSG91_DESTINATION_INTAKE_PORT="0")


@contextmanager
def up(folder: Path, environ: dict[str, str], *arguments: str) -> Iterator[Command]:
    """Everything up in a folder, and ready."""
    with Command("up", *arguments, environ=environ, folder=folder) as command:
        command.wait_for("ready; in another terminal:")
        yield command


@contextmanager
def opened(folder: Path) -> Iterator[Core]:
    """The store that runs on a folder's data."""
    url = find_running(folder / "data")
    assert url is not None
    core = open_core(Settings(), url, patience=20.0)
    try:
        yield core
    finally:
        core.store.client.close()


def look(folder: Path) -> Reconciliation:
    """The identity in a folder's data, when nothing runs there."""
    with EmbeddedValkey(folder / "data"), opened(folder) as core:
        return reconcile(core.store)


def write_events(folder: Path, events: list[dict[str, Any]]) -> str:
    """A file of events."""
    path = folder / "events.ndjson"
    path.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    return str(path)


def finished(core: Core, count: int) -> bool:
    """Whether that many deliveries have come to their end."""
    counts = reconcile(core.store).counts
    moving = counts.states[State.SENDING] + counts.states[State.SCHEDULED] + counts.events["queued"]
    return counts.created == count and not moving


def test_first_steps_work_as_they_are_printed(tmp_path: Path, environ: dict[str, str]) -> None:
    """What `up` prints to be typed in another terminal sends an event that MSG91 gets; Ctrl-C ends it all with 0."""
    with up(tmp_path, environ, "--sandbox", "--sandbox-port", "0") as command:
        lines = command.out.partition("in another terminal:\n")[2].splitlines()
        script = "\n".join([f'msg91-destination() {{ {sys.executable} -m worker.cli.main "$@"; }}', "set -e", *lines])
        typed = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert typed.returncode == 0, typed.stderr
        record = tmp_path / "data" / "sandbox-requests.ndjson"
        wait_until(lambda: list(read_record(record)), what="MSG91 has the message")
        (request,) = read_record(record)
        assert request["messages"] == [{"to": "919876543210", "text": "Your order is on its way"}]
        family = command.family()
        assert len(family) == 5, "store, its guard, sandbox, worker, door"
        command.signal(signal.SIGINT)
        assert command.wait() == 0
        wait_gone(family, seconds=2)
    assert "stopped; nothing is unfinished" in command.out
    assert "Traceback" not in command.err


def test_term_under_load_leaves_nothing_in_doubt_and_the_next_start_goes_on(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """TERM under load ends in good order; what was not sent yet is kept and sent once by the next start."""
    file = write_events(tmp_path, many(400))
    with up(tmp_path, environ, "--sandbox", "--sandbox-port", "0", "--processes", "2", "-c", "2") as command:
        url = re.search(r"the sandbox, (http://\S+)", command.out)
        assert url is not None
        SandboxClient(url[1]).add_faults("slow=400")
        assert run("send", "--batch-size", "20", file, environ=environ, folder=tmp_path).returncode == 0
        with opened(tmp_path) as core:
            wait_until(lambda: 0 < reconcile(core.store).counts.states[State.ACCEPTED] < 400, what="in the middle")
        command.signal(signal.SIGTERM)
        assert command.wait() == 0
        assert "unfinished wait in data for the next start" in command.out
    left = look(tmp_path)
    assert left.holds, left.problems
    assert left.counts.states[State.SENDING] == 0
    assert left.counts.states[State.IN_DOUBT] == 0
    with up(tmp_path, environ, "--sandbox", "--sandbox-port", "0") as command:
        with opened(tmp_path) as core:
            wait_until(lambda: finished(core, 400), what="all are sent")
        command.signal(signal.SIGTERM)
        assert command.wait() == 0
    sent = sends_by_text(read_record(tmp_path / "data" / "sandbox-requests.ndjson"))
    assert len(sent) == 400
    assert set(sent.values()) == {1}


def test_a_kill_leaves_nothing_running_and_nothing_in_doubt(tmp_path: Path, environ: dict[str, str]) -> None:
    """After kill -9 the workers finish their requests on a store that waits for them; then all of it ends."""
    file = write_events(tmp_path, many(200))
    with Sandbox(faults=["slow=400"]) as sandbox:
        known = {**environ, "MSG91_BASE_URL": sandbox.url, "MSG91_AUTHKEY": sandbox.authkey}
        with up(tmp_path, known, "-c", "4") as command:
            assert run("send", "--batch-size", "20", file, environ=environ, folder=tmp_path).returncode == 0
            with opened(tmp_path) as core:
                wait_until(lambda: reconcile(core.store).counts.states[State.SENDING] > 0, what="some are sent")
            family = command.family()
            command.signal(signal.SIGKILL)
            wait_gone(family, seconds=40)
        left = look(tmp_path)
        assert left.holds, left.problems
        assert left.counts.states[State.SENDING] == 0
        assert left.counts.states[State.IN_DOUBT] == 0
        with up(tmp_path, known) as command, opened(tmp_path) as core:
            wait_until(lambda: finished(core, 200), what="all are sent")
        assert set(sends_by_text(sandbox.requests()).values()) == {1}


def test_a_store_that_dies_is_started_again_on_its_data(tmp_path: Path, environ: dict[str, str]) -> None:
    """When the embedded store is killed, `up` starts it again and the workers go on."""
    with up(tmp_path, environ, "--sandbox", "--sandbox-port", "0") as command:
        store = orjson.loads((tmp_path / "data" / "valkey.json").read_bytes())["pid"]
        os.kill(store, signal.SIGKILL)
        command.wait_for("started again on its data")
        wait_until(lambda: find_running(tmp_path / "data"), what="the store answers")
        file = write_events(tmp_path, many(10))
        assert run("send", file, environ=environ, folder=tmp_path).returncode == 0
        with opened(tmp_path) as core:
            wait_until(lambda: finished(core, 10), what="all are sent")
        command.signal(signal.SIGTERM)
        assert command.wait() == 0


def test_a_second_one_on_the_same_data_says_who_has_it(tmp_path: Path, environ: dict[str, str]) -> None:
    """Two of them do not share a data directory: the second says so and exits 2, the first goes on."""
    with up(tmp_path, environ, "--sandbox", "--sandbox-port", "0") as command:
        second = run("up", "--sandbox", "--sandbox-port", "0", environ=environ, folder=tmp_path)
        assert second.returncode == 2
        assert f"another process (id {command.process.pid}) already runs the server" in second.stderr
        assert command.process.poll() is None


def test_a_named_store_is_used_and_left_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    """With REDIS_URL nothing is stored here, and the store outlives the command."""
    with EmbeddedValkey() as valkey:
        known = {**environ, "REDIS_URL": valkey.url}
        with up(tmp_path, known, "--sandbox", "--sandbox-port", "0") as command:
            file = write_events(tmp_path, many(3))
            assert run("send", file, environ=known, folder=tmp_path).returncode == 0
            core = open_core(Settings(), valkey.url)
            wait_until(lambda: finished(core, 3), what="all are sent")
            command.signal(signal.SIGTERM)
            assert command.wait() == 0
        assert valkey.is_running()
        assert not (tmp_path / "data" / "appendonlydir").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("base_url: https://control.msg91.com", "has a base_url of its own"),
        ("", "is not the sandbox's"),
    ],
)
def test_the_sandbox_never_lets_a_real_destination_through(
    tmp_path: Path, environ: dict[str, str], text: str, complaint: str
) -> None:
    """With --sandbox, a destination that would send elsewhere or with a real key stops the start."""
    key = DEFAULT_AUTHKEY if text else "a-real-authkey-of-somebody"
    lines = ["destinations:", "  - name: shop", f"    authkey: {key}", f"    {text}"]
    (tmp_path / "destinations.yaml").write_text("\n".join(lines), encoding="utf-8")
    refused = run("up", "--sandbox", environ=environ, folder=tmp_path)
    assert refused.returncode == 2
    assert complaint in refused.stderr
    assert key not in refused.stderr or key == DEFAULT_AUTHKEY
    assert not (tmp_path / "data").exists()


def test_without_a_destination_it_says_what_to_do(tmp_path: Path, environ: dict[str, str]) -> None:
    """With no configuration at all the error names both ways on, and nothing is started."""
    refused = run("up", environ=environ, folder=tmp_path)
    assert refused.returncode == 2
    assert "MSG91_AUTHKEY" in refused.stderr
    assert "up --sandbox" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_taken_sandbox_port_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    """A port that somebody else has is an error that says so; the store that was started ends again."""
    with Sandbox() as sandbox:
        refused = run("up", "--sandbox", "--sandbox-port", str(sandbox.port), environ=environ, folder=tmp_path)
    assert refused.returncode == 2
    assert "--sandbox-port" in refused.stderr
    assert find_running(tmp_path / "data") is None


def test_a_second_signal_does_not_wait_for_answers(tmp_path: Path, environ: dict[str, str]) -> None:
    """The second Ctrl-C ends everything though a request hangs; it says what is in doubt and exits 1."""
    with Sandbox(faults=["hang-after=30"]) as sandbox:
        known = {**environ, "MSG91_BASE_URL": sandbox.url, "MSG91_AUTHKEY": sandbox.authkey}
        with up(tmp_path, known) as command:
            assert run("send", write_events(tmp_path, many(1)), environ=environ, folder=tmp_path).returncode == 0
            with opened(tmp_path) as core:
                wait_until(lambda: reconcile(core.store).counts.states[State.SENDING] == 1, what="a request hangs")
            family = command.family()
            command.signal(signal.SIGINT)
            command.wait_for("Ctrl-C again: at once")
            command.signal(signal.SIGINT)
            assert command.wait(15) == 1
            wait_gone(family, seconds=2)
        assert "1 in doubt" in command.out
    states = look(tmp_path).counts.states
    assert (states[State.SENDING], states[State.IN_DOUBT]) == (0, 1)


def test_a_store_that_cannot_come_back_ends_it(tmp_path: Path, environ: dict[str, str]) -> None:
    """When the store dies and its data is damaged, the error says what to do, everything ends, exit code 1."""
    known = {**environ, "MSG91_DESTINATION_SHUTDOWN_GRACE": "1"}
    with up(tmp_path, known, "--sandbox", "--sandbox-port", "0") as command:
        family = command.family()
        (manifest,) = (tmp_path / "data" / "appendonlydir").glob("*.manifest")
        manifest.write_text("this is no manifest\n", encoding="utf-8")
        store = orjson.loads((tmp_path / "data" / "valkey.json").read_bytes())["pid"]
        os.kill(store, signal.SIGKILL)
        assert command.wait() == 1
        wait_gone(family, seconds=5)
    assert "error: the embedded Valkey did not start" in command.err
    assert "Traceback" not in command.err


def test_data_of_a_newer_version_is_not_touched(tmp_path: Path, environ: dict[str, str]) -> None:
    """A store that a newer version has written is left alone: one clean error, exit code 2, nothing running."""
    with EmbeddedValkey(tmp_path / "data"), opened(tmp_path) as core:
        core.store.client.hset(core.store.keys.meta, "format", "99")
    refused = run("up", "--sandbox", "--sandbox-port", "0", environ=environ, folder=tmp_path)
    assert refused.returncode == 2
    assert "run the newer version" in refused.stderr
    assert find_running(tmp_path / "data") is None
