"""What is done when: drawn from the seed before anything starts, so that a seed names one story."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos.world import Sample, World

Act = Callable[[World], None]

#: What the provider and the network to it can do, with the time to hang put in.
FAULTS = (
    "429,retry-after=1,count={n}",
    "429,retry-after-date=2,count={n}",
    "503,count={n}",
    "503,body=none,count={n}",
    "500,count={n}",
    "502,count={n},taken=yes",
    "504,count={n}",
    "code=601,count={n}",
    "close-before,count={n}",
    "close-after,count={n}",
    "close-after,reset,count={n}",
    "half-answer,count={n}",
    "invalid-json,count={n}",
    "hang-before={hang},count={n}",
    "hang-after={hang},count={n}",
    "slow=300-900,count={n}",
    "drip=5,count={n}",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done.

    Attributes:
        at: When, seconds from the start of its phase.
        name: What, for people.
        act: Does it, and returns when it is over.
    """

    at: float
    name: str
    act: Act


@dataclass(frozen=True, slots=True)
class Measures:
    """How hard things are done, seconds.

    Attributes:
        black: Longest time a link is black.
        store_away: Longest time between the death of the store and its successor.
        worker_away: The same for workers.
        freeze: How long a worker is frozen; beyond its leases.
        hang: How long a hanging provider is silent; beyond the request deadline.
    """

    black: float = 4.0
    store_away: float = 2.0
    worker_away: float = 2.0
    freeze: float = 13.0
    hang: float = 5.0


def acts(dice: random.Random, measures: Measures, hosts: Sequence[str]) -> dict[str, Act]:
    """One act of every kind, with its dice thrown."""
    fault = [one.format(n=dice.randint(1, 4), hang=measures.hang) for one in dice.sample(FAULTS, k=2)]
    number, pause = dice.randint(1, 3), dice.uniform(0, measures.worker_away)
    away, black = dice.uniform(0, measures.store_away), dice.uniform(measures.black / 2, measures.black)
    late, twice = dice.random() < 0.5, dice.random() < 0.5
    every: dict[str, Act] = {
        "kill workers": lambda world: world.kill_workers(number, pause),
        "kill store": lambda world: world.kill_store(away),
        "black link": lambda world: world.black_link(black, late=late),
        "faults": lambda world: world.fault(*fault),
        "delete queue": lambda world: world.delete_queue(),
        "double messages": lambda world: world.double_messages(),
        "stop worker": lambda world: world.stop_worker(twice=twice),
        "freeze worker": lambda world: world.freeze_worker(measures.freeze),
    }
    return {name: every[name] for name in hosts}


EVERYTHING = (
    "kill workers",
    "kill store",
    "black link",
    "faults",
    "delete queue",
    "double messages",
    "stop worker",
    "freeze worker",
)

#: How often each is drawn.
WEIGHTS = {
    "kill workers": 5,
    "kill store": 2,
    "black link": 1,
    "faults": 6,
    "delete queue": 1,
    "double messages": 1,
    "stop worker": 2,
    "freeze worker": 1,
}


def in_turns(dice: random.Random, measures: Measures, *, every: float, kinds: Sequence[str] = EVERYTHING) -> list[Step]:
    """Each kind once, one after another."""
    order = dice.sample(kinds, k=len(kinds))
    return [Step((number + 0.3) * every, name, acts(dice, measures, kinds)[name]) for number, name in enumerate(order)]


def together(
    dice: random.Random, measures: Measures, *, seconds: float, every: float, kinds: Sequence[str] = EVERYTHING
) -> list[Step]:
    """Kinds at random moments, over each other."""
    steps = []
    at = dice.uniform(0, every)
    while at < seconds:
        name = dice.choices(kinds, weights=[WEIGHTS[one] for one in kinds])[0]
        steps.append(Step(at, name, acts(dice, measures, kinds)[name]))
        at += dice.expovariate(1 / every)
    return steps


def with_defaults(dice: random.Random) -> list[Step]:
    """What hurts most with the leases and time limits that everybody has: a minute and more each."""
    hang = 25
    return [
        Step(2, "faults", lambda world: world.fault(f"hang-after={hang},count=3", "429,retry-after=5,count=2")),
        Step(6, "kill workers", lambda world: world.kill_workers(world.count, 1.0)),
        Step(12, "delete queue", lambda world: world.delete_queue()),
        Step(18, "black link", lambda world: world.black_link(30.0, late=dice.random() < 0.5)),
        Step(24, "kill workers", lambda world: world.kill_workers(1, 1.0)),
        Step(52, "freeze worker", lambda world: world.freeze_worker(70.0)),
        Step(56, "faults", lambda world: world.fault("close-after,count=3", f"hang-before={hang},count=2")),
        Step(62, "kill store", lambda world: world.kill_store(3.0)),
        Step(70, "stop worker", lambda world: world.stop_worker()),
        Step(78, "kill workers", lambda world: world.kill_workers(1, 1.0)),
        Step(84, "double messages", lambda world: world.double_messages()),
    ]


#: Seconds over which the events of `with_defaults` are fed.
WITH_DEFAULTS = 95.0


def play(world: World, steps: Sequence[Step], events: Sequence[Sample], *, seconds: float, size: int) -> None:
    """Feed the events evenly while the steps are done; returns when the last of both is over.

    A tenth of the batches is told to the broker twice, another tenth not at all, and a fifth is sent again later.
    """
    dice = random.Random(world.seed ^ len(steps) ^ len(events))
    began = time.monotonic()
    running: list[threading.Thread] = []
    failures: list[BaseException] = []

    def guarded(act: Act) -> None:
        try:
            act(world)
        except BaseException as error:  # noqa: BLE001 - told to the thread that judges
            failures.append(error)

    def do_steps() -> None:
        for step in steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            thread = threading.Thread(target=guarded, args=(step.act,), name=step.name, daemon=True)
            thread.start()
            running.append(thread)

    director = threading.Thread(target=do_steps, name="director", daemon=True)
    director.start()
    batches = [events[start : start + size] for start in range(0, len(events), size)]
    for number, batch in enumerate(batches):
        time.sleep(max(0.0, began + seconds * number / max(1, len(batches)) - time.monotonic()))
        chance = dice.random()
        world.send(batch, publish=chance > 0.1, twice=chance > 0.9)
        if number and dice.random() < 0.2:
            again = batches[dice.randrange(number)]
            world.send(dice.sample(again, k=len(again)))
    director.join()
    for thread in running:
        thread.join()
    if failures:
        raise failures[0]
