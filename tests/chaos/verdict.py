"""The judgement: the provider's own record against the ledger, one event at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.chaos.world import RESEND, Sample, World
from worker.delivery import Journal, Record, State

#: States that say the provider took it.
SENT = frozenset({State.ACCEPTED, State.DELIVERED, State.UNDELIVERED})
#: States that say it surely was not sent, or not again.
NOT_SENT = frozenset({State.SCHEDULED, State.REJECTED, State.EXPIRED, State.SUPPRESSED})


@dataclass(slots=True)
class Verdict:
    """What the comparison found.

    Attributes:
        states: Events by state.
        taken: Messages the provider took.
        repeated: Messages it took more than once.
        offences: Sentence by event that should not be as it is.
    """

    states: Counter[str] = field(default_factory=Counter)
    taken: int = 0
    repeated: int = 0
    offences: list[tuple[Sample, str]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.offences


def judge(world: World, events: Sequence[Sample]) -> Verdict:
    """Compare what the provider took with what the ledger says of each event."""
    taken: Counter[tuple[str, str]] = Counter()
    for request in world.sandbox.requests():
        if request["taken"]:
            taken.update((str(one["to"]), str(one["text"])) for one in request["messages"])
    verdict = Verdict(taken=sum(taken.values()), repeated=sum(count > 1 for count in taken.values()))
    doubts = Counter(
        line.key for line in Journal(world.core.store).newest_first(block=1000) if line.state is State.IN_DOUBT
    )
    step = 2000
    for start in range(0, len(events), step):
        part = events[start : start + step]
        records = world.core.ledger.records([one.key for one in part])
        for one, record in zip(part, records, strict=True):
            verdict.states[record.state.value if record else "missing"] += 1
            for sentence in _offences(one, record, taken.pop(one.pair, 0), doubts[one.key]):
                verdict.offences.append((one, sentence))
    for phone, text in taken:
        verdict.offences.append((Sample(-1, text), f"the provider took a message nobody sent, to {phone}"))
    return verdict


def _offences(one: Sample, record: Record | None, took: int, doubts: int) -> list[str]:
    if record is None:
        return ["lost: there is no record of it"]
    found = []
    if one.destination == RESEND:
        if took > 1 + doubts:
            found.append(f"taken {took} times, {doubts} times in doubt")
    elif took > 1:
        found.append(f"taken {took} times, and nobody decided that")
    if record.state in SENT and not took:
        found.append(f"{record.state}, and the provider never took it")
    if record.state in NOT_SENT and took and not doubts:
        found.append(f"{record.state}, and the provider took it")
    if record.state is State.DEAD and took and not doubts:
        found.append("dead without a doubt, and the provider took it")
    if record.state is State.SENDING:
        found.append("still being sent when everything was over")
    return found


def life_of(world: World, one: Sample) -> str:
    """Everything known of an event, for whoever has to find out."""
    store = world.core.store
    raw = store.client.get(store.keys.record(one.key))
    lines: list[str] = [f"event {one.message_id}, delivery {one.key}: record {raw.decode() if raw else 'none'}"]
    kept = world.core.ledger.kept([one.key])[0]
    if kept is not None:
        lines.append(f"  kept: attempts {kept['attempts']}, history {orjson.dumps(kept['history']).decode()}")
    lines.extend(
        f"  journal {line.at_ms} {line.state} {line.reason!r} {orjson.dumps(_plain(line.about)).decode()}"
        for line in Journal(store).of(one.key)
    )
    lines.extend(
        f"  provider {request['time']} taken={request['taken']} status={request['status']} "
        f"faults={request['faults']} {request['correlation']}"
        for request in world.sandbox.requests()
        if one.pair in {(str(to["to"]), str(to["text"])) for to in request["messages"]}
    )
    return "\n".join(lines)


def _plain(about: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in about.items() if value not in (None, "")}
