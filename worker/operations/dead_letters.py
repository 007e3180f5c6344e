"""Dead and rejected deliveries: look at them, send them again, or forget what is kept of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mappings import MappingError
from worker import deliveries as kept
from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import PRIORITY_QUEUE, Attention, Expectation, NotAllowed, Outcome, Slip, State, Waiting
from worker.destinations import Destination, Destinations
from worker.masking import mask_value
from worker.operations.letters import Letter, Progress, Selection, known, select
from worker.operations.obstacles import NOTHING_KEPT, obstacle, parts_of
from worker.pipeline import Over, resolve_payload, wanted
from worker.runtime import Core

STATES = (State.DEAD, State.REJECTED)
REPLAYED = "replayed by operator"
DISCARDED = "discarded by operator"
#: Deliveries of one batch that waits.
BATCH = 100


@dataclass(slots=True)
class ReplayPlan:
    """What a replay would mean.

    Attributes:
        sends: Messages, user events and contacts that would be sent.
        parts: SMS parts they would cost.
        once_in_doubt: How many of them may have been sent before.
        resolved_again: How many are rejected for their fields and made anew from their events by the present mappings.
        by_action: How many by destination and action.
        obstacles: Why others would not be sent.
    """

    sends: int = 0
    parts: int = 0
    once_in_doubt: int = 0
    resolved_again: int = 0
    by_action: Counter[tuple[str, str]] = field(default_factory=Counter)
    obstacles: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Replayed:
    """What a replay did.

    Attributes:
        replayed: How many wait to be sent now.
        elsewhere: How many were not dead or rejected any more when it came to them.
        obstacles: Why others stay as they are.
    """

    replayed: int = 0
    elsewhere: int = 0
    obstacles: Counter[str] = field(default_factory=Counter)


def plan_replay(
    core: Core, destinations: Destinations, selection: Selection, *, on_progress: Progress | None = None
) -> ReplayPlan:
    """Say what `replay` would do, without doing it."""
    plan = ReplayPlan()
    now_ms = core.store.now_ms()
    for letters in select(core, selection, on_progress=on_progress):
        for one in letters:
            delivery = ready(one, destinations, now_ms)
            if isinstance(delivery, str):
                plan.obstacles[delivery] += 1
                continue
            plan.sends += 1
            plan.parts += parts_of(delivery)
            plan.once_in_doubt += one.once_in_doubt
            plan.resolved_again += is_invalid(one)
            plan.by_action[one.destination, one.action] += 1
    return plan


def replay(
    core: Core, destinations: Destinations, selection: Selection, *, by: str, on_progress: Progress | None = None
) -> Replayed:
    """Send dead and rejected deliveries again, with a budget of attempts as if they were new.

    Two replays at once send once: the second finds them scheduled.

    Raises:
        NotFound: a delivery named by its key does not exist.
    """
    if selection.keys:
        known(core, selection.keys)
    result = Replayed()
    looked_at = 0
    for letters in select(core, selection.until(core.store.now_ms()), on_progress=on_progress):
        looked_at += len(letters)
        now_ms = core.store.now_ms()
        groups: dict[str, list[Delivery]] = {}
        for one in letters:
            delivery = ready(one, destinations, now_ms)
            if isinstance(delivery, str):
                result.obstacles[delivery] += 1
            else:
                groups.setdefault(f"{delivery.destination}|{delivery.action}", []).append(delivery)
        for about, members in groups.items():
            for at in range(0, len(members), BATCH):
                result.replayed += _replay(core, about, members[at : at + BATCH], by, now_ms)
    found = looked_at - result.obstacles.total()
    result.elsewhere = found - result.replayed + (len(selection.keys) - looked_at if selection.keys else 0)
    if result.replayed:
        core.journal.note("dead-letters replay", by, deliveries=result.replayed)
    return result


def discard(core: Core, selection: Selection, *, by: str, on_progress: Progress | None = None) -> int:
    """Forget what is kept of dead and rejected deliveries; their records, and so the identity, stay.

    Returns:
        How many had something to forget.

    Raises:
        NotFound: a delivery named by its key does not exist.
        NotAllowed: a delivery named by its key is neither dead nor rejected.
    """
    if selection.keys:
        for one in known(core, selection.keys):
            if one.record.state not in STATES:
                msg = f"delivery {one.key} is {one.record.state}: only dead and rejected ones can be discarded"
                raise NotAllowed(msg)
    attention = Attention(core.store, journal=core.ledger.retention.journal)
    discarded = 0
    for letters in select(core, selection.until(core.store.now_ms()), on_progress=on_progress):
        groups: dict[str, list[Slip]] = {}
        for one in letters:
            groups.setdefault(f"{one.destination}|{one.action}", []).append(one.standing_in())
        for about, members in groups.items():
            discarded += attention.discard(members, about=about, reason=DISCARDED, journal={"by": by})
    if discarded:
        core.journal.note("dead-letters discard", by, deliveries=discarded)
    return discarded


def describe(core: Core, destinations: Destinations, key: str, *, reveal: bool = False) -> dict[str, Any]:
    """Everything that is known of one dead or rejected delivery, JSON-able.

    Args:
        core: The store's parts.
        destinations: The present configuration; renders the requests.
        key: The delivery's key.
        reveal: Show phone numbers as they are.

    Raises:
        NotFound: there is no such delivery.
        NotAllowed: it is neither dead nor rejected, or what was kept of it is gone.
    """
    (letter,) = known(core, [key])
    if letter.record.state not in STATES:
        msg = f"delivery {key} is {letter.record.state}, not dead or rejected; `deliveries show {key}` tells its life"
        raise NotAllowed(msg)
    delivery = letter.delivery
    if delivery is None:
        raise NotAllowed(f"delivery {key} is {letter.record.state}, but what was kept of it was discarded")
    destination = destinations.get(delivery.destination)

    def show(value: Any) -> Any:
        return value if reveal else mask_value(value)

    outlook = ready(letter, destinations, core.store.now_ms())
    return {
        "id": key,
        "state": letter.record.state.value,
        "since_ms": letter.since_ms,
        "reason": letter.record.reason,
        "message_id": show(delivery.message_id),
        "destination": delivery.destination,
        "action": delivery.action,
        "mapping": delivery.mapping,
        "mapping_version": delivery.version,
        "event": show(delivery.event),
        "fields": show(delivery.payload),
        "field_errors": [error for attempt in delivery.history for error in attempt.get("errors", ())],
        "attempts": [
            {**attempt, "request": _sample(delivery, destination, str(attempt.get("token", "")))}
            for attempt in delivery.history
            if "errors" not in attempt
        ],
        "once_in_doubt": letter.once_in_doubt,
        "parts": parts_of(delivery),
        "replay": outlook if isinstance(outlook, str) else None,
    }


def ready(letter: Letter, destinations: Destinations, now_ms: int) -> Delivery | str:
    """The delivery that a replay would send, or what stands in its way.

    What was refused for its fields has no payload that could be sent: it is made anew from its event by the present
    mapping, or from its fields by the action's present rules where a producer gave those itself.
    """
    delivery = letter.delivery
    if delivery is None:
        return NOTHING_KEPT
    if is_invalid(letter):
        return _resolved_again(delivery, destinations, now_ms)
    hindrance = obstacle(delivery, destinations, now_ms)
    if hindrance is not None:
        return hindrance
    return _anew(delivery, now_ms)


def is_invalid(letter: Letter) -> bool:
    """Whether a delivery was refused for its fields before anything was sent."""
    history = letter.delivery.history if letter.delivery else []
    return letter.record.state is State.REJECTED and bool(history) and "errors" in history[-1]


def _resolved_again(delivery: Delivery, destinations: Destinations, now_ms: int) -> Delivery | str:
    destination = destinations.get(delivery.destination)
    action = ACTIONS.get(delivery.action)
    if destination is None or action is None:
        return obstacle(delivery, destinations, now_ms) or f"there is no action {delivery.action!r}"
    resolved: Any = delivery.payload
    version = delivery.version
    if delivery.event is not None:
        mapping = next((one for one in destination.mappings if one.name == delivery.mapping), None)
        if mapping is None:
            return f"destination {destination.name} has no mapping {delivery.mapping} any more"
        if not wanted(delivery.event.get("integrations") or {}, destination.name) or not mapping.trigger(
            delivery.event
        ):
            return f"mapping {mapping.name} does not want its event any more"
        try:
            resolved = mapping.mapping(delivery.event)
        except MappingError:
            return f"mapping {mapping.name} still fails on its event"
        if not isinstance(resolved, dict):
            return f"mapping {mapping.name} still fails on its event"
        action, version = ACTIONS[mapping.action], mapping.version
    outcome = resolve_payload(
        resolved,
        destination=destination,
        action=action,
        message_id=delivery.message_id,
        mapping=delivery.mapping,
        version=version,
        position=delivery.position,
        event=delivery.event,
        now_ms=now_ms,
    )
    if isinstance(outcome, Over):
        return f"still {outcome.reason}" if outcome.state is State.REJECTED else outcome.reason
    outcome.key = delivery.key
    outcome.history = delivery.history
    return _anew(outcome, now_ms)


def _anew(delivery: Delivery, now_ms: int) -> Delivery:
    """A copy with a budget of attempts as if it were new."""
    anew = replace(delivery, attempts=0, first_ms=0)
    anew.remember({"at": now_ms, "class": "replayed", "message": REPLAYED})
    return anew


def _replay(core: Core, about: str, members: Sequence[Delivery], by: str, now_ms: int) -> int:
    action = ACTIONS.get(members[0].action)
    queue = PRIORITY_QUEUE if action is not None and action.urgent else "events"
    waiting = Waiting(now_ms, kept.dump(members), len(members), queue=queue)
    refused = core.ledger.settle(
        members,
        [Outcome(State.SCHEDULED, REPLAYED)] * len(members),
        expect=Expectation("xr"),
        about=about,
        waiting=[waiting],
        journal={"decided": REPLAYED, "by": by},
    )
    return len(members) - len(refused)


def _sample(delivery: Delivery, destination: Destination | None, token: str) -> dict[str, Any] | None:
    """The request as it was, or would be, built: numbers masked, texts measured."""
    action = ACTIONS.get(delivery.action)
    if action is None or destination is None or not token:
        return None
    try:
        return action.build([delivery.payload], destination.context, token).sample
    except (KeyError, ValueError, TypeError):
        return None
