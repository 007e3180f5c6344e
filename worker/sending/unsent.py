"""What becomes of deliveries without a request: they expire, are refused here, or wait for their lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.deliveries import Delivery, dump, look_again
from worker.delivery import (
    REDACTED,
    Call,
    Expectation,
    Grant,
    Lanes,
    Ledger,
    Outcome,
    Record,
    Sealing,
    State,
    Store,
    Verdict,
    Waiting,
    is_sealed,
)

from .terms import Attempt, Group, parents


class Unsent:
    """Settles what does not leave.

    Args:
        store: The store.
        ledger: Its ledger.
        lanes: Its lanes.
        sealing: Opens one-time passwords.
    """

    def __init__(self, store: Store, ledger: Ledger, lanes: Lanes, sealing: Sealing) -> None:
        self._store = store
        self._ledger = ledger
        self._lanes = lanes
        self._sealing = sealing

    def expire(self, deliveries: list[Delivery], group: Group) -> list[Delivery]:
        """Settle those whose time to live is over; gives the others."""
        if all(one.expires_ms is None for one in deliveries):
            return deliveries
        now_ms = self._store.now_ms()
        late = [one for one in deliveries if one.expires_ms is not None and one.expires_ms <= now_ms]
        self._end(late, "time to live ran out", group)
        return [one for one in deliveries if one not in late]

    def open(self, deliveries: list[Delivery], group: Group) -> tuple[list[Delivery], list[dict[str, Any]]]:
        """The payloads as the request needs them; a one-time password that nothing opens any more has expired."""
        secret = group.action.secret
        if not secret:
            return deliveries, [one.payload for one in deliveries]
        opened: list[Delivery] = []
        payloads: list[dict[str, Any]] = []
        gone: list[Delivery] = []
        for one in deliveries:
            value = one.payload.get(secret)
            digits = self._sealing.open(value) if is_sealed(value) else value
            if value is not None and (digits is None or digits == REDACTED):
                gone.append(one)
            else:
                opened.append(one)
                payloads.append(one.payload if value is None else {**one.payload, secret: digits})
        self._end(gone, "the one-time password is gone", group)
        return opened, payloads

    def reject(self, deliveries: Sequence[Delivery], objection: str, group: Group) -> None:
        """Settle what is known to be refused, before anything of it leaves."""
        now_ms = self._store.now_ms()
        for one in deliveries:
            one.remember({"at": now_ms, "errors": [{"field": group.action.approved, "message": objection}]})
        self._write(deliveries, [Outcome(State.REJECTED, objection[:160], one.keep()) for one in deliveries], group)

    def wait(
        self, deliveries: Sequence[Delivery], waiting: Waiting, grant: Grant, group: Group, attempt: Attempt
    ) -> None:
        """Let deliveries wait for their lane, as a batch of their own.

        Args:
            deliveries: They.
            waiting: That batch; its id is what the lane wakes.
            grant: What the lane said.
            group: Theirs.
            attempt: The request that does not leave.
        """
        waiting.due_ms = grant.when_ms
        paid = grant.verdict is Verdict.SLOT or (grant.verdict is Verdict.FULL and attempt.paid)
        waiting.slot = attempt.lane.name if paid else ""
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
        outcomes = [Outcome(State.SCHEDULED, reason[:160], waiting=order.index(due), counts=False) for due in dues]
        # The slot that it waits for may have been freed since the lane said that there was none.
        queued = self._lanes.queued(attempt.lane.name, waiting.id) if grant.verdict is Verdict.FULL else None
        refused = self._write(deliveries, outcomes, group, list(batches.values()), then=queued)
        # An earlier try of the same call may have claimed them, though its reply was lost.
        self.take_back(deliveries, refused, attempt.token, group)

    def take_back(
        self, deliveries: Sequence[Delivery], blocked: Mapping[int, Record | None], token: str, group: Group
    ) -> None:
        """A claim of ours whose reply was lost may have run out before we heard of it; nothing of it ever left."""
        lost = [deliveries[at] for at, record in blocked.items() if record and record.ref == token]
        if lost:
            now_ms = self._store.now_ms()
            waiting = Waiting(due_ms=now_ms, body=dump(lost), items=len(lost), queue=group.queue)
            self._ledger.settle(
                lost,
                [Outcome(State.SCHEDULED, "claimed too late, never sent", counts=False)] * len(lost),
                expect=Expectation("si", token),
                about=group.about,
                token=token,
                waiting=[waiting],
            )

    def _end(self, late: Sequence[Delivery], reason: str, group: Group) -> None:
        """Settle what has expired."""
        if late:
            self._write(late, [Outcome(State.EXPIRED, reason)] * len(late), group)

    def _write(
        self,
        deliveries: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        group: Group,
        waiting: Sequence[Waiting] = (),
        then: Call | None = None,
    ) -> dict[int, Record | None]:
        """Settle deliveries that are new, or waited in this batch; gives the records of the others, by position."""
        refused = self._ledger.settle(
            deliveries,
            outcomes,
            expect=Expectation("-w", group.batch.id),
            about=group.about,
            origin=group.batch.origin,
            waiting=waiting,
            then=then,
        )
        group.sent.mine |= parents(deliveries, refused, group.batch)
        return refused
