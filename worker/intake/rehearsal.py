"""What would be sent, to how many people, in how many SMS parts: a run through the pipeline that sends nothing.

Only the store knows what was sent before, and it is not asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self

from worker.actions import ACTIONS
from worker.destinations import Destination
from worker.events import Event
from worker.intake.distinct import Distinct
from worker.intake.files import Found
from worker.pipeline import Over, resolve_events

__all__ = ["Rehearsal", "Row"]

#: Events that are resolved at a time.
BATCH: Final = 500
#: Different reasons that are told apart; the others are counted together.
REASONS: Final = 1000
#: What a delivery is called that would be sent.
SENT: Final = "would be sent"


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """What would become of deliveries: counted by these."""

    verdict: str
    destination: str
    mapping: str
    reason: str


class Rehearsal:
    """Counts; a context manager, since it has temporary files.

    Args:
        destinations: Where events may go.
        now_ms: Gives the present, for times to live.

    Attributes:
        events: How many events there were.
        rows: Deliveries by what would become of them.
        parts: SMS parts by destination and mapping.
        unknown_parts: Whether there are messages of which MSG91 alone knows the text; they are counted as one part.
        repeated: Deliveries whose event has a ``messageId`` that came before; they would go out once.
        filtered: Events that no mapping takes.
    """

    def __init__(self, destinations: Sequence[Destination], now_ms: Callable[[], int]) -> None:
        self._destinations = tuple(destinations)
        self._now_ms = now_ms
        self._stack = ExitStack()
        self._people = self._stack.enter_context(Distinct())
        self._keys = self._stack.enter_context(Distinct())
        self._by_mapping: dict[tuple[str, str], Distinct] = {}
        self._waiting: list[Event] = []
        self._made = 0
        self._batches = 0
        self.events = 0
        self.rows: Counter[Row] = Counter()
        self.parts: Counter[tuple[str, str]] = Counter()
        self.unknown_parts = False
        self.repeated = 0
        self.filtered = 0
        self.recipients = 0
        self.recipients_of: dict[tuple[str, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, found: Found) -> None:
        """Count one event."""
        self.events += 1
        self._waiting.append(found.event)
        if len(self._waiting) >= BATCH:
            self._resolve()

    def finish(self) -> None:
        """Count what is left, and the people."""
        self._resolve()
        self.recipients = self._people.count()
        self.recipients_of = {name: one.count() for name, one in self._by_mapping.items()}
        self.repeated += self._made - self._keys.count()

    def as_json(self) -> dict[str, Any]:
        """The form in which ``--json`` prints it."""
        return {
            "events": self.events,
            "filtered": self.filtered,
            "repeated": self.repeated,
            "deliveries": self._made,
            "recipients": self.recipients,
            "parts": sum(self.parts.values()),
            "parts_of_templates_unknown": self.unknown_parts,
            "rows": [
                {
                    "verdict": row.verdict,
                    "destination": row.destination,
                    "mapping": row.mapping,
                    "reason": row.reason,
                    "deliveries": count,
                    "recipients": self.recipients_of_row(row),
                    "parts": self.parts_of_row(row),
                }
                for row, count in sorted(self.rows.items())
            ],
        }

    def recipients_of_row(self, row: Row) -> int | None:
        """How many people would get something; ``None`` for what is not sent."""
        return self.recipients_of.get((row.destination, row.mapping), 0) if row.verdict == SENT else None

    def parts_of_row(self, row: Row) -> int | None:
        """How many SMS parts it would take; ``None`` for what is not sent."""
        return self.parts[row.destination, row.mapping] if row.verdict == SENT else None

    def _resolve(self) -> None:
        if not self._waiting:
            return
        self._batches += 1
        resolved = resolve_events(
            self._waiting, self._destinations, now_ms=self._now_ms(), arrival=f"rehearsal-{self._batches}"
        )
        self.repeated += len(resolved.repeated)
        taken = {one.position for one in resolved.deliveries} | {one.delivery.position for one in resolved.over}
        self.filtered += len(self._waiting) - len(taken) - len(resolved.repeated)
        for over in resolved.over:
            self._count_over(over)
        for one in resolved.deliveries:
            place = one.destination, one.mapping
            self._made += 1
            self._keys.add(one.key)
            self._people.add(one.recipient)
            if place not in self._by_mapping:
                self._by_mapping[place] = self._stack.enter_context(Distinct())
            self._by_mapping[place].add(one.recipient)
            self.rows[Row(SENT, *place, "")] += 1
            action = ACTIONS[one.action]
            if action.people_receive and action.family in ("sms", "otp"):
                self.parts[place] += one.cost
                self.unknown_parts |= "message" not in one.payload
        self._waiting = []

    def _count_over(self, over: Over) -> None:
        row = Row(over.state.value, over.delivery.destination, over.delivery.mapping, over.reason)
        if row not in self.rows and len(self.rows) >= REASONS:
            row = Row(over.state.value, "", "", "(other reasons)")
        self.rows[row] += 1
