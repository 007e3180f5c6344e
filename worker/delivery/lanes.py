"""Lanes: how fast, how many at once, and whether at all — for the whole fleet, per destination and endpoint family."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .store import Call, Store


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What a lane allows.

    Attributes:
        rate: Units of cost per second; ``None`` for no limit.
        burst: Units that may go at once.
        concurrency: Requests under way at most, over the whole fleet.
        adaptive: Whether the lane lowers its concurrency when it is throttled or slow.
        floor: The lowest it goes.
        breaker_failures: Failed requests in a row that close the lane.
        breaker_pause: First pause of a closed lane, seconds; doubles each time.
        breaker_cap: Longest such pause, seconds.
        spread: Seconds between requests that wait for the end of a pause.
    """

    rate: float | None = None
    burst: float = 1.0
    concurrency: int = 30
    adaptive: bool = True
    floor: int = 1
    breaker_failures: int = 5
    breaker_pause: float = 5.0
    breaker_cap: float = 300.0
    spread: float = 0.005


class Verdict(StrEnum):
    """What a lane answers."""

    GO = "go"
    SLOT = "slot"
    PAUSE = "pause"
    FULL = "full"


class Ending(StrEnum):
    """How a request went, as far as its lane is concerned."""

    OK = "ok"
    FAIL = "fail"
    THROTTLE = "throttle"
    ACCOUNT = "account"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Grant:
    """A lane's answer: go now, or when to come back and why; and a batch that a free slot can wake."""

    verdict: Verdict
    when_ms: int
    reason: str
    wake: str


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """A lane as an operator sees it."""

    name: str
    busy: int
    waiting: int
    paused_until_ms: int | None
    reason: str
    held: bool
    probing: bool
    failures: int
    limit: float | None
    rate: float | None
    burst: float | None
    concurrency: int | None
    baseline_ms: float | None


class Lanes:
    """Ask for leave before a request and say afterwards how it went."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def acquire(
        self,
        name: str,
        limits: LaneLimits,
        *,
        token: str,
        lease_end_ms: int,
        cost: int,
        slot: bool = False,
        waiter: str = "",
    ) -> Grant:
        """Ask for leave to make one request now; repeating the same call is safe.

        Args:
            name: ``<destination>:<family>``.
            limits: The configured limits; an operator's own settings win over them.
            token: The request's token.
            lease_end_ms: When the slot frees itself should the worker die.
            cost: Requests or SMS parts.
            slot: The rate was paid for earlier.
            waiter: Batch that is woken by a freed slot when the lane is full.
        """
        call = self.acquiring(name, limits, token=token, lease_end_ms=lease_end_ms, cost=cost, slot=slot, waiter=waiter)
        self.store.run(call)
        return self.grant(call)

    def acquiring(
        self, name: str, limits: LaneLimits, *, token: str, lease_end_ms: int, cost: int, slot: bool, waiter: str
    ) -> Call:
        """The call that ``acquire`` makes, to be run together with others; ``grant`` reads its answer."""
        keys = self.store.keys
        interval = 0 if not limits.rate else 1_000_000 / limits.rate
        return Call(
            "acquire",
            [keys.lane(name), keys.lane_busy(name), keys.lane_queue(name), keys.lanes, keys.schedule],
            [
                self.store.now_ms(),
                token,
                lease_end_ms,
                cost,
                interval,
                limits.burst,
                limits.concurrency,
                int(limits.adaptive),
                int(slot),
                waiter,
                name,
                round(limits.spread * 1_000_000),
            ],
        )

    @staticmethod
    def grant(call: Call) -> Grant:
        """What the lane said to ``acquiring``."""
        verdict, when, reason, wake = (one.decode() for one in call.answer)
        return Grant(Verdict(verdict), int(when), reason, wake)

    def release(
        self,
        name: str,
        limits: LaneLimits,
        *,
        token: str,
        ending: Ending,
        reason: str = "",
        pause: float = 0.0,
        latency: float = 0.0,
    ) -> str:
        """Free the slot and say how the request went.

        Args:
            name: The lane.
            limits: The configured limits.
            token: The request's token.
            ending: How it went.
            reason: Why, for the operator, when it did not go well.
            pause: Seconds the provider asked for (``throttle``).
            latency: Seconds the answer took (``ok``).

        Returns:
            The id of a batch that can go now, ``""`` for none.
        """
        call = self.releasing(name, limits, token=token, ending=ending, reason=reason, pause=pause, latency=latency)
        self.store.run(call)
        return self.woken(call)

    def releasing(
        self,
        name: str,
        limits: LaneLimits,
        *,
        token: str,
        ending: Ending,
        reason: str = "",
        pause: float = 0.0,
        latency: float = 0.0,
    ) -> Call:
        """The call that ``release`` makes, to be run together with others; ``woken`` reads its answer."""
        keys = self.store.keys
        first = limits.breaker_pause if ending is not Ending.ACCOUNT else max(limits.breaker_pause, 30.0)
        return Call(
            "release",
            [keys.lane(name), keys.lane_busy(name), keys.lane_queue(name), keys.schedule],
            [
                self.store.now_ms(),
                token,
                ending,
                reason[:200],
                round(pause * 1000),
                round(latency * 1000),
                limits.concurrency,
                limits.floor,
                int(limits.adaptive),
                limits.breaker_failures,
                round(first * 1000),
                round(max(limits.breaker_cap, first) * 1000),
            ],
        )

    @staticmethod
    def woken(call: Call) -> str:
        """The batch that ``releasing`` woke."""
        return str(call.answer.decode())

    def queued(self, name: str, waiter: str) -> Call:
        """A call to be run right after a batch that waits for a free slot was written, should one be free by now.

        Args:
            name: The lane.
            waiter: The batch, as ``acquiring`` had it.
        """
        keys = self.store.keys
        return Call("queued", [keys.lane_queue(name), keys.schedule], [self.store.now_ms(), waiter])

    def names(self) -> list[str]:
        """All lanes ever used, sorted."""
        found = self.store.ask(lambda: self.store.client.smembers(self.store.keys.lanes))
        return sorted(one.decode() for one in found)

    def status(self, name: str) -> LaneStatus:
        """One lane as it stands."""
        keys = self.store.keys
        client = self.store.client
        now = self.store.now_ms()
        found = self.store.ask(lambda: client.hgetall(keys.lane(name)))
        values = {field.decode(): value.decode() for field, value in found.items()}
        until = int(float(values.get("until", 0)))
        interval = float(values["set:rate"]) if "set:rate" in values else None
        return LaneStatus(
            name=name,
            busy=int(self.store.ask(lambda: client.zcount(keys.lane_busy(name), now, "+inf"))),
            waiting=int(self.store.ask(lambda: client.zcard(keys.lane_queue(name)))),
            paused_until_ms=until if until > now else None,
            reason=values.get("held") or values.get("reason", ""),
            held="held" in values,
            probing="probe" in values,
            failures=int(values.get("failures", 0)),
            limit=float(values["limit"]) if "limit" in values else None,
            rate=(1_000_000 / interval if interval else 0.0) if interval is not None else None,
            burst=float(values["set:burst"]) if "set:burst" in values else None,
            concurrency=int(values["set:concurrency"]) if "set:concurrency" in values else None,
            baseline_ms=float(values["baseline"]) if "baseline" in values else None,
        )

    def pause(self, name: str, reason: str, *, seconds: float | None = None) -> None:
        """Close a lane by hand, for a time or until ``resume``."""
        keys = self.store.keys
        client = self.store.client
        self.store.ask(lambda: client.sadd(keys.lanes, name))
        if seconds is None:
            self.store.ask(lambda: client.hset(keys.lane(name), "held", reason))
            return
        now = self.store.now_ms()

        def write() -> None:
            pipe = client.pipeline(transaction=True)
            pipe.hset(keys.lane(name), mapping={"until": now + round(seconds * 1000), "reason": reason, "since": now})
            # The success of a probe that is under way must not open what was closed by hand.
            pipe.hdel(keys.lane(name), "probe", "failures")
            pipe.execute()

        self.store.ask(write)

    def resume(self, name: str) -> list[str]:
        """Open a lane: forget its pause, its failures and its half-open state.

        Returns:
            The batches that waited for a free slot; they are due now.
        """
        keys = self.store.keys
        client = self.store.client
        fields = ("held", "until", "reason", "since", "probe", "failures", "trips", "spread")
        self.store.ask(lambda: client.hdel(keys.lane(name), *fields))
        waiting = [one.decode() for one in self.store.ask(lambda: client.zrange(keys.lane_queue(name), 0, -1))]
        if waiting:
            now = self.store.now_ms()
            self.store.ask(lambda: client.zadd(keys.schedule, dict.fromkeys(waiting, now), xx=True))
            self.store.ask(lambda: client.zrem(keys.lane_queue(name), *waiting))
        return waiting

    def set_limits(
        self,
        name: str,
        *,
        rate: float | None = None,
        burst: float | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Override configured limits for the whole fleet at once; a ``rate`` of 0 lifts the limit."""
        values: dict[Any, Any] = {}
        if rate is not None:
            values["set:rate"] = str(1_000_000 / rate) if rate else "0"
        if burst is not None:
            values["set:burst"] = str(burst)
        if concurrency is not None:
            values["set:concurrency"] = str(concurrency)
        if values:
            keys = self.store.keys
            self.store.ask(lambda: self.store.client.sadd(keys.lanes, name))
            self.store.ask(lambda: self.store.client.hset(keys.lane(name), mapping=values))

    def unset_limits(self, name: str) -> None:
        """Go back to the configured limits."""
        fields = ("set:rate", "set:burst", "set:concurrency")
        self.store.ask(lambda: self.store.client.hdel(self.store.keys.lane(name), *fields))
