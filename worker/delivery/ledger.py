"""The ledger: which delivery is in which state, who is sending it now, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from . import index
from .batches import Kind, new_id
from .errors import NotAllowed, StoreHeld
from .keys import recipient_hash
from .records import Record
from .states import KEPT, LETTERS, State
from .store import Call, Store

HOUR_MS = 3_600_000

#: How long a report waits for the answer to its request to be settled, ms.
EARLY_REPORT_MS = HOUR_MS


@dataclass(slots=True)
class Slip:
    """What the ledger has to know of one delivery.

    Attributes:
        key: ``keys.delivery_key``.
        message_id: The event's ``messageId``.
        mapping: The mapping's name.
        recipient: Number or contact id; only its hash is stored.
    """

    key: str
    message_id: str
    mapping: str
    recipient: str = field(default="", repr=False)


@dataclass(slots=True)
class Outcome:
    """What became of one delivery.

    Attributes:
        state: Its new state.
        reason: A short code; ``""`` for accepted.
        kept: What is kept of it for an operator (in doubt, dead, rejected).
        waiting: Index of the ``Waiting`` batch it goes to (scheduled).
        counts: Whether the attempt counts against its budget (scheduled).
    """

    state: State
    reason: str = ""
    kept: bytes = b""
    waiting: int = 0
    counts: bool = True


@dataclass(slots=True)
class Waiting:
    """A batch to be made by the settling script: deliveries that wait, or a timer for those in doubt."""

    due_ms: int
    body: bytes
    items: int
    kind: Kind = Kind.DELIVERIES
    queue: str = "events"
    slot: str = ""
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Which records a settlement may touch.

    Attributes:
        letters: Letters of the states allowed; ``-`` allows that there is no record yet.
        ref: What the record must refer to (token or batch id); ``""`` for anything.
    """

    letters: str
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A request under way (or abandoned): what was in it and until when its worker holds it."""

    token: str
    lease_end_ms: int
    about: str
    items: bytes
    request_id: str
    deliveries: Mapping[str, str]

    @property
    def destination(self) -> str:
        """The destination's name."""
        return self.about.partition("|")[0]

    @property
    def action(self) -> str:
        """The action's name."""
        return self.about.partition("|")[2]


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of a delivery report.

    Attributes:
        outcome: ``settled``, ``recorded``, ``repeated``, ``outdated``, ``pending``, ``other``, ``unknown`` as in
            ``report.lua``; ``early`` when it waits for the answer to its request; ``unmatched`` when no request of ours
            fits.
        key: The delivery, ``""`` when none is known.
    """

    outcome: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things stay.

    Attributes:
        record: Life of a record from its terminal state, seconds.
        dead_letter: Life of what is rejected or dead, with its payload, seconds.
        index: Life of a request's index, seconds; reports can be joined that long.
        journal: Entries of the journal, each holding the outcomes of one request.
    """

    record: float = 72 * 3600.0
    dead_letter: float = 30 * 86400.0
    index: float = 7 * 86400.0
    journal: int = 2_000


class Ledger:
    """Claim deliveries before a request leaves, settle them after it."""

    def __init__(self, store: Store, retention: Retention | None = None) -> None:
        self.store = store
        self.retention = retention or Retention()

    def claim(
        self,
        slips: Sequence[Slip],
        *,
        token: str,
        lease_end_ms: int,
        origin: str,
        from_batch: str,
        about: str,
        items: bytes,
        server: str = "",
    ) -> dict[int, Record]:
        """Mark exactly these deliveries as sending; repeating the same call is safe.

        Args:
            slips: The deliveries; no recipient twice.
            token: The request's token.
            lease_end_ms: After this moment they are in doubt unless settled.
            origin: ``Batch.origin`` of the batch that brings them.
            from_batch: Batch whose scheduled deliveries may be claimed, ``""`` for none.
            about: ``<destination>|<action>``.
            items: What was in the request, for whoever finds the lease run out.
            server: Run id of the server the caller knows and trusts (``Trust.server``), ``""`` for any.

        Returns:
            The records of those that were not claimed, by position.

        Raises:
            StoreUnavailable: whether anything was claimed is unknown; nothing may be sent.
            StoreHeld: sending is held, or another server answers; nothing was claimed.
        """
        call = self.claiming(
            slips,
            token=token,
            lease_end_ms=lease_end_ms,
            origin=origin,
            from_batch=from_batch,
            about=about,
            items=items,
            server=server,
        )
        self.store.run(call)
        return self.blocked(call)

    def claiming(
        self,
        slips: Sequence[Slip],
        *,
        token: str,
        lease_end_ms: int,
        origin: str,
        from_batch: str,
        about: str,
        items: bytes,
        server: str = "",
        lane: str = "",
    ) -> Call:
        """The call that ``claim`` makes, to be run together with others; ``blocked`` reads its answer.

        With ``lane`` nothing is claimed unless the token holds a slot of that lane.
        """
        keys = self.store.keys
        prefix = keys.record_prefix
        return Call(
            "claim",
            [
                keys.counters,
                keys.claims,
                keys.request(token),
                keys.meta,
                keys.lane_busy(lane or "-"),
                *[prefix + slip.key for slip in slips],
            ],
            [
                self.store.now_ms(),
                token,
                lease_end_ms,
                origin,
                from_batch,
                about,
                items,
                index.pack([slip.key for slip in slips], [slip.recipient for slip in slips]),
                server,
                int(bool(lane)),
                self.store.format,
            ],
        )

    @staticmethod
    def blocked(call: Call) -> dict[int, Record]:
        """The records of those that ``claiming`` did not claim, by position.

        Raises:
            StoreHeld: as ``claim``.
            NotAllowed: nothing was claimed, see ``lacks_slot``.
        """
        word, *rest = call.answer
        if word == b"held":
            raise StoreHeld(rest[0].decode())
        if word != b"claimed":
            msg = "nothing was claimed: the token holds no slot of its lane"
            raise NotAllowed(msg)
        return _by_position(rest)

    @staticmethod
    def lacks_slot(call: Call) -> bool:
        """Whether ``claiming`` claimed nothing because its token holds no slot of its lane."""
        return bool(call.answer[0] == b"waits")

    def settle(
        self,
        slips: Sequence[Slip],
        outcomes: Sequence[Outcome],
        *,
        expect: Expectation,
        about: str,
        origin: str = "",
        token: str = "",
        request_id: str = "",
        waiting: Sequence[Waiting] = (),
        journal: Mapping[str, Any] | None = None,
        then: Call | None = None,
    ) -> dict[int, Record | None]:
        """Write down what became of deliveries, all or nothing; repeating the same call is safe.

        Args:
            slips: The deliveries.
            outcomes: One each.
            expect: Which records may be touched; the others stay as they are and are returned.
            about: ``<destination>|<action>``.
            origin: For records made here.
            token: The request that is over, ``""`` when none left.
            request_id: MSG91's id of it, ``""`` when unknown.
            waiting: Batches for those that are scheduled, and timers.
            journal: What the journal says of the whole call.
            then: Run in the same round trip, after it.

        Returns:
            The records of those that were not as expected, by position; ``None`` where there is no record.

        Raises:
            StoreUnavailable: whether it was written is unknown.
        """
        refused, pending = self._settle(
            slips, outcomes, expect, about, origin, token, request_id, waiting, journal, then=then
        )
        late = [
            at
            for at, record in refused.items()
            if record and record.state is State.IN_DOUBT and token and record.ref == token and "i" in expect.letters
        ]
        if late:
            again, _ = self._settle(
                [slips[at] for at in late],
                [outcomes[at] for at in late],
                expect,
                about,
                origin,
                token,
                request_id,
                waiting,
                {**(journal or {}), "late": True},
                with_kept=True,
            )
            for position, at in enumerate(late):
                if position not in again:
                    del refused[at]
        if pending:
            self.apply_waiting_reports(token)
        return refused

    def _settle(
        self,
        slips: Sequence[Slip],
        outcomes: Sequence[Outcome],
        expect: Expectation,
        about: str,
        origin: str,
        token: str,
        request_id: str,
        waiting: Sequence[Waiting],
        journal: Mapping[str, Any] | None,
        *,
        with_kept: bool = False,
        then: Call | None = None,
    ) -> tuple[dict[int, Record | None], bool]:
        keys = self.store.keys
        now = self.store.now_ms()
        hour, ends = self._life_ends(now)
        letters = []
        tail: list[Any] = []
        for outcome in outcomes:
            state = outcome.state
            if state is State.SCHEDULED:
                letters.append("w" if outcome.counts else "W")
                tail += (outcome.reason, outcome.waiting + 1)
            elif state is State.ACCEPTED:
                letters.append("A" if outcome.reason else "a")
                if outcome.reason:
                    tail += (outcome.reason, b"")
            else:
                letters.append(LETTERS[state])
                tail += (outcome.reason, outcome.kept)
                with_kept = with_kept or state in KEPT
        record_prefix, kept_prefix = keys.record_prefix, keys.kept_prefix
        with_kept = with_kept or expect.letters not in ("si", "s", "-", "-w")
        batches: list[Any] = []
        for one in waiting:
            batches += (one.id, one.due_ms, one.kind, one.body, one.items, one.queue, one.slot)
        call = Call(
            "settle",
            [
                keys.counters,
                keys.folding,
                keys.journal,
                keys.schedule,
                keys.claims,
                keys.request(token or "-"),
                keys.request_id(request_id or "-"),
                keys.attention("i"),
                keys.attention("x"),
                keys.attention("r"),
                *[record_prefix + slip.key for slip in slips],
                *([kept_prefix + slip.key for slip in slips] if with_kept else ()),
                *[keys.batch(one.id) for one in waiting],
            ],
            [
                now,
                expect.letters,
                expect.ref,
                origin,
                hour,
                ends,
                about,
                orjson.dumps({"about": about, "token": token, **(journal or {})}),
                orjson.dumps(
                    [
                        [slip.message_id, slip.mapping, slip.key, outcome.reason]
                        for slip, outcome in zip(slips, outcomes, strict=True)
                    ]
                ),
                self.retention.journal,
                token,
                request_id,
                round(self.retention.index * 1000),
                "".join(letters),
                len(slips) if with_kept else 0,
                len(waiting),
                *self._life_ends(now, self.retention.dead_letter),
                *batches,
                *tail,
            ],
        )
        self.store.run(call, *([then] if then is not None else ()))
        refused = {
            int(at): Record.parse(record) if record else None
            for at, record in zip(call.answer[1::2], call.answer[2::2], strict=True)
        }
        return refused, call.answer[0] == b"1"

    def records(self, delivery_keys: Sequence[str]) -> list[Record | None]:
        """The records of these deliveries, ``None`` where there is none."""
        if not delivery_keys:
            return []
        names = [self.store.keys.record(key) for key in delivery_keys]
        found = self.store.ask(lambda: self.store.client.mget(names))
        return [Record.parse(value) if value else None for value in found]

    def kept(self, delivery_keys: Sequence[str]) -> list[dict[str, Any] | None]:
        """What is kept of these deliveries, ``None`` where nothing is."""
        if not delivery_keys:
            return []
        names = [self.store.keys.kept(key) for key in delivery_keys]
        found = self.store.ask(lambda: self.store.client.mget(names))
        return [orjson.loads(value) if value else None for value in found]

    def attention(self, state: State, *, limit: int | None = None, offset: int = 0) -> list[str]:
        """Keys of deliveries in doubt, dead or rejected, oldest first."""
        name = self.store.keys.attention(LETTERS[state])
        end = -1 if limit is None else offset + limit - 1
        found = self.store.ask(lambda: self.store.client.zrange(name, offset, end))
        return [one.decode() for one in found]

    def abandoned(self, *, limit: int = 20) -> list[Claim]:
        """Requests whose lease has run out without an answer."""
        keys = self.store.keys
        now = self.store.now_ms()
        found = self.store.ask(
            lambda: self.store.client.zrangebyscore(keys.claims, "-inf", f"({now}", start=0, num=limit, withscores=True)
        )
        return [self._read_claim(token.decode(), int(end)) for token, end in found]

    def under_way(self) -> list[str]:
        """Tokens of all requests that are claimed and not settled."""
        found = self.store.ask(lambda: self.store.client.zrange(self.store.keys.claims, 0, -1))
        return [one.decode() for one in found]

    def request(self, token: str) -> Claim | None:
        """A request by its token, while its index lives."""
        claim = self._read_claim(token, 0)
        return claim if claim.about else None

    def drop_claim(self, token: str) -> None:
        """Forget a claim that holds nothing any more."""
        self.store.ask(lambda: self.store.client.zrem(self.store.keys.claims, token))

    def put_off_claim(self, token: str, seconds: float) -> None:
        """Look at an abandoned claim again later; it stays what it is."""
        later = self.store.now_ms() + round(seconds * 1000)
        self.store.ask(lambda: self.store.client.zadd(self.store.keys.claims, {token: later}, xx=True))

    def report(
        self,
        *,
        recipient: str,
        delivered: bool | None,
        reason: str = "",
        token: str = "",
        request_id: str = "",
        message_id: str = "",
        at: str = "",
        about: Mapping[str, Any] | None = None,
        destinations: Collection[str] | None = None,
    ) -> Joined:
        """The operator's word on one message; joined by token or request id, and the recipient.

        Args:
            recipient: The number as it was on the wire; may be empty when the token's request had one recipient.
            delivered: Whether it was delivered; ``None`` when all that is known is that MSG91 took it.
            reason: The operator's reason when it was not.
            token: The correlation token, when the report echoes it.
            request_id: MSG91's request id otherwise.
            message_id: MSG91's id of the one message, where the answer to a request may have given that instead.
            at: When it happened: a letter for the kind of clock and seconds, like ``e1726729500``; ``""`` when unknown.
                Of two final words the later one counts, if their clocks are of one kind.
            about: What the journal says of it.
            destinations: The only destinations whose deliveries it may touch; all unless given.
        """
        letter = "a" if delivered is None else "d" if delivered else "u"
        reason = reason[:100].replace("|", "/")
        found = self._locate(recipient, token, (request_id, message_id), destinations, f"{letter}|{reason}")
        if isinstance(found, Joined):
            return found
        claim, hashed, key = found
        return Joined(self._report(claim, hashed, letter, reason, at, about), key)

    def reported(
        self,
        *,
        recipient: str,
        token: str = "",
        request_id: str = "",
        message_id: str = "",
        destinations: Collection[str] | None = None,
    ) -> str:
        """The key of the delivery that a report is about, ``""`` when none fits; changes nothing. As `report`."""
        found = self._locate(recipient, token, (request_id, message_id), destinations, "")
        return "" if isinstance(found, Joined) else found[2]

    def _locate(
        self,
        recipient: str,
        token: str,
        request_ids: Sequence[str],
        destinations: Collection[str] | None,
        waits: str,
    ) -> tuple[Claim, str, str] | Joined:
        """The request, the recipient's hash and the delivery that a report is about; or that it is about none yet."""
        hashed = recipient_hash(recipient) if recipient else ""
        early = False
        found = self._within(self.request(token), hashed, destinations) if token else None
        for request_id in dict.fromkeys(request_ids if found is None else ()):
            if request_id and found is None:
                name = self.store.keys.request_id(request_id)
                # Without a number nobody could say later whom it was about: it does not wait.
                waits = waits if hashed else ""
                answer = self.store.script("early", [name], [hashed, waits, EARLY_REPORT_MS]).decode()
                early = early or bool(hashed and not answer)
                found = self._within(self.request(answer), hashed, destinations) if answer else None
        return found or Joined("early" if early else "unmatched")

    @staticmethod
    def _within(
        claim: Claim | None, hashed: str, destinations: Collection[str] | None
    ) -> tuple[Claim, str, str] | None:
        if claim is None or (destinations is not None and claim.destination not in destinations):
            return None
        if not hashed and len(claim.deliveries) == 1:
            hashed = next(iter(claim.deliveries))
        key = claim.deliveries.get(hashed)
        return None if key is None else (claim, hashed, key)

    def _report(
        self, claim: Claim, hashed: str, letter: str, reason: str, at: str, about: Mapping[str, Any] | None
    ) -> str:
        keys, token = self.store.keys, claim.token
        key = claim.deliveries[hashed]
        now = self.store.now_ms()
        hour, ends = self._life_ends(now)
        answer = self.store.script(
            "report",
            [
                keys.counters,
                keys.folding,
                keys.journal,
                keys.request(token),
                keys.attention("i"),
                keys.record(key),
                keys.kept(key),
                keys.attention("x"),
                keys.awaiting,
                keys.unreported,
            ],
            [
                now, token, hashed, letter, reason, hour, ends, claim.about,
                orjson.dumps({"about": claim.about, "token": token, "report": True, **(about or {})}),
                orjson.dumps([["", "", key, reason]]),
                self.retention.journal, at, len(claim.deliveries),
            ],
        )  # fmt: skip
        return str(answer.decode())

    def apply_waiting_reports(self, token: str) -> None:
        """Apply the reports that came before the answer to their request; again, should that have been cut off."""
        name = self.store.keys.request(token)
        client = self.store.client
        fields = self.store.ask(lambda: client.hgetall(name))
        claim = self.request(token)
        for field_name, value in fields.items():
            label, _, hashed = field_name.decode().partition(":")
            if label == "_report":
                letter, _, reason = value.decode().partition("|")
                if claim is not None and hashed in claim.deliveries:
                    self._report(claim, hashed, letter, reason, "", None)
                self.store.ask(lambda field_name=field_name: client.hdel(name, field_name))  # type: ignore[misc]
        self.store.ask(lambda: client.hdel(name, "_reports"))

    def _read_claim(self, token: str, lease_end_ms: int) -> Claim:
        found = self.store.ask(lambda: self.store.client.hgetall(self.store.keys.request(token)))
        values = {name.decode(): value for name, value in found.items()}
        return Claim(
            token=token,
            lease_end_ms=lease_end_ms,
            about=values.get("_about", b"").decode(),
            items=values.get("_items", b""),
            request_id=values.get("_request_id", b"").decode(),
            deliveries=index.unpack(values),
        )

    def _life_ends(self, now_ms: int, seconds: float | None = None) -> tuple[int, int]:
        life = self.retention.record if seconds is None else max(seconds, self.retention.record)
        hour = (now_ms + round(life * 1000)) // HOUR_MS
        return hour, (hour + 1) * HOUR_MS


def _by_position(answer: Sequence[bytes]) -> dict[int, Record]:
    return {int(at): Record.parse(record) for at, record in zip(answer[::2], answer[1::2], strict=True)}
