"""The sender of a process: each request asks its lane, and is given up when the process must end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import (
    Batch,
    Expectation,
    Lanes,
    Ledger,
    Measures,
    Outcome,
    Sealing,
    State,
    Store,
    Trust,
    new_id,
)
from worker.destinations import Destination
from worker.pipeline import Over

from .giving_up import UnderWay
from .grouping import requests_of, urgent_first
from .requests import Requests
from .terms import Approve, Attempt, Client, Group, Sent, Timing, Wake, parents
from .unsent import Unsent

#: Deliveries that are written down in one step: a script must not keep the store from others, and Lua's stack ends at
#: some thousand values. What leaves is bounded by the recipients of a request.
RECORDED_AT_ONCE: Final = 1000


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
        self.timing = timing or Timing()
        self.measures = measures
        self.stopping = stopping or threading.Event()
        self._approve = approve or (lambda _destination, _delivery: None)
        self._wake = wake or (lambda _batch_id, _queue: None)
        self._unsent = Unsent(store, ledger, lanes, self.sealing)
        self._requests = Requests(
            store,
            ledger,
            lanes,
            client_of,
            timing=self.timing,
            unsent=self._unsent,
            wake=self._wake,
            measures=measures,
            trust=trust,
        )
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
        chunks = (
            (about, every[at : at + RECORDED_AT_ONCE])
            for about, every in groups.items()
            for at in range(0, len(every), RECORDED_AT_ONCE)
        )
        for about, members in chunks:
            deliveries = [one.delivery for one in members]
            refused = self.ledger.settle(
                deliveries,
                [
                    Outcome(one.state, one.reason, one.delivery.keep() if one.state is State.REJECTED else b"")
                    for one in members
                ],
                expect=Expectation("-"),
                about=about,
                origin=batch.origin,
            )
            mine |= parents(deliveries, refused, batch)
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
            self._deliver_one(request, Group(ACTIONS[request[0].action], destination, batch, sent), slot=slot)
            if sent.held or sent.stopped:
                return sent
            slot = ""
        return sent

    def _deliver_one(self, deliveries: list[Delivery], group: Group, *, slot: str) -> None:
        """Make one request, unless its lane says later.

        Args:
            deliveries: Its deliveries.
            group: What they have in common.
            slot: Lane whose rate they have paid for already, ``""`` for none.
        """
        action, destination = group.action, group.destination
        deliveries = self._unsent.expire(deliveries, group)
        deliveries, payloads = self._unsent.open(deliveries, group)
        if not deliveries:
            return
        objection = self._approve(destination, deliveries[0])
        if objection:
            self._unsent.reject(deliveries, objection, group)
            return
        lane = destination.lanes[action.family]
        name = action.lane(destination.name, deliveries[0].group)
        if name != lane.name:
            lane = replace(lane, name=name)
        attempt = Attempt(
            token=new_id(),
            lease_end_ms=self.store.now_ms() + round(self.timing.lease * 1000),
            write_by=time.monotonic() + self._time_to_write(deliveries),
            lane=lane,
            paid=slot == lane.name,
            under_way=UnderWay(),
        )
        self._under_way[attempt.token] = attempt.under_way
        try:
            if self._given_up:
                group.sent.stopped = True
            else:
                self._requests.make(deliveries, payloads, group, attempt)
        finally:
            del self._under_way[attempt.token]
            attempt.under_way.end()

    def _time_to_write(self, deliveries: Sequence[Delivery]) -> float:
        """Seconds within which the first byte must be written: well inside the lease, and nothing of it too late."""
        ends = min((one.expires_ms for one in deliveries if one.expires_ms is not None), default=None)
        longest = self.timing.lease - self.timing.deadline - self.timing.margin
        return longest if ends is None else min(longest, (ends - self.store.now_ms()) / 1000)
