"""One sandbox without its sockets: requests go in, and what happens on the connection comes out."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from pathlib import Path

from worker.sandbox.answers import Reply
from worker.sandbox.callbacks.outbox import Item, Outbox
from worker.sandbox.callbacks.postman import lost_line
from worker.sandbox.callbacks.settings import read_callbacks
from worker.sandbox.calls import Call, Kind
from worker.sandbox.control import PREFIX, answer_control
from worker.sandbox.faultboard import FaultBoard, Plan
from worker.sandbox.magic import magic_fault
from worker.sandbox.provider import Provider
from worker.sandbox.record import Recorder, line_of, read_record
from worker.sandbox.script import Step, faulty_reply, steps, takes
from worker.sandbox.settings import Settings
from worker.sandbox.stats import Stats


class StandIn:
    """A stand-in for MSG91.

    Args:
        settings: How it behaves.
        record: The file that requests are appended to. What an earlier sandbox wrote there is remembered:
            contacts stay known, and repeats count.

    Raises:
        FaultError: one of the faults in the settings cannot be read.
        CallbackError: one of the callbacks cannot.
        OSError: the record cannot be opened.
    """

    def __init__(self, settings: Settings, record: Path) -> None:
        self.settings = settings
        self.seed = settings.seed if settings.seed is not None else random.SystemRandom().getrandbits(32)
        self.faults = FaultBoard(self.seed)
        self.faults.add(settings.faults)
        self.provider = Provider(
            authkeys=settings.authkeys,
            templates=settings.templates,
            unknown_templates=settings.unknown_templates,
            duplicate_window=settings.duplicate_window,
        )
        callbacks = read_callbacks(settings.callbacks, settings.callback_secret)
        self.outbox = Outbox(callbacks, self.seed, self._lost)
        self.stats = Stats()
        self.recorder = Recorder(record, fsync=settings.fsync)
        self._remember(record)

    def exchange(self, call: Call, client: str, now: float, render: Callable[[Reply], bytes]) -> Generator[Step]:
        """Judge one request, record it, and say what happens on its connection.

        The request is on record when this returns; nothing of the answer is sent before.

        Args:
            call: The request.
            client: Address of who asks.
            now: When its last byte came (Unix seconds).
            render: Turns an answer into the bytes of it.
        """
        if call.path == PREFIX or call.path.startswith(f"{PREFIX}/"):
            return steps(render(answer_control(call, client, self)), Plan())
        playing = self._answer(call, now, render)
        self.stats.begin()
        return self._in_flight(playing)

    def _in_flight(self, playing: Generator[Step]) -> Generator[Step]:
        """Count the request out once its answer is out, or its client is gone."""
        try:
            yield from playing
        finally:
            self.stats.end()

    def _answer(self, call: Call, now: float, render: Callable[[Reply], bytes]) -> Generator[Step]:
        verdict = self.provider.judge(call, now)
        plan = self.faults.plan(call.path, now, magic_fault(verdict.numbers) if verdict.accepted else None)
        taken = takes(verdict, plan)
        reply = faulty_reply(verdict, plan, now)
        line = line_of(call, verdict, reply, plan.texts, taken=taken, now=now)
        self.recorder.append(line)
        if taken:
            self.provider.take(verdict, now)
            if self.outbox.callbacks.is_on:
                self.outbox.take(line, {**call.query, **call.fields}, now)
        self.stats.count(verdict, reply.status, plan.texts, taken=taken)
        return steps(render(reply), plan)

    def _lost(self, item: Item) -> None:
        self.recorder.append(lost_line(item))

    def close(self) -> None:
        """Close the record."""
        self.recorder.close()

    def _remember(self, record: Path) -> None:
        for line in read_record(record):
            if line["taken"]:
                self.stats.remember(line["messages"])
                if line["kind"] == Kind.CONTACTS:
                    phonebook = line["path"].split("/")[-2]
                    self.provider.phonebooks.add(phonebook, line["messages"][0]["to"])
