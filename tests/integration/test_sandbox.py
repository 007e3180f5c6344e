"""The sandbox as a real process on a real socket: faults on the wire, kills, and its commands."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from worker.cli.sandbox import app
from worker.sandbox.client import SandboxClient
from worker.sandbox.errors import FaultError, SandboxStartError, SandboxUnreachableError
from worker.sandbox.process import Sandbox
from worker.sandbox.record import duplicates, sends

pytestmark = pytest.mark.integration

SENDSMS = "/api/v2/sendsms"
LIMIT = 20.0  # seconds until a condition must have come true


def body(number: int | str = 1, text: str = "Hello") -> dict[str, Any]:
    """Build a good ``sendsms`` body."""
    to = number if isinstance(number, str) else f"9198{number:08d}"
    return {"sender": "SEGMNT", "route": "4", "country": "91", "sms": [{"message": text, "to": [to]}]}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Start a sandbox that takes the same request again."""
    with Sandbox(record=tmp_path / "record.ndjson", duplicate_window=0) as running:
        yield running


@pytest.fixture
def post(sandbox: Sandbox) -> Iterator[Callable[..., httpx.Response]]:
    """Give a function that sends one SMS to the sandbox."""
    with httpx.Client(base_url=sandbox.url, headers={"authkey": sandbox.authkey}, timeout=LIMIT) as client:

        def send(number: int | str = 1, text: str = "Hello", **how: Any) -> httpx.Response:
            return client.post(SENDSMS, json=body(number, text), **how)

        yield send


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    limit = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < limit, "the condition never came true"
        threading.Event().wait(0.01)


Post = Callable[..., httpx.Response]


def test_a_message_is_taken_and_recorded(sandbox: Sandbox, post: Post) -> None:
    """A good request over HTTP is answered with its id, and the record has it without the key."""
    answer = post()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=UTF-8")
    (line,) = sandbox.requests()
    assert line["request_id"] == answer.json()["message"]
    assert line["headers"]["authkey"] == "***"
    assert sandbox.authkey not in sandbox.record.read_text()


def test_one_connection_carries_many_requests(sandbox: Sandbox) -> None:
    """Requests that come ahead of their turn on one connection are answered in order."""
    data = orjson.dumps(body())
    head = f"POST {SENDSMS} HTTP/1.1\r\nHost: x\r\nauthkey: {sandbox.authkey}\r\nContent-Length: {len(data)}\r\n\r\n"
    sandbox.fault("slow=20")
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=LIMIT) as connection:
        connection.sendall((head.encode() + data) * 3)
        answers = b""
        while answers.count(b"success") < 3:
            answers += connection.recv(4096)
    ids = [part.split(b'"')[0].decode() for part in answers.split(b'"message":"')[1:]]
    assert ids == [line["request_id"] for line in sandbox.requests()]


def test_a_client_that_asks_first_may_go_on(sandbox: Sandbox) -> None:
    """Expect: 100-continue is answered before the body comes."""
    data = orjson.dumps(body())
    head = (
        f"POST {SENDSMS} HTTP/1.1\r\nHost: x\r\nauthkey: {sandbox.authkey}\r\nExpect: 100-continue\r\n"
        f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=LIMIT) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(data)
        assert b"success" in b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"this is no HTTP\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 17_000_000, b"413"),
    ],
)
def test_what_is_no_request_is_refused_and_not_recorded(sandbox: Sandbox, sent: bytes, status: bytes) -> None:
    """Garbage and a body without measure get an error and the end of their connection; others go on."""
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=LIMIT) as connection:
        try:
            connection.sendall(sent)
            answer = connection.recv(4096)
        except ConnectionError:  # closed while we still sent: its answer may be lost with it
            answer = b"HTTP/1.1 " + status
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert sandbox.requests() == []
    assert sandbox.stats()["requests"] == 0


def test_a_request_without_body_for_its_answer(sandbox: Sandbox) -> None:
    """HEAD gets the head of the answer alone, and the connection lives on."""
    with httpx.Client(base_url=sandbox.url) as client:
        assert client.head("/nothing").status_code == 404
        assert client.get("/nothing").json() == {"type": "error", "msg": "Route Missing"}


@pytest.mark.parametrize(
    ("fault", "taken", "error"),
    [
        ("close-before", False, httpx.RemoteProtocolError),
        ("close-after", True, httpx.RemoteProtocolError),
        ("close-before,reset", False, httpx.ReadError),
        ("close-after,reset", True, httpx.ReadError),
        ("half-answer", True, httpx.RemoteProtocolError),
        ("hang-before=30", False, httpx.ReadTimeout),
        ("hang-after=30", True, httpx.ReadTimeout),
        ("hang-before=0.01", False, httpx.RemoteProtocolError),
    ],
)
def test_a_fault_breaks_the_connection_where_it_says(
    sandbox: Sandbox, post: Post, fault: str, *, taken: bool, error: type[Exception]
) -> None:
    """The client sees the end, the reset or the silence; the record knows whether the message went out."""
    sandbox.fault(f"{fault},count=1")
    with pytest.raises(error):
        post(timeout=httpx.Timeout(LIMIT, read=0.3))
    assert post().json()["type"] == "success"
    assert [line["taken"] for line in sandbox.requests()] == [taken, True]
    assert len(duplicates(sandbox.requests())) == int(taken)


def test_a_late_answer_still_comes(sandbox: Sandbox, post: Post) -> None:
    """A client with patience gets the answer of a hang after its time, and one of a slow drip byte by byte."""
    sandbox.fault("hang-after=0.05,count=1", "drip=0.1,count=2")
    assert post().json()["type"] == "success"
    assert post().json()["type"] == "success"


def test_latency_is_waited_out_by_many_at_once(sandbox: Sandbox) -> None:
    """Slow answers do not wait for each other: the most at once shows in the counts."""
    sandbox.fault("hang-after=30,count=20")
    sockets = []
    data = orjson.dumps(body())
    head = f"POST {SENDSMS} HTTP/1.1\r\nHost: x\r\nauthkey: {sandbox.authkey}\r\nContent-Length: {len(data)}\r\n\r\n"
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=LIMIT)
        connection.sendall(head.encode() + data)
        sockets.append(connection)
    until(lambda: sandbox.stats()["max_in_flight"] == 20)
    for connection in sockets:
        connection.close()
    until(lambda: sandbox.stats()["in_flight"] == 0)


def test_a_rate_is_kept_and_told(sandbox: Sandbox, post: Post) -> None:
    """Beyond the rate the answer is 429 with Retry-After, and nothing is taken."""
    sandbox.fault("rate=2/min")
    answers = [post(number) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert len(sends(sandbox.requests())) == 2


def test_faults_with_chances_mix(sandbox: Sandbox, post: Post) -> None:
    """With several faults at once every request is on record, taken or not, under what hit it."""
    sandbox.fault("close-before,p=0.2,seed=1", "close-after,p=0.2,seed=2", "503,p=0.2,seed=3", "slow=0-2")
    answered = 0
    for number in range(200):
        try:
            answered += post(number).status_code == 200
        except httpx.TransportError:
            continue
    lines = sandbox.requests()
    hit = {"close-before": 0, "close-after": 0, "503": 0, "": 0}
    for line in lines:
        ending = next((fault.split(",")[0] for fault in line["faults"] if not fault.startswith("slow")), "")
        hit[ending] += 1
        assert line["taken"] == (ending in {"close-after", ""})
    assert len(lines) == 200
    assert answered == hit[""]
    assert min(hit.values()) > 10
    assert sandbox.stats()["faults"]["503,p=0.2,seed=3"] == hit["503"]


def test_a_kill_leaves_a_true_record(sandbox: Sandbox) -> None:
    """Whatever was answered when SIGKILL came is on record as taken, once; no line stands for a request never sent."""
    answered: list[str] = []
    asked: list[str] = []

    def send(worker: int) -> None:
        with httpx.Client(base_url=sandbox.url, headers={"authkey": sandbox.authkey}) as client:
            for number in range(100_000):
                text = f"{worker}-{number}"
                asked.append(text)
                try:
                    client.post(SENDSMS, json=body(1, text)).raise_for_status()
                except httpx.TransportError:
                    return
                answered.append(text)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(send, worker) for worker in range(4)]
        until(lambda: len(answered) > 200)
        sandbox.kill()
        for one in running:
            one.result()
    sent = sends(sandbox.requests())
    assert set(sent.values()) == {1}
    assert set(answered) <= {text for _, text in sent} <= set(asked)


def test_a_restart_keeps_address_record_and_contacts(sandbox: Sandbox) -> None:
    """After a kill the same address answers again, knows its contacts, and counts repeats across the kill."""
    contacts = "/api/v5/segmento/api/v1/phonebooks/7/contacts"
    events = "/api/v5/segmento/api/v1/phonebooks/7/events"
    event = {"event_name": "order-placed", "visitor_id": "u-1", "event_properties": {}}
    url, headers = sandbox.url, {"authkey": sandbox.authkey}
    httpx.post(url + contacts, json={"input": {"contact_id": "u-1"}}, headers=headers)
    httpx.post(url + events, json={"data": [event]}, headers=headers)
    sandbox.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert sandbox.restart().url == url
    httpx.post(url + events, json={"data": [event]}, headers=headers)
    stats = sandbox.stats()
    assert (stats["failed_events"], stats["duplicates"]) == (0, 1)
    assert len(sandbox.requests()) == 3


def test_a_sandbox_dies_with_the_process_that_started_it() -> None:
    """SIGKILL of the starter ends the sandbox too, even where a fork of the starter holds on to its pipe."""
    script = (
        "import os, sys, time\n"
        "from worker.sandbox.process import Sandbox\n"
        "sandbox = Sandbox().start()\n"
        "child = os.fork()\n"
        "if child: print(sandbox.port, child, flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    port, fork = map(int, starter.stdout.readline().split())
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
            starter.kill()
            starter.wait()
            assert connection.recv(1) == b""
    finally:
        os.kill(fork, signal.SIGKILL)
        starter.stdout.close()


def test_a_sandbox_that_cannot_start_says_why(sandbox: Sandbox) -> None:
    """A taken port and an unreadable fault are errors with their reason."""
    with pytest.raises(SandboxStartError, match="address already in use"):
        Sandbox(port=sandbox.port).start()
    with pytest.raises(SandboxStartError, match="oops"):
        Sandbox(faults=["oops"]).start()


def test_the_helper_steers_its_sandbox(sandbox: Sandbox) -> None:
    """Faults are added, listed and cleared through it; a wrong one is an error of ours."""
    sandbox.fault("503", "slow=1")
    assert [one["fault"] for one in sandbox.faults()] == ["503", "slow=1"]
    with pytest.raises(FaultError, match="did you mean 'close-after'"):
        sandbox.fault("502", "close-aftr")
    sandbox.clear_faults()
    assert sandbox.faults() == []


def test_a_client_finds_no_sandbox_where_there_is_none(sandbox: Sandbox) -> None:
    """A closed port, an address that is none, and another server are each told apart from a sandbox."""
    sandbox.kill()
    for url in (sandbox.url, "ftp://127.0.0.1", "nonsense"):
        with pytest.raises(SandboxUnreachableError, match=url):
            SandboxClient(url).stats()


def run(*arguments: str) -> tuple[int, str]:
    """Run ``sandbox …`` and give its exit code and everything it printed."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_faults_by_command(sandbox: Sandbox, post: Post) -> None:
    """The short form adds; list shows what hit; clear takes away one or all."""
    url = ("--url", sandbox.url)
    assert run("fault", "503,count=1", "slow=1", *url) == (0, "fault 1: 503,count=1\nfault 2: slow=1\n")
    assert post().status_code == 503
    assert run("fault", "list", *url)[1].splitlines()[1:] == ["1\t503,count=1\t1\t0", "2\tslow=1\t1\t"]
    assert run("fault", "clear", "2", *url) == (0, "1 fault cleared\n")
    assert run("fault", "add", "502", "--json", *url)[1].count('"fault": "502"') == 1
    assert run("fault", "clear", *url) == (0, "2 faults cleared\n")
    assert run("fault", "list", *url) == (0, "no faults\n")
    assert orjson.loads(run("fault", "list", "--json", *url)[1]) == []
    assert orjson.loads(run("fault", "clear", "--json", *url)[1]) == {"cleared": 0}


def test_requests_by_command(sandbox: Sandbox, post: Post, tmp_path: Path) -> None:
    """The last requests are shown with their numbers hidden, from a running sandbox or from its record."""
    url = ("--url", sandbox.url)
    assert run("requests", *url) == (0, "no requests yet\n")
    post("919812345678")
    post("12025550102")
    code, printed = run("requests", "--last", "2", *url)
    assert code == 0
    first, second = (row.split("\t") for row in printed.splitlines()[1:])
    assert first[1:6] == ["sms", "1", "91*******678", "yes", "200"]
    assert second[3:] == ["12******102", "no", "200", "202", "code=202"]
    assert "919812345678" not in run("requests", "--json", *url)[1]
    assert run("requests", "--last", "2", "--record", str(sandbox.record))[1] == printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fault", "cloze-after"], "did you mean 'close-after'"),
        (["--fault", "cloze-after"], "did you mean 'close-after'"),
        (["--latency", "fast"], "milliseconds"),
        (["--rate", "fast"], "rate=50/s"),
        (["--host", "256.0.0.1"], "cannot start"),
        (["fault", "503", "--url", "http://127.0.0.1:1"], "no sandbox answers at http://127.0.0.1:1"),
        (["requests", "--url", "nonsense"], "no address of a sandbox"),
        (["requests", "--record", "/nowhere/r"], "does not exist"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(arguments: list[str], words: str) -> None:
    """One clean message, exit code 2, no traceback."""
    code, printed = run(*arguments)
    assert code == 2
    assert words in " ".join(printed.split())
    assert "Traceback" not in printed


def test_the_help_teaches_with_examples() -> None:
    """Every kind of fault and a first command stand in the help."""
    assert "msg91-destination sandbox --record" in run("--help")[1]
    code, printed = run("fault", "--help")
    assert code == 0
    for word in ("msg91-destination sandbox fault 503,p=0.1", "close-after", "retry-after-date=5", "drip=20"):
        assert word in printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """It prints where it is, serves with the faults it was given, and stops cleanly with its counts."""
    record = tmp_path / "record.ndjson"
    program = "from worker.cli.sandbox import app; app()"
    arguments = ["--port", "0", "--record", str(record), "--fault", "503,count=1", "--latency", "1-2", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        printed = b""
        while not printed.rstrip().endswith(b"}"):
            printed += server.stdout.readline()
        about = orjson.loads(printed)
        assert about["faults"] == ["503,count=1", "slow=1-2"]
        headers = {"authkey": about["authkeys"][0]}
        statuses = [httpx.post(about["url"] + SENDSMS, json=body(), headers=headers).status_code for _ in range(2)]
        server.send_signal(number)
        rest, errors = server.communicate(timeout=LIMIT)
    assert (server.returncode, errors) == (0, b"")
    assert statuses == [503, 200]
    assert orjson.loads(rest)["taken"] == 1
    assert len(record.read_bytes().splitlines()) == 2


def test_a_sandbox_beyond_this_machine_has_a_token(tmp_path: Path) -> None:
    """On all addresses it prints a token of its own, and control calls without it are refused."""
    program = "from worker.cli.sandbox import app; app()"
    arguments = ["--port", "0", "--host", "0.0.0.0", "--record", str(tmp_path / "r")]
    environment = {name: value for name, value in os.environ.items() if name != "MSG91_SANDBOX_TOKEN"}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(4)]
        port = int(lines[0].split(":")[2].split()[0])
        token = lines[3].split()[1]
        url = f"http://127.0.0.1:{port}"
        assert run("fault", "list", "--url", url, "--token", token) == (0, "no faults\n")
        code, printed = run("fault", "list", "--url", url)
        server.send_signal(signal.SIGINT)
        assert server.wait(LIMIT) == 0
    assert (code, "403" in printed) == (2, True)
