"""A rehearsal counts what would be sent, exactly and in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.destinations import load_destinations
from worker.intake import distinct
from worker.intake.distinct import Distinct
from worker.intake.files import Found
from worker.intake.rehearsal import SENT, Rehearsal, Row

DESTINATIONS = tuple(load_destinations(None, {"MSG91_AUTHKEY": "a-key-for-tests"}))


def found(number: int, phone: Any, message: str = "hello", **more: Any) -> Found:
    """A track call that becomes one SMS."""
    properties = {"phone": phone, "message": message, "senderID": "MSGIND"}
    event = {"type": "track", "event": "x", "properties": properties, **more}
    return Found(number, number, orjson.dumps(event), event)


@given(st.lists(st.text(max_size=3) | st.integers(0, 10**17).map(str), max_size=200), st.integers(1, 50))
def test_distinct_values_are_counted_exactly(values: list[str], held: int) -> None:
    """However often and in whatever order values come, and however often they are written to disk."""
    before, distinct.HELD = distinct.HELD, held
    try:
        with Distinct() as counted:
            for value in values * 2:
                counted.add(value)
            assert len(set(values)) == counted.count()
    finally:
        distinct.HELD = before


def test_deliveries_recipients_and_parts_are_counted() -> None:
    """By mapping and reason: what would be sent, to how many people, in how many parts, and what would not and why."""
    with Rehearsal(DESTINATIONS, lambda: 0) as rehearsal:
        rehearsal.add(found(1, "8818888758"))
        rehearsal.add(found(2, "+91 88188 88758", "x" * 161))
        rehearsal.add(found(3, "8818888759", "ह" * 71))
        rehearsal.add(found(4, "12345"))
        rehearsal.add(Found(5, 5, b"{}", {"type": "group"}))
        for number in (6, 7):
            rehearsal.add(found(number, "8818888760", messageId="same"))
        for number in range(500):
            rehearsal.add(Found(number, number, b"{}", {"type": "group"}))
        rehearsal.add(found(8, "8818888760", messageId="same"))
        rehearsal.finish()
    sent = Row(SENT, "msg91", "track", "")
    assert rehearsal.rows == {sent: 5, Row("rejected", "msg91", "track", "invalid: phone"): 1}
    assert (rehearsal.recipients_of_row(sent), rehearsal.parts_of_row(sent)) == (3, 1 + 2 + 2 + 1 + 1)
    assert (rehearsal.events, rehearsal.filtered, rehearsal.repeated, rehearsal.recipients) == (508, 501, 2, 3)


def test_memory_does_not_grow_with_the_number_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many people there are, only so many are held at a time, and one part of them while they are counted."""
    monkeypatch.setattr(distinct, "HELD", 4_096)

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            with Distinct() as counted:
                for number in range(count):
                    counted.add(str(919000000000 + number))
                assert counted.count() == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(80_000) < 8 * 80_000  # not even their numbers could all be held in that
