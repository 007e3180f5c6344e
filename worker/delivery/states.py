"""The states of a delivery, and which state may follow which.

A delivery is one (event, mapping) pair. It is in exactly one of these states from the moment it is created:

    (new) ──► sending ──► accepted ──► delivered | undelivered
      │         │  ▲
      │         │  └── scheduled ◄── operator replay / resend
      │         ├────► scheduled | delivered | undelivered (a report was quicker than an answer that says "try again")
      │         ├────► in_doubt ──► scheduled | accepted | delivered | undelivered | dead
      │         └────► rejected | dead
      └─► scheduled | rejected | expired | suppressed | dead (an operator dropped it before it was sent)

Of a person who is to be forgotten nothing is kept: what waits becomes ``suppressed``, what is in doubt ``dead``.
A report that proves a message to have left settles what was given up, too: ``dead`` becomes ``delivered``, or
``accepted`` while no more is known than that MSG91 took it.
All transitions are written here; the Lua scripts check them against the record they find.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The name of a state; ``letter`` is how a record spells it."""

    SENDING = "sending"
    SCHEDULED = "scheduled"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    REJECTED = "rejected"
    DEAD = "dead"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    IN_DOUBT = "in_doubt"

    @property
    def letter(self) -> str:
        """The one-letter spelling in a record."""
        return LETTERS[self]

    @property
    def is_terminal(self) -> bool:
        """Whether the record's time to live runs in this state."""
        return self not in UNFINISHED


LETTERS: dict[State, str] = {
    State.SENDING: "s",
    State.SCHEDULED: "w",
    State.ACCEPTED: "a",
    State.DELIVERED: "d",
    State.UNDELIVERED: "u",
    State.REJECTED: "r",
    State.DEAD: "x",
    State.EXPIRED: "e",
    State.SUPPRESSED: "p",
    State.IN_DOUBT: "i",
}
BY_LETTER: dict[str, State] = {letter: state for state, letter in LETTERS.items()}

#: States that never expire: something or somebody still has to act.
UNFINISHED = frozenset({State.SENDING, State.SCHEDULED, State.IN_DOUBT})

#: States whose resolved payload is kept for an operator.
KEPT = frozenset({State.IN_DOUBT, State.DEAD, State.REJECTED})

#: What each state may become. ``None`` stands for "no record yet".
TRANSITIONS: dict[State | None, frozenset[State]] = {
    None: frozenset({State.SENDING, State.SCHEDULED, State.REJECTED, State.EXPIRED, State.SUPPRESSED, State.DEAD}),
    State.SENDING: frozenset(
        {
            State.ACCEPTED,
            State.DELIVERED,
            State.UNDELIVERED,
            State.SCHEDULED,
            State.REJECTED,
            State.DEAD,
            State.IN_DOUBT,
            State.EXPIRED,
        }
    ),
    State.SCHEDULED: frozenset(
        {
            State.SENDING,
            State.SCHEDULED,
            State.ACCEPTED,
            State.DELIVERED,
            State.UNDELIVERED,
            State.EXPIRED,
            State.SUPPRESSED,
            State.DEAD,
            State.REJECTED,
        }
    ),
    State.IN_DOUBT: frozenset(
        {
            State.SCHEDULED,
            State.ACCEPTED,
            State.DELIVERED,
            State.UNDELIVERED,
            State.DEAD,
            State.REJECTED,
            State.EXPIRED,
        }
    ),
    State.ACCEPTED: frozenset({State.DELIVERED, State.UNDELIVERED}),
    State.DELIVERED: frozenset({State.UNDELIVERED}),
    State.UNDELIVERED: frozenset({State.DELIVERED}),
    State.REJECTED: frozenset({State.SCHEDULED}),
    State.DEAD: frozenset({State.SCHEDULED, State.ACCEPTED, State.DELIVERED, State.UNDELIVERED}),
    State.EXPIRED: frozenset(),
    State.SUPPRESSED: frozenset(),
}
