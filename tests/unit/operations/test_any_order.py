"""Whatever operators, workers, kills and reports do, in any order: everything adds up, nothing is sent unasked for."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.stores import fake_store, holding
from tests.unit.forwarding.conftest import House, track
from tests.unit.operations.conftest import ACCEPTED, DOWN, REFUSED, SILENT, A, Desk
from worker.delivery import Batches, Journal, Kind, Lanes, Ledger, Schedule, State
from worker.delivery.states import TRANSITIONS
from worker.forwarding import Forwarder
from worker.msg91.answers import Answer
from worker.msg91.client import Request
from worker.operations import dead_letters, in_doubt, lanes, schedule
from worker.operations.forgetting import forget
from worker.operations.letters import Selection
from worker.operations.person import Person
from worker.recovery import recover_abandoned
from worker.runtime import Core
from worker.sending import Sender

PEOPLE = range(6)
DOUBTS = Selection((State.IN_DOUBT,))
LETTERS = Selection(dead_letters.STATES)
#: Answers after which MSG91 may have taken the messages.
TAKEN = (ACCEPTED, SILENT)


class Killed(BaseException):
    """A worker is gone in the middle of its request."""


class Operators(RuleBasedStateMachine):
    """A house in which everything can happen at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        # The same steps must lead to the same ids and times, or a failure cannot be told again.
        self.patch.setattr(
            "worker.delivery.batches.secrets", SimpleNamespace(token_hex=lambda n: random.randbytes(n).hex())
        )
        store = fake_store()
        store.open()
        began = store.now_ms()
        self.patch.setattr(store, "now_ms", lambda: began + store.ahead_ms)
        ledger, own_lanes, batches = Ledger(store), Lanes(store), Batches(store)
        made: list[House] = []
        sender = Sender(store, ledger, own_lanes, lambda _d, _f: made[0])
        forwarder = Forwarder(store, batches, sender, lambda: made[0].destinations)  # type: ignore[arg-type, return-value]
        made.append(
            House(Path(self.folder.name), store, batches, ledger, own_lanes, Schedule(store), forwarder, sender)
        )  # type: ignore[arg-type]
        self.desk = Desk(made[0], Core(store, batches, ledger, own_lanes, Schedule(store), Journal(store)))
        self.desk.configure(actions={"send_sms": {"attempts": 2, "backoff_base": 5}}, lanes={"sms": {"recipients": 2}})
        self.next_id = 0
        self.answer: Answer | None = ACCEPTED
        self.meanwhile: list[Callable[[], object]] = []
        self.past: list[Any] = []
        self.sent: Counter[str] = Counter()
        self.forgotten: Counter[str] = Counter()
        made[0].send = self.provider  # type: ignore[method-assign]

    def teardown(self) -> None:
        """Put everything back."""
        self.patch.undo()
        self.folder.cleanup()

    def provider(self, request: Request, **_: Any) -> Answer:
        """Answer as the last rule wants, or kill the worker; note whom a message may have reached."""
        body = orjson.loads(request.body or b"{}")
        if self.answer is None or self.answer in TAKEN:
            for sms in body["sms"]:
                for number in sms["to"]:
                    self.sent[f"{number}:{sms['message']}"] += 1
        if self.answer is None:
            raise Killed
        answer, meanwhile, self.meanwhile = self.answer, self.meanwhile, []
        for happens in meanwhile:
            happens()
        return answer

    @rule(people=st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4), bad=st.booleans())
    def events_come(self, people: list[int], bad: bool) -> None:
        """New events, one for each person, each with a text of its own."""
        events: list[Any] = []
        for person in people:
            self.next_id += 1
            events.append(track(A + person, f"id-{self.next_id}", f"text {self.next_id}"))
        if bad:
            events += [b"{broken", track("12345", f"bad-{self.next_id}"), events[0]]
        self.past += events
        self.desk.house.accept(*events)

    @rule(picks=st.lists(st.integers(0, 1000), min_size=1, max_size=4))
    def events_come_again(self, picks: list[int]) -> None:
        """The same events through another door, or the same one."""
        if self.past:
            self.desk.house.accept(*[self.past[pick % len(self.past)] for pick in picks])

    @rule()
    def payloads_come(self) -> None:
        """What another producer resolved itself."""
        self.next_id += 1
        payload = {"phone": str(A + self.next_id % 6), "message": f"text {self.next_id}"}
        item = {"action": "send_sms", "messageId": f"id-{self.next_id}", "payload": payload}
        self.desk.house.accept(item, kind=Kind.PAYLOADS, destination="msg91")

    @rule(
        answer=st.sampled_from([ACCEPTED, ACCEPTED, DOWN, REFUSED, SILENT, None]), seconds=st.sampled_from([0, 16, 90])
    )
    def workers_work(self, answer: Answer | None, seconds: int) -> None:
        """Everything that is due is run; a killed worker leaves what it had in its hands."""
        self.answer = answer
        self.desk.store.pass_time(seconds)
        for batch_id, _ in self.desk.core.schedule.promote(100):
            try:
                self.desk.house.forwarder.run(batch_id)
            except Killed:
                break

    @rule(answer=st.sampled_from([ACCEPTED, DOWN, REFUSED, SILENT]), resend=st.booleans(), work=st.booleans())
    def an_answer_comes_late(self, answer: Answer, resend: bool, work: bool) -> None:
        """Its lease has run out meanwhile, and perhaps somebody has acted on the doubt."""
        self.meanwhile = [self.the_lost_are_found]
        if resend:
            self.meanwhile.append(self.doubts_are_resent)
        if work:
            self.meanwhile.append(lambda: self.workers_work(ACCEPTED, 0))
        self.workers_work(answer, 16)
        self.meanwhile = []

    @rule()
    def the_lost_are_found(self) -> None:
        """Requests whose workers are gone move into doubt."""
        self.desk.store.pass_time(61)
        recover_abandoned(self.desk.house.sender, self.desk.destinations)

    @rule()
    def doubts_are_resent(self) -> None:
        """By an operator."""
        in_doubt.resend(self.desk.core, self.desk.destinations, DOUBTS, by="x", quiet=0)

    @rule()
    def doubts_are_dropped(self) -> None:
        """By an operator."""
        in_doubt.drop(self.desk.core, DOUBTS, by="x")

    @rule()
    def doubts_are_accepted(self) -> None:
        """By an operator."""
        in_doubt.accept(self.desk.core, DOUBTS, by="x")

    @rule(delivered=st.sampled_from([True, False, None]), pick=st.integers(0, 1000))
    def reports_come(self, delivered: bool | None, pick: int) -> None:
        """On anything that was ever sent."""
        tokens = [str(one.about["token"]) for one in self.desk.core.journal.newest_first() if one.about.get("token")]
        token = tokens[pick % len(tokens)] if tokens else "none"
        for person in PEOPLE:
            self.desk.core.ledger.report(recipient=str(A + person), delivered=delivered, token=token)

    @rule()
    def letters_are_replayed(self) -> None:
        """By two operators, one after the other."""
        first = dead_letters.replay(self.desk.core, self.desk.destinations, LETTERS, by="x")
        plan = dead_letters.plan_replay(self.desk.core, self.desk.destinations, LETTERS)
        assert plan.sends == 0, first

    @rule()
    def letters_are_discarded(self) -> None:
        """For good."""
        dead_letters.discard(self.desk.core, LETTERS, by="x")
        assert self.desk.core.ledger.attention(State.DEAD) == []

    @rule(pick=st.integers(0, 1000))
    def batches_are_dropped(self, pick: int) -> None:
        """One that is in the schedule."""
        ids = [entry.batch_id for entry in self.desk.core.schedule.entries()]
        if ids:
            schedule.drop(self.desk.core, self.desk.destinations, [ids[pick % len(ids)]], by="x")

    @rule()
    def everything_is_hurried(self) -> None:
        """All batches are due now."""
        schedule.hurry_all(self.desk.core, by="x")

    @rule(paused=st.booleans())
    def the_lane_is_turned(self, paused: bool) -> None:
        """Closed or opened."""
        core, destinations = self.desk.core, self.desk.destinations
        if paused:
            lanes.pause(core, destinations, "msg91:sms", reason="x", seconds=30, by="x")
        else:
            lanes.resume(core, destinations, "msg91:sms", by="x")

    @rule(person=st.sampled_from(PEOPLE))
    def somebody_is_forgotten(self, person: int) -> None:
        """Nothing of theirs is left, but for what is under way."""
        whom = Person.known_to(self.desk.destinations, phone=f"+{A + person}")
        erased = forget(self.desk.core, self.desk.destinations, whom, by="x")
        if not erased.under_way:
            assert str(A + person) not in self.desk.everything()

    @invariant()
    def everything_adds_up(self) -> None:
        """By the counters and by every record."""
        holding(self.desk.store)

    @invariant()
    def nothing_is_sent_unasked_for(self) -> None:
        """A text may have reached somebody once, and once more for each time an operator said so."""
        asked = Counter(
            line.message_id
            for line in self.desk.core.journal.newest_first()
            if line.reason in (dead_letters.REPLAYED, in_doubt.SENT_AGAIN)
        )
        blank = asked.pop("", 0)  # of people who were forgotten since
        too_many = {
            text: times
            for text, times in self.sent.items()
            if times > 1 + asked[f"id-{text.rpartition(' ')[2]}"] + blank
        }
        assert not too_many

    @invariant()
    def states_follow_each_other_as_they_may(self) -> None:
        """Every step that the journal tells is one of the table, with the claims in between that it does not tell."""
        lives: dict[str, list[State]] = {}
        for line in self.desk.core.journal.newest_first():
            if line.reason not in (dead_letters.DISCARDED, "forgotten") or line.state is State.SUPPRESSED:
                lives.setdefault(line.key, []).insert(0, line.state)
        for life in lives.values():
            before: State | None = None
            for state in life:
                through_sending = State.SENDING in TRANSITIONS[before] and state in TRANSITIONS[State.SENDING]
                late = before is State.IN_DOUBT and state is State.IN_DOUBT
                assert state in TRANSITIONS[before] or through_sending or late, life
                before = state


Operators.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOperators = Operators.TestCase
