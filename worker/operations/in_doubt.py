"""An operator's word on deliveries that may have been sent: send them again, drop them, or take them as accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.delivery import State
from worker.destinations import Destinations
from worker.doubts import resolve_doubt
from worker.operations.letters import Letter, Progress, Selection, known, select
from worker.operations.obstacles import obstacle, parts_of
from worker.runtime import Core

DROPPED = "in doubt, dropped by operator"
ACCEPTED = "by operator"
SENT_AGAIN = "in doubt, sent again by operator"


@dataclass(slots=True)
class ResendPlan:
    """What sending them again would mean.

    Attributes:
        sends: Messages, user events and contacts that would be sent.
        parts: SMS parts they would cost.
        by_action: How many by destination and action.
        obstacles: Why others would not be sent.
    """

    sends: int = 0
    parts: int = 0
    by_action: Counter[tuple[str, str]] = field(default_factory=Counter)
    obstacles: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Decided:
    """What became of them.

    Attributes:
        decided: How many were decided now.
        elsewhere: How many were not in doubt any more when it came to them.
        obstacles: Why others stay in doubt.
    """

    decided: int = 0
    elsewhere: int = 0
    obstacles: Counter[str] = field(default_factory=Counter)


def check(core: Core, selection: Selection) -> None:
    """Check that the deliveries named by their keys exist.

    Raises:
        NotFound: one does not.
    """
    if selection.keys:
        known(core, selection.keys)


def plan_resend(
    core: Core, destinations: Destinations, selection: Selection, *, on_progress: Progress | None = None
) -> ResendPlan:
    """Say what `resend` would do, without doing it."""
    plan = ResendPlan()
    now_ms = core.store.now_ms()
    for letters in select(core, selection, on_progress=on_progress):
        for one in letters:
            hindrance = obstacle(one.delivery, destinations, now_ms)
            if hindrance or one.delivery is None:
                plan.obstacles[hindrance or ""] += 1
                continue
            plan.sends += 1
            plan.parts += parts_of(one.delivery)
            plan.by_action[one.destination, one.action] += 1
    return plan


def resend(
    core: Core,
    destinations: Destinations,
    selection: Selection,
    *,
    by: str,
    quiet: float,
    on_progress: Progress | None = None,
) -> Decided:
    """Send deliveries in doubt again; those whom a message reached already get it twice.

    Args:
        core: The store's parts.
        destinations: The present configuration.
        selection: Which.
        by: Who says so, for the journal.
        quiet: Seconds that must have passed since a delivery came into doubt (a claim's lease and a request's
            deadline), so that the first request is surely over; what is younger waits until then.
        on_progress: Called with the number looked at since the last call.
    """

    def send_again(letters: list[Letter], result: Decided) -> int:
        now_ms = core.store.now_ms()
        by_due: dict[int, list[Letter]] = {}
        for one in letters:
            hindrance = obstacle(one.delivery, destinations, now_ms)
            if hindrance:
                result.obstacles[hindrance] += 1
            else:
                by_due.setdefault(max(now_ms, one.record.at_ms + round(quiet * 1000)), []).append(one)
        return sum(
            resolve_doubt(
                core.ledger,
                [one.standing_in() for one in members],
                State.SCHEDULED,
                SENT_AGAIN,
                due_ms=due_ms,
                journal={"by": by},
            )
            for due_ms, members in by_due.items()
        )

    return _decide(core, selection, send_again, "in-doubt resend", by, on_progress)


def drop(core: Core, selection: Selection, *, by: str, on_progress: Progress | None = None) -> Decided:
    """Give deliveries in doubt up: they are dead, with their payload kept."""
    return _decide(core, selection, _settling(core, State.DEAD, DROPPED, by), "in-doubt drop", by, on_progress)


def accept(core: Core, selection: Selection, *, by: str, on_progress: Progress | None = None) -> Decided:
    """Take deliveries in doubt as accepted by MSG91; a later report can still say more."""
    return _decide(core, selection, _settling(core, State.ACCEPTED, ACCEPTED, by), "in-doubt accept", by, on_progress)


def _settling(core: Core, state: State, reason: str, by: str) -> Callable[[list[Letter], Decided], int]:
    def settle(letters: list[Letter], _result: Decided) -> int:
        return resolve_doubt(core.ledger, [one.standing_in() for one in letters], state, reason, journal={"by": by})

    return settle


def _decide(
    core: Core,
    selection: Selection,
    decide: Callable[[list[Letter], Decided], int],
    did: str,
    by: str,
    on_progress: Progress | None,
) -> Decided:
    check(core, selection)
    result = Decided()
    looked_at = 0
    for letters in select(core, selection.until(core.store.now_ms()), on_progress=on_progress):
        looked_at += len(letters)
        result.decided += decide(letters, result)
    found = looked_at - result.obstacles.total()
    result.elsewhere = found - result.decided + (len(selection.keys) - looked_at if selection.keys else 0)
    if result.decided:
        core.journal.note(did, by, deliveries=result.decided)
    return result
