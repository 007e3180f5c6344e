"""Deciding about deliveries in doubt: by policy or by an operator, never by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker import deliveries as kept
from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import PRIORITY_QUEUE, Expectation, Ledger, Outcome, State, Waiting


def dump_timer(delivery_keys: Sequence[str], token: str) -> bytes:
    """The bytes of a timer for deliveries in doubt: a key a line, and at last ``=`` and the token of their request."""
    return "\n".join([*delivery_keys, f"={token}"]).encode()


def load_timer(body: bytes) -> tuple[list[str], str]:
    """The delivery keys of a timer and the token of their request, ``""`` when an older version wrote none."""
    lines = body.decode().split("\n")
    token = lines.pop()[1:] if lines[-1].startswith("=") else ""
    return lines, token


def resolve_doubt(
    ledger: Ledger,
    deliveries: Sequence[Delivery],
    state: State,
    reason: str,
    *,
    due_ms: int = 0,
    journal: Mapping[str, Any] | None = None,
) -> int:
    """Decide about deliveries in doubt: send again (scheduled), drop (dead) or accept.

    Repeating the call is safe: what is not in doubt any more, or is so again under another request, stays as it is.

    Args:
        ledger: The ledger.
        deliveries: As they were kept.
        state: What they become.
        reason: Who decided, and why.
        due_ms: When those that are scheduled are due; now unless given.
        journal: What the journal says besides.

    Returns:
        How many were still in doubt and are now decided.
    """
    decided = 0
    groups: dict[tuple[str, str], list[Delivery]] = {}
    for one, record in zip(deliveries, ledger.records([one.key for one in deliveries]), strict=True):
        if record is not None and record.state is State.IN_DOUBT:
            groups.setdefault((record.ref, f"{one.destination}|{one.action}"), []).append(one)
    for (token, about), members in groups.items():
        again = state is State.SCHEDULED
        action = ACTIONS.get(members[0].action)
        queue = PRIORITY_QUEUE if action is not None and action.urgent else "events"
        due = due_ms or ledger.store.now_ms()
        waiting = [Waiting(due, kept.dump(members), len(members), queue=queue)] if again else []
        refused = ledger.settle(
            members,
            [Outcome(state, reason, one.keep() if state is State.DEAD else b"") for one in members],
            expect=Expectation("i", token),
            about=about,
            waiting=waiting,
            journal={"decided": reason, **(journal or {})},
        )
        decided += len(members) - len(refused)
    return decided
