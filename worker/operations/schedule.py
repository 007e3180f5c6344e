"""The schedule in an operator's hands: look at what is unfinished, hurry it, or give it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from worker import deliveries as kept
from worker.deliveries import Delivery
from worker.delivery import Batch, Entry, Expectation, Kind, Outcome, State, pages
from worker.destinations import Destination, Destinations
from worker.doubts import load_timer
from worker.forwarding import Forwarder
from worker.operations.letters import Progress
from worker.runtime import Core
from worker.sending import Sender, Sent

DROPPED = "dropped by operator"
#: Deliveries settled in one step, and batches hurried in one.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One unfinished batch.

    Attributes:
        entry: Its entry in the schedule.
        due_in: Seconds until it is due; negative when it is overdue.
        destinations: Where it goes; ``("*",)`` for events that may go anywhere, empty for timers.
        why: Why it waits, as its first delivery's record says; empty for what has only just arrived.
    """

    entry: Entry
    due_in: float
    destinations: tuple[str, ...]
    why: str


@dataclass(slots=True)
class Hurried:
    """What was made due.

    Attributes:
        batches: How many.
        timers: How many timers were left alone: making them due would decide about doubts before their time.
        missing: Ids that are no batch's.
    """

    batches: int = 0
    timers: int = 0
    missing: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Dropped:
    """What became of a batch that was to be dropped.

    Attributes:
        batch_id: Its id.
        outcome: ``dropped``; or ``gone``, ``running``, ``timer`` or ``failed`` when nothing was done.
        deliveries: How many deliveries are dead now.
    """

    batch_id: str
    outcome: str
    deliveries: int = 0


def lines(core: Core, *, limit: int) -> list[Line]:
    """The first unfinished batches, soonest due first."""
    entries = core.schedule.entries(limit=limit)
    now_ms = core.store.now_ms()
    found = []
    for entry, look in zip(entries, core.batches.look([one.batch_id for one in entries]), strict=True):
        if look is None:
            continue
        destinations, why = _about(core, look.batch)
        found.append(Line(entry, (entry.due_ms - now_ms) / 1000, destinations, why))
    return found


def hurry(core: Core, batch_ids: Sequence[str], *, by: str) -> Hurried:
    """Make batches due now, timers among them if they are named."""
    result = Hurried()
    for batch_id in dict.fromkeys(batch_ids):
        if core.schedule.make_due(batch_id):
            result.batches += 1
        else:
            result.missing.append(batch_id)
    if result.batches:
        core.journal.note("schedule now", by, batches=result.batches)
    return result


def hurry_all(core: Core, *, by: str, on_progress: Progress | None = None) -> Hurried:
    """Make every batch that waits due now; timers of doubts keep their time."""
    store, keys = core.store, core.store.keys
    result = Hurried()
    waiting = pages(store, keys.schedule, low=f"({store.now_ms()}", high="+inf", size=CHUNK)
    for ids in ([batch_id for batch_id, _ in page] for page in waiting):
        kinds = store.ask(lambda ids=ids: _kinds(core, ids))  # type: ignore[misc]
        due: dict[Any, int] = {
            one: store.now_ms() for one, kind in zip(ids, kinds, strict=True) if kind not in (None, Kind.GRACE.encode())
        }
        result.timers += sum(kind == Kind.GRACE.encode() for kind in kinds)
        if due:
            store.ask(lambda due=due: store.client.zadd(keys.schedule, due, xx=True, lt=True))  # type: ignore[misc]
            result.batches += len(due)
        if on_progress is not None:
            on_progress(len(ids))
    if result.batches:
        core.journal.note("schedule now", by, batches=result.batches, all=True)
    return result


def drop(core: Core, destinations: Destinations, batch_ids: Sequence[str], *, by: str) -> list[Dropped]:
    """Give batches up: every delivery in them is dead, with its payload kept for a replay.

    Deliveries that wait become ``dead``. Events that were not looked at yet are run through the present mappings as
    they would be otherwise, counted as ever, and each delivery they make is ``dead`` instead of sent: nothing is lost
    from any count, and a replay sends exactly what would have been sent. A batch that a worker is at, and a timer of
    doubts (which ``in-doubt`` decides about), are left alone.
    """
    results = []
    for batch_id, look in zip(batch_ids, core.batches.look(batch_ids), strict=True):
        if look is None:
            results.append(Dropped(batch_id, "gone"))
        elif look.batch.kind is Kind.GRACE:
            results.append(Dropped(batch_id, "timer"))
        elif look.running:
            results.append(Dropped(batch_id, "running"))
        else:
            results.append(_drop(core, destinations, batch_id, by))
    dropped = [one for one in results if one.outcome == "dropped"]
    if dropped:
        core.journal.note(
            "schedule drop",
            by,
            batches=[one.batch_id for one in dropped],
            deliveries=sum(one.deliveries for one in dropped),
        )
    return results


def _drop(core: Core, destinations: Destinations, batch_id: str, by: str) -> Dropped:
    dropper = _Dropper(core, by)
    forwarder = Forwarder(core.store, core.batches, dropper, lambda: destinations)
    if not forwarder.run(batch_id):
        return Dropped(batch_id, "running")
    (left,) = core.batches.look([batch_id])
    return Dropped(batch_id, "failed" if left else "dropped", dropper.dropped)


class _Dropper(Sender):
    """A way out that leads nowhere: what it is handed is dead, without a request and without a lane.

    Args:
        core: The store's parts.
        by: Who drops it, for the journal.
    """

    def __init__(self, core: Core, by: str) -> None:
        super().__init__(core.store, core.ledger, core.lanes, _no_client)
        self.dropped = 0
        self._by = by

    def deliver(
        self,
        deliveries: Sequence[Delivery],
        destination: Destination,
        batch: Batch,
        *,
        on_progress: Callable[[], bool] | None = None,
    ) -> Sent:
        """Settle deliveries as dead: new ones, and those that wait in this very batch."""
        sent = Sent()
        for action, members in _by_action(deliveries):
            if on_progress is not None and not on_progress():
                sent.stopped = True
                return sent
            refused = self.ledger.settle(
                members,
                [Outcome(State.DEAD, DROPPED, one.keep()) for one in members],
                expect=Expectation("-w", batch.id),
                about=f"{destination.name}|{action}",
                origin=batch.origin,
                journal={"decided": DROPPED, "by": self._by},
            )
            self.dropped += len(members) - len(refused)
            for at, one in enumerate(members):
                record = refused.get(at)
                if at not in refused or (record is not None and record.origin == batch.origin):
                    sent.mine.add(one.position)
        return sent


def _by_action(deliveries: Sequence[Delivery]) -> Iterator[tuple[str, list[Delivery]]]:
    groups: dict[str, list[Delivery]] = {}
    for one in deliveries:
        groups.setdefault(one.action, []).append(one)
    for action, members in groups.items():
        for at in range(0, len(members), CHUNK):
            yield action, members[at : at + CHUNK]


def _no_client(_destination: Destination, _family: str) -> NoReturn:
    msg = "what is dropped is not sent"
    raise AssertionError(msg)


def _about(core: Core, batch: Batch) -> tuple[tuple[str, ...], str]:
    if batch.kind is Kind.GRACE:
        return (), f"timer of {len(load_timer(batch.body)[0])} deliveries in doubt"
    if batch.kind is not Kind.DELIVERIES:
        return tuple(batch.destination.split(",")) if batch.destination else ("*",), ""
    members = kept.load(batch.body)
    names = Counter(one.destination for one in members)
    records = core.ledger.records([one.key for one in members])
    reasons = [one.reason for one in records if one is not None and one.ref == batch.id]
    return tuple(names), reasons[0] if reasons else ""


def _kinds(core: Core, ids: Sequence[str]) -> list[bytes | None]:
    pipe = core.store.client.pipeline(transaction=False)
    for batch_id in ids:
        pipe.hget(core.store.keys.batch(batch_id), "kind")
    return list(pipe.execute())
