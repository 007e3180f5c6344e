"""``make chaos``: everything goes wrong, and nothing is lost or sent twice. See docs/guarantees.md.

Two phases: each kind of trouble in its turn, then all of them at random over each other. Then the negative control:
workers whose claim is switched off, which the same judgement has to catch.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.chaos.plan import EVERYTHING, Measures, in_turns, together
from tests.chaos.rabbitmq import RabbitMQ, Unavailable, ensure_installed
from tests.chaos.run import Result, report, run, tell_all
from tests.chaos.world import World, samples

#: Leases short enough to see many of them run out.
SHORT = {
    "MSG91_DESTINATION_REQUEST_DEADLINE": "2",
    "MSG91_DESTINATION_CLAIM_LEASE": "12",
    "MSG91_DESTINATION_BATCH_LEASE": "12",
    "MSG91_DESTINATION_PROMOTE_INTERVAL": "0.3",
}
#: Kinds of trouble that touch the store as a broker.
OF_REDIS = ("delete queue",)


def storm(seed: int, events: int, seconds: float, broker: tuple[str, int] | None = None) -> Result:
    """All kinds in their turns, then together."""
    dice = random.Random(seed)
    measures = Measures()
    kinds = EVERYTHING if broker is None else tuple(kind for kind in EVERYTHING if kind not in OF_REDIS)
    turns = in_turns(dice, measures, every=seconds / 2 / len(kinds), kinds=kinds)
    mixed = together(dice, measures, seconds=seconds / 2, every=4.0, kinds=kinds)
    steps = [*turns, *(type(step)(step.at + seconds / 2, step.name, step.act) for step in mixed)]
    with World(seed, settings=SHORT, broker=broker) as world:
        world.wait_ready()
        result = run(world, steps, samples(events), seconds=seconds, size=100, patience=240)
        tell_all(world, result, name="storm" if broker is None else "storm over RabbitMQ")
    return result


def control(seed: int, events: int) -> bool:
    """Workers without a claim: whether the judgement catches them."""
    sent = samples(events)
    with World(seed, settings=SHORT, module="tests.chaos.without_claim") as world:
        world.wait_ready()
        world.send(sent)
        result = run(world, (), sent, seconds=1, size=50, patience=5)
        caught = result.verdict.repeated > 0 and not result.holds
        sys.stdout.write(report(world, result, name="negative control").splitlines()[0] + "\n")
        sys.stdout.write(
            f"  provider took {result.verdict.repeated} messages twice: {'caught' if caught else 'MISSED'}\n"
        )
    return caught


def main() -> int:
    """Run it all; 0 when every promise was kept and the control was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long events are fed")
    parser.add_argument("--broker", choices=("redis", "rabbitmq", "both"), default="redis")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    good = True
    if options.broker in ("redis", "both"):
        good &= storm(options.seed, options.events, options.seconds).holds
    if options.broker in ("rabbitmq", "both"):
        try:
            ensure_installed()
            with RabbitMQ() as rabbit:
                good &= storm(options.seed, options.events, options.seconds, (rabbit.url, rabbit.port)).holds
        except Unavailable as error:
            sys.stdout.write(f"RabbitMQ left out: {error}\n")
    good &= control(options.seed, 400)
    if not good:
        sys.stdout.write(f"again with: make chaos ARGS='--seed {options.seed}'\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
