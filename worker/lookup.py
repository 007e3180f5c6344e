"""Which deliveries there are, and everything that is known of one: for operators.

The store has no list of all deliveries, there are too many. What calls for somebody has an index (in doubt, dead,
rejected); what waits is in the schedule, what is on its way in the claims; of everything else the journal knows the
latest. A record says what a delivery is now, wherever it was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from worker import deliveries as kept
from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import Awaiting, Claim, Kind, Line, Record, State, delivery_key
from worker.destinations import Destinations
from worker.runtime import Core

__all__ = ["Known", "Row", "find", "list_deliveries"]

#: Length of a delivery's key, characters.
KEY_LENGTH: Final = 20
#: Entries read at a time.
PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery in a list.

    Attributes:
        state: What it is now.
        key: Its key.
        message_id: The event's id; ``""`` when nobody knows it any more.
        mapping: The mapping's name.
        destination: The destination's name.
        action: The action's name.
        since_ms: When it entered the state.
        reason: Why; ``""`` for accepted.
        due_ms: When it is tried next, if it is scheduled.
    """

    state: State
    key: str
    message_id: str
    mapping: str
    destination: str
    action: str
    since_ms: int
    reason: str
    due_ms: int | None = None


@dataclass(slots=True)
class Known:
    """Everything that is known of one delivery.

    Attributes:
        key: Its key.
        message_id: The event's id, ``""`` when unknown; so are the next three.
        mapping: The mapping's name.
        destination: The destination's name.
        action: The action's name.
        record: Its record, while that lives.
        delivery: Its payload, event and attempts, while they are kept.
        request: The request it last went out with, while that is known.
        due_ms: When it is tried next, if it is scheduled.
        lines: What the journal still says of it, oldest first.
    """

    key: str
    message_id: str = ""
    mapping: str = ""
    destination: str = ""
    action: str = ""
    record: Record | None = None
    delivery: Delivery | None = None
    request: Claim | None = None
    due_ms: int | None = None
    lines: list[Line] = field(default_factory=list)

    @property
    def state(self) -> State | None:
        """What it is now, or was when it was last heard of."""
        if self.record is not None:
            return self.record.state
        return self.lines[-1].state if self.lines else None


def list_deliveries(
    core: Core,
    *,
    state: State | None = None,
    destination: str = "",
    action: str = "",
    limit: int = 50,
    unreported: bool = False,
) -> list[Row]:
    """List deliveries.

    Args:
        core: The store.
        state: Only those in this state; ``None`` for all, as far as they are on their way or in the journal.
        destination: Only those of this destination.
        action: Only those of this action.
        limit: At most so many.
        unreported: Only those that are accepted and were not reported in time, whatever `state` says.

    Returns:
        Newest first; those that are scheduled by their due time, those that are unreported oldest first.
    """
    rows: Iterable[Row]
    match state:
        case _ if unreported:
            rows = _unreported(core)
        case State.IN_DOUBT | State.DEAD | State.REJECTED:
            rows = _attention(core, state)
        case State.SCHEDULED:
            rows = _scheduled(core)
        case State.SENDING:
            rows = _sending(core)
        case None:
            rows = _all(core)
        case _:
            rows = (row for row in _journal(core) if row.state is state)
    fits = (
        row
        for row in rows
        if (not destination or row.destination == destination) and (not action or row.action == action)
    )
    return list(islice(fits, limit))


def find(core: Core, destinations: Destinations | None, wanted: str) -> list[Known]:
    """Find deliveries by a message id, by ``messageId:mapping``, or by a delivery key.

    Args:
        core: The store.
        destinations: The configuration, whose mappings name the deliveries; without one the journal is asked.
        wanted: What to look for.

    Returns:
        Everything that is known, one entry per delivery; empty when nothing is.
    """
    known = {one.key: one for one in _candidates(destinations, wanted)}
    _read_records(core, known.values())
    message_id, _, mapping = wanted.rpartition(":")
    for line in core.journal.newest_first():
        if line.key in known or line.message_id == wanted or (line.message_id, line.mapping) == (message_id, mapping):
            known.setdefault(line.key, Known(line.key)).lines.insert(0, line)
    found = {one.key: one for one in known.values() if one.record is not None or one.lines}
    if not found:
        for row in (*_sending(core), *_scheduled(core), *_kept(core)):
            if wanted in {row.message_id, f"{row.message_id}:{row.mapping}"}:
                found[row.key] = Known(row.key, row.message_id, row.mapping, row.destination, row.action)
    _read_records(core, found.values())
    for one in found.values():
        _complete(core, one)
    return sorted(found.values(), key=lambda one: (one.destination, one.mapping, one.key))


def _candidates(destinations: Destinations | None, wanted: str) -> Iterator[Known]:
    """Every delivery that the configuration makes possible for what is wanted."""
    if len(wanted) == KEY_LENGTH:
        yield Known(wanted)
    message_id, _, only = wanted.rpartition(":")
    for destination in destinations or ():
        actions = {mapping.name: mapping.action for file in destination.files for mapping in file.mappings}
        # What other Celery producers send as payloads has the action's name for a mapping.
        for mapping, action in {**{name: name for name in ACTIONS}, **actions}.items():
            yield Known(delivery_key(destination.name, wanted, mapping), wanted, mapping, destination.name, action)
            if mapping == only:
                key = delivery_key(destination.name, message_id, mapping)
                yield Known(key, message_id, mapping, destination.name, action)


def _read_records(core: Core, some: Iterable[Known]) -> None:
    every = list(some)
    for one, record in zip(every, core.ledger.records([one.key for one in every]), strict=True):
        one.record = record


def _complete(core: Core, one: Known) -> None:
    """Fill in what is kept of a delivery, and its names from wherever they stand."""
    record = one.record
    if record is not None:
        match record.state:
            case State.SCHEDULED:
                waiting = _batch(core, record.ref)
                one.delivery = next((each for each in waiting.deliveries if each.key == one.key), None)
                one.due_ms = waiting.due_ms
            case State.SENDING:
                claim = core.ledger.request(record.ref)
                one.delivery = next((each for each in _claimed(claim) if each.key == one.key), None)
            case State.IN_DOUBT | State.DEAD | State.REJECTED:
                blob = core.ledger.kept([one.key])[0]
                one.delivery = kept.restore(blob) if blob else None
        if record.state is not State.SCHEDULED and record.ref:
            one.request = core.ledger.request(record.ref)
    named = next((line for line in one.lines if line.message_id), None)
    about = one.lines[-1] if one.lines else None
    one.message_id = one.message_id or (one.delivery.message_id if one.delivery else named.message_id if named else "")
    one.mapping = one.mapping or (one.delivery.mapping if one.delivery else named.mapping if named else "")
    for name in ("destination", "action"):
        sources = (one.delivery, about, one.request)
        if not getattr(one, name):
            setattr(one, name, next((str(getattr(source, name)) for source in sources if source is not None), ""))


def _all(core: Core) -> Iterator[Row]:
    """What is on its way for the first time is not in the journal yet."""
    seen = set()
    for row in _sending(core):
        seen.add(row.key)
        yield row
    yield from (row for row in _journal(core) if row.key not in seen)


def _unreported(core: Core) -> Iterator[Row]:
    """What is overdue by now, named by the journal as far as that still knows it."""
    awaiting = Awaiting(core.store, core.ledger)
    awaiting.look_at_all()
    names: dict[str, Line] = {}
    for line in core.journal.newest_first():
        if line.message_id:
            names.setdefault(line.key, line)
    for silence in awaiting.overdue():
        for key, record in silence.deliveries:
            named = names.get(key)
            yield Row(
                record.state,
                key,
                named.message_id if named else "",
                named.mapping if named else "",
                silence.request.destination,
                silence.request.action,
                record.at_ms,
                record.reason,
            )


def _attention(core: Core, state: State) -> Iterator[Row]:
    name = core.store.keys.attention(state.letter)
    client = core.store.client
    start = 0
    while True:
        found = core.store.ask(lambda at=start: client.zrevrange(name, at, at + PAGE - 1))  # type: ignore[misc]
        keys = [one.decode() for one in found]
        for key, record, blob in zip(keys, core.ledger.records(keys), core.ledger.kept(keys), strict=True):
            if record is not None and record.state is state:
                yield _row(kept.restore(blob) if blob else Delivery(key, "", ""), key, record)
        if len(keys) < PAGE:
            return
        start += PAGE


def _kept(core: Core) -> Iterator[Row]:
    for state in (State.IN_DOUBT, State.DEAD, State.REJECTED):
        yield from _attention(core, state)


def _sending(core: Core) -> Iterator[Row]:
    for token in reversed(core.ledger.under_way()):

        def is_under_way(record: Record, token: str = token) -> bool:
            return record.state is State.SENDING and record.ref == token

        yield from _present(core, _claimed(core.ledger.request(token)), is_under_way)


def _claimed(claim: Claim | None) -> list[Delivery]:
    return kept.load_claim(claim.items)[1] if claim is not None and claim.items else []


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A batch of deliveries that wait."""

    deliveries: list[Delivery]
    due_ms: int | None


def _batch(core: Core, batch_id: str) -> _Waiting:
    found = core.batches.body_of(batch_id)
    if found is None or found[0] is not Kind.DELIVERIES:
        return _Waiting([], None)
    return _Waiting(kept.load(found[1]), _due(core, [batch_id]).get(batch_id))


def _scheduled(core: Core) -> Iterator[Row]:
    client, schedule = core.store.client, core.store.keys.schedule
    start = 0
    while True:
        found = core.store.ask(lambda at=start: client.zrange(schedule, at, at + PAGE - 1))  # type: ignore[misc]
        for batch_id in (one.decode() for one in found):
            waiting = _batch(core, batch_id)

            def is_here(record: Record, batch_id: str = batch_id) -> bool:
                return record.state is State.SCHEDULED and record.ref == batch_id

            for row in _present(core, waiting.deliveries, is_here):
                yield replace(row, due_ms=waiting.due_ms)
        if len(found) < PAGE:
            return
        start += PAGE


def _present(core: Core, deliveries: list[Delivery], fits: Callable[[Record], bool]) -> Iterator[Row]:
    for one, record in zip(deliveries, core.ledger.records([one.key for one in deliveries]), strict=True):
        if record is not None and fits(record):
            yield _row(one, one.key, record)


def _row(delivery: Delivery, key: str, record: Record) -> Row:
    return Row(
        record.state,
        key,
        delivery.message_id,
        delivery.mapping,
        delivery.destination,
        delivery.action,
        record.at_ms,
        record.reason,
    )


def _journal(core: Core) -> Iterator[Row]:
    """Every delivery in the journal once, newest first, as it is now.

    A delivery report knows the delivery but not the event: its line takes the event's id from an older one.
    """
    seen: set[str] = set()
    unnamed: dict[str, Line] = {}
    page: list[Line] = []
    for line in core.journal.newest_first():
        if line.key in seen:
            continue
        if not line.message_id:
            unnamed.setdefault(line.key, line)
            continue
        seen.add(line.key)
        page.append(line)
        unnamed.pop(line.key, None)
        if len(page) == PAGE:
            yield from _as_they_are(core, page)
            page = []
    yield from _as_they_are(core, [*page, *unnamed.values()])


def _as_they_are(core: Core, lines: list[Line]) -> Iterator[Row]:
    records = core.ledger.records([line.key for line in lines])
    due = _due(core, {one.ref for one in records if one is not None and one.state is State.SCHEDULED})
    for line, record in zip(lines, records, strict=True):
        yield Row(
            state=record.state if record else line.state,
            key=line.key,
            message_id=line.message_id,
            mapping=line.mapping,
            destination=line.destination,
            action=line.action,
            since_ms=record.at_ms if record else line.at_ms,
            reason=record.reason if record else line.reason,
            due_ms=due.get(record.ref) if record else None,
        )


def _due(core: Core, batch_ids: Iterable[str]) -> dict[str, int]:
    """When batches are due, those that are in the schedule."""
    ids = list(batch_ids)
    if not ids:
        return {}
    scores = core.store.ask(lambda: core.store.client.zmscore(core.store.keys.schedule, ids))
    return {one: int(score) for one, score in zip(ids, scores, strict=True) if score is not None}
