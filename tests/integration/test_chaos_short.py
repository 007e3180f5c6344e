"""The short form of ``make chaos``: a storm from one seed, and the control that shows the judgement can fail."""

from __future__ import annotations

import random

import pytest

from tests.chaos.__main__ import EAGER, control
from tests.chaos.plan import Measures, together
from tests.chaos.run import report, run
from tests.chaos.world import SHORT_LEASES, World, samples

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SEED = 20_261_120
KINDS = ("kill workers", "kill store", "black link", "faults", "delete queue", "double messages", "stop worker")


def test_nothing_is_lost_or_sent_twice_in_a_storm() -> None:
    """Workers and store are killed, queues deleted and doubled, the provider fails: every promise is kept."""
    dice = random.Random(SEED)
    measures = Measures(hang=3.0, store_away=1.0, worker_away=0.5, black=2.0)
    steps = together(dice, measures, seconds=9, every=0.8, kinds=KINDS)
    with World(SEED, settings=SHORT_LEASES, actions=EAGER) as world:
        world.wait_ready()
        result = run(world, steps, samples(1500), seconds=9, size=50, patience=150)
        assert result.holds, report(world, result, name="storm")


def test_the_judgement_catches_workers_without_a_claim() -> None:
    """With the claim switched off messages go out twice, and the same judgement says so."""
    assert control(SEED, 200)
