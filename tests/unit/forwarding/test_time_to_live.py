"""The end of a time to live is seen when it comes, whatever a delivery waits for, and nothing leaves after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.forwarding.conftest import ACCEPTED, House, track
from worker.delivery import Ending, State
from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request

NUMBER = 919000000001
LANE = "msg91:sms"


def configure(house: House, **lane: Any) -> None:
    """Messages live for five minutes."""
    house.configure(
        {
            "name": "msg91",
            "authkey": "k",
            "actions": {"send_sms": {"time_to_live": "5m", "backoff_base": 3600, "backoff_cap": 3600}},
            "lanes": {"sms": lane},
        }
    )


def closed(house: House) -> None:
    """The lane is closed for an hour, as after a broken account."""
    house.lanes.pause(LANE, "no balance", seconds=3600)


def held(house: House) -> None:
    """An operator has closed the lane without an end."""
    house.lanes.pause(LANE, "maintenance")


def throttled(house: House) -> None:
    """MSG91 asks for an hour of rest."""
    house.answers = [Answer(AnswerClass.THROTTLED, status=429, retry_after=3600.0)]


def failing(house: House) -> None:
    """The next try comes in up to an hour."""
    house.answers = [Answer(AnswerClass.RETRY, status=503, retry_after=3600.0)]


def expired_at(house: House, *, within: float) -> float:
    """Seconds until the first look at which nothing is scheduled any more."""
    for second in range(round(within) + 2):
        if house.states().get("scheduled", 0) == 0:
            return float(second)
        house.run_due(1)
    raise AssertionError(house.states())


@pytest.mark.parametrize("wait", [closed, held, throttled, failing])
def test_what_waits_expires_when_its_time_is_over(house: House, wait: Callable[[House], None]) -> None:
    """Whatever keeps a message for an hour, it is expired within seconds of the end of its five minutes."""
    configure(house)
    wait(house)
    house.forward(track(NUMBER, "m"))
    assert house.states() == {"scheduled": 1}
    requests = len(house.requests)
    assert 299 <= expired_at(house, within=302) <= 302
    assert house.states() == {"expired": 1}
    assert house.ledger.records([key_of(house)])[0].reason == "time to live ran out"  # type: ignore[union-attr]
    assert len(house.requests) == requests
    house.run_due(7200)
    assert house.schedule.depth() == 0
    assert len(house.requests) == requests


def key_of(house: House) -> str:
    """The key of the one delivery there is."""
    (name,) = house.store.client.keys(house.store.keys.record_prefix + "*")
    return name.decode()[-20:]


def test_what_waits_for_its_turn_expires_alone(house: House) -> None:
    """Of messages that wait for the rate, those go at their time that still live; the others expire at theirs."""
    configure(house, rate=0.01, burst=1, recipients=2, concurrency=5)
    now = house.store.now_ms() / 1000
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 240))
    house.forward(track(NUMBER, "first"))
    # The next slot is in 100 s; one of the two that share it has 60 s to live.
    house.forward(track(NUMBER + 1, "old", timestamp=old), track(NUMBER + 2, "new"))
    assert house.states() == {"accepted": 1, "scheduled": 2}
    house.run_due(62)
    assert house.states() == {"accepted": 1, "expired": 1, "scheduled": 1}
    house.run_due(37)
    assert house.states() == {"accepted": 1, "expired": 1, "scheduled": 1}
    house.run_due(2)
    assert house.states() == {"accepted": 2, "expired": 1}
    assert [number for number, _ in house.sent] == [str(NUMBER), str(NUMBER + 2)]


def test_what_waits_for_a_free_slot_expires_while_the_lane_is_full(house: House) -> None:
    """A lane that stays full does not keep a message beyond its time; one that still lives is woken as ever."""
    configure(house, concurrency=1)
    now = house.store.now_ms() / 1000
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 296))
    lane = house.destinations.get("msg91").lane("sms")  # type: ignore[union-attr]
    house.lanes.acquire(LANE, lane, token="t", lease_end_ms=house.store.now_ms() + 600_000, cost=1)
    house.forward(track(NUMBER, "old", timestamp=old), track(NUMBER + 1, "new"))
    assert house.states() == {"scheduled": 2}
    house.run_due(5.5)
    assert house.states() == {"expired": 1, "scheduled": 1}
    woken = house.lanes.release(LANE, lane, token="t", ending=Ending.OK)
    assert woken
    house.run_due()
    assert house.states() == {"accepted": 1, "expired": 1}
    assert [number for number, _ in house.sent] == [str(NUMBER + 1)]


def test_no_byte_leaves_after_the_time_to_live(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that finds no connection until its message is too old is handed back, and the message expires."""
    configure(house)
    allowed: list[float] = []

    def send(request: Request, *, write_by: float, **_: Any) -> Answer:
        allowed.append(write_by - time.monotonic())
        house.store.ahead_ms += 6_000
        return Answer(AnswerClass.RETRY, code="handed_back", sent=False)

    monkeypatch.setattr(house, "send", send)
    now = house.store.now_ms() / 1000
    house.forward(
        track(NUMBER, "m", timestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 295))),
        track(NUMBER + 1, "n"),
    )
    assert len(allowed) == 1
    assert 2 < allowed[0] < 6
    monkeypatch.undo()
    house.answers = [ACCEPTED]
    house.run_due(1)
    assert house.states() == {"accepted": 1, "expired": 1}


def test_without_a_time_to_live_nothing_ends(house: House) -> None:
    """A message without one waits for its lane, as long as that takes."""
    closed(house)
    house.forward(track(NUMBER, "m"))
    house.run_due(3500)
    assert house.states() == {State.SCHEDULED.value: 1}
    house.run_due(120)
    assert house.states() == {"accepted": 1}
