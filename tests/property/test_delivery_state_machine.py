"""The real code of two workers and an operator, one store call at a time, in any order, against a model.

Each actor runs production code on a thread that stops before every call to the store and before every byte to MSG91.
Hypothesis decides who goes on, which replies are lost, which commands arrive late, who is killed, what MSG91 takes and
what it answers, when time passes, when reports come and what the operator decides. After every single step the
identity must hold, every delivery must have made a transition that exists, and MSG91 must not have taken a message
twice unless a policy or the operator had released it from doubt in between.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import fakeredis
import orjson
import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import worker.delivery.batches
import worker.forwarding
import worker.recovery
import worker.sending.requests
import worker.sending.sender
from worker import deliveries as kept
from worker.app import PRIORITY_QUEUE, QUEUE, RETRY_QUEUE
from worker.delivery import (
    Batches,
    Call,
    Journal,
    Lanes,
    Ledger,
    Record,
    Schedule,
    State,
    Store,
    StoreUnavailable,
    delivery_key,
    reconcile,
)
from worker.delivery.states import TRANSITIONS
from worker.destinations import Destinations, load_destinations
from worker.doubts import resolve_doubt
from worker.events import join
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.recovery import recover_abandoned
from worker.sending import Sender
from worker.settings import load_settings

#: Seconds after which a thread that does not stop has found a bug in this test.
STUCK = 20.0
#: When the model's clock starts, ms: in a far future, since the fake store ends the life of records by its own clock.
START_MS = 4_000_000_000_000

#: Messages, two for each destination: held when in doubt, sent again by policy, and held and soon too old.
MESSAGES = tuple(f"m{number}" for number in range(6))
HOLD, RESEND, BRIEF = DESTINATIONS = "hold", "again", "brief"
#: How long messages of the last destination live, ms; all events are of the moment when the clock starts.
LIFE_MS = 60_000


class Killed(BaseException):
    """The process is gone: nothing after this line runs."""


@dataclass(slots=True)
class Clock:
    """The one clock of all machines."""

    ms: int = START_MS

    def monotonic(self) -> float:
        """Seconds."""
        return self.ms / 1000

    time = monotonic


@dataclass(slots=True, eq=False)
class OnTheWire:
    """A request that an actor wants to make, or has made."""

    token: str
    messages: list[tuple[str, str]]
    write_by: float
    since: float = 0.0
    written: bool = False
    taken: bool = False
    answered: bool = False

    @property
    def open(self) -> bool:
        """Whether it may be on its way, or be taken later."""
        return self.written and not self.answered


class Actor:
    """A process with one thread, which stops at every gate until it is told how to go on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate = ""
        self.request: OnTheWire | None = None
        self.job = ""
        self.failure: BaseException | None = None
        self._how: Any = None
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return self._thread is None

    def begin(self, job: str, call: Callable[[], object]) -> None:
        """Start a job and run to its first gate."""

        def body() -> None:
            try:
                self.park("start")
                call()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 - told to the test
                self.failure = error
            finally:
                self.gate, self.request = "", None
                self._thread = None
                self._stopped.release()

        assert self.idle
        self.job = job
        self._thread = threading.Thread(target=body, name=self.name, daemon=True)
        self._thread.start()
        self._wait()
        self.go()

    def park(self, gate: str) -> Any:
        """Stop here (called by the actor's own thread) and give what it is told."""
        self.gate = gate
        self._stopped.release()
        if not self._go.acquire(timeout=STUCK):
            raise Killed
        if self._how is Killed:
            raise Killed
        return self._how

    def go(self, how: Any = "do") -> None:
        """Let it run to its next gate, or its end."""
        self._how = how
        self._go.release()
        self._wait()

    def kill(self) -> None:
        """SIGKILL."""
        if not self.idle:
            self.go(Killed)

    def _wait(self) -> None:
        assert self._stopped.acquire(timeout=STUCK), f"{self.name} does not stop"
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure


class GatedStore(Store):
    """A store that stops its actor before every call, and loses what it is told to lose."""

    def __init__(self, server: fakeredis.FakeServer, clock: Clock, actor: Actor | None, late: list[Any]) -> None:
        super().__init__(fakeredis.FakeRedis(server=server))
        self._clock = clock
        self._actor = actor
        self._late = late
        self._half = False

    def now_ms(self) -> int:
        """The model's time."""
        return self._clock.ms

    def ask(self, call: Callable[[], Any]) -> Any:
        """Run a call as the network wants it; what is lost is repeated, as by patience."""
        while self._actor is not None:
            how = self._actor.park("store")
            if how == "do":
                break
            if how == "lose reply":
                call()
            elif how == "late":
                self._late.append(call)
            elif how == "half":
                self._half = True
                with suppress(StoreUnavailable):
                    call()
                self._half = False
        return super().ask(call)

    def _in_one_trip(self, calls: Sequence[Call]) -> list[Any]:
        if self._half:
            super()._in_one_trip(calls[:1])
            raise StoreUnavailable
        return super()._in_one_trip(calls)


class Provider:
    """MSG91, as one process sees it."""

    def __init__(self, actor: Actor, wires: list[OnTheWire]) -> None:
        self._actor = actor
        self._wires = wires

    def send(self, request: Request, *, write_by: float, **_: Any) -> Answer:
        """Show the request and wait for what becomes of it."""
        body = orjson.loads(request.body or b"{}")
        messages = [(to, sms["message"]) for sms in body["sms"] for to in sms["to"]]
        # a claim is no older than the request that is built right after it
        wire = OnTheWire(body["CRQID"], messages, write_by, since=write_by - (60 - 20 - 5))
        self._wires.append(wire)
        self._actor.request = wire
        answer: Answer = self._actor.park("provider")
        self._actor.request = None
        return answer


class Fixed:
    """No chance: what is random elsewhere is the same every time."""

    def __init__(self) -> None:
        self.count = 0

    def random(self) -> float:
        """Half."""
        return 0.5

    def token_hex(self, size: int) -> str:
        """The next number."""
        self.count += 1
        return f"{self.count:0{2 * size}x}"


@cache
def destinations() -> Destinations:
    """Three destinations: one lane is narrow and limited, all are easily closed."""
    wide = {"recipients": 2, "concurrency": 3, "breaker_failures": 2}
    narrow = {"recipients": 2, "concurrency": 1, "rate": 2, "burst": 1, "breaker_failures": 2}
    action = {"backoff_base": 1, "backoff_cap": 4, "attempts": 3}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "destinations.yaml")
        three = [
            {
                "name": name,
                "authkey": "key",
                "default_sender": "MSGIND",
                "lanes": {"sms": lane},
                "actions": {"send_sms": {**action, **policy}},
            }
            for name, lane, policy in (
                (HOLD, narrow, {"in_doubt": "hold"}),
                (RESEND, wide, {"in_doubt": "resend", "in_doubt_grace": 5}),
                (BRIEF, narrow, {"in_doubt": "hold", "time_to_live": LIFE_MS / 1000}),
            )
        ]
        file.write_text(yaml.safe_dump({"destinations": three}))
        return load_destinations(file, {}, settings=load_settings({}))


def destination_of(message: str) -> str:
    """Where a message goes."""
    return DESTINATIONS[MESSAGES.index(message) // 2]


def key_of(message: str) -> str:
    """Its delivery."""
    return delivery_key(destination_of(message), message, "track")


def phone_of(message: str) -> str:
    """Its number."""
    return f"91900000000{MESSAGES.index(message)}"


def event_of(message: str) -> bytes:
    """The event."""
    return orjson.dumps(
        {
            "type": "track",
            "event": "Order Shipped",
            "messageId": message,
            "timestamp": datetime.fromtimestamp(START_MS / 1000, UTC).isoformat(),
            "properties": {"phone": phone_of(message), "message": f"text {message}", "senderID": "MSGIND"},
        }
    )


MESSAGE_OF = {(phone_of(one), f"text {one}"): one for one in MESSAGES}

#: What MSG91 can answer: whether it may have taken the request then (None: either).
ANSWERS: dict[str, tuple[bool | None, Answer]] = {
    "accepted": (True, Answer(AnswerClass.ACCEPTED, status=200)),
    "unavailable": (False, Answer(AnswerClass.RETRY, status=503, code="601")),
    "throttled": (False, Answer(AnswerClass.THROTTLED, status=429, retry_after=3.0)),
    "account": (False, Answer(AnswerClass.ACCOUNT, status=200, code="301")),
    "bad number": (False, Answer(AnswerClass.RECIPIENT, status=200, code="202")),
    "bad sender": (False, Answer(AnswerClass.REQUEST, status=200, code="203")),
    "silence": (None, Answer(AnswerClass.UNKNOWN, code="read_timeout")),
}
HANDED_BACK = Answer(AnswerClass.RETRY, code="handed_back", sent=False)
REFUSED = Answer(AnswerClass.RETRY, code="connect_failed", sent=False)


@dataclass(slots=True)
class Seen:
    """What the model knows of one message.

    Attributes:
        takes: Tokens of the requests in which MSG91 took it.
        released: Tokens that a policy or the operator released from doubt: it may be sent again.
        by_hand: Those that the operator released: a person does not wait.
        accepted: Whether an operator said that it was taken.
    """

    takes: list[str] = field(default_factory=list)
    released: set[str] = field(default_factory=set)
    by_hand: set[str] = field(default_factory=set)
    accepted: bool = False


class Deliveries(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self._patches = pytest.MonkeyPatch()
        self.clock = Clock()
        fixed = Fixed()
        for module in (worker.sending.sender, worker.sending.requests, worker.forwarding):
            self._patches.setattr(module, "time", self.clock)
        for module in (worker.sending.requests, worker.recovery):
            self._patches.setattr(module, "random", fixed)
        self._patches.setattr(worker.delivery.batches, "secrets", fixed)
        self.server = fakeredis.FakeServer()
        self.late: list[Callable[[], Any]] = []
        self.queue: list[str] = []
        self.accepted_events = 0
        self.store = GatedStore(self.server, self.clock, None, [])
        self.store.open()
        self.seen = {one: Seen() for one in MESSAGES}
        self.records: dict[str, Record | None] = dict.fromkeys(MESSAGES)
        self.wires: list[OnTheWire] = []
        self.doing: Actor | None = None
        self.workers = [self._worker("A"), self._worker("B")]
        self.operator = Actor("operator")
        self.operator_store = GatedStore(self.server, self.clock, self.operator, self.late)

    def teardown(self) -> None:
        """Bring everything to rest: nothing may be left over."""
        try:
            self._come_to_rest()
        finally:
            for actor in (*(one for one, _, _ in self.workers), self.operator):
                with suppress(AssertionError):
                    actor.kill()
            self._patches.undo()

    # The parts.

    def _worker(self, name: str) -> tuple[Actor, Forwarder, Schedule]:
        actor = Actor(name)
        store = GatedStore(self.server, self.clock, actor, self.late)

        provider = Provider(actor, self.wires)
        sender = Sender(
            store,
            Ledger(store),
            Lanes(store),
            lambda _destination, _family: provider,
            wake=lambda batch_id, _queue: self.queue.append(batch_id),
        )
        return actor, Forwarder(store, Batches(store), sender, destinations), Schedule(store)

    @contextmanager
    def _step(self, actor: Actor | None) -> Iterator[None]:
        """One step of one actor: whatever changes in it was done by that actor."""
        self.doing = actor
        yield
        self._look()

    def _look(self) -> None:
        """See which deliveries moved in this step, and whether they were allowed to."""
        names = [self.store.keys.record(key_of(one)) for one in MESSAGES]
        for message, raw in zip(MESSAGES, self.store.client.mget(names), strict=True):
            before, after = self.records[message], Record.parse(raw) if raw else None
            self.records[message] = after
            if after != before:
                assert after is not None, f"{message} is forgotten"
                self._moved(message, before, after)

    def _moved(self, message: str, before: Record | None, after: Record) -> None:
        state, old = after.state, before.state if before else None
        if state is not old:
            assert state in TRANSITIONS[old], f"{message}: {old} became {state}"
        seen, token = self.seen[message], before.ref if before else ""
        job = self.doing.job if self.doing else "late"
        if old is State.IN_DOUBT and state is State.ACCEPTED and self.doing is self.operator:
            seen.accepted = True
        if state is State.ACCEPTED:
            assert seen.takes or seen.accepted, f"{message} is accepted, and MSG91 never took it"
        if old is State.SENDING and state is State.SCHEDULED:
            assert token not in seen.takes, f"{message} is sent again although {token} was taken"
        if old is State.SENDING and state in (State.REJECTED, State.DEAD, State.EXPIRED):
            assert token not in seen.takes, f"{message} is {state}, and {token} was taken"
        if old is State.IN_DOUBT and state is State.SCHEDULED:
            if "definite" in job:
                assert token not in seen.takes, f"{message}: a late answer lets {token} be repeated, which was taken"
            seen.released.add(token)
            if self.doing is self.operator:
                seen.by_hand.add(token)

    def _write(self, wire: OnTheWire) -> None:
        """A request is written: no other one with the same message may still be on its way, unless a person said so."""
        wire.written = True
        if any(destination_of(MESSAGE_OF[pair]) == BRIEF for pair in wire.messages):
            assert self.clock.ms < START_MS + LIFE_MS, f"{wire.messages} leave too late"
        for earlier in self.wires:
            if earlier is wire or not earlier.open or not set(earlier.messages) & set(wire.messages):
                continue
            names = [MESSAGE_OF[pair] for pair in set(earlier.messages) & set(wire.messages)]
            if all(earlier.token in self.seen[one].by_hand for one in names):
                continue
            # until its claim and its deadline are both over, whatever the worker believes
            assert self.clock.monotonic() >= earlier.since + 60 + 20, f"{names}: {wire.token} overtakes {earlier.token}"

    def _take(self, wire: OnTheWire) -> None:
        """MSG91 takes a request."""
        if wire.taken:
            return
        wire.taken = True
        for pair in wire.messages:
            message = MESSAGE_OF[pair]
            seen = self.seen[message]
            seen.takes.append(wire.token)
            unreleased = [token for token in seen.takes if token not in seen.released]
            assert len(unreleased) <= 1, f"{message} is taken twice, and nobody decided that: {unreleased}"

    def _idle_workers(self) -> list[tuple[Actor, Forwarder, Schedule]]:
        return [one for one in self.workers if one[0].idle]

    def _actors_at(self, gate: str) -> list[Actor]:
        return [one for one in (*(actor for actor, _, _ in self.workers), self.operator) if one.gate == gate]

    def _undisturbed(self, actor: Actor, steps: int = 200) -> None:
        """Let an actor make calls to the store that all work, until it does something else."""
        for _ in range(steps):
            if actor.gate != "store":
                return
            with self._step(actor):
                actor.go("do")

    # What comes in.

    @initialize(messages=st.lists(st.sampled_from(MESSAGES), min_size=2, max_size=5))
    def first_batch(self, messages: list[str]) -> None:
        """There is something to do from the beginning."""
        self.arrive(messages, told=1)

    @rule(messages=st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=4), told=st.integers(0, 2))
    def arrive(self, messages: list[str], told: int) -> None:
        """A door accepts a batch and tells the queue: not at all, once, twice."""
        with self._step(None):
            by_destination: dict[str, list[str]] = {}
            for one in messages:
                by_destination.setdefault(destination_of(one), []).append(one)
            for name, members in by_destination.items():
                lines = [event_of(one) for one in members]
                batch_id = Batches(self.store).accept(join(lines), len(lines), destination=name)
                self.accepted_events += len(lines)
                self.queue += [batch_id] * told

    @precondition(lambda self: self.queue)
    @rule()
    def lose_queue(self) -> None:
        """The broker forgets everything."""
        self.queue.clear()

    # What workers do.

    @precondition(lambda self: self.queue and self._idle_workers())
    @rule(data=st.data(), doubled=st.booleans())
    def start(self, data: st.DataObject, doubled: bool) -> None:
        """A worker gets a message; the broker may keep it all the same."""
        actor, forwarder, _ = data.draw(st.sampled_from(self._idle_workers()), label="worker")
        at = data.draw(st.integers(0, len(self.queue) - 1), label="message")
        batch_id = self.queue[at] if doubled else self.queue.pop(at)
        with self._step(actor):
            actor.begin("run", lambda: forwarder.run(batch_id))

    @precondition(lambda self: self.queue and self._idle_workers())
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """A worker gets a message and works undisturbed until its first request is on the wire, or it is done."""
        actor, forwarder, _ = data.draw(st.sampled_from(self._idle_workers()), label="worker")
        batch_id = self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1), label="message"))
        with self._step(actor):
            actor.begin("run", lambda: forwarder.run(batch_id))
        self._undisturbed(actor)
        if actor.request is not None and self.clock.monotonic() < actor.request.write_by:
            self._write(actor.request)

    @precondition(lambda self: self._idle_workers())
    @rule(data=st.data(), undisturbed=st.booleans(), new=st.integers(0, 5), again=st.integers(0, 5))
    def maintain(self, data: st.DataObject, undisturbed: bool, new: int, again: int) -> None:
        """A worker looks after abandoned requests and promotes what is due, as far as the queues have room."""
        actor, forwarder, schedule = data.draw(st.sampled_from(self._idle_workers()), label="worker")
        room = {QUEUE: new, RETRY_QUEUE: again, PRIORITY_QUEUE: 5}
        self._maintain(actor, forwarder, schedule, undisturbed=undisturbed, room=room)

    @precondition(lambda self: self._actors_at("provider") and self._idle_workers())
    @rule(data=st.data())
    def freeze(self, data: st.DataObject) -> None:
        """A worker stands still beyond its leases, and the other one finds what it claimed."""
        self.clock.ms += 61_000
        actor, forwarder, schedule = data.draw(st.sampled_from(self._idle_workers()), label="worker")
        self._maintain(actor, forwarder, schedule, undisturbed=True)

    @precondition(lambda self: self._actors_at("provider") and self._idle_workers())
    @rule(data=st.data())
    def overtake(self, data: st.DataObject) -> None:
        """A worker stands still until what it claimed is in doubt, and the other one works off all that is due then."""
        other = data.draw(st.sampled_from(self._idle_workers()), label="worker")
        for seconds in (61, 90):
            self.clock.ms += seconds * 1000
            if other[0].idle:
                self._maintain(*other, undisturbed=True)
                self._work_off(*other)

    @precondition(lambda self: self.queue and self._idle_workers())
    @rule(data=st.data())
    def work_off(self, data: st.DataObject) -> None:
        """A worker takes one message after the other until a request of its own is on the wire."""
        self._work_off(*data.draw(st.sampled_from(self._idle_workers()), label="worker"))

    def _work_off(self, actor: Actor, forwarder: Forwarder, _: Schedule) -> None:
        while actor.idle and self.queue:
            batch_id = self.queue.pop(0)
            with self._step(actor):
                actor.begin("run", lambda batch_id=batch_id: forwarder.run(batch_id))
            self._undisturbed(actor)
            if actor.request is not None and self.clock.monotonic() < actor.request.write_by:
                self._write(actor.request)

    def _maintain(
        self,
        actor: Actor,
        forwarder: Forwarder,
        schedule: Schedule,
        *,
        undisturbed: bool,
        room: dict[str, int] | None = None,
    ) -> None:
        def round_of_maintenance() -> None:
            recover_abandoned(forwarder.sender, destinations())
            self.queue.extend(batch_id for batch_id, _ in schedule.promote(5, room))

        with self._step(actor):
            actor.begin("maintenance", round_of_maintenance)
        if undisturbed:
            self._undisturbed(actor)

    @precondition(lambda self: self._actors_at("store"))
    @rule(data=st.data(), how=st.sampled_from(["do", "do", "do", "lose reply", "lose request", "late", "half"]))
    def call(self, data: st.DataObject, how: str) -> None:
        """One call to the store: it works, or its reply is lost, or itself, or it arrives late, or half of it alone."""
        actor = data.draw(st.sampled_from(self._actors_at("store")), label="actor")
        with self._step(actor):
            actor.go(how)

    @precondition(lambda self: self._actors_at("store"))
    @rule(data=st.data(), steps=st.integers(2, 30))
    def several_calls(self, data: st.DataObject, steps: int) -> None:
        """Several calls of one actor that all work."""
        self._undisturbed(data.draw(st.sampled_from(self._actors_at("store")), label="actor"), steps)

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def late_command(self, data: st.DataObject) -> None:
        """A command that was given up long ago is carried out after all."""
        at = data.draw(st.integers(0, len(self.late) - 1), label="command")
        with self._step(None):
            self.late.pop(at)()

    @precondition(lambda self: any(not one.idle for one, _, _ in self.workers))
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """SIGKILL a worker."""
        busy = [one for one in self.workers if not one[0].idle]
        actor, _, _ = data.draw(st.sampled_from(busy), label="worker")
        with self._step(actor):
            actor.kill()

    @precondition(lambda self: any(not one.idle for one, _, _ in self.workers))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        """TERM to a worker: it finishes its request, hands back the rest, and another process takes its place."""
        busy = [one for one in self.workers if not one[0].idle]
        actor, forwarder, _ = data.draw(st.sampled_from(busy), label="worker")
        forwarder.sender.stopping.set()
        self._undisturbed(actor)
        if actor.idle:
            forwarder.sender.stopping.clear()

    # What MSG91 does.

    @precondition(lambda self: self._actors_at("provider"))
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        """A worker writes its request, unless it is too late for that or there is no connection."""
        actor = data.draw(st.sampled_from(self._actors_at("provider")), label="actor")
        wire = actor.request
        assert wire is not None
        if wire.written:
            return
        if self.clock.monotonic() >= wire.write_by:
            self._answer(actor, HANDED_BACK)
        elif data.draw(st.integers(0, 5), label="connection") == 0:
            self._answer(actor, REFUSED)
        else:
            self._write(wire)

    @precondition(lambda self: any(one.request and not one.request.written for one in self._actors_at("provider")))
    @rule(data=st.data(), seconds=st.sampled_from([1, 6, 16, 34]))
    def write_late(self, data: st.DataObject, seconds: int) -> None:
        """A worker waits for a connection, and then writes."""
        self.clock.ms += seconds * 1000
        self.write(data)

    @precondition(lambda self: any(one.written and not one.taken for one in self.wires))
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        """MSG91 takes a request that was written, also when nobody waits for its answer any more."""
        open_ones = [one for one in self.wires if one.written and not one.taken and one.token]
        self._take(data.draw(st.sampled_from(open_ones), label="request"))

    @precondition(lambda self: any(one.request and one.request.written for one in self._actors_at("provider")))
    @rule(
        data=st.data(),
        name=st.sampled_from([*ANSWERS, "accepted", "accepted", "accepted", "silence"]),
        undisturbed=st.booleans(),
    )
    def answer(self, data: st.DataObject, name: str, undisturbed: bool) -> None:
        """MSG91 answers, or is silent to the end."""
        waiting = [one for one in self._actors_at("provider") if one.request and one.request.written]
        actor = data.draw(st.sampled_from(waiting), label="actor")
        taken, answer = ANSWERS[name]
        wire = actor.request
        assert wire is not None
        if taken:
            self._take(wire)
        elif taken is False:
            if wire.taken:
                return
            # Refused is refused: it is not taken later either.
            wire.token, wire.written = "", False
        self._answer(actor, answer)
        if undisturbed:
            self._undisturbed(actor)

    def _answer(self, actor: Actor, answer: Answer) -> None:
        if actor.request is not None:
            actor.request.answered = answer.klass is not AnswerClass.UNKNOWN
        actor.job = f"{actor.job.split()[0]} definite" if answer.klass is not AnswerClass.UNKNOWN else actor.job
        with self._step(actor):
            actor.go(answer)

    # What time and people do.

    @rule(seconds=st.sampled_from([0.3, 1, 3, 6, 16, 36, 61, 90]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.ms += round(seconds * 1000)

    @precondition(lambda self: self.operator.idle and any(one.taken for one in self.wires))
    @rule(data=st.data(), delivered=st.sampled_from([True, False, None]), undisturbed=st.booleans())
    def report(self, data: st.DataObject, delivered: bool | None, undisturbed: bool) -> None:
        """A delivery report for something that MSG91 took."""
        taken = [(one.token, pair) for one in self.wires if one.taken for pair in one.messages]
        token, (phone, _) = data.draw(st.sampled_from(taken), label="report")
        ledger = Ledger(self.operator_store)
        with self._step(self.operator):
            self.operator.begin("report", lambda: ledger.report(recipient=phone, delivered=delivered, token=token))
        if undisturbed:
            self._undisturbed(self.operator)

    def _doubtful(self) -> list[str]:
        return [one for one, record in self.records.items() if record and record.state is State.IN_DOUBT]

    @precondition(lambda self: self.operator.idle and self._doubtful())
    @rule(
        data=st.data(),
        state=st.sampled_from([State.SCHEDULED, State.DEAD, State.ACCEPTED]),
        undisturbed=st.booleans(),
    )
    def decide(self, data: st.DataObject, state: State, undisturbed: bool) -> None:
        """The operator decides about something in doubt."""
        doubtful = self._doubtful()
        chosen = data.draw(st.lists(st.sampled_from(doubtful), min_size=1, unique=True), label="doubts")
        ledger = Ledger(self.operator_store)

        def decide() -> None:
            found = ledger.kept([key_of(one) for one in chosen])
            members = [kept.restore(one) for one in found if one is not None]
            resolve_doubt(ledger, members, state, "operator")

        with self._step(self.operator):
            self.operator.begin("decide", decide)
        if undisturbed:
            self._undisturbed(self.operator)

    @rule(open_it=st.booleans(), name=st.sampled_from(DESTINATIONS))
    def lane(self, open_it: bool, name: str) -> None:
        """The operator closes and opens a lane."""
        lanes = Lanes(self.store)
        with self._step(None):
            if open_it:
                self.queue += lanes.resume(f"{name}:sms")
            else:
                lanes.pause(f"{name}:sms", "by hand", seconds=10)

    # What must always be so.

    @invariant()
    def the_identity_holds(self) -> None:
        """Everything accepted is accounted for, by counters and by recount."""
        found = reconcile(self.store)
        assert found.holds, found.problems
        assert found.counts.events["received"] >= self.accepted_events

    @invariant()
    def who_is_sending_is_claimed(self) -> None:
        """No delivery is being sent without a claim that would run out."""
        claims = {one.decode() for one in self.store.client.zrange(self.store.keys.claims, 0, -1)}
        for message, record in self.records.items():
            if record is not None and record.state is State.SENDING:
                assert record.ref in claims, f"{message} is being sent under {record.ref}, which nobody watches"

    # The end.

    def _come_to_rest(self) -> None:
        for actor in (*(one for one, _, _ in self.workers), self.operator):
            with self._step(actor):
                actor.kill()
        while self.late:
            with self._step(None):
                self.late.pop(0)()
        actor, forwarder, schedule = self.workers[0]
        forwarder.sender.stopping.clear()
        for name in DESTINATIONS:
            Lanes(self.store).resume(f"{name}:sms")
        for _ in range(60):
            self.clock.ms += 65_000
            self._to_the_end(actor, "maintenance", lambda: recover_abandoned(forwarder.sender, destinations()))
            due = [batch_id for batch_id, _ in Schedule(self.store).promote(100)]
            for batch_id in due:
                self._to_the_end(actor, "run", lambda batch_id=batch_id: forwarder.run(batch_id))
            if not due and not schedule.store.client.zcard(self.store.keys.schedule):
                break
        counts = reconcile(self.store)
        assert counts.holds, counts.problems
        assert counts.counts.events["queued"] == 0
        assert counts.counts.states_on_the_way == 0, counts.counts.states
        assert self.store.client.zcard(self.store.keys.claims) == 0
        for message, record in self.records.items():
            seen = self.seen[message]
            if record is None:
                assert not seen.takes
                continue
            where = destination_of(message)
            assert record.state is not State.IN_DOUBT or where != RESEND, f"{message} is left in doubt"
            assert record.state is not State.EXPIRED or where == BRIEF, f"{message} expired"
            if record.state in (State.REJECTED, State.EXPIRED):
                assert set(seen.takes) <= seen.released, f"{message} is {record.state}, and MSG91 took it"
        assert len(list(Journal(self.store).newest_first())) >= sum(one is not None for one in self.records.values())

    def _to_the_end(self, actor: Actor, job: str, call: Callable[[], object]) -> None:
        with self._step(actor):
            actor.begin(job, call)
        while not actor.idle:
            with self._step(actor):
                if actor.gate == "provider":
                    assert actor.request is not None
                    self._take(actor.request)
                    actor.job = f"{job} definite"
                    actor.go(ANSWERS["accepted"][1])
                else:
                    actor.go("do")


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(
    max_examples=40,
    # a story of sixty steps takes minutes to shrink, and can be read as it is
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)
