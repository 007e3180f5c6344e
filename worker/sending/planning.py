"""From what is decided of deliveries to what is written of them."""

from __future__ import annotations

from collections.abc import Sequence

from worker.deliveries import Delivery, dump, look_again
from worker.delivery import Kind as BatchKind
from worker.delivery import Outcome, State, Waiting
from worker.doubts import dump_timer
from worker.msg91.answers import Answer
from worker.outcomes import TAKEN, Decision


def plan(
    deliveries: Sequence[Delivery], decisions: Sequence[Decision], *, token: str, queue: str
) -> tuple[list[Outcome], list[Waiting]]:
    """Turn decisions into outcomes and the batches that the settling script makes of those that wait."""
    if all(one is TAKEN for one in decisions):
        return [Outcome(State.ACCEPTED)] * len(deliveries), []
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
        Waiting(due_ms=due_ms, body=dump_timer(keys, token), items=len(keys), kind=BatchKind.GRACE, queue=queue)
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
