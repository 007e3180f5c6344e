"""One request: its deliveries are claimed, it leaves, its outcome is settled."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from worker.deliveries import Delivery, dump_claim
from worker.delivery import (
    REDACTED,
    Expectation,
    Ledger,
    Measures,
    Record,
    State,
    Store,
    StoreHeld,
    Trust,
)
from worker.delivery import Kind as BatchKind
from worker.destinations import Destination
from worker.msg91.answers import Answer, AnswerClass
from worker.outcomes import TAKEN, Decision, decide
from worker.tracing import span

from .giving_up import KEPT_BACK, UnderWay
from .planning import note_attempt, plan
from .terms import Client, Group, Timing, Wake, parents
from .unsent import Unsent

log = logging.getLogger(__package__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request about to be made.

    Attributes:
        token: Its correlation token.
        lease_end_ms: When its claim runs out, by the store's clock.
        write_by: `time.monotonic` after which its first byte must not be written.
        under_way: How it is given up.
    """

    token: str
    lease_end_ms: int
    write_by: float
    under_way: UnderWay


class Requests:
    """Makes requests for one process.

    Args:
        store: The store.
        ledger: Its ledger.
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
        self._client_of = client_of
        self._timing = timing
        self._unsent = unsent
        self._wake = wake
        self._measures = measures
        self._trust = trust

    def make(
        self, deliveries: list[Delivery], payloads: list[dict[str, Any]], group: Group, attempt: Attempt
    ) -> Answer | None:
        """Claim, send what was claimed, settle; ``None`` when nothing was sent because nothing was claimed."""
        blocked = self._claim(deliveries, group, attempt)
        if blocked is None:
            return None
        claimed = [one for at, one in enumerate(deliveries) if at not in blocked] if blocked else deliveries
        if not claimed:
            return None
        left = [one for at, one in enumerate(payloads) if at not in blocked] if blocked else payloads
        if self._trust is not None:
            self._trust.claimed(attempt.token)

        def give_up(answer: Answer) -> None:
            # On copies: the answer may come at the same moment, and notes the attempt, too.
            self._settle([copy(one) for one in claimed], answer, group, attempt)

        answer = KEPT_BACK
        if attempt.under_way.claimed(give_up):
            answer = self._send(left, group, attempt)
        self._settle(claimed, answer, group, attempt)
        return answer

    def _claim(self, deliveries: list[Delivery], group: Group, attempt: Attempt) -> dict[int, Record] | None:
        """Claim; gives the records of those that somebody else has, ``None`` when nothing may be sent."""
        batch, token = group.batch, attempt.token
        try:
            blocked = self._ledger.claim(
                deliveries,
                token=token,
                lease_end_ms=attempt.lease_end_ms,
                origin=batch.origin,
                from_batch=batch.id,
                about=group.about,
                items=dump_claim(batch.id, deliveries),
                server=self._trust.server if self._trust is not None else "",
            )
        except StoreHeld:
            group.sent.held = True
            if self._trust is not None:
                self._trust.look()
            # The claim may have been written and its reply lost, before another server answered.
            records = self._ledger.records([one.key for one in deliveries])
            written = {at: one for at, one in enumerate(records) if one is not None and one.ref == token}
            self._unsent.take_back(deliveries, written, token, group)
            return None
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

    def _settle(self, deliveries: list[Delivery], answer: Answer, group: Group, attempt: Attempt) -> None:
        token, now_ms = attempt.token, self._store.now_ms()
        decisions = self._decide(deliveries, answer, group, attempt, now_ms)
        outcomes, waiting = plan(deliveries, decisions, queue=group.queue)
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
        if answer.klass is AnswerClass.ACCEPTED and all([one is answer for one in answers]):
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
