"""What reports say of messages: joined to their deliveries, and written down."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from .keys import recipient_hash
from .looking import Looking
from .terms import EARLY_REPORT_MS, Claim, Joined


class Joining(Looking):
    """Joins reports to deliveries, by token or request id, and the recipient."""

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
