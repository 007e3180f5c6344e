"""`send`, `explain` and `deliveries` as processes of their own, with real workers and the sandbox at the other end."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.commands import run
from tests.system import System, many, sends_by_text, sms, wait_until
from worker.delivery import read_counts

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Valkey, the sandbox and one worker."""
    with System() as made:
        yield made


def write(path: Path, *lines: Any) -> str:
    """Write an NDJSON file; gives its name."""
    path.write_bytes(b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in lines))
    return str(path)


def start(system: System, *arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start `send` with a standard input that the test writes to."""
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli.main", "send", *arguments, "-"],
        cwd=folder,
        env=system.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_file_goes_out_once_and_its_end_is_told(system: System, tmp_path: Path) -> None:
    """Good events reach MSG91, bad ones are named, and what became of all is printed; again, nothing goes out."""
    events = many(700, prefix="file-")
    name = write(tmp_path / "events.ndjson", *events, b"nope", sms("12345", "file-bad"), {"type": "group"}, events[0])
    result = run("send", "--wait", name, environ=system.environ, folder=tmp_path)
    assert result.returncode == 1, result.stderr
    assert f"{name}:701: not JSON" in result.stderr
    assert "703 events accepted, 1 refused" in result.stdout
    assert "accepted\tmsg91\ttrack\t\t700" in result.stdout
    assert "rejected\tmsg91\ttrack\tinvalid: phone\t1" in result.stdout
    assert "701 became deliveries, 1 came before under the same messageId, 1 fit no mapping" in result.stdout
    sent = sends_by_text(system.sandbox.requests())
    assert {sent[str(one["properties"]["phone"]), one["properties"]["message"]] for one in events} == {1}
    again = run("send", "--wait", "--json", name, environ=system.environ, folder=tmp_path)
    assert orjson.loads(again.stdout)["deliveries"]["events"]["duplicate"] == 702
    assert sends_by_text(system.sandbox.requests()) == sent
    assert system.reconcile().holds


def test_explain_foretells_the_request(system: System, tmp_path: Path) -> None:
    """What `explain` shows is what the sandbox then receives, but for the id that each request has of its own."""
    name = write(tmp_path / "events.ndjson", sms("+91 98765 43210", "foretold", "Grüße ✓"))
    told = run("explain", "--json", "--show-numbers", name, environ=system.environ, folder=tmp_path)
    (event,) = orjson.loads(told.stdout)
    (request,) = (one["request"] for one in event["destinations"][0]["mappings"] if one["request"])
    assert run("send", "--wait", name, environ=system.environ, folder=tmp_path).returncode == 0
    received = system.sandbox.requests()[-1]
    assert f"{system.sandbox.url}{received['path']}" == request["url"]
    body = received["body"]
    assert {**request["body"], "CRQID": body["CRQID"]} == body


def test_the_life_of_a_message_is_found(system: System, tmp_path: Path) -> None:
    """`deliveries show` tells MSG91's request id of what was sent, also where nothing is configured."""
    name = write(tmp_path / "events.ndjson", sms("919876543211", "lived"))
    assert run("send", "--wait", name, environ=system.environ, folder=tmp_path).returncode == 0
    bare = {name: value for name, value in system.environ.items() if name not in {"DESTINATIONS_FILE", "MSG91_AUTHKEY"}}
    for environ in (system.environ, bare):
        result = run("deliveries", "show", "--json", "lived", environ=environ, folder=tmp_path)
        (found,) = orjson.loads(result.stdout)
        assert (found["state"], found["request_id"]) == ("accepted", system.sandbox.requests()[-1]["request_id"])
    listed = run("deliveries", "--limit", "5", environ=system.environ, folder=tmp_path)
    assert "lived\ttrack\tmsg91\tsend_sms" in listed.stdout
    assert "9876543211" not in listed.stdout + result.stdout


def test_the_running_server_of_a_data_directory_is_found(system: System, tmp_path: Path) -> None:
    """Without REDIS_URL the command uses the server that runs on the data directory, and leaves it running."""
    environ = {name: value for name, value in system.environ.items() if name != "REDIS_URL"}
    name = write(tmp_path / "events.ndjson", sms("919876543212", "by-directory"))
    result = run("send", "--wait", "--data-dir", str(system.folder / "store"), name, environ=environ, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert system.valkey.is_running()


def test_a_slow_pipe_is_not_waited_for(system: System, tmp_path: Path) -> None:
    """What a producer has written goes out while it is silent, not only when it ends."""
    process = start(system, folder=tmp_path)
    assert process.stdin is not None
    with process:
        process.stdin.write(orjson.dumps(sms("919876543213", "slow", "slow text")) + b"\n")
        process.stdin.flush()
        wait_until(lambda: ("919876543213", "slow text") in sends_by_text(system.sandbox.requests()))
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(30) == 0


def test_an_interrupt_leaves_an_exact_account(system: System, tmp_path: Path) -> None:
    """Ctrl-C: exit 130, and the command says exactly up to which line everything was accepted."""
    before = read_counts(system.core.store).events["received"]
    process = start(system, "--batch-size", "10", folder=tmp_path)
    assert process.stdin is not None
    lines = [orjson.dumps(one) + b"\n" for one in many(25, prefix="cut-")]
    process.stdin.write(b"".join(lines))
    process.stdin.flush()
    wait_until(lambda: read_counts(system.core.store).events["received"] == before + 25)
    process.stdin.write(lines[0])
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    accepted = read_counts(system.core.store).events["received"] - before
    assert process.returncode == 130
    assert f"{accepted} events accepted".encode() in out
    assert f"events up to line {accepted} were accepted, and none after it".encode() in err
    assert b"Traceback" not in err


def test_events_wait_for_the_first_worker(tmp_path: Path) -> None:
    """Without a worker `send` is content and says so; the first worker that starts sends them, each once."""
    with System(workers=0) as system:
        name = write(tmp_path / "events.json", b"[" + b",".join(orjson.dumps(one) for one in many(120)) + b"]")
        result = run("send", "--batch-size", "50", name, environ=system.environ, folder=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "no worker has taken them yet" in result.stdout
        system.start_worker()
        assert system.wait_settled() == {"accepted": 120}
        assert set(sends_by_text(system.sandbox.requests()).values()) == {1}


def test_a_store_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    """A server that is killed and restarted in mid-run costs patience and nothing else: every event once."""
    with System(workers=0) as system:
        process = start(system, "--batch-size", "5", "--json", folder=tmp_path)
        assert process.stdin is not None
        lines = [orjson.dumps(one) + b"\n" for one in many(40)]
        process.stdin.write(b"".join(lines[:20]))
        process.stdin.flush()
        wait_until(lambda: read_counts(system.core.store).events["received"] == 20)
        system.valkey.kill()
        process.stdin.write(b"".join(lines[20:]))
        process.stdin.close()
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), True)
        assert b"the store is away" in process.stderr.readline()
        system.valkey.restart()
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert orjson.loads(process.stdout.read())["accepted"] == 40
        process.stdout.close()
        process.stderr.close()
        assert read_counts(system.core.store).events["received"] == 40


@pytest.mark.parametrize("kind", ["ndjson", "csv.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    """A file forty times as long takes no more memory, whatever its format, also when every event is followed."""

    def write_lines(path: Path, count: int) -> None:
        with gzip.open(path, "wb", compresslevel=1) if kind == "csv.gz" else path.open("wb") as file:
            if kind == "csv.gz":
                file.write(b"type,event,messageId,phone,message,n:number\n")
            for number in range(count):
                if kind == "csv.gz":
                    bad = b"x" if number % 100 == 99 else b"1"
                    file.write(b'track,x,m%d,%d,"%b",%b\n' % (number, 919000000000 + number, b"x" * 100, bad))
                else:
                    file.write(orjson.dumps(sms(919000000000 + number, f"m{number}", "x" * 100)) + b"\n")

    def peak(count: int) -> int:
        with System(workers=0) as system:
            path = tmp_path / f"{count}.{kind}"
            write_lines(path, count)
            options = ["--wait", "--timeout", "0", "--refused", str(tmp_path / f"{count}.refused")]
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli.main", "send", *options, str(path)],
                cwd=tmp_path,
                env=system.environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = 0
            bad = count // 100 if kind == "csv.gz" else 0
            assert read_counts(system.core.store).events["received"] == count - bad
            return used.ru_maxrss

    assert peak(40_000) < peak(1_000) + 4_000
