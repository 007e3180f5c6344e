"""What becomes of one message, and how its reports come: by dice, or by its number."""

from __future__ import annotations

import random
from dataclasses import dataclass

from worker.sandbox.callbacks.sent import Channel, Sent
from worker.sandbox.callbacks.settings import Callbacks
from worker.sandbox.callbacks.statuses import DELIVERED, READ, SENT, STATUSES, Status
from worker.sandbox.magic import REPORTS


@dataclass(frozen=True, slots=True)
class Step:
    """One report that is owed.

    Attributes:
        status: What it says.
        delay: Seconds after the one before it.
        manner: How it comes, where that is not the usual way: ``late``, ``twice``, ``disorder``, ``lost``.
    """

    status: Status
    delay: float
    manner: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The reports of one message, in the order they come.

    Attributes:
        steps: The reports; one that is ``lost`` stands in its place and is never posted.
        is_held: They wait until they are asked for.
    """

    steps: tuple[Step, ...]
    is_held: bool


def plan(sent: Sent, callbacks: Callbacks, dice: random.Random) -> Plan:
    """Decide what becomes of a message."""
    magic = REPORTS.get(sent.number, "")
    end = STATUSES[magic] if magic in STATUSES else _end(callbacks, dice)
    statuses = [end]
    if sent.channel is Channel.WHATSAPP:
        statuses = [SENT, end]
        if end is DELIVERED and _happens(callbacks.read, dice):
            statuses.append(READ)
    elif callbacks.received:
        statuses = [SENT, end]
    order: tuple[str, ...] = ()
    if len(statuses) > 1 and (magic == "disorder" or _happens(callbacks.disorder, dice)):
        statuses.reverse()
        order = ("disorder",)
    steps: list[Step] = []
    for status in statuses:
        delay = dice.uniform(*callbacks.delay)
        if magic == "lost" or _happens(callbacks.lost, dice):
            steps.append(Step(status, delay, (*order, "lost")))
            continue
        manner = order
        if magic == "late" or _happens(callbacks.late, dice):
            delay, manner = delay + callbacks.late_by, (*manner, "late")
        steps.append(Step(status, delay, manner))
        if magic == "twice" or _happens(callbacks.twice, dice):
            steps.append(Step(status, 0.0, (*manner, "twice")))
    return Plan(tuple(steps), is_held=callbacks.hold or magic == "held")


def _end(callbacks: Callbacks, dice: random.Random) -> Status:
    names = [name for name, _ in callbacks.status]
    shares = [share for _, share in callbacks.status]
    return STATUSES[names[0] if len(names) == 1 else dice.choices(names, shares)[0]]


def _happens(share: float, dice: random.Random) -> bool:
    return share > 0 and dice.random() < share
