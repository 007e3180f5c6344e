"""Counters, and the identity that must always hold, checked by counting the records themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .attention import sweep
from .batches import Kind
from .states import BY_LETTER, State
from .store import Store
from .terms import HOUR_MS

EVENT_FIELDS = ("received", "queued", "parsed", "malformed", "filtered", "duplicate", "parent")


@dataclass(frozen=True, slots=True)
class Counts:
    """All counters at one moment; states are cumulative, records whose life ended included.

    Attributes:
        folded: Per state, how many of them have expired (part of ``states``).
        outcomes: How many outcomes were ever written; with ``states`` it tells whether anything moved.
    """

    events: dict[str, int]
    created: int
    states: dict[State, int]
    folded: dict[State, int]
    outcomes: int = 0

    @property
    def events_hold(self) -> bool:
        """``received = queued + parsed + malformed`` and every parsed event accounted for."""
        e = self.events
        return (
            e["received"] == e["queued"] + e["parsed"] + e["malformed"]
            and e["parsed"] == e["filtered"] + e["duplicate"] + e["parent"]
        )

    @property
    def states_on_the_way(self) -> int:
        """Deliveries being sent or waiting."""
        return self.states[State.SENDING] + self.states[State.SCHEDULED]

    @property
    def deliveries_hold(self) -> bool:
        """``created`` is the sum over all states."""
        return self.created == sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The identity, and whether counting the records themselves agrees.

    Attributes:
        counts: The counters.
        recounted: Per state, records found plus those whose life ended.
        moving: Whether deliveries moved while the records were counted: only totals can be compared then.
        problems: What does not fit, in words; empty when the identity holds.
    """

    counts: Counts
    recounted: dict[State, int]
    moving: bool
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether everything fits."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The form ``reconcile --json`` prints."""
        return {
            "events": dict(self.counts.events),
            "created": self.counts.created,
            "states": {state.value: self.counts.states[state] for state in State},
            "recounted": {state.value: self.recounted[state] for state in State},
            "expired_records": sum(self.counts.folded.values()),
            "moving": self.moving,
            "problems": list(self.problems),
            "holds": self.holds,
        }


def read_counts(store: Store) -> Counts:
    """All counters at one moment."""
    client, keys = store.client, store.keys

    def read() -> list[Any]:
        pipe = client.pipeline(transaction=True)
        pipe.hgetall(keys.counters)
        pipe.hgetall(keys.folding)
        pipe.time()
        return pipe.execute()

    raw_counters, raw_folding, (seconds, micros) = store.ask(read)
    counters = {name.decode(): int(value) for name, value in raw_counters.items()}
    now_ms = seconds * 1000 + micros // 1000
    folded: dict[State, int] = dict.fromkeys(State, 0)
    for name, value in raw_folding.items():
        hour, _, letter = name.decode().partition(":")
        if hour == "past" or (int(hour) + 1) * HOUR_MS <= now_ms:
            folded[BY_LETTER[letter]] += int(value)
    return Counts(
        events={name: counters.get(f"events:{name}", 0) for name in EVENT_FIELDS},
        created=counters.get("created", 0),
        states={state: counters.get(f"state:{state.letter}", 0) for state in State},
        folded=folded,
        outcomes=sum(value for name, value in counters.items() if name.startswith("to:")),
    )


def reconcile(store: Store, *, on_progress: Callable[[int], None] | None = None) -> Reconciliation:
    """Check the identity on the counters, then count every record and every queued event and compare.

    Works while everything runs: what moves during the count is allowed for, the identity of the counters is not.

    Args:
        store: The store.
        on_progress: Called with the number of records counted so far.
    """
    while True:
        before = read_counts(store)
        live, queued = _count_records(store, on_progress)
        after = read_counts(store)
        # Records whose life ends while they are counted would count twice. They all end on the hour: count again.
        if before.folded == after.folded:
            break
    recounted = {state: live[state.letter] + after.folded[state] for state in State}
    moving = _moved(before, after)
    problems = []
    for counts in (before, after):
        if not counts.events_hold:
            problems.append(f"events do not add up: {counts.events}")
        if not counts.deliveries_hold:
            problems.append(f"created is {counts.created}, the states sum to {sum(counts.states.values())}")
    total = sum(recounted.values())
    if not moving:
        problems.extend(
            f"{state}: the counter says {after.states[state]}, {recounted[state]} were found"
            for state in State
            if after.states[state] != recounted[state]
        )
        if queued != after.events["queued"]:
            problems.append(f"queued: the counter says {after.events['queued']}, {queued} were found")
    elif not before.created <= total <= after.created:
        problems.append(f"{total} deliveries were found, {before.created} to {after.created} were created")
    return Reconciliation(after, recounted, moving, tuple(dict.fromkeys(problems)))


def _moved(before: Counts, after: Counts) -> bool:
    """Whether anything moved between two looks, also when it came back to where it was."""
    return (before.created, before.states, before.events, before.outcomes) != (
        after.created,
        after.states,
        after.events,
        after.outcomes,
    )


def _count_records(store: Store, on_progress: Callable[[int], None] | None) -> tuple[Counter[str], int]:
    client, keys = store.client, store.keys
    seen: set[bytes] = set()
    letters: Counter[str] = Counter()
    queued = 0
    cursor = 0
    while True:
        cursor, names = store.ask(lambda at=cursor: client.scan(at, match=f"{_glob(keys.prefix)}*", count=2000))  # type: ignore[misc]
        records = [name for name in names if name.startswith(keys.record_prefix.encode()) and name not in seen]
        batches = [name for name in names if name.startswith(keys.batch_prefix.encode()) and name not in seen]
        seen.update(records)
        seen.update(batches)
        if records:
            for value in store.ask(lambda found=records: client.mget(found)):  # type: ignore[misc]
                if value:
                    letters[chr(value[0])] += 1
        for name in batches:
            kind, count = store.ask(lambda one=name: client.hmget(one, ["kind", "count"]))  # type: ignore[misc]
            if kind is not None and kind.decode() in (Kind.EVENTS, Kind.PAYLOADS):
                queued += int(count)
        if on_progress:
            on_progress(letters.total())
        if cursor == 0:
            return letters, queued


def _glob(text: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)


def fold(store: Store) -> int:
    """Move the counts of hours that are over to the total, and strike what has expired from the lists of attention.

    Returns:
        How many fields were folded.
    """
    sweep(store)
    now_ms = store.now_ms()
    fields = store.ask(lambda: store.client.hkeys(store.keys.folding))
    hours = {name.decode().partition(":")[0] for name in fields} - {"past"}
    # one minute of grace: the server's clock decides when a record is gone
    over = sorted(hour for hour in hours if (int(hour) + 1) * HOUR_MS + 60_000 <= now_ms)
    return int(store.script("fold", [store.keys.folding], over)) if over else 0
