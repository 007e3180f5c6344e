"""The way out: the lane grants a slot, the ledger claims, the request leaves, the outcome is settled."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from worker.actions import ACTIONS, Action
from worker.deliveries import Delivery, dump, dump_claim, look_again
from worker.delivery import (
    PRIORITY_QUEUE,
    REDACTED,
    Batch,
    Ending,
    Expectation,
    Grant,
    Lanes,
    Ledger,
    Measures,
    Outcome,
    Record,
    Sealing,
    State,
    Store,
    StoreHeld,
    Trust,
    Verdict,
    Waiting,
    is_sealed,
    new_id,
)
from worker.delivery import Kind as BatchKind
from worker.destinations import Destination
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.outcomes import Decision, decide, ending_of, reason_of
from worker.pipeline import Over
from worker.tracing import span

log = logging.getLogger(__name__)

#: Says why MSG91 is known to refuse a delivery (its template is not approved, say), or None.
Approve = Callable[[Destination, Delivery], str | None]
#: Tells Celery of a batch that can go now: batch id, queue.
Wake = Callable[[str, str], object]


class Client(Protocol):
    """What is asked of an MSG91 client."""

    def send(
        self,
        request: Request,
        *,
        deadline: float | None = None,
        write_by: float | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Answer:
        """Make one request; never raises for the provider or the network."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, seconds.

    Attributes:
        deadline: One request, from first byte to the end of the answer.
        lease: A claim; the deadline must end well inside it.
        margin: What must be left of the lease, beyond the deadline, when the first byte is written.
    """

    deadline: float = 20.0
    lease: float = 60.0
    margin: float = 5.0


@dataclass(slots=True)
class Sent:
    """What became of the deliveries handed to ``Sender.deliver``.

    Attributes:
        mine: Positions (in the batch) of events that are the parent of at least one delivery.
        busy_until_ms: A delivery of this batch is still being sent by an earlier run: come back after this moment.
        stopped: The worker is shutting down and did not get to all of them.
        held: Nothing may be sent: the store may have lost claims.
    """

    mine: set[int] = field(default_factory=set)
    busy_until_ms: int = 0
    stopped: bool = False
    held: bool = False


class UnderWay:
    """A request, from the moment its deliveries are about to be claimed until its outcome is written.

    Attributes:
        left: Whether its first byte may have been written.
        over: Set when its outcome is written, or nothing of it was claimed.
    """

    def __init__(self) -> None:
        self.left = False
        self.over = threading.Event()
        self._kept_back = False
        self._settle: Callable[[Answer], None] | None = None
        self._lock = threading.Lock()

    def claimed(self, settle: Callable[[Answer], None]) -> bool:
        """Its deliveries are claimed; ``False`` when it has been given up meanwhile and must not be made."""
        with self._lock:
            self._settle = settle
            return not self._kept_back

    def may_leave(self) -> bool:
        """Asked just before the first byte is written."""
        with self._lock:
            self.left = self.left or not self._kept_back
            return not self._kept_back

    def give_up(self) -> None:
        """Wait no longer: what has not left never will, and what has is in doubt unless its answer comes after all."""
        with self._lock:
            self._kept_back = True
            answer, settle = GIVEN_UP if self.left else KEPT_BACK, self._settle
        if settle is None:
            # It is just being claimed: its own thread hands it back as soon as that is done.
            self.over.wait(GIVE_UP_WAIT)
        else:
            settle(answer)


#: What a request counts as that a worker has no time to wait for.
GIVEN_UP = Answer(
    AnswerClass.UNKNOWN, code="given_up", message="the worker was stopped while the request was under way"
)
KEPT_BACK = Answer(AnswerClass.RETRY, code="handed_back", message="the worker was stopped", sent=False)
#: Seconds that a claim under way is waited for when everything is given up.
GIVE_UP_WAIT = 2.0


class Sender:
    """Delivers for one process.

    Args:
        store: The store.
        ledger: Its ledger.
        lanes: Its lanes.
        client_of: The MSG91 client for a family of a destination's endpoints.
        timing: How long things may take.
        approve: Asked before a request leaves, about the first of its deliveries: what it objects to is the same for
            all that share a request.
        wake: Tells Celery of a batch that can go now.
        measures: Where latencies are added up.
        stopping: Set when the worker shuts down; what has not left by then is handed back.
        sealing: Opens one-time passwords.
        trust: Says whether the store still knows every request that left.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        lanes: Lanes,
        client_of: Callable[[Destination, str], Client],
        *,
        timing: Timing | None = None,
        approve: Approve | None = None,
        wake: Wake | None = None,
        measures: Measures | None = None,
        stopping: threading.Event | None = None,
        sealing: Sealing | None = None,
        trust: Trust | None = None,
    ) -> None:
        self.store = store
        self.trust = trust
        self.sealing = sealing or Sealing(store)
        self.ledger = ledger
        self.lanes = lanes
        self._client_of = client_of
        self.timing = timing or Timing()
        self.measures = measures
        self._approve = approve or (lambda _destination, _delivery: None)
        self._wake = wake or (lambda _batch_id, _queue: None)
        self.stopping = stopping or threading.Event()
        self._under_way: dict[str, UnderWay] = {}
        self._given_up = False

    @property
    def under_way(self) -> int:
        """How many requests of this process are claimed and not settled."""
        return len(self._under_way)

    def give_up(self) -> int:
        """Settle every request of this process that is under way now, whatever becomes of it; for a shutdown.

        An answer that comes after all still settles what is in doubt.

        Returns:
            How many requests were given up.

        Raises:
            StoreUnavailable: the store is away; the rest is left to its leases.
        """
        self.stopping.set()
        self._given_up = True
        requests = list(self._under_way.values())
        for one in requests:
            one.give_up()
        return len(requests)

    @property
    def held(self) -> str:
        """Why nothing may be sent, ``""`` when it may."""
        return self.trust.held if self.trust is not None else ""

    def record(self, over: Iterable[Over], batch: Batch) -> set[int]:
        """Write down deliveries that are over before anything was sent.

        Returns:
            Positions of events that are their parents.
        """
        mine: set[int] = set()
        groups: dict[str, list[Over]] = {}
        for one in over:
            groups.setdefault(f"{one.delivery.destination}|{one.delivery.action}", []).append(one)
        for about, members in groups.items():
            refused = self.ledger.settle(
                [one.delivery for one in members],
                [
                    Outcome(one.state, one.reason, one.delivery.keep() if one.state is State.REJECTED else b"")
                    for one in members
                ],
                expect=Expectation("-"),
                about=about,
                origin=batch.origin,
            )
            mine |= _parents([one.delivery for one in members], refused, batch)
        return mine

    def deliver(
        self,
        deliveries: Sequence[Delivery],
        destination: Destination,
        batch: Batch,
        *,
        on_progress: Callable[[], bool] | None = None,
    ) -> Sent:
        """Deliver what shares a destination: now, or through the schedule.

        Args:
            deliveries: New ones, or those that waited in ``batch``.
            destination: Theirs.
            batch: The batch that brings them.
            on_progress: Called before each request; ``False`` ends the work because the batch is no longer ours.
        """
        sent = Sent()
        slot = batch.slot
        for request in requests_of(urgent_first(deliveries), destination):
            if self.held:
                sent.held = True
                return sent
            if self.stopping.is_set() or (on_progress is not None and not on_progress()):
                sent.stopped = True
                return sent
            self._deliver_one(request, destination, batch, sent, slot=slot)
            if sent.held or sent.stopped:
                return sent
            slot = ""
        return sent

    def _deliver_one(
        self, deliveries: list[Delivery], destination: Destination, batch: Batch, sent: Sent, *, slot: str
    ) -> None:
        action = ACTIONS[deliveries[0].action]
        about = f"{destination.name}|{action.name}"
        deliveries = self._expire(deliveries, about, batch, sent)
        deliveries, payloads = self._open(deliveries, action, about, batch, sent)
        if not deliveries:
            return
        queue = PRIORITY_QUEUE if action.urgent else batch.queue
        objection = self._approve(destination, deliveries[0])
        if objection:
            self._reject(deliveries, objection, about, batch, sent)
            return
        settings = destination.lanes[action.family]
        lane, limits = settings.name, settings.limits
        token = new_id()
        lease_end_ms = self.store.now_ms() + round(self.timing.lease * 1000)
        write_by = time.monotonic() + self._time_to_write(deliveries)
        waiting = Waiting(due_ms=0, body=b"", items=len(deliveries), queue=queue)  # its id is what the lane wakes
        grant = self.lanes.acquire(
            lane,
            limits,
            token=token,
            lease_end_ms=lease_end_ms,
            cost=sum(one.cost for one in deliveries) if settings.cost == "parts" else 1,
            slot=slot == lane,
            waiter=waiting.id,
        )
        if grant.wake:
            self._wake(grant.wake, queue)
        if grant.verdict is not Verdict.GO:
            self._wait(deliveries, waiting, grant, about, batch, sent, slot=lane if slot == lane else "")
            return
        under_way = self._under_way[token] = UnderWay()
        try:
            answer = self._claim_and_send(
                deliveries, payloads, action, destination, about, batch, sent, token, lease_end_ms, write_by, under_way
            )
        finally:
            del self._under_way[token]
            under_way.over.set()
        if answer is None:
            self.lanes.release(lane, limits, token=token, ending=Ending.NONE)
            return
        woken = self.lanes.release(
            lane,
            limits,
            token=token,
            ending=ending_of(answer),
            reason=reason_of(answer),
            pause=answer.retry_after or 1.0,
            latency=answer.elapsed,
        )
        if woken:
            self._wake(woken, queue)

    def _claim_and_send(
        self,
        deliveries: list[Delivery],
        payloads: list[dict[str, Any]],
        action: Action,
        destination: Destination,
        about: str,
        batch: Batch,
        sent: Sent,
        token: str,
        lease_end_ms: int,
        write_by: float,
        under_way: UnderWay,
    ) -> Answer | None:
        """Claim, send what was claimed, settle; ``None`` when nothing was sent because nothing was claimed."""
        if self._given_up:
            sent.stopped = True
            return None
        try:
            blocked = self.ledger.claim(
                deliveries,
                token=token,
                lease_end_ms=lease_end_ms,
                origin=batch.origin,
                from_batch=batch.id,
                about=about,
                items=dump_claim(batch.id, deliveries),
                server=self.trust.server if self.trust is not None else "",
            )
        except StoreHeld:
            sent.held = True
            if self.trust is not None:
                self.trust.look()
            # The claim may have been written and its reply lost, before another server answered.
            records = self.ledger.records([one.key for one in deliveries])
            written = {at: one for at, one in enumerate(records) if one is not None and one.ref == token}
            self._take_back(deliveries, written, token, about, batch)
            return None
        sent.mine |= _parents(deliveries, blocked, batch)
        for record in blocked.values():
            # Until what an earlier run of this batch claimed is settled, the batch holds the only copy of the event.
            if record.state is State.SENDING and (record.origin == batch.origin or batch.kind is BatchKind.DELIVERIES):
                sent.busy_until_ms = max(sent.busy_until_ms, record.at_ms + round(self.timing.lease * 1000))
        self._take_back(deliveries, blocked, token, about, batch)
        claimed = [one for at, one in enumerate(deliveries) if at not in blocked] if blocked else deliveries
        if not claimed:
            return None
        left = [one for at, one in enumerate(payloads) if at not in blocked] if blocked else payloads
        if self.trust is not None:
            self.trust.claimed(token)

        def give_up(answer: Answer) -> None:
            # On copies: the answer may come at the same moment, and notes the attempt, too.
            copies = [copy(one) for one in claimed]
            self._settle(copies, answer, action, destination, token, about, batch, lease_end_ms)

        answer = KEPT_BACK
        if under_way.claimed(give_up):
            answer = self._request(left, action, destination, token, write_by, under_way.may_leave)
        self._settle(claimed, answer, action, destination, token, about, batch, lease_end_ms)
        return answer

    def _open(
        self, deliveries: list[Delivery], action: Action, about: str, batch: Batch, sent: Sent
    ) -> tuple[list[Delivery], list[dict[str, Any]]]:
        """The payloads as the request needs them; a one-time password that nothing opens any more has expired."""
        if not action.secret:
            return deliveries, [one.payload for one in deliveries]
        opened: list[Delivery] = []
        payloads: list[dict[str, Any]] = []
        gone: list[Delivery] = []
        for one in deliveries:
            value = one.payload.get(action.secret)
            digits = self.sealing.open(value) if is_sealed(value) else value
            if value is not None and (digits is None or digits == REDACTED):
                gone.append(one)
            else:
                opened.append(one)
                payloads.append(one.payload if value is None else {**one.payload, action.secret: digits})
        self._end(gone, "the one-time password is gone", about, batch, sent)
        return opened, payloads

    def _take_back(
        self, deliveries: list[Delivery], blocked: dict[int, Record], token: str, about: str, batch: Batch
    ) -> None:
        """A claim of ours whose reply was lost may have run out before we heard of it; nothing of it ever left."""
        lost = [deliveries[at] for at, record in blocked.items() if record.ref == token]
        if lost:
            now_ms = self.store.now_ms()
            waiting = Waiting(due_ms=now_ms, body=dump(lost), items=len(lost), queue=batch.queue)
            self.ledger.settle(
                lost,
                [Outcome(State.SCHEDULED, "claimed too late, never sent", counts=False)] * len(lost),
                expect=Expectation("si", token),
                about=about,
                token=token,
                waiting=[waiting],
            )

    def _request(
        self,
        payloads: list[dict[str, Any]],
        action: Action,
        destination: Destination,
        token: str,
        write_by: float,
        may_leave: Callable[[], bool],
    ) -> Answer:
        try:
            request = action.build(payloads, destination.context, token)
        except Exception as error:
            # Nothing has left. One payload may be at fault: as a refusal it is found by splitting, and kept.
            log.exception("a request of %d deliveries cannot be built", len(payloads))
            message = f"the request cannot be built: {type(error).__name__}"
            return Answer(AnswerClass.REQUEST, code="not_built", message=message, sent=False)
        client = self._client_of(destination, action.family)
        with span(action.name, destination=destination.name, token=token, deliveries=len(payloads)) as traced:
            answer = client.send(
                request,
                deadline=time.monotonic() + self.timing.deadline,
                write_by=write_by,
                may_leave=may_leave,
            )
            if traced is not None:
                traced.set_attributes({"answer": answer.klass.value, "status": answer.status or 0})
        for digits in {str(one[action.secret]) for one in payloads if action.secret in one} if action.secret else ():
            # Should MSG91 ever repeat them, they are not remembered.
            answer = replace(
                answer,
                message=answer.message.replace(digits, REDACTED),
                body=answer.body.replace(digits, REDACTED),
            )
        return answer

    def _settle(
        self,
        deliveries: list[Delivery],
        answer: Answer,
        action: Action,
        destination: Destination,
        token: str,
        about: str,
        batch: Batch,
        lease_end_ms: int,
    ) -> None:
        now_ms = self.store.now_ms()
        policy = destination.policies[action.name]
        answers = action.read(answer, len(deliveries))
        # one draw for the whole request: the least of many would be next to nothing
        jitter = random.random()  # noqa: S311 - jitter, not a secret
        decisions: list[Decision] = []
        for delivery, one in zip(deliveries, answers, strict=True):
            decision = decide(
                delivery,
                one,
                policy,
                repeatable=action.repeatable,
                shared=len(deliveries) > 1 and one is answer,
                now_ms=now_ms,
                random=jitter,
                resend_after_ms=lease_end_ms + round(self.timing.deadline * 1000),
            )
            decisions.append(decision)
            if decision.state is not State.ACCEPTED:
                note_attempt(delivery, one, decision, token, now_ms)
        outcomes, waiting = plan(deliveries, decisions, queue=PRIORITY_QUEUE if action.urgent else batch.queue)
        ours = {token, *[one.id for one in waiting]}
        refused = self.ledger.settle(
            deliveries,
            outcomes,
            expect=Expectation("si", token),
            about=about,
            token=token,
            request_id=answer.request_id or "",
            waiting=waiting,
            journal={
                "status": answer.status,
                "code": answer.code,
                "request_id": answer.request_id,
                "elapsed_ms": round(answer.elapsed * 1000),
            },
        )
        if self.trust is not None:
            stays = any(one.state in (State.ACCEPTED, State.IN_DOUBT) for one in outcomes)
            self.trust.settled(token, kept=stays)
        log.debug(
            "request %s: %d deliveries, %s in %.0f ms", token, len(deliveries), answer.klass, answer.elapsed * 1000
        )
        # What still refers to this request was settled by this very call, whose first reply was lost.
        others = [record for record in refused.values() if record is None or record.ref not in ours]
        if others:
            log.warning("%d deliveries of request %s were settled by somebody else", len(others), token)
        if self.measures is not None and deliveries[0].received_ms:
            taken = sum([one.state is State.ACCEPTED for one in decisions])
            if taken:
                self.measures.taken(about, taken, now_ms - deliveries[0].received_ms)
        for ready in waiting:
            if ready.kind is BatchKind.DELIVERIES and ready.due_ms <= now_ms:
                self._wake(ready.id, ready.queue)

    def _time_to_write(self, deliveries: list[Delivery]) -> float:
        """Seconds within which the first byte must be written: well inside the lease, and nothing of it too late."""
        ends = min((one.expires_ms for one in deliveries if one.expires_ms is not None), default=None)
        longest = self.timing.lease - self.timing.deadline - self.timing.margin
        return longest if ends is None else min(longest, (ends - self.store.now_ms()) / 1000)

    def _expire(self, deliveries: list[Delivery], about: str, batch: Batch, sent: Sent) -> list[Delivery]:
        if all(one.expires_ms is None for one in deliveries):
            return deliveries
        now_ms = self.store.now_ms()
        late = [one for one in deliveries if one.expires_ms is not None and one.expires_ms <= now_ms]
        self._end(late, "time to live ran out", about, batch, sent)
        return [one for one in deliveries if one not in late]

    def _end(self, late: list[Delivery], reason: str, about: str, batch: Batch, sent: Sent) -> None:
        """Settle what has expired."""
        if not late:
            return
        refused = self.ledger.settle(
            late,
            [Outcome(State.EXPIRED, reason)] * len(late),
            expect=Expectation("-w", batch.id),
            about=about,
            origin=batch.origin,
        )
        sent.mine |= _parents(late, refused, batch)

    def _reject(self, deliveries: list[Delivery], objection: str, about: str, batch: Batch, sent: Sent) -> None:
        """Settle what is known to be refused, before anything of it leaves."""
        now_ms = self.store.now_ms()
        for one in deliveries:
            one.remember({"at": now_ms, "errors": [{"field": "template", "message": objection}]})
        refused = self.ledger.settle(
            deliveries,
            [Outcome(State.REJECTED, objection[:160], one.keep()) for one in deliveries],
            expect=Expectation("-w", batch.id),
            about=about,
            origin=batch.origin,
        )
        sent.mine |= _parents(deliveries, refused, batch)

    def _wait(
        self,
        deliveries: list[Delivery],
        waiting: Waiting,
        grant: Grant,
        about: str,
        batch: Batch,
        sent: Sent,
        *,
        slot: str,
    ) -> None:
        lane = f"{deliveries[0].destination}:{ACTIONS[deliveries[0].action].family}"
        waiting.slot = lane if grant.verdict is Verdict.SLOT else slot if grant.verdict is Verdict.FULL else ""
        waiting.due_ms = grant.when_ms
        dues = [look_again(one, grant.when_ms) for one in deliveries]
        if grant.verdict is Verdict.FULL:
            # A freed slot wakes all of them together.
            waiting.due_ms = min(dues)
            dues = [waiting.due_ms] * len(deliveries)
        # What will have expired by then has no use for the slot, and is looked at when its own time is over.
        batches = {waiting.due_ms: waiting} if waiting.due_ms in dues else {}
        for due in dues:
            batches.setdefault(due, Waiting(due, b"", 0, queue=waiting.queue))
        order = list(batches)
        for due, one in batches.items():
            members = [delivery for delivery, at in zip(deliveries, dues, strict=True) if at == due]
            one.body, one.items = dump(members), len(members)
        reason = f"lane {grant.verdict}: {grant.reason}" if grant.reason else f"lane {grant.verdict}"
        refused = self.ledger.settle(
            deliveries,
            [Outcome(State.SCHEDULED, reason[:160], waiting=order.index(due), counts=False) for due in dues],
            expect=Expectation("-w", batch.id),
            about=about,
            origin=batch.origin,
            waiting=list(batches.values()),
        )
        sent.mine |= _parents(deliveries, refused, batch)


def urgent_first(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
    """What somebody is waiting for before the rest, in the order it came."""
    if not any(ACTIONS[one.action].urgent for one in deliveries):
        return deliveries
    return sorted(deliveries, key=lambda one: not ACTIONS[one.action].urgent)


def requests_of(deliveries: Sequence[Delivery], destination: Destination) -> Iterator[list[Delivery]]:
    """Group deliveries that may share a request; where reports join by number, none carries a recipient twice."""
    groups: dict[tuple[str, str], list[Delivery]] = {}
    for one in deliveries:
        groups.setdefault((one.action, one.group), []).append(one)
    for (action, _), members in groups.items():
        limit = destination.recipients(ACTIONS[action])
        unique = ACTIONS[action].unique_recipients
        rest = members
        while rest:
            chunk: list[Delivery] = []
            recipients: set[str] = set()
            later: list[Delivery] = []
            for at, one in enumerate(rest):
                if len(chunk) == limit:
                    later += rest[at:]
                    break
                if unique and one.recipient in recipients:
                    later.append(one)
                else:
                    recipients.add(one.recipient)
                    chunk.append(one)
            yield chunk
            rest = later


def plan(
    deliveries: Sequence[Delivery], decisions: Sequence[Decision], *, queue: str
) -> tuple[list[Outcome], list[Waiting]]:
    """Turn decisions into outcomes and the batches that the settling script makes of those that wait."""
    outcomes: list[Outcome] = []
    groups: dict[tuple[str, int], list[Delivery]] = {}
    doubts: dict[int, list[str]] = {}
    splits = [one for one, decision in zip(deliveries, decisions, strict=True) if decision.split]
    half = {id(one) for one in splits[: (len(splits) + 1) // 2]}
    for delivery, decision in zip(deliveries, decisions, strict=True):
        state, reason = decision.state, decision.reason
        if state is State.SCHEDULED:
            due_ms = look_again(delivery, decision.due_ms or 0)
            if decision.split:
                group = ("first half" if id(delivery) in half else "second half", due_ms)
            else:
                group = (reason, due_ms)
            groups.setdefault(group, []).append(delivery)
            at = list(groups).index(group)
            outcomes.append(Outcome(state, reason, waiting=at, counts=decision.counts))
        else:
            kept = b"" if state is State.ACCEPTED else delivery.keep(secrets=state is State.IN_DOUBT)
            outcomes.append(Outcome(state, reason, kept))
            if state is State.IN_DOUBT and decision.due_ms is not None:
                doubts.setdefault(decision.due_ms, []).append(delivery.key)
    waiting = [
        Waiting(due_ms=due_ms, body=dump(members), items=len(members), queue=queue)
        for (_, due_ms), members in groups.items()
    ]
    waiting += [
        Waiting(due_ms=due_ms, body="\n".join(keys).encode(), items=len(keys), kind=BatchKind.GRACE, queue=queue)
        for due_ms, keys in doubts.items()
    ]
    return outcomes, waiting


def attempt_of(answer: Answer, token: str, now_ms: int) -> dict[str, object]:
    """What a delivery remembers of an attempt; texts and numbers in the answer are masked already."""
    return {
        "at": now_ms,
        "token": token,
        "class": answer.klass.value,
        "status": answer.status,
        "code": answer.code,
        "message": answer.message,
        "answer": answer.body[:500],
        "maybe_sent": answer.sent,
    }


def note_attempt(delivery: Delivery, answer: Answer, decision: Decision, token: str, now_ms: int) -> None:
    """Let a delivery remember an attempt that did not end in success."""
    delivery.remember(attempt_of(answer, token, now_ms))
    delivery.attempts += decision.counts
    delivery.first_ms = delivery.first_ms or now_ms


def _parents(
    deliveries: Sequence[Delivery], refused: dict[int, Record] | dict[int, Record | None], batch: Batch
) -> set[int]:
    mine: set[int] = set()
    for at, one in enumerate(deliveries):
        record = refused.get(at) if at in refused else None
        if at not in refused or (record is not None and record.origin == batch.origin):
            mine.add(one.position)
    return mine
