"""``make chaos``: everything goes wrong, and nothing is lost or sent twice. See docs/guarantees.md.

Three stories, each in a world of its own: every kind of trouble in its turn, then all of them at random over each
other, both with short leases, so that many run out; then the worst of them with the leases that everybody has. Last
the negative control: workers whose claim is switched off, which the same judgement has to catch.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.chaos.plan import WITH_DEFAULTS, Measures, Step, in_turns, together, with_defaults
from tests.chaos.rabbitmq import RabbitMQ, Unavailable, ensure_installed
from tests.chaos.run import report, run, tell_all
from tests.chaos.world import SHORT_LEASES, World, samples

#: Impatient retries, so that a story ends; closed lanes open soon.
EAGER = {"backoff_base": 0.2, "backoff_cap": 2, "attempts": 200}

Broker = tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Story:
    """What is told in one world.

    Attributes:
        name: For people.
        steps: What is done.
        seconds: How long events are fed.
        share: Its share of all events.
        settings: Environment variables of its workers.
        patience: Seconds in which everything must have come to rest afterwards.
    """

    name: str
    steps: list[Step]
    seconds: float
    share: float
    settings: dict[str, str] = field(default_factory=dict)
    patience: float = 240.0


def stories(seed: int, minutes: float) -> list[Story]:
    """The stories of a seed.

    Args:
        seed: Where all dice start.
        minutes: How long events are fed, all stories together; the last one takes its time whatever this says.
    """
    dice = random.Random(seed)
    half = max(40.0, (minutes * 60 - WITH_DEFAULTS) / 2)
    measures = Measures(black=8.0)
    return [
        Story("in turns", in_turns(dice, measures, every=half / 8), half, 0.4, SHORT_LEASES),
        Story("together", together(dice, measures, seconds=half, every=2.5), half, 0.4, SHORT_LEASES),
        Story("with defaults", with_defaults(dice), WITH_DEFAULTS, 0.2),
    ]


def tell(story: Story, seed: int, events: int, broker: Broker, *, verbose: bool = False) -> bool:
    """Tell one story; whether every promise was kept."""
    with World(seed, settings=story.settings, actions=EAGER, broker=broker, verbose=verbose) as world:
        world.wait_ready()
        sent = samples(round(events * story.share))
        result = run(world, story.steps, sent, seconds=story.seconds, size=50, patience=story.patience)
        if not result.findings.watched:
            result.problems.append("no work was under way when workers were lost: the run proves nothing")
        tell_all(world, result, name=story.name if broker is None else f"{story.name}, over RabbitMQ")
    return result.holds


def control(seed: int, events: int) -> bool:
    """Workers without a claim: whether the judgement catches them."""
    sent = samples(events)
    with World(seed, settings=SHORT_LEASES, module="tests.chaos.without_claim") as world:
        world.wait_ready()
        world.send(sent)
        result = run(world, (), sent, seconds=1, size=50, patience=5)
        caught = any("and nobody decided that" in sentence for _, sentence in result.verdict.offences)
        sys.stdout.write(report(world, result, name="without a claim").splitlines()[0] + "\n")
        sys.stdout.write(f"  {result.verdict.repeated} messages went out twice: {'caught' if caught else 'MISSED'}\n")
    return caught


@contextmanager
def broker_of(name: str) -> Iterator[Broker]:
    """The broker beside the store; ``None`` for the store itself.

    Raises:
        Unavailable: RabbitMQ cannot be had here.
    """
    if name == "redis":
        yield None
        return
    ensure_installed()
    with RabbitMQ() as server:
        yield server.url, server.port


def main() -> int:
    """Run it all; 0 when every promise was kept and the control was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--events", type=int, default=20_000, help="over all stories")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long events are fed, over all stories")
    parser.add_argument("--broker", choices=("redis", "rabbitmq", "both"), default="both")
    parser.add_argument("--verbose", action="store_true", help="tell what is done while it is done")
    options = parser.parse_args()
    # Whoever stops it leaves no process behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout.write(f"seed {options.seed}\n")
    good = True
    for name in ("redis", "rabbitmq") if options.broker == "both" else (options.broker,):
        try:
            with broker_of(name) as broker:
                for story in stories(options.seed, options.minutes):
                    good &= tell(story, options.seed, options.events, broker, verbose=options.verbose)
        except Unavailable as error:
            sys.stdout.write(f"RabbitMQ is left out: {error}\n")
    good &= control(options.seed, 400)
    if not good:
        sys.stdout.write(f"again with: make chaos ARGS='--seed {options.seed}'\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
