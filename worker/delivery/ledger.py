"""The ledger: which delivery is in which state, who is sending it now, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from . import index
from .errors import NotAllowed, StoreHeld
from .joining import Joining
from .records import Record
from .states import KEPT, LETTERS, State
from .store import Call
from .terms import Expectation, Outcome, Slip, Waiting


class Ledger(Joining):
    """Claim deliveries before a request leaves, settle them after it; `Joining` and `Looking` have the rest."""

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


def _by_position(answer: Sequence[bytes]) -> dict[int, Record]:
    return {int(at): Record.parse(record) for at, record in zip(answer[::2], answer[1::2], strict=True)}
