"""A forwarder on a fake store with a provider that answers what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fakeredis
import orjson
import pytest
import yaml

from worker.delivery import Batches, Kind, Lanes, Ledger, Reconciliation, Schedule, Store, reconcile
from worker.destinations import Destinations, load_destinations
from worker.events import join
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.sending import Sender
from worker.settings import load_settings

ACCEPTED = Answer(AnswerClass.ACCEPTED, status=200, request_id="13672fa705a73d0000000001")


class FakeClock(Store):
    """A store whose clock a test moves."""

    ahead_ms = 0

    def now_ms(self) -> int:
        """The present, as far as the test wants."""
        return super().now_ms() + self.ahead_ms


@dataclass
class House:
    """Everything between the door and MSG91, in one process."""

    folder: Path
    store: FakeClock
    batches: Batches
    ledger: Ledger
    lanes: Lanes
    schedule: Schedule
    forwarder: Forwarder
    sender: Sender
    requests: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Answer | Callable[[Request], Answer]] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    destinations: Destinations | None = None

    def send(self, request: Request, **_: Any) -> Answer:
        """Stand in for an MSG91 client."""
        self.requests.append(orjson.loads(request.body or b"{}"))
        answer = self.answers.pop(0) if self.answers else ACCEPTED
        return answer(request) if callable(answer) else answer

    def configure(self, *destinations: dict[str, Any]) -> None:
        """Use these destinations from now on."""
        file = self.folder / "destinations.yaml"
        file.write_text(yaml.safe_dump({"destinations": list(destinations)}), encoding="utf-8")
        self.destinations = load_destinations(file, {}, settings=load_settings({}))

    def accept(self, *events: Any, kind: Kind = Kind.EVENTS, destination: str = "") -> str:
        """Take events in."""
        lines = [one if isinstance(one, bytes) else orjson.dumps(one) for one in events]
        return self.batches.accept(join(lines), len(lines), kind=kind, destination=destination)

    def forward(self, *events: Any, **arguments: Any) -> str:
        """Take events in and run their batch."""
        batch_id = self.accept(*events, **arguments)
        assert self.forwarder.run(batch_id)
        return batch_id

    def run_due(self, seconds: float = 0.0) -> int:
        """Let time pass and run what is due; gives how many batches ran."""
        self.store.ahead_ms += round(seconds * 1000)
        due = self.schedule.promote(1000)
        for batch_id, _ in due:
            self.forwarder.run(batch_id)
        return len(due)

    def reconcile(self) -> Reconciliation:
        """The identity, which must hold."""
        found = reconcile(self.store)
        assert found.holds, found.problems
        return found

    def states(self) -> dict[str, int]:
        """Deliveries by state."""
        return {state.value: count for state, count in self.reconcile().recounted.items() if count}

    def events(self) -> dict[str, int]:
        """Events by what became of them, without the empty counts."""
        return {name: count for name, count in self.reconcile().counts.events.items() if count}

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Every (number, text) that was sent."""
        return [(to, sms["message"]) for one in self.requests for sms in one["sms"] for to in sms["to"]]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with one destination ``msg91`` and the preset ``segment-msg91``."""
    store = FakeClock(fakeredis.FakeRedis())
    store.open()
    ledger, lanes, batches = Ledger(store), Lanes(store), Batches(store)
    made: list[House] = []
    sender = Sender(
        store, ledger, lanes, lambda _d, _f: made[0], wake=lambda batch_id, _queue: made[0].woken.append(batch_id)
    )
    forwarder = Forwarder(store, batches, sender, lambda: made[0].destinations)  # type: ignore[arg-type, return-value]
    made.append(House(tmp_path, store, batches, ledger, lanes, Schedule(store), forwarder, sender))
    made[0].configure({"name": "msg91", "authkey": "key", "default_sender": "MSGIND"})
    yield made[0]
    made[0].reconcile()


def track(number: int | str, message_id: str | None = None, message: str = "hello", **more: Any) -> dict[str, Any]:
    """A track call of Segment's MSG91 page."""
    event = {
        "type": "track",
        "event": "Clicked Login Button",
        "properties": {"phone": number, "firstName": "John", "message": message, "senderID": "MSGIND"},
        **more,
    }
    return event if message_id is None else {**event, "messageId": message_id}
