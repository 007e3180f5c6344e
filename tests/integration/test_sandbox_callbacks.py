"""The sandbox posts delivery reports to a real HTTP receiver of the test's own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from tests.commands import Command, clean_environ
from tests.commands import run as run_command
from tests.system import wait_until
from worker.cli.sandbox import app
from worker.cli.sandbox_callbacks import callbacks_with_door
from worker.destinations import load_destinations
from worker.sandbox.callbacks.settings import SECRET_VARIABLE
from worker.sandbox.process import Sandbox
from worker.sandbox.record import duplicates, read_record
from worker.settings import load_settings

pytestmark = pytest.mark.integration

SECRET = "s3cret-of-the-test"
A, B = "919812345678", "919812345679"


@dataclass
class Received:
    """One call that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """What it says."""
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """A small HTTP server that keeps what it is sent, and answers as it is told."""

    calls: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # statuses of the next answers; then 200
    may_answer: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    kept = Receiver()
    kept.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.calls.append(Received(self.path, headers, body))
            status = kept.answers.pop(0) if kept.answers else 200
            kept.may_answer.wait(30)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hooks"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        kept.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()


Start = Callable[..., Sandbox]


@pytest.fixture
def start(tmp_path: Path, receiver: Receiver) -> Iterator[Start]:
    """Start a sandbox that calls back to the receiver, in no time unless told otherwise."""
    running: list[Sandbox] = []

    def begin(*settings: str, to: str = "") -> Sandbox:
        callbacks = [f"to={to or receiver.url}", "delay=0", "retry-after=0.02", *settings]
        sandbox = Sandbox(
            record=tmp_path / "record.ndjson", duplicate_window=0, callbacks=callbacks, callback_secret=SECRET
        )
        running.append(sandbox)
        return sandbox.start()

    yield begin
    for sandbox in running:
        sandbox.stop()


def post(sandbox: Sandbox, *numbers: str, crqid: str = "tok") -> str:
    """Send one SMS to these numbers and give the request id."""
    body = {
        "sender": "SEGMNT",
        "route": "4",
        "country": "91",
        "CRQID": crqid,
        "sms": [{"message": "Hello", "to": list(numbers or (A,))}],
    }
    answer = httpx.post(f"{sandbox.url}/api/v2/sendsms", json=body, headers={"authkey": sandbox.authkey}, timeout=20)
    return str(answer.json()["message"])


def whatsapp(sandbox: Sandbox) -> None:
    """Send one WhatsApp template."""
    template = {
        "name": "order_shipped",
        "language": {"code": "en"},
        "to_and_components": [{"to": [A], "components": {"body_1": {"type": "text", "value": "Ada"}}}],
    }
    body = {
        "integrated_number": "918888888888",
        "content_type": "template",
        "CRQID": "wa",
        "payload": {"type": "template", "template": template},
    }
    url = f"{sandbox.url}/api/v5/whatsapp/whatsapp-outbound-message/bulk/"
    assert httpx.post(url, json=body, headers={"authkey": sandbox.authkey}, timeout=20).json()["status"] == "success"


def lines(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    """The lines of one kind on record."""
    return [line for line in sandbox.requests() if line["kind"] == kind]


def test_every_message_is_reported_with_the_secret_and_on_record(start: Start, receiver: Receiver) -> None:
    """Each number has its report; the record has them too, without the secret, and counts no send twice."""
    sandbox = start()
    request_id = post(sandbox, A, B)
    wait_until(lambda: len(receiver.calls) == 2, what="two reports")
    assert {call.document["number"] for call in receiver.calls} == {A, B}
    for call in receiver.calls:
        assert (urlsplit(call.path).path, call.headers["x-webhook-secret"]) == ("/hooks/sms", SECRET)
        assert (call.document["requestId"], call.document["CRQID"]) == (request_id, "tok")
    recorded = lines(sandbox, "report")
    assert {line["body"]["number"] for line in recorded} == {A, B}
    assert {line["headers"]["x-webhook-secret"] for line in recorded} == {"***"}
    assert SECRET not in sandbox.record.read_text()
    assert duplicates(sandbox.requests()) == {}
    assert sandbox.stats()["taken"] == 2


def test_a_secret_in_the_query_is_on_no_record(start: Start, receiver: Receiver) -> None:
    """`?token=` brings it where the receiver reads it there; a form is a form."""
    sandbox = start("secret-in=query", "format=v2")
    post(sandbox)
    wait_until(lambda: receiver.calls, what="a report")
    (call,) = receiver.calls
    assert parse_qs(urlsplit(call.path).query) == {"token": [SECRET]}
    assert "x-webhook-secret" not in call.headers
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    (data,) = parse_qs(call.body.decode())["data"]
    assert json.loads(data)[0]["report"][0]["number"] == A
    (line,) = lines(sandbox, "report")
    assert line["query"] == {"token": "***"}
    assert SECRET not in sandbox.record.read_text()


@pytest.mark.parametrize(
    ("setting", "order"),
    [("disorder=0", ["sent", "delivered", "read"]), ("disorder=1", ["read", "delivered", "sent"])],
)
def test_whatsapp_reports_come_in_order_unless_told_otherwise(
    start: Start, receiver: Receiver, setting: str, order: list[str]
) -> None:
    """Sent, delivered, read; or the other way round."""
    whatsapp(start(setting))
    wait_until(lambda: len(receiver.calls) == 3, what="three reports")
    assert [call.document["eventName"] for call in receiver.calls] == order
    assert {(urlsplit(call.path).path, call.document["crqid"]) for call in receiver.calls} == {
        ("/hooks/whatsapp", "wa")
    }


def test_a_report_that_is_not_taken_is_posted_again(start: Start, receiver: Receiver) -> None:
    """Two refusals are noted with their status; the third try is taken, and it is the same report."""
    receiver.answers += [500, 302]
    sandbox = start()
    post(sandbox)
    wait_until(lambda: sandbox.callbacks()["posted"] == 1, what="it is taken")
    assert len(receiver.calls) == 3
    assert len({call.body for call in receiver.calls}) == 1
    assert [line["attempt"] for line in lines(sandbox, "report")] == [1, 2, 3]
    failed = lines(sandbox, "report-failed")
    assert [(line["attempt"], line["status"], line["again_in"]) for line in failed] == [(1, 500, 0.02), (2, 302, 0.04)]


def test_a_receiver_that_is_gone_is_given_up(start: Start) -> None:
    """Each failure says why; after the last there is no other."""
    sandbox = start("tries=2", to="http://127.0.0.1:9/hooks")
    post(sandbox)
    wait_until(lambda: sandbox.callbacks()["given_up"] == 1, what="it is given up")
    failed = lines(sandbox, "report-failed")
    assert [(line["attempt"], line["again_in"]) for line in failed] == [(1, 0.02), (2, None)]
    assert all("ConnectionRefusedError" in line["error"] for line in failed)


def test_a_receiver_that_hangs_holds_up_no_answer_and_no_stop(start: Start, receiver: Receiver) -> None:
    """The sandbox takes requests while all its posts hang, and stops while they do."""
    receiver.may_answer.clear()
    sandbox = start()
    for number in range(40):
        post(sandbox, f"9198000000{number:02d}")
    wait_until(lambda: len(receiver.calls) >= 16, what="all posts hang")
    assert post(sandbox)
    assert sandbox.stats()["requests"] == 41
    process = sandbox._process
    assert process is not None
    sandbox.stop()
    assert process.returncode == 0, "it stopped by itself, and was not killed"


def test_a_report_that_hangs_is_ended_in_time(start: Start, receiver: Receiver) -> None:
    """No answer within the timeout counts as a failure that says so."""
    receiver.may_answer.clear()
    sandbox = start("timeout=0.1", "tries=1")
    post(sandbox)
    wait_until(lambda: sandbox.callbacks()["given_up"] == 1, what="it is given up")
    assert lines(sandbox, "report-failed")[0]["error"] == "no answer within 0.1 s"


def test_a_message_whose_answer_was_lost_is_reported(start: Start, receiver: Receiver) -> None:
    """MSG91 took it, so that it is reported, whatever its client was told; what it did not take is not."""
    sandbox = start()
    sandbox.fault("close-after,count=1", "close-before,count=1")
    for crqid in ("taken", "lost"):
        with pytest.raises(httpx.TransportError):
            post(sandbox, crqid=crqid)
    post(sandbox, crqid="last")
    wait_until(lambda: len(receiver.calls) == 2, what="two reports")
    assert [call.document["CRQID"] for call in receiver.calls] == ["taken", "last"]


def command(*arguments: str) -> tuple[int, str]:
    """Run ``sandbox …`` and give its exit code and everything it printed."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_callbacks_by_command(
    start: Start, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings at run time, a template from a file, held reports, one of one's choice, an inbound message, off."""
    monkeypatch.setenv(SECRET_VARIABLE, "another")
    sandbox = start()
    url = ("--url", sandbox.url)
    template = tmp_path / "template.json"
    template.write_text('{\n  "id": "{{CRQID}}",\n  "what": "{{status}}"\n}\n')
    settings = (f"to={receiver.url}", "hold=yes", "format=new", f"template=@{template}", "list=yes")
    code, printed = command("callbacks", *settings, *url)
    assert (code, "hold=yes" in printed, "another" in printed) == (0, True, False)
    post(sandbox)
    wait_until(lambda: sandbox.callbacks()["held"] == 1, what="it is held")
    assert command("report", "--held", *url) == (0, "reports of 1 message are on their way\n")
    wait_until(lambda: receiver.calls, what="the report")
    assert receiver.calls[0].document == {"id": "tok", "what": "Delivered"}
    assert receiver.calls[0].headers["x-webhook-secret"] == "another"
    assert orjson.loads(command("report", "--to", A, "--status", "dnd", "--json", *url)[1]) == {"messages": 1}
    wait_until(lambda: len(receiver.calls) == 2, what="the second report")
    assert receiver.calls[1].document == {"id": "tok", "what": "NDNC Number"}
    said = orjson.loads(command("inbound", "--from", f"+{A}", "--text", "STOP", "--json", *url)[1])["id"]
    wait_until(lambda: len(receiver.calls) == 3, what="the inbound message")
    (document,) = receiver.calls[2].document
    assert (document["text"], document["uuid"], document["customerNumber"]) == ("STOP", said, A)
    shown = command("requests", *url)[1]
    assert "report" in shown
    assert A not in shown
    assert command("callbacks", "off", *url)[0] == 0
    assert "nothing is called back" in command("callbacks", *url)[1]
    assert orjson.loads(command("callbacks", "--json", *url)[1])["posted"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["callbacks", "formt=v2"], "did you mean format?"),
        (["callbacks", "to=http://127.0.0.1/x", "format=new", "template=@/nowhere"], "cannot be read"),
        (["callbacks", "--url", "http://127.0.0.1:1"], "no sandbox answers"),
        (["--callback", "delay=x"], "expected seconds"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(arguments: list[str], words: str) -> None:
    """One clean message, exit code 2, no traceback."""
    code, printed = command(*arguments)
    assert code == 2
    assert words in " ".join(printed.split())
    assert "Traceback" not in printed


def test_a_sandbox_started_by_command_reports_from_the_start(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--callback` switches it on, and the start says so."""
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    program = "from worker.cli.sandbox import app; app()"
    arguments = ["--port", "0", "--record", str(tmp_path / "r"), "--json", "--callback", f"to={receiver.url}"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments, "--callback", "delay=0"], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        printed = b""
        while not printed.rstrip().endswith(b"}"):
            printed += server.stdout.readline()
        about = orjson.loads(printed)
        assert about["callbacks"] == [f"to={receiver.url}", "delay=0"]
        headers = {"authkey": about["authkeys"][0]}
        body = {"sender": "SEGMNT", "route": "4", "sms": [{"message": "Hello", "to": [A]}]}
        httpx.post(f"{about['url']}/api/v2/sendsms", json=body, headers=headers)
        wait_until(lambda: receiver.calls, what="a report")
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
    assert server.returncode == 0
    assert receiver.calls[0].headers["x-webhook-secret"] == SECRET
    assert receiver.calls[0].document["CRQID"] == "0"


def test_up_with_a_sandbox_that_reports(receiver: Receiver, tmp_path: Path) -> None:
    """An event that is sent comes back as a report with the correlation id of its request."""
    environ = clean_environ(MSG91_DESTINATION_INTAKE_PORT="0", **{SECRET_VARIABLE: SECRET})
    options = ("--sandbox", "--sandbox-port", "0", "--sandbox-callback", f"to={receiver.url}")
    event = {
        "type": "track",
        "event": "Order Shipped",
        "userId": "u-1",
        "properties": {"phone": f"+{A}", "message": "On its way", "senderID": "MSGIND"},
    }
    (tmp_path / "events.ndjson").write_bytes(orjson.dumps(event) + b"\n")
    with Command("up", *options, "--sandbox-callback", "delay=0", environ=environ, folder=tmp_path) as started:
        started.wait_for("ready; in another terminal:")
        assert f"to={receiver.url}" in started.out
        assert run_command("send", "events.ndjson", environ=environ, folder=tmp_path).returncode == 0
        wait_until(lambda: receiver.calls, what="a report")
        started.signal(signal.SIGTERM)
        assert started.wait() == 0
    (sent,) = [line for line in read_record(tmp_path / "data" / "sandbox-requests.ndjson") if line["taken"]]
    assert receiver.calls[0].document["CRQID"] == sent["correlation"]["CRQID"]
    assert SECRET not in started.out + started.err


def test_up_takes_reports_to_its_own_door(tmp_path: Path) -> None:
    """`to=door` is the door beside the sandbox; the secret of its destination is enough, whatever its header."""
    destination = {
        "name": "shop",
        "authkey": "${MSG91_AUTHKEY}",
        "callbacks": {"secrets": [SECRET], "header": "x-of-our-own"},
    }
    document = {"destinations": [{"name": "deaf", "authkey": "${MSG91_AUTHKEY}", "mode": "dry"}, destination]}
    (tmp_path / "destinations.yaml").write_bytes(orjson.dumps(document))
    environ = clean_environ(MSG91_DESTINATION_INTAKE_PORT="0")
    options = ("--sandbox", "--sandbox-port", "0", "--sandbox-callback", "to=door", "--sandbox-callback", "delay=0")
    event = {
        "type": "track",
        "event": "Order Shipped",
        "userId": "u-1",
        "properties": {"phone": f"+{A}", "message": "On its way", "senderID": "MSGIND"},
    }
    (tmp_path / "events.ndjson").write_bytes(orjson.dumps(event) + b"\n")
    record = tmp_path / "data" / "sandbox-requests.ndjson"
    with Command("up", *options, environ=environ, folder=tmp_path) as started:
        started.wait_for("ready; in another terminal:")
        door = re.search(r"http +(http://\S+?),", started.out)
        assert door is not None
        assert run_command("send", "events.ndjson", environ=environ, folder=tmp_path).returncode == 0
        listed = ("deliveries", "list", "--state", "delivered", "--json")
        wait_until(
            lambda: b"send_sms" in run_command(*listed, environ=environ, folder=tmp_path).stdout.encode(),
            what="a delivery that is reported",
        )
        started.signal(signal.SIGTERM)
        assert started.wait() == 0
    report = next(one for one in read_record(record) if one["kind"] == "report")
    assert report["path"] == f"{door[1]}/v1/callbacks/shop/sms"
    assert SECRET not in started.out + started.err + record.read_text(encoding="utf-8")


SHOP = {"name": "shop", "authkey": "k", "callbacks": {"secrets": ["secret-of-the-door"], "header": "x-of-our-own"}}


@pytest.mark.parametrize(
    ("given", "variable", "secret", "header"),
    [
        (["to=door"], None, "secret-of-the-door", ["header=x-of-our-own"]),
        (["to=door"], "of-the-environment", "of-the-environment", []),
        (["to=door", "secret-in=query"], None, "secret-of-the-door", []),
        (["to=door", "inbound=http://127.0.0.1:1/elsewhere"], None, None, []),
        (["to=door", "to=http://127.0.0.1:1/elsewhere"], None, None, []),
        (["to=http://127.0.0.1:1/elsewhere"], None, None, []),
    ],
)
def test_the_secret_of_the_door_goes_to_the_door_alone(
    given: list[str],
    variable: str | None,
    secret: str | None,
    header: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is taken from the destination where nothing goes anywhere else; the environment's comes first."""
    file = tmp_path / "destinations.yaml"
    file.write_bytes(orjson.dumps({"destinations": [SHOP]}))
    destinations = load_destinations(file, {}, settings=load_settings({}))
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(SECRET_VARIABLE, variable)
    settings, found = callbacks_with_door(given, destinations, "http://0.0.0.0:8080")
    door = "to=http://127.0.0.1:8080/v1/callbacks/shop"
    assert (settings, found) == ((*(door if one == "to=door" else one for one in given), *header), secret)


@pytest.mark.parametrize(
    ("destination", "given", "secret", "said"),
    [
        ({"name": "shop", "authkey": "k"}, ["to=door"], "any", "MSG91_DESTINATION_CALLBACK_SECRET"),
        (SHOP, ["to=door"], "another", "refuses"),
        (SHOP, ["to=door", "sms=http://127.0.0.1:1/elsewhere"], None, "refuses"),
        (SHOP, ["to=door"], "secret-of-the-door", ""),
        (SHOP, ["to=door"], None, ""),
    ],
)
def test_up_says_that_its_door_takes_no_reports(
    destination: dict[str, Any],
    given: list[str],
    secret: str | None,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where every report would be refused, a warning says why; else there is none. No secret stands in it."""
    file = tmp_path / "destinations.yaml"
    file.write_bytes(orjson.dumps({"destinations": [destination]}))
    destinations = load_destinations(file, {}, settings=load_settings({}))
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    if secret is not None:
        monkeypatch.setenv(SECRET_VARIABLE, secret)
    callbacks_with_door(given, destinations, "http://127.0.0.1:8080")
    warned = capsys.readouterr().err
    assert said in warned
    assert bool(warned) == bool(said)
    assert "secret-of-the-door" not in warned


def test_up_without_a_door_has_none_to_report_to(tmp_path: Path) -> None:
    """`to=door` without the door is an error before anything is started."""
    words = ("up", "--sandbox", "--no-intake", "--sandbox-callback", "to=door")
    done = run_command(*words, environ=clean_environ(), folder=tmp_path)
    assert done.returncode == 2
    assert "--no-intake" in done.stderr
    assert not (tmp_path / "data").exists()


def test_up_without_a_sandbox_has_nobody_to_report(tmp_path: Path) -> None:
    """The option without the sandbox is an error, not ignored."""
    done = run_command("up", "--sandbox-callback", "delay=0", environ=clean_environ(), folder=tmp_path)
    assert done.returncode == 2
    assert "without --sandbox" in done.stderr
