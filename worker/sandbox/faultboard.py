"""Which requests the standing faults hit.

Faults are asked in the order they were added. Each rolls its own dice; the first that ends the answer wins,
and every delay before or after it counts too.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import ceil
from typing import Any

from worker.sandbox.faults import Fault, read_fault


@dataclass(slots=True)
class StandingFault:
    """A fault that stands, with its dice and what it did so far.

    Attributes:
        number: Its number on the board, from 1.
        fault: What it is.
        dice: Where its chances and ranges come from.
        hits: Requests it hit.
        window: Beginning of the window that a ``rate`` counts in (seconds), and requests counted in it.
    """

    number: int
    fault: Fault
    dice: random.Random
    hits: int = 0
    window: tuple[float, int] = (0.0, 0)

    def spent(self) -> bool:
        """Whether it has hit as often as it may."""
        return self.fault.count is not None and self.hits >= self.fault.count

    def summary(self) -> dict[str, Any]:
        """Tell what it is and what it did, as JSON-able values."""
        left = None if self.fault.count is None else self.fault.count - self.hits
        return {"number": self.number, "fault": self.fault.text, "hits": self.hits, "left": left}


@dataclass(slots=True)
class Plan:
    """What the faults make of one request.

    Attributes:
        ending: The fault that decides the answer; ``None`` lets MSG91's own answer stand.
        delay: Seconds to wait before the answer.
        drip: Seconds between two bytes of the answer; 0 sends it at once.
        hang: Seconds of a ``hang-before`` or ``hang-after``.
        retry_after: Seconds of a Retry-After header; ``None`` for none.
        texts: The faults that hit, as they were written.
    """

    ending: Fault | None = None
    delay: float = 0.0
    drip: float = 0.0
    hang: float = 0.0
    retry_after: int | None = None
    texts: list[str] = field(default_factory=list)


class FaultBoard:
    """The standing faults of one sandbox.

    Args:
        seed: Where the dice of faults without a seed of their own start.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._standing: list[StandingFault] = []
        self._added = 0
        # For magic numbers: their delays have no range, so this is never asked for a chance.
        self._dice = random.Random(seed)  # noqa: S311 - faults, not secrets

    def __len__(self) -> int:
        return len(self._standing)

    def add(self, texts: Iterable[str]) -> list[StandingFault]:
        """Add faults; all of them, or none where one cannot be read.

        Raises:
            FaultError: one of them is no fault.
        """
        faults = [read_fault(text) for text in texts]
        added = []
        for fault in faults:
            self._added += 1
            seed = fault.seed if fault.seed is not None else self._seed + self._added
            dice = random.Random(seed)  # noqa: S311 - faults, not secrets
            added.append(StandingFault(self._added, fault, dice))
        self._standing += added
        return added

    def remove(self, number: int) -> bool:
        """Take one fault off the board; ``False`` where there is none of that number."""
        before = len(self._standing)
        self._standing = [one for one in self._standing if one.number != number]
        return len(self._standing) < before

    def clear(self) -> int:
        """Take every fault off the board and give their number."""
        cleared = len(self._standing)
        self._standing = []
        return cleared

    def summary(self) -> list[dict[str, Any]]:
        """Tell every standing fault, as JSON-able values."""
        return [one.summary() for one in self._standing]

    def plan(self, path: str, now: float, magic: Fault | None = None) -> Plan:
        """Decide what hits a request.

        Args:
            path: The path of the request.
            now: When it came (seconds).
            magic: The fault of a magic number among its recipients; it comes before the standing faults.
        """
        plan = Plan()
        if magic is not None:
            _apply(plan, magic, self._dice)
        for one in self._standing:
            if plan.ending is not None and one.fault.ends:
                continue
            if _hits(one, path, now):
                one.hits += 1
                _apply(plan, one.fault, one.dice)
                if one.fault.kind == "rate":
                    plan.retry_after = max(1, ceil(one.window[0] + one.fault.rate[1] - now))
        return plan


def _hits(one: StandingFault, path: str, now: float) -> bool:
    fault = one.fault
    if one.spent() or (fault.path is not None and not _matches(path, fault.path)):
        return False
    if fault.kind == "rate":
        limit, seconds = fault.rate
        begin, used = one.window
        if not begin <= now < begin + seconds:
            begin, used = now, 0
        one.window = (begin, used + 1)
        return used >= limit
    return fault.probability >= 1 or one.dice.random() < fault.probability


def _matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) if "*" in pattern else path.startswith(pattern)


def _apply(plan: Plan, fault: Fault, dice: random.Random) -> None:
    plan.texts.append(fault.text)
    seconds = fault.seconds[0] if fault.seconds[0] == fault.seconds[1] else dice.uniform(*fault.seconds)
    if fault.kind == "slow":
        plan.delay += seconds
    elif fault.kind == "drip":
        plan.drip += seconds
    else:
        plan.ending = fault
        plan.hang = seconds
        plan.retry_after = fault.retry_after
