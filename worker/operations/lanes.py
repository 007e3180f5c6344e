"""Lanes in an operator's hands: what is in force, closing and opening, other limits for the whole fleet."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from worker.actions import ACTIONS, Action, PostCallback, PublishEvent
from worker.delivery import Kind, LaneLimits, LaneStatus, NotFound, pages
from worker.destinations import Destination, Destinations
from worker.runtime import Core

#: Batches looked at in one step.
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane with the limits that are in force.

    Attributes:
        status: How it stands.
        configured: What the configuration says; ``None`` when no destination has it any more.
        unit: What its rate counts: ``requests`` or ``parts``.
    """

    status: LaneStatus
    configured: LaneLimits | None
    unit: str

    @property
    def name(self) -> str:
        """``<destination>:<family>``, for a receiver ``<destination>:onward:<receiver>``."""
        return self.status.name

    @property
    def rate(self) -> float | None:
        """Units a second in force; ``None`` for no limit."""
        rate = self.status.rate if self.status.rate is not None else (self.configured and self.configured.rate)
        return rate or None

    @property
    def burst(self) -> float | None:
        """Units that may go at once; ``None`` where there is no rate."""
        if self.rate is None:
            return None
        return (
            self.status.burst if self.status.burst is not None else self.configured.burst if self.configured else None
        )

    @property
    def concurrency(self) -> int | None:
        """Requests under way at most, before the lane's own limit."""
        set_by_hand = self.status.concurrency
        return set_by_hand if set_by_hand is not None else self.configured.concurrency if self.configured else None

    @property
    def overridden(self) -> bool:
        """Whether an operator's limits are in force."""
        return any(one is not None for one in (self.status.rate, self.status.burst, self.status.concurrency))

    @property
    def state(self) -> str:
        """``held`` by hand without an end, ``paused`` until a time, ``probing`` with one request, or ``open``."""
        if self.status.held:
            return "held"
        if self.status.paused_until_ms is not None:
            return "paused"
        return "probing" if self.status.probing else "open"


def overview(core: Core, destinations: Destinations) -> list[Lane]:
    """All lanes that are configured for an action or were ever used, by name."""
    configured = {
        name: destination.lanes[action.family]
        for destination in destinations
        for action in ACTIONS.values()
        for name in lanes_of(destination, action)
    }
    found = []
    for name in sorted({*configured, *core.lanes.names()}):
        settings = configured.get(name)
        found.append(
            Lane(
                core.lanes.status(name),
                settings.limits if settings else None,
                settings.cost if settings else "requests",
            )
        )
    return found


def lanes_of(destination: Destination, action: Action) -> list[str]:
    """The names of the lanes that an action may use: one, or one for each receiver."""
    receivers = destination.context.receivers
    groups = {PublishEvent.name: receivers.tracking, PostCallback.name: receivers.callbacks}.get(action.name, ("",))
    return [action.lane(destination.name, group) for group in groups]


def find(core: Core, destinations: Destinations, name: str) -> Lane:
    """One lane by its name.

    Raises:
        NotFound: no destination has it and it was never used.
    """
    lanes = {one.name: one for one in overview(core, destinations)}
    if name in lanes:
        return lanes[name]
    close = get_close_matches(name, lanes, 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(lanes) or 'none'}"
    raise NotFound(f"there is no lane {name}; {hint}")


def pause(core: Core, destinations: Destinations, name: str, *, reason: str, seconds: float | None, by: str) -> Lane:
    """Close a lane for a time, or until `resume`; requests under way finish, the others wait.

    Raises:
        NotFound: as `find`.
    """
    find(core, destinations, name)
    core.lanes.pause(name, reason, seconds=seconds)
    core.journal.note("lanes pause", by, lane=name, seconds=seconds, reason=reason)
    return find(core, destinations, name)


def resume(core: Core, destinations: Destinations, name: str, *, by: str) -> tuple[Lane, int]:
    """Open a lane and forget its failures.

    What waited for a free slot, or for the end of the pause, is due at once: the lane's own limits keep it in order.

    Returns:
        The lane, and how many batches are due now.

    Raises:
        NotFound: as `find`.
    """
    find(core, destinations, name)
    # Read before it is forgotten: when the last of those who asked during the pause comes back.
    spread = core.store.ask(lambda: core.store.client.hget(core.store.keys.lane(name), "spread"))
    woken = len(core.lanes.resume(name))
    if spread is not None:
        woken += _wake(core, name, int(float(spread)) // 1000 + 1)
    core.journal.note("lanes resume", by, lane=name, batches=woken)
    return find(core, destinations, name), woken


def set_limits(
    core: Core,
    destinations: Destinations,
    name: str,
    *,
    rate: float | None = None,
    burst: float | None = None,
    concurrency: int | None = None,
    by: str,
) -> Lane:
    """Put other limits in force for the whole fleet, until they are unset; a ``rate`` of 0 lifts the limit.

    Raises:
        NotFound: as `find`.
    """
    find(core, destinations, name)
    core.lanes.set_limits(name, rate=rate, burst=burst, concurrency=concurrency)
    core.journal.note("lanes set", by, lane=name, rate=rate, burst=burst, concurrency=concurrency)
    return find(core, destinations, name)


def unset_limits(core: Core, destinations: Destinations, name: str, *, by: str) -> Lane:
    """Go back to the configured limits.

    Raises:
        NotFound: as `find`.
    """
    find(core, destinations, name)
    core.lanes.unset_limits(name)
    core.journal.note("lanes set", by, lane=name, unset=True)
    return find(core, destinations, name)


def _wake(core: Core, name: str, until_ms: int) -> int:
    """Make due what waits until then for a lane: told by its time, and by the lane of its first delivery."""
    store, woken = core.store, 0
    waiting = pages(store, store.keys.schedule, low=f"({store.now_ms()}", high=str(until_ms), size=CHUNK)
    for ids in ([batch_id for batch_id, _ in page] for page in waiting):
        for batch_id, look in zip(ids, core.batches.look(ids), strict=True):
            if look is None or look.running or look.batch.kind is not Kind.DELIVERIES:
                continue
            members: list[dict[str, Any]] = orjson.loads(look.batch.body)
            action = ACTIONS.get(members[0]["action"]) if members else None
            if action is not None and action.lane(members[0]["destination"], members[0]["group"]) == name:
                core.schedule.make_due(batch_id)
                woken += 1
    return woken
