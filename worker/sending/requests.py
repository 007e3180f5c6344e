"""One request: its lane grants a slot, its deliveries are claimed, it leaves, its outcome is settled.

Two round trips to the store: lane and claim before it, settlement and lane after it.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

from worker.deliveries import Delivery, dump_claim
from worker.delivery import (
    REDACTED,
    Awaiting,
    Call,
    Ending,
    Expectation,
    Grant,
    Lanes,
    Ledger,
    Measures,
    Record,
    State,
    Store,
    StoreHeld,
    Trust,
    Verdict,
    Waiting,
)
from worker.delivery import Kind as BatchKind
from worker.destinations import Destination
from worker.msg91.answers import Answer, AnswerClass
from worker.outcomes import TAKEN, Decision, decide, ending_of, reason_of
from worker.tracing import span

from .giving_up import KEPT_BACK
from .planning import note_attempt, plan
from .terms import Attempt, Client, Group, Timing, Wake, parents
from .unsent import Unsent

log = logging.getLogger(__package__)


class Requests:
    """Makes requests for one process.

    Args:
        store: The store.
        ledger: Its ledger.
        lanes: Its lanes.
        client_of: The MSG91 client for a family of a destination's endpoints.
        timing: How long things may take.
        unsent: Settles what does not leave.
        wake: Tells Celery of a batch that can go now.
        measures: Where latencies are added up.
        trust: Says whether the store still knows every request that left.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        lanes: Lanes,
        client_of: Callable[[Destination, str], Client],
        *,
        timing: Timing,
        unsent: Unsent,
        wake: Wake,
        measures: Measures | None,
        trust: Trust | None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._lanes = lanes
        self._client_of = client_of
        self._timing = timing
        self._unsent = unsent
        self._wake = wake
        self._measures = measures
        self._trust = trust
        self._awaiting = Awaiting(store, ledger)

    def make(self, deliveries: list[Delivery], payloads: list[dict[str, Any]], group: Group, attempt: Attempt) -> None:
        """Claim, send what was claimed, settle; or let all of them wait, when the lane says so."""
        token = attempt.token
        # Its id is what the lane wakes.
        waiting = Waiting(due_ms=0, body=b"", items=len(deliveries), queue=group.queue)
        grant, claiming = self._enter(deliveries, group, attempt, waiting)
        if grant.wake:
            self._wake(grant.wake, group.queue)
        if grant.verdict is not Verdict.GO:
            self._unsent.wait(deliveries, waiting, grant, group, attempt)
            return
        blocked = self._claimed(claiming, deliveries, group, token)
        claimed = [one for at, one in enumerate(deliveries) if at not in blocked] if blocked else deliveries
        if not claimed or group.sent.held:
            self._lanes.release(attempt.lane.name, attempt.lane.limits, token=token, ending=Ending.NONE)
            return
        left = [one for at, one in enumerate(payloads) if at not in blocked] if blocked else payloads
        if self._trust is not None:
            self._trust.claimed(token)
        self._awaiting.expect(token, group.destination.policies[group.action.name].report_window)

        def give_up(answer: Answer) -> None:
            # On copies: the answer may come at the same moment, and notes the attempt, too.
            self._settle([copy(one) for one in claimed], answer, group, attempt)

        answer = KEPT_BACK
        if attempt.under_way.claimed(give_up):
            answer = self._send(left, group, attempt)
        releasing = self._releasing(answer, attempt)
        self._settle(claimed, answer, group, attempt, then=releasing)
        woken = self._lanes.woken(releasing)
        if woken:
            self._wake(woken, group.queue)

    def _enter(
        self, deliveries: list[Delivery], group: Group, attempt: Attempt, waiting: Waiting
    ) -> tuple[Grant, Call]:
        """Ask the lane and, should it grant a slot, claim: what the lane said, and the call that claimed."""
        batch, lane = group.batch, attempt.lane
        acquiring = self._lanes.acquiring(
            lane.name,
            lane.limits,
            token=attempt.token,
            lease_end_ms=attempt.lease_end_ms,
            cost=sum(one.cost for one in deliveries) if lane.cost == "parts" else 1,
            slot=attempt.paid,
            waiter=waiting.id,
        )
        claiming = self._ledger.claiming(
            deliveries,
            token=attempt.token,
            lease_end_ms=attempt.lease_end_ms,
            origin=batch.origin,
            from_batch=batch.id,
            about=group.about,
            items=dump_claim(batch.id, deliveries),
            server=self._trust.server if self._trust is not None else "",
            lane=lane.name,
        )
        self._store.run(acquiring, claiming)
        grant = self._lanes.grant(acquiring)
        if grant.verdict is Verdict.GO and self._ledger.lacks_slot(claiming):
            # The store was away until its lease was over, and others cleared the slot away right before the claim.
            grant = replace(grant, verdict=Verdict.SLOT, when_ms=self._store.now_ms(), reason="its slot ran out")
        return grant, claiming

    def _releasing(self, answer: Answer, attempt: Attempt) -> Call:
        """The call that frees the slot and tells the lane how it went."""
        return self._lanes.releasing(
            attempt.lane.name,
            attempt.lane.limits,
            token=attempt.token,
            ending=ending_of(answer),
            reason=reason_of(answer),
            pause=answer.retry_after or 1.0,
            latency=answer.elapsed,
        )

    def _claimed(self, claiming: Call, deliveries: list[Delivery], group: Group, token: str) -> dict[int, Record]:
        """The records of those that somebody else has; notes when nothing may be sent."""
        batch = group.batch
        try:
            blocked = self._ledger.blocked(claiming)
        except StoreHeld:
            group.sent.held = True
            if self._trust is not None:
                self._trust.look()
            # The claim may have been written and its reply lost, before another server answered.
            records = self._ledger.records([one.key for one in deliveries])
            written = {at: one for at, one in enumerate(records) if one is not None and one.ref == token}
            self._unsent.take_back(deliveries, written, token, group)
            return {}
        group.sent.mine |= parents(deliveries, blocked, batch)
        for record in blocked.values():
            # Until what an earlier run of this batch claimed is settled, the batch holds the only copy of the event.
            if record.state is State.SENDING and (record.origin == batch.origin or batch.kind is BatchKind.DELIVERIES):
                until_ms = record.at_ms + round(self._timing.lease * 1000)
                group.sent.busy_until_ms = max(group.sent.busy_until_ms, until_ms)
        self._unsent.take_back(deliveries, blocked, token, group)
        return blocked

    def _send(self, payloads: list[dict[str, Any]], group: Group, attempt: Attempt) -> Answer:
        action, destination = group.action, group.destination
        try:
            request = action.build(payloads, destination.context, attempt.token)
        except Exception as error:
            # Nothing has left. One payload may be at fault: as a refusal it is found by splitting, and kept.
            log.exception("a request of %d deliveries cannot be built", len(payloads))
            message = f"the request cannot be built: {type(error).__name__}"
            return Answer(AnswerClass.REQUEST, code="not_built", message=message, sent=False)
        client = self._client_of(destination, action.family)
        with span(action.name, destination=destination.name, token=attempt.token, deliveries=len(payloads)) as traced:
            answer = client.send(
                request,
                deadline=time.monotonic() + self._timing.deadline,
                write_by=attempt.write_by,
                may_leave=attempt.under_way.may_leave,
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
        self, deliveries: list[Delivery], answer: Answer, group: Group, attempt: Attempt, *, then: Call | None = None
    ) -> None:
        token, now_ms = attempt.token, self._store.now_ms()
        decisions = self._decide(deliveries, answer, group, attempt, now_ms)
        outcomes, waiting = plan(deliveries, decisions, token=token, queue=group.queue)
        ours = {token, *[one.id for one in waiting]}
        refused = self._ledger.settle(
            deliveries,
            outcomes,
            expect=Expectation("si", token),
            about=group.about,
            token=token,
            request_id=answer.request_id or "",
            waiting=waiting,
            journal={
                "status": answer.status,
                "code": answer.code,
                "request_id": answer.request_id,
                "elapsed_ms": round(answer.elapsed * 1000),
            },
            then=then,
        )
        if self._trust is not None:
            stays = any(one.state in (State.ACCEPTED, State.IN_DOUBT) for one in outcomes)
            self._trust.settled(token, kept=stays)
        log.debug(
            "request %s: %d deliveries, %s in %.0f ms", token, len(deliveries), answer.klass, answer.elapsed * 1000
        )
        # What still refers to this request was settled by this very call, whose first reply was lost.
        others = [record for record in refused.values() if record is None or record.ref not in ours]
        if others:
            log.warning("%d deliveries of request %s were settled by somebody else", len(others), token)
        if self._measures is not None and deliveries[0].received_ms:
            taken = sum([one is TAKEN or one.state is State.ACCEPTED for one in decisions])
            if taken:
                self._measures.taken(group.about, taken, now_ms - deliveries[0].received_ms)
        for ready in waiting:
            if ready.kind is BatchKind.DELIVERIES and ready.due_ms <= now_ms:
                self._wake(ready.id, ready.queue)

    def _decide(
        self, deliveries: list[Delivery], answer: Answer, group: Group, attempt: Attempt, now_ms: int
    ) -> list[Decision]:
        """What becomes of each delivery; those that were not taken remember the attempt."""
        answers = group.action.read(answer, len(deliveries))
        if answer.klass is AnswerClass.ACCEPTED and all(one is answer for one in answers):
            return [TAKEN] * len(deliveries)
        policy = group.destination.policies[group.action.name]
        # one draw for the whole request: the least of many would be next to nothing
        jitter = random.random()  # noqa: S311 - jitter, not a secret
        decisions: list[Decision] = []
        for delivery, one in zip(deliveries, answers, strict=True):
            decision = decide(
                delivery,
                one,
                policy,
                repeatable=group.action.repeatable,
                shared=len(deliveries) > 1 and one is answer,
                now_ms=now_ms,
                random=jitter,
                resend_after_ms=attempt.lease_end_ms + round(self._timing.deadline * 1000),
            )
            decisions.append(decision)
            if decision.state is not State.ACCEPTED:
                note_attempt(delivery, one, decision, attempt.token, now_ms)
        return decisions
