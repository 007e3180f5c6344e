"""What waits for an operator: deliveries in doubt, dead or rejected, with what is kept of them, by any filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from worker.deliveries import Delivery, restore
from worker.delivery import Attention, NotFound, Record, State
from worker.runtime import Core

#: Deliveries read, and decided about, in one step.
CHUNK = 200

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of them.

    Attributes:
        states: In which states.
        keys: Exactly these, and the other filters besides; all when empty.
        reason: Part of the reason, in any case of letters.
        action: The action's name.
        destination: The destination's name.
        since_ms: In that state since this moment or later.
        until_ms: In that state since this moment or earlier.
    """

    states: tuple[State, ...]
    keys: tuple[str, ...] = ()
    reason: str = ""
    action: str = ""
    destination: str = ""
    since_ms: int | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        """A key given twice is one delivery."""
        object.__setattr__(self, "keys", tuple(dict.fromkeys(self.keys)))

    def until(self, now_ms: int) -> Selection:
        """The same, without what comes later than now: what is sent again and fails again is not looked at twice."""
        return replace(self, until_ms=now_ms if self.until_ms is None else min(self.until_ms, now_ms))

    def fits(self, letter: Letter) -> bool:
        """Whether a letter is one of those."""
        return (
            letter.record.state in self.states
            and self.reason.lower() in letter.record.reason.lower()
            and self.action in ("", letter.action)
            and self.destination in ("", letter.destination)
            and (self.since_ms is None or letter.since_ms >= self.since_ms)
            and (self.until_ms is None or letter.since_ms <= self.until_ms)
        )


@dataclass(slots=True)
class Letter:
    """A delivery that waits for an operator.

    Attributes:
        key: Its key.
        record: Its record.
        since_ms: When it came into its state, ms since 1970.
        delivery: What is kept of it; ``None`` when that was discarded.
        destination: The destination's name; empty when nothing tells any more.
        action: The action's name; empty when nothing tells any more.
    """

    key: str
    record: Record
    since_ms: int
    delivery: Delivery | None
    destination: str
    action: str

    @property
    def once_in_doubt(self) -> bool:
        """Whether one of its requests may have reached MSG91 without an answer that says so."""
        if self.record.state is State.IN_DOUBT:
            return True
        history = self.delivery.history if self.delivery else []
        return any(one.get("class") in ("unknown", "lost") for one in history)

    def standing_in(self) -> Delivery:
        """Its delivery, or one that has no more than its name."""
        return self.delivery or Delivery(self.key, "", "", destination=self.destination, action=self.action)


def count(core: Core, selection: Selection) -> int:
    """How many letters a selection looks through, at most."""
    if selection.keys:
        return len(selection.keys)
    attention = Attention(core.store)
    span = {"since_ms": selection.since_ms, "until_ms": selection.until_ms}
    return sum(attention.count(state, **span) for state in selection.states)


def select(core: Core, selection: Selection, *, on_progress: Progress | None = None) -> Iterator[list[Letter]]:
    """The letters of a selection, oldest first within each state, ``CHUNK`` at a time.

    Args:
        core: The store's parts.
        selection: Which.
        on_progress: Called with the number looked at since the last call.
    """
    for keys in _pages(core, selection):
        letters = [one for one in read(core, keys) if selection.fits(one)]
        if letters:
            yield letters
        if on_progress is not None:
            on_progress(len(keys))


def read(core: Core, keys: Sequence[str]) -> list[Letter]:
    """Letters by their keys; those without a record are left out."""
    found = []
    for key, record, blob in zip(keys, core.ledger.records(keys), core.ledger.kept(keys), strict=True):
        if record is None:
            continue
        delivery = restore(blob) if blob else None
        destination, action = (delivery.destination, delivery.action) if delivery else _about(core, record)
        found.append(Letter(key, record, record.at_ms, delivery, destination, action))
    return found


def known(core: Core, keys: Sequence[str]) -> list[Letter]:
    """Letters by their keys, each of which must have a record.

    Raises:
        NotFound: one has none.
    """
    letters = read(core, keys)
    missing = sorted(set(keys) - {one.key for one in letters})
    if missing:
        more = f" (and {len(missing) - 3} more)" if len(missing) > 3 else ""
        raise NotFound(f"there is no delivery {', '.join(missing[:3])}{more}: its id is wrong, or its life is over")
    return letters


def _pages(core: Core, selection: Selection) -> Iterator[Sequence[str]]:
    if selection.keys:
        for at in range(0, len(selection.keys), CHUNK):
            yield selection.keys[at : at + CHUNK]
        return
    attention = Attention(core.store)
    for state in selection.states:
        pages = attention.pages(state, since_ms=selection.since_ms, until_ms=selection.until_ms, size=CHUNK)
        for page in pages:
            yield [key for key, _ in page]


def _about(core: Core, record: Record) -> tuple[str, str]:
    """Destination and action of a record whose payload is gone, as long as the request's index tells them."""
    claim = core.ledger.request(record.ref) if record.ref else None
    return (claim.destination, claim.action) if claim else ("", "")
