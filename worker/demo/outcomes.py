"""What became of the sample events: one fate for each, read from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from worker.delivery import Record, State, delivery_key
from worker.delivery.records import ORIGIN_LENGTH
from worker.demo.samples import Fate, Kind
from worker.runtime import Core

#: The mappings of the presets in use.
_MAPPINGS: Final = ("identify", "track", "page", "screen")


@dataclass(slots=True)
class Arrival:
    """One sample event that has come in, or has tried to.

    Attributes:
        kind: What it is a sample of.
        destination: Whom it is for.
        batch_id: The batch that it came in by; ``""`` when it was refused at the door.
        message_id: Its own, or the one that the door gave it.
        position: Its place in the batch.
        refusal: Why it was refused at the door.
    """

    kind: Kind
    destination: str = ""
    batch_id: str = ""
    message_id: str = ""
    position: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the samples of one kind: how many met which fate, and the reasons that were given."""

    kind: Kind
    fates: Counter[Fate]
    reasons: tuple[str, ...]

    @property
    def as_expected(self) -> bool:
        """Whether every one met the fate it has to."""
        return self.fates == {self.kind.fate: len(self.kind.lines)}


def outcomes(core: Core, kinds: Sequence[Kind], arrivals: Iterable[Arrival]) -> list[Outcome]:
    """Look up what became of every arrival, kind by kind, in the order of ``kinds``."""
    malformed = _malformed(core)
    fates: dict[str, Counter[Fate]] = {kind.title: Counter() for kind in kinds}
    reasons: dict[str, dict[str, None]] = {kind.title: {} for kind in kinds}
    for arrival in arrivals:
        fate, reason = _fate_of(core, arrival, malformed)
        fates[arrival.kind.title][fate] += 1
        if reason:
            reasons[arrival.kind.title][reason] = None
    return [Outcome(kind, fates[kind.title], tuple(reasons[kind.title])) for kind in kinds]


def _fate_of(core: Core, arrival: Arrival, malformed: dict[tuple[str, int], str]) -> tuple[Fate, str]:
    if not arrival.batch_id:
        return Fate.REFUSED, arrival.refusal
    if (arrival.batch_id, arrival.position) in malformed:
        return Fate.MALFORMED, malformed[arrival.batch_id, arrival.position]
    keys = [delivery_key(arrival.destination, arrival.message_id, mapping) for mapping in _MAPPINGS]
    found = [(key, record) for key, record in zip(keys, core.ledger.records(keys), strict=True) if record is not None]
    if not found:
        return Fate.FILTERED, ""
    key, record = found[0]
    # What another batch has made makes this event a duplicate.
    if record.origin != arrival.batch_id[:ORIGIN_LENGTH]:
        return Fate.DUPLICATE, ""
    return Fate(record.state.value), _reason(core, key, record)


def _reason(core: Core, key: str, record: Record) -> str:
    """Why: the fields at fault where we found them, else MSG91's words."""
    if record.state is not State.REJECTED:
        return record.reason
    (kept,) = core.ledger.kept([key])
    errors = kept["history"][-1].get("errors") if kept and kept.get("history") else None
    if not errors:
        return record.reason
    return "; ".join(f"{error['field']}: {error['message']}" for error in errors)


def _malformed(core: Core) -> dict[tuple[str, int], str]:
    """Events that the workers could not read: by batch and place, with the reason."""
    store = core.store
    rows = store.ask(lambda: store.client.xrange(store.keys.malformed))
    found: dict[tuple[str, int], str] = {}
    for _, fields in rows:
        event = orjson.loads(fields[b"event"])
        found[fields[b"batch"].decode(), event["position"]] = event["message"]
    return found
