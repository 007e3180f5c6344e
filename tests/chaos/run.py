"""One run: a world, a story, and the judgement."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.plan import Step, play
from tests.chaos.verdict import Verdict, judge, life_of
from tests.chaos.watch import Findings, Watcher
from tests.chaos.world import Sample, World
from tests.system import wait_until
from worker.delivery import State, read_counts


@dataclass(slots=True)
class Result:
    """What a run found.

    Attributes:
        verdict: The provider's record against the ledger.
        findings: What the watcher saw.
        problems: Everything that is wrong, in sentences.
        stories: The whole life of the first few offenders.
    """

    verdict: Verdict
    findings: Findings
    seconds: float
    problems: list[str] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.problems


def settle(world: World, *, seconds: float) -> bool:
    """Wait until nothing is queued, being sent or waiting; ``False`` when that does not come about."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        counts = read_counts(world.core.store)
        doubtful = 0
        if counts.events["queued"] == 0 and counts.states_on_the_way == 0:
            # what is to be sent again by policy still has its timer
            doubtful = world.core.schedule.depth()
            if not doubtful:
                return True
        world.replace_dead()
        time.sleep(0.1)
    return False


def run(
    world: World, steps: Sequence[Step], events: Sequence[Sample], *, seconds: float, size: int, patience: float
) -> Result:
    """Play a story in a world that has been entered, and judge it.

    Args:
        world: The world.
        steps: What is done to it.
        events: What is sent.
        seconds: How long the events are fed.
        size: Events in a batch.
        patience: Seconds everything has to come to rest afterwards.
    """
    began = time.monotonic()
    with Watcher(world) as watcher:
        play(world, steps, events, seconds=seconds, size=size)
        world.calm()
        settled = settle(world, seconds=patience)
        # The look after the next one has seen the end whole.
        looks = watcher.findings.looks
        ended = lambda: watcher.findings.looks >= looks + 2 or watcher.findings.problems  # noqa: E731
        wait_until(ended, seconds=30, what="the watcher sees the end")
    findings = watcher.findings
    verdict = judge(world, events)
    result = Result(verdict, findings, time.monotonic() - began)
    if not settled:
        counts = read_counts(world.core.store)
        left = {state.value: count for state, count in counts.states.items() if count}
        result.problems.append(
            f"not at rest after {patience:.0f} s: {counts.events['queued']} events queued, {left}, "
            f"{world.core.schedule.depth()} batches in the schedule"
        )
        result.problems.extend(f"  {entry}" for entry in world.core.schedule.entries(limit=5))
    result.problems.extend(f"identity: {one}" for one in findings.problems[:10])
    result.problems.extend(f"recovery: {one}" for one in findings.stuck[:10])
    result.problems.extend(f"idleness: {one}" for one in world.diary.busy)
    result.problems.extend(f"{one.message_id}: {sentence}" for one, sentence in verdict.offences[:20])
    if len(verdict.offences) > 20:
        result.problems.append(f"and {len(verdict.offences) - 20} more")
    result.stories = [life_of(world, one) for one, _ in verdict.offences[:5] if one.number >= 0]
    left = watcher.still_open
    if left and settled:
        result.problems.append(f"recovery: everything is at rest, and still under way: {', '.join(left[:5])}")
    if State.ACCEPTED.value not in verdict.states:
        result.problems.append("nothing was accepted: the run proves nothing")
    return result


def report(world: World, result: Result, *, name: str) -> str:
    """What is printed of a run."""
    verdict, findings = result.verdict, result.findings
    lines = [
        f"{name}: {'holds' if result.holds else 'FAILS'} (seed {world.seed}, {result.seconds:.0f} s)",
        f"  events {sum(verdict.states.values())}: "
        + ", ".join(f"{count} {state}" for state, count in sorted(verdict.states.items())),
        f"  provider took {verdict.taken} messages, {verdict.repeated} of them more than once",
        f"  identity: {findings.looks} looks, {findings.still} at rest, {len(findings.problems)} broken",
        f"  lost work: {findings.watched} pieces, the slowest moved after {findings.slowest:.1f} s",
    ]
    if not result.holds:
        lines += [*(f"  ! {one}" for one in result.problems), *result.stories]
    return "\n".join(lines)


def tell_all(world: World, result: Result, *, name: str) -> None:
    """Print a run; when it failed also what was done, and what the workers logged last."""
    sys.stdout.write(report(world, result, name=name) + "\n")
    if not result.holds:
        sys.stdout.write("what was done:\n" + "\n".join(world.diary.lines) + "\n")
        sys.stdout.write("the workers' last words:\n" + "\n".join(world.log.splitlines()[-300:]) + "\n")
    sys.stdout.flush()
