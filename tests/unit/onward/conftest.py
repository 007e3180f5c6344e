"""A destination that tells others, in one process: its receivers answer what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stores import ClockedStore
from worker.delivery import Batches, Journal, Lanes, Ledger, Schedule
from worker.destinations import Destination, load_destinations
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.onward import Publisher, Remembering
from worker.runtime import Approvals, Clients, Core
from worker.sending import Sender
from worker.settings import load_settings

OURS = "918818888758"
#: A destination that tells everybody everything.
ONWARD: dict[str, Any] = {
    "pseudonym_key": "pseudonym-key-of-the-tests",
    "tracking": [{"name": "segment", "url": "http://127.0.0.1:1", "write_key": "write-key-of-segment"}],
    "callbacks": [
        {
            "name": "clevertap",
            "report_url": "http://127.0.0.1:1/reports?token=abc",
            "inbound_url": "http://127.0.0.1:1/inbound",
            "secret": "secret-of-clevertap",
        }
    ],
}


def destination_of(folder: Path, onward: dict[str, Any], **more: Any) -> Destination:
    """A destination ``shop`` with this under ``onward``."""
    keys = {
        "name": "shop",
        "authkey": "key",
        "default_sender": "MSGIND",
        "whatsapp": {"numbers": [OURS], "check_templates": False},
        "mappings": ["segment-msg91", "clevertap-whatsapp"],
        "onward": onward,
        **more,
    }
    file = folder / "destinations.yaml"
    file.write_text(yaml.safe_dump({"destinations": [keys]}), encoding="utf-8")
    return load_destinations(file, {}, settings=load_settings({})).all[0]


class Shop:
    """Everything from a callback that was read to the receivers.

    Attributes:
        requests: What left, in order.
        answers: What is answered next; without any, everything is taken.
    """

    def __init__(self, store: ClockedStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.requests: list[Request] = []
        self.answers: list[Answer | Callable[[Request], Answer]] = []
        self.ledger, self.batches, self.schedule = Ledger(store), Batches(store), Schedule(store)
        self.core = Core(store, self.batches, self.ledger, Lanes(store), self.schedule, Journal(store))
        approve = Approvals(Clients(load_settings({})))
        sender = Sender(store, self.ledger, self.core.lanes, lambda _destination, _family: self, approve=approve)
        self.forwarder = Forwarder(
            store, self.batches, sender, lambda: self.destinations, Remembering(store, self.ledger.retention)
        )
        self.configure(ONWARD)
        self._woken: list[str] = []
        self.publisher = Publisher(store, self.batches, wake=lambda batch_id, _queue: self._woken.append(batch_id))

    def configure(self, onward: dict[str, Any], **more: Any) -> None:
        """Use this under ``onward`` from now on."""
        self.destination = destination_of(self.folder, onward, **more)
        self.destinations = load_destinations(self.folder / "destinations.yaml", {}, settings=load_settings({}))

    def send(self, request: Request, **_: Any) -> Answer:
        """Stand in for MSG91 and for every receiver."""
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else None
        if callable(answer):
            return answer(request)
        return answer or Answer(AnswerClass.ACCEPTED, status=200, request_id="13672fa705a73d0000000001")

    def publish(self, *read: Any, channel: Any = "whatsapp") -> int:
        """Publish a callback and run what it makes."""
        count = self.publisher.publish(self.destination, read, channel=channel, destinations=self.destinations)
        while self._woken:
            assert self.forwarder.run(self._woken.pop(0))
        return count

    def run_due(self, seconds: float = 0.0) -> int:
        """Let time pass and run what is due."""
        self.store.pass_time(seconds)
        due = self.schedule.promote(1000)
        for batch_id, _ in due:
            self.forwarder.run(batch_id)
        return len(due)


@pytest.fixture
def shop(store: ClockedStore, tmp_path: Path) -> Shop:
    """A shop with a tracking API and CleverTap as its receivers, on the fake store and on a real one."""
    return Shop(store, tmp_path)
