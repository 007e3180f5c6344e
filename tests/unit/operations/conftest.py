"""An operator's desk over a whole house in one process, on the fake store and on a real one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stores import ClockedStore, holding, states
from tests.unit.forwarding.conftest import House, track
from worker.delivery import Batches, Journal, Lanes, Ledger, Record, Schedule, State
from worker.destinations import Destinations
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer, AnswerClass
from worker.runtime import Core
from worker.sending import Sender

A = 918818888758
ACCEPTED = Answer(AnswerClass.ACCEPTED, status=200, request_id="13672fa705a73d0000000001")
REFUSED = Answer(AnswerClass.REQUEST, status=200, code="203", message="invalid sender id")
DOWN = Answer(AnswerClass.RETRY, status=503, message="down")
SILENT = Answer(AnswerClass.UNKNOWN, code="read_timeout", message="no answer came in time")


@dataclass
class Desk:
    """What an operator has before him."""

    house: House
    core: Core

    @property
    def store(self) -> ClockedStore:
        """The store, with a clock that the test moves."""
        assert isinstance(self.core.store, ClockedStore)
        return self.core.store

    @property
    def destinations(self) -> Destinations:
        """The present configuration."""
        assert self.house.destinations is not None
        return self.house.destinations

    def configure(self, **more: Any) -> None:
        """Use one destination ``msg91`` that gives up at the first failure."""
        self.house.configure(
            {
                "name": "msg91",
                "authkey": "key",
                "default_sender": "MSGIND",
                "actions": {"send_sms": {"attempts": 1}},
                **more,
            }
        )

    def bring(self, answer: Answer, *numbers: int, message: str = "hello", prefix: str = "m", **more: Any) -> list[str]:
        """Send one message to each number, and let MSG91 answer like this to all; gives the deliveries' keys."""
        self.house.answers = [answer]
        before = {line.key for line in self.core.journal.newest_first()}
        self.house.forward(*[track(n, f"{prefix}{n - A}", message, **more) for n in numbers])
        assert not self.house.answers
        found = [line.key for line in self.core.journal.newest_first() if line.key not in before]
        self.core.lanes.resume("msg91:sms")
        return found[::-1]

    def states(self) -> dict[str, int]:
        """Deliveries by state; the identity must hold."""
        return states(self.store)

    def record(self, key: str) -> Record:
        """A delivery's record."""
        (found,) = self.core.ledger.records([key])
        assert found is not None
        return found

    def run_due(self, seconds: float = 0.0) -> int:
        """Let time pass and run what is due."""
        return self.house.run_due(seconds)

    def done(self) -> list[str]:
        """What the journal says operators did, oldest first."""
        return [note.did for note in self.core.journal.notes()][::-1]

    def everything(self) -> str:
        """All values of the store, as one text: for looking for what must not be there."""
        client, parts = self.store.client, []
        for name in client.scan_iter(match=f"{self.store.keys.prefix}*", count=1000):
            match client.type(name):
                case b"string":
                    value: Any = client.get(name)
                case b"hash":
                    value = client.hgetall(name)
                case b"stream":
                    value = client.xrange(name)
                case b"zset":
                    value = client.zrange(name, 0, -1)
                case _:
                    value = client.smembers(name)
            parts.append(f"{name!r}={value!r}")
        return "\n".join(parts)


@pytest.fixture
def desk(store: ClockedStore, tmp_path: Path) -> Iterator[Desk]:
    """A desk with one destination ``msg91``; the identity must hold when the test is over."""
    ledger, lanes, batches = Ledger(store), Lanes(store), Batches(store)
    made: list[House] = []
    sender = Sender(
        store, ledger, lanes, lambda _d, _f: made[0], wake=lambda batch_id, _queue: made[0].woken.append(batch_id)
    )
    forwarder = Forwarder(store, batches, sender, lambda: made[0].destinations)  # type: ignore[arg-type, return-value]
    made.append(House(tmp_path, store, batches, ledger, lanes, Schedule(store), forwarder, sender))  # type: ignore[arg-type]
    found = Desk(made[0], Core(store, batches, ledger, lanes, Schedule(store), Journal(store)))
    found.configure()
    yield found
    holding(store)


__all__ = ["ACCEPTED", "DOWN", "REFUSED", "SILENT", "A", "Desk", "State", "track"]
