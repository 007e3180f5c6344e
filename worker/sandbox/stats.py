"""What a sandbox counts about itself since it started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from worker.sandbox.calls import Verdict

#: Different messages (recipient and text) that repeats are looked for among; some 100 bytes of memory each.
REMEMBERED_MESSAGES: Final = 2_000_000


@dataclass(slots=True)
class Stats:
    """Counts of one sandbox.

    Attributes:
        requests: Requests to MSG91's paths.
        taken: Messages (recipients, events, contacts) in requests that were taken.
        duplicates: Messages that were taken although the same text went to the same recipient before;
            ``None`` once there were more different messages than are remembered.
            `worker.sandbox.record.duplicates` has no such limit.
        refused_duplicates: Requests refused because they came twice within the duplicate window.
        failed_events: Events taken and then failed.
        faults: How often each fault hit, as it was written.
        statuses: Answers by HTTP status, whether or not a fault kept them from being sent.
        kinds: Requests by what they were for.
        in_flight: Requests between their last byte and the end of their answer, now.
        max_in_flight: The most there were at once.
    """

    requests: int = 0
    taken: int = 0
    duplicates: int | None = 0
    refused_duplicates: int = 0
    failed_events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    max_in_flight: int = 0
    _seen: set[int] = field(default_factory=set)

    def begin(self) -> None:
        """Count a request in."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def end(self) -> None:
        """Count a request out."""
        self.in_flight -= 1

    def count(self, verdict: Verdict, status: int, faults: Sequence[str], *, taken: bool) -> None:
        """Count one judged request."""
        self.requests += 1
        self.statuses[status] += 1
        self.kinds[verdict.kind] += 1
        self.faults.update(faults)
        if verdict.reply.code == "311":
            self.refused_duplicates += 1
        if taken:
            self.taken += len(verdict.messages)
            self.remember(verdict.messages)

    def remember(self, messages: Sequence[dict[str, str]]) -> None:
        """Count repeats among messages that were taken."""
        self.failed_events += sum("failed" in message for message in messages)
        if self.duplicates is None:
            return
        before = len(self._seen)
        self._seen.update([hash((message["to"], message["text"])) for message in messages])
        self.duplicates += len(messages) - (len(self._seen) - before)
        if len(self._seen) > REMEMBERED_MESSAGES:
            self.duplicates = None
            self._seen.clear()

    def summary(self) -> dict[str, Any]:
        """Give the counts as JSON-able values."""
        return {
            "requests": self.requests,
            "taken": self.taken,
            "duplicates": self.duplicates,
            "refused_duplicates": self.refused_duplicates,
            "failed_events": self.failed_events,
            "faults": dict(self.faults),
            "statuses": {str(status): number for status, number in self.statuses.items()},
            "kinds": {str(kind): number for kind, number in self.kinds.items()},
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
        }
