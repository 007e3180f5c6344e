"""Commands against a real store, and someone who plays the worker, with a provider that says what a test wants."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner, Result

from worker.cli import main, send
from worker.destinations import Destinations, load_destinations
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.runtime import Core, open_core
from worker.sending import Sender
from worker.settings import Settings, load_settings

ACCEPTED = Answer(AnswerClass.ACCEPTED, status=200, request_id="13672fa705a73d0000000001")


@dataclass
class Stage:
    """A folder, a store, the commands, and someone who plays the worker.

    Attributes:
        answers: What MSG91 says next; accepted when there is nothing left.
        requests: What it got.
    """

    folder: Path
    settings: Settings
    core: Core
    answers: list[Answer] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    def run(self, *arguments: str, stdin: bytes | str | None = None) -> Result:
        """Run a command."""
        return CliRunner().invoke(main.app, list(arguments), input=stdin)

    def json(self, *arguments: str, stdin: bytes | str | None = None, code: int = 0) -> Any:
        """Run a command that must leave with this code, and read the JSON it prints."""
        result = self.run(*arguments, stdin=stdin)
        assert code == result.exit_code, result.output
        return orjson.loads(result.stdout)

    def configure(self, *destinations: dict[str, Any]) -> None:
        """Write a destinations file."""
        (self.folder / "destinations.yaml").write_text(yaml.safe_dump({"destinations": list(destinations)}))

    def write(self, name: str, *lines: Any) -> str:
        """Write an NDJSON file; gives its name."""
        data = b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in lines)
        (self.folder / name).write_bytes(data)
        return name

    def stored(self) -> list[Any]:
        """Every event that is queued."""
        client, keys = self.core.store.client, self.core.store.keys
        ids: list[Any] = client.zrange(keys.schedule, 0, -1)
        bodies: list[Any] = [client.hget(keys.batch(one.decode()), "body") for one in ids]
        return [orjson.loads(line) for body in bodies for line in body.split(b"\n")]

    def send(self, request: Request, **_: Any) -> Answer:
        """Stand in for the MSG91 client."""
        self.requests.append(orjson.loads(request.body or b"{}"))
        return self.answers.pop(0) if self.answers else ACCEPTED

    def destinations(self) -> Destinations:
        """The configuration."""
        return load_destinations(self.folder / "destinations.yaml", {}, settings=self.settings)

    def work(self) -> int:
        """Run every batch in the schedule once, whenever it is due; gives how many there were."""
        sender = Sender(self.core.store, self.core.ledger, self.core.lanes, lambda _d, _f: self)
        forwarder = Forwarder(self.core.store, self.core.batches, sender, self.destinations)
        entries = self.core.schedule.entries()
        return sum(forwarder.run(entry.batch_id) for entry in entries)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Someone who works on whatever comes, for the duration of the block."""
        over = threading.Event()

        def keep_working() -> None:
            while not over.wait(0.02):
                self.work()

        thread = threading.Thread(target=keep_working)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run commands in, and an environment that configures nothing."""
    for name in ("DESTINATIONS_FILE", "REDIS_URL", "CELERY_BROKER_URL", "MSG91_AUTHKEY", "MSG91_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stage(bare: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """An empty store, one destination ``msg91`` with the preset ``segment-msg91``, and no worker."""
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("MSG91_DESTINATION_NAMESPACE", f"t{secrets.token_hex(6)}")
    monkeypatch.setattr(send, "TAKEN_WITHIN", 0.0)
    settings = load_settings()
    made = Stage(bare, settings, open_core(settings, valkey_url))
    made.configure({"name": "msg91", "authkey": "a-key-for-tests", "default_sender": "MSGIND"})
    yield made
    made.core.store.client.close()


def track(number: Any, message_id: str | None = None, message: str = "hello", **more: Any) -> dict[str, Any]:
    """A track call that becomes one SMS."""
    event = {"type": "track", "event": "Order Shipped", "properties": {"phone": number, "message": message}, **more}
    return event if message_id is None else {**event, "messageId": message_id}


@pytest.fixture(name="track")
def track_fixture() -> Callable[..., dict[str, Any]]:
    """Makes track calls that become one SMS."""
    return track
