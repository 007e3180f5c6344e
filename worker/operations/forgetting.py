"""Erasing a person from everything that is stored, without breaking a count.

What becomes of what names them:

- a delivery that waits: ``suppressed (forgotten)``, and taken out of its batch;
- a delivery in doubt: ``dead (forgotten while in doubt)``, nothing kept;
- a dead or rejected delivery: stays so, nothing kept;
- an event in a batch that was not looked at yet: what it would have made is ``suppressed (forgotten)``, in its place
  stands one that is counted as filtered;
- the index by which delivery reports are joined: the entry goes, later reports are nobody's;
- the events that deliveries came from, kept for reports that are published onward, and the pseudonyms of numbers kept
  for automatic answers: gone;
- the journal: the line stays, without its message id;
- the stream of malformed events: the entry goes.

Records stay: they hold no more than a digest of the message's id, a state and a time, and they are what keeps the same
message from being sent again. What a worker is sending at this very moment cannot be called back; it is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import orjson

from worker.deliveries import Delivery, load_claim, restore
from worker.delivery import Attention, Contacts, Origins, State, recipient_hash, unpack_index
from worker.destinations import Destinations
from worker.doubts import resolve_doubt
from worker.onward import pseudonym
from worker.operations.forgetting_batches import BatchEraser, names
from worker.operations.letters import CHUNK, Progress
from worker.operations.person import Person
from worker.runtime import Core

FORGOTTEN_IN_DOUBT = "forgotten while in doubt"
FORGOTTEN = "forgotten"


@dataclass(slots=True)
class Erased:
    """What was erased (or would be).

    Attributes:
        waiting: Deliveries that waited.
        in_doubt: Deliveries in doubt.
        over: Dead and rejected deliveries of which something was kept.
        queued: Events in batches that no worker had looked at yet.
        reports: Entries by which delivery reports would be joined.
        onward: Entries kept for publishing onward and for automatic answers.
        journal: Lines of the journal.
        malformed: Malformed events.
        under_way: Requests and batches that name them and that a worker is still at: erase again when they are over.
    """

    waiting: int = 0
    in_doubt: int = 0
    over: int = 0
    queued: int = 0
    reports: int = 0
    onward: int = 0
    journal: int = 0
    malformed: int = 0
    under_way: int = 0

    @property
    def total(self) -> int:
        """Everything that was erased."""
        return sum(int(count) for count in asdict(self).values()) - self.under_way


def forget(
    core: Core,
    destinations: Destinations,
    person: Person,
    *,
    by: str,
    dry: bool = False,
    wait: Callable[[int], bool] = lambda _under_way: False,
    on_progress: Progress | None = None,
) -> Erased:
    """Erase a person.

    Args:
        core: The store's parts.
        destinations: The present configuration.
        person: Whom.
        by: Who says so, for the journal; whom it was about is not written down.
        dry: Only say what would be erased.
        wait: Called with the number of requests and batches that are still under way; waits a moment and says whether
            to look again.
        on_progress: Called with the number of keys looked at since the last call.
    """
    eraser = _Eraser(core, destinations, person, by, dry=dry)
    erased = eraser.erased
    while True:
        before = erased.total
        eraser.sweep(on_progress)
        # Whatever was found is looked for once more: only a look that finds nothing proves that nothing is left.
        if erased.total != before and not dry:
            continue
        erased.under_way = eraser.count_under_way()
        if dry or not erased.under_way or not wait(erased.under_way):
            break
    if not dry:
        core.journal.note("forget", by, **asdict(erased))
    return erased


class _Eraser:
    def __init__(self, core: Core, destinations: Destinations, person: Person, by: str, *, dry: bool) -> None:
        self.core = core
        self.person = person
        self.by = by
        self.dry = dry
        self.erased = Erased()
        self._batches = BatchEraser(core, destinations, person, by, dry=dry)
        self._keys: set[str] = set()
        self._noted: set[str] = set()
        self._requests: set[str] = set()
        self._destinations = destinations
        self._origins = Origins(core.store, core.ledger.retention)
        self._hashes = [recipient_hash(one) for one in person.recipients]

    def sweep(self, on_progress: Progress | None) -> None:
        """Look through everything once."""
        keys = self.core.store.keys
        prefixes: list[tuple[str, Callable[[list[str]], None]]] = [
            (keys.kept_prefix, self._kept),
            (keys.batch_prefix, self._batch),
            (keys.request(""), self._request),
            (keys.origin_prefix, self._origin),
        ]
        for names_found in self._scan():
            for prefix, erase in prefixes:
                mine = [name.removeprefix(prefix) for name in names_found if name.startswith(prefix)]
                for chunk in _chunks(mine):
                    erase(chunk)
            if on_progress is not None:
                on_progress(len(names_found))
        self.erased.waiting = self._batches.waiting
        self.erased.queued = self._batches.queued
        self._malformed()
        self._known()
        known = self._keys | self._batches.keys
        self.erased.journal += self.core.journal.rewrite(lambda lines: self._blank(lines, known), dry=self.dry)

    def count_under_way(self) -> int:
        """How many requests and batches that name them a worker is still at."""
        if self.dry:
            return len(self._requests) + len(self._batches.running)
        self._requests &= set(self.core.ledger.under_way())
        return len(self._requests) + self._batches.count_under_way()

    def _scan(self) -> Iterator[list[str]]:
        store = self.core.store
        cursor = 0
        while True:
            cursor, found = store.ask(
                lambda at=cursor: store.client.scan(at, match=f"{store.keys.prefix}*", count=2000)  # type: ignore[misc]
            )
            yield [name.decode() for name in dict.fromkeys(found)]
            if cursor == 0:
                return

    def _kept(self, keys: list[str]) -> None:
        store = self.core.store
        raws = store.ask(lambda: store.client.mget([store.keys.kept(key) for key in keys]))
        mine: dict[str, Delivery] = {}
        for key, raw in zip(keys, raws, strict=True):
            if raw and self.person.may_be_named_in(raw) and names(self.person, blob := orjson.loads(raw)):
                mine[key] = restore(blob)
        if not mine:
            return
        self._keys |= set(mine)
        doubts, over, stale = [], [], []
        for (key, delivery), record in zip(mine.items(), self.core.ledger.records(list(mine)), strict=True):
            nameless = Delivery(key, "", delivery.mapping, destination=delivery.destination, action=delivery.action)
            if record is None:
                stale.append(key)
            elif record.state is State.IN_DOUBT:
                doubts.append(nameless)
            else:
                over.append(nameless)
        if self.dry:
            self.erased.in_doubt += len(doubts)
            self.erased.over += len(over)
            return
        self.erased.in_doubt += resolve_doubt(
            self.core.ledger, doubts, State.DEAD, FORGOTTEN_IN_DOUBT, journal={"by": self.by}
        )
        self._discard(doubts)
        self.erased.over += self._discard(over)
        if stale:
            store.ask(lambda: store.client.delete(*[store.keys.kept(key) for key in stale]))

    def _discard(self, deliveries: Sequence[Delivery]) -> int:
        attention = Attention(self.core.store, journal=self.core.ledger.retention.journal)
        groups: dict[str, list[Delivery]] = {}
        for one in deliveries:
            groups.setdefault(f"{one.destination}|{one.action}", []).append(one)
        return sum(
            attention.discard(members, about=about, reason=FORGOTTEN, journal={"by": self.by})
            for about, members in groups.items()
        )

    def _batch(self, batch_ids: list[str]) -> None:
        self._batches.erase(batch_ids)

    def _request(self, tokens: list[str]) -> None:
        store = self.core.store

        def read() -> list[dict[bytes, bytes]]:
            pipe = store.client.pipeline(transaction=False)
            for token in tokens:
                pipe.hgetall(store.keys.request(token))
            return list(pipe.execute())

        for token, fields in zip(tokens, store.ask(read), strict=True):
            items = fields.get(b"_items")
            deliveries = unpack_index({name.decode(): value for name, value in fields.items()})
            entries = [deliveries[one] for one in self._hashes if one in deliveries]
            if items is not None:
                if entries or any(names(self.person, one.as_kept()) for one in load_claim(items)[1]):
                    self._requests.add(token)
                continue
            if entries:
                self._keys |= set(entries)
                self.erased.reports += len(entries)
                if not self.dry:
                    store.script("unlist", [store.keys.request(token)], self._hashes)

    def _origin(self, keys: list[str]) -> None:
        for key, one in self._origins.read(keys).items():
            about = {"userId": one.user_id, "anonymousId": one.anonymous_id, "messageId": one.message_id}
            if one.recipient in self._hashes or self.person.is_named_in(about):
                self._noted.add(key)

    def _known(self) -> None:
        """What is kept for their deliveries, and of their number."""
        noted = self._noted | self._keys | self._batches.keys
        contacts = Contacts(self.core.store)
        self.erased.onward += len(self._origins.read(noted)) if self.dry else self._origins.erase(noted)
        for destination in self._destinations:
            pseudonyms = [pseudonym(destination, phone) for phone in self.person.phones]
            look = contacts.count if self.dry else contacts.erase
            self.erased.onward += look(destination.name, pseudonyms)

    def _malformed(self) -> None:
        store = self.core.store
        start = "-"
        while True:
            rows = store.ask(
                lambda start=start: store.client.xrange(store.keys.malformed, min=start, max="+", count=CHUNK)  # type: ignore[misc]
            )
            mine = [entry_id for entry_id, fields in rows if self._names_malformed(fields)]
            self.erased.malformed += len(mine)
            if mine and not self.dry:
                store.ask(lambda mine=mine: store.client.xdel(store.keys.malformed, *mine))  # type: ignore[misc]
            if len(rows) < CHUNK:
                return
            start = f"({rows[-1][0].decode()}"

    def _names_malformed(self, fields: Mapping[bytes, bytes]) -> bool:
        return any(self.person.is_named_in_text(text) for value in fields.values() for text in _texts(value))

    def _blank(self, lines: list[list[str]], known: set[str]) -> int:
        changed = 0
        for line in lines:
            before = list(line)
            if line[2] in known or self.person.is_named_in_text(line[0]):
                line[0] = ""
            if self.person.is_named_in_text(line[3]):
                line[3] = ""
            changed += line != before
        return changed


def _texts(value: bytes) -> Iterator[str]:
    """A text as it stands, and, where it is JSON, every text in it: quotes inside a text hide what it says."""
    yield value.decode("utf-8", "replace")
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return
    yield from _leaves(found)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value


def _chunks(items: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
