"""Accepted, and then silence: requests whose delivery reports are awaited, and those whose reports never came.

The list has one entry a request, and only requests of actions that expect reports. A request leaves it when the last of
its deliveries is reported; whether anything is missing of the others is looked up once, when their window is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .ledger import Ledger
from .paging import pages
from .records import Record
from .states import State
from .store import Store
from .terms import HOUR_MS, Claim

#: Requests that are looked at in one round, at most.
ROUND: Final = 1000
#: How long a request that is still being sent when its window ends is left alone, ms.
_LATER_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Silence:
    """A request of which some deliveries are accepted and were never reported.

    Attributes:
        request: The request.
        deliveries: Key and record of each of those deliveries.
    """

    request: Claim
    deliveries: tuple[tuple[str, Record], ...]


class Awaiting:
    """Knows which requests wait for their delivery reports.

    Args:
        store: The store.
        ledger: Its ledger.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self.store = store
        self.ledger = ledger

    def expect(self, token: str, window: float | None) -> None:
        """Expect the reports of a request that is about to be claimed; costs nothing without a window.

        Args:
            token: The request's token.
            window: Seconds within which its reports should come; None when none are expected.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        if window is None:
            return
        due = self.store.now_ms() + round(window * 1000)
        self.store.ask(lambda: self.store.client.zadd(self.store.keys.awaiting, {token: due}))

    def look(self, *, limit: int = ROUND) -> int:
        """Look at the requests whose window is over, and forget those whose records are gone.

        Args:
            limit: Requests looked at, at most.

        Returns:
            How many deliveries turned out to be unreported.
        """
        store, client, keys = self.store, self.store.client, self.store.keys
        now = store.now_ms()
        found = store.ask(lambda: client.zrangebyscore(keys.awaiting, "-inf", now, start=0, num=limit))
        missing = 0
        for token in (one.decode() for one in found):
            claim = self.ledger.request(token)
            records = self.ledger.records(list(claim.deliveries.values())) if claim else []
            if any(one and one.state is State.SENDING and one.ref == token for one in records):
                store.ask(lambda token=token: client.zadd(keys.awaiting, {token: now + _LATER_MS}, xx=True))  # type: ignore[misc]
                continue
            silent = [one for one in records if one and _is_silent(one, token)]
            if claim and silent:
                # A worker may have died between writing the answer down and applying what had been reported before.
                self.ledger.apply_waiting_reports(token)
                records = self.ledger.records(list(claim.deliveries.values()))
                silent = [one for one in records if one and _is_silent(one, token)]
            since = max((one.at_ms for one in silent), default=0)
            about = claim.about if claim else ""
            struck = store.script(
                "overdue", [keys.awaiting, keys.unreported, keys.counters], [token, len(silent), since, about]
            )
            missing += len(silent) if struck else 0
        gone = now - round(self.ledger.retention.record * 1000) - HOUR_MS
        store.ask(lambda: client.zremrangebyscore(keys.unreported, "-inf", gone))
        return missing

    def look_at_all(self) -> int:
        """Look at every request whose window is over by now; as `look`."""
        missing = 0
        while self.due():
            missing += self.look()
        return missing

    def due(self) -> int:
        """How many requests have a window that is over and were not looked at yet."""
        client, name, now = self.store.client, self.store.keys.awaiting, self.store.now_ms()
        return int(self.store.ask(lambda: client.zcount(name, "-inf", now)))

    def counts(self) -> tuple[int, int]:
        """How many requests are awaited, and of how many the reports are overdue."""
        client, keys = self.store.client, self.store.keys
        return (
            int(self.store.ask(lambda: client.zcard(keys.awaiting))),
            int(self.store.ask(lambda: client.zcard(keys.unreported))),
        )

    def overdue(self) -> Iterator[Silence]:
        """The requests whose reports are overdue and whose records still live, oldest first."""
        for page in pages(self.store, self.store.keys.unreported, low="-inf", high="+inf", size=200):
            for token, _ in page:
                claim = self.ledger.request(token)
                if claim is None:
                    continue
                every = list(claim.deliveries.values())
                silent = tuple(
                    (key, record)
                    for key, record in zip(every, self.ledger.records(every), strict=True)
                    if record and _is_silent(record, token)
                )
                if silent:
                    yield Silence(claim, silent)


def _is_silent(record: Record, token: str) -> bool:
    return record.state is State.ACCEPTED and record.ref == token
