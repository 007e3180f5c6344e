"""One delivery's record: a short string, since there are millions of them.

``letter|origin|attempts|at|hour|ref|reason``

letter    the state (``states.LETTERS``)
origin    first eight characters of the id of the batch that created it
attempts  requests that counted against its budget
at        when it entered the state, ms since 1970
hour      the hour (since 1970) at whose end the record's life ends; empty while unfinished
ref       sending, in doubt, accepted, delivered, undelivered: the request's token; scheduled: the batch id
reason    why, a short code; empty for accepted
"""

from __future__ import annotations

from dataclasses import dataclass

from .states import BY_LETTER, State

#: How much of a batch id a record remembers.
ORIGIN_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Record:
    """A delivery's record, decoded."""

    state: State
    origin: str
    attempts: int
    at_ms: int
    hour: int | None
    ref: str
    reason: str

    @classmethod
    def parse(cls, value: bytes) -> Record:
        """Decode a record as the scripts write it."""
        letter, origin, attempts, at, hour, ref, reason = value.decode().split("|", 6)
        return cls(BY_LETTER[letter], origin, int(attempts), int(at), int(hour) if hour else None, ref, reason)
