"""``msg91-destination intake``, and the HTTP door that ``up`` starts."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.commands import Command, clean_environ, run
from tests.intake import WRITE_KEY, basic
from tests.system import System, sms, wait_until
from worker.sandbox.record import read_record

pytestmark = pytest.mark.integration

NUMBER = 919000000000


def test_up_takes_events_over_http(tmp_path: Path) -> None:
    """With nothing configured `up` makes a write key, readable by its owner alone, and takes events with it."""
    environ = clean_environ()
    with Command(
        "up", "--sandbox", "--sandbox-port", "0", "--intake-port", "0", environ=environ, folder=tmp_path
    ) as command:
        command.wait_for("ready; in another terminal:")
        url = re.search(r"http\s+(http://\S+), with the write key in (\S+)", command.out)
        assert url is not None
        path = tmp_path / url[2]
        assert path.stat().st_mode & 0o777 == 0o600
        headers = {"authorization": basic(path.read_text().strip())}
        with httpx.Client(base_url=url[1], headers=headers, trust_env=False) as client:
            assert client.post("/v1/track", json=sms(NUMBER, "by http", "by http")).status_code == 200
            assert client.get("/readyz").status_code == 200
        record = tmp_path / "data" / "sandbox-requests.ndjson"
        wait_until(lambda: any("by http" in str(one) for one in read_record(record)), what="MSG91 has the message")
        command.signal(signal.SIGTERM)
        assert command.wait() == 0
    assert "Traceback" not in command.err


def test_taken_port_is_named(tmp_path: Path) -> None:
    """A port that something else has ends both commands with one message and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        refused = run("up", "--sandbox", "--intake-port", port, environ=clean_environ(), folder=tmp_path)
        assert refused.returncode == 2
        assert f"port {port}" in refused.stderr
        assert "--intake-port" in refused.stderr
        environ = clean_environ(REDIS_URL="redis://127.0.0.1:1/0", MSG91_AUTHKEY="k" * 24)
        refused = run("intake", "--port", port, environ=environ, folder=tmp_path)
        assert refused.returncode == 2
        assert f"port {port}" in refused.stderr


def test_command_serves_with_several_processes(tmp_path: Path) -> None:
    """`intake` serves on one port with all its processes, and ends in good order."""
    with System(workers=0, destination={"write_keys": [WRITE_KEY]}) as system:
        arguments = ("intake", "--port", "0", "--processes", "2")
        with Command(*arguments, environ=system.environ, folder=tmp_path) as command:
            found = wait_until(lambda: re.search(r"listening on (http://\S+) for msg91", command.err))
            wait_until(lambda: command.err.count("Application startup complete") == 2, what="both processes serve")
            for number in range(20):
                event = {**sms(NUMBER + number, f"event {number}"), "writeKey": WRITE_KEY}
                assert httpx.post(f"{found[1]}/v1/track", json=event, trust_env=False).status_code == 200
            command.signal(signal.SIGTERM)
            assert command.wait() == 0
        assert system.reconcile().counts.events["received"] == 20


def test_command_without_store_says_so(tmp_path: Path) -> None:
    """Without REDIS_URL it says what to do."""
    refused = run("intake", environ=clean_environ(MSG91_AUTHKEY="k" * 24), folder=tmp_path)
    assert refused.returncode == 2
    assert "REDIS_URL" in refused.stderr


def test_store_that_is_away_ends_the_start(tmp_path: Path) -> None:
    """A store that does not answer at the start ends the command with 2, not with a loop."""
    environ = clean_environ(REDIS_URL="redis://127.0.0.1:1/0", MSG91_AUTHKEY="k" * 24)
    refused = run("intake", "--port", "0", environ=environ, folder=tmp_path)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
