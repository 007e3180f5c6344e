"""Lanes in an operator's hands: what is in force, closing, opening, other limits."""

from __future__ import annotations

import pytest

from tests.unit.operations.conftest import A, Desk, track
from worker.actions import ACTIONS
from worker.delivery import NotFound
from worker.operations import lanes

LANE = "msg91:sms"


def test_every_configured_lane_is_listed_before_it_was_used(desk: Desk) -> None:
    """One for each family that an action uses, and for each receiver, with the limits of the configuration."""
    desk.configure(
        lanes={"sms": {"rate": "20/s", "burst": 5, "concurrency": 7, "cost": "parts"}, "onward": {"concurrency": 2}},
        onward={
            "tracking": [{"name": "segment", "write_key": "w" * 16}],
            "callbacks": [{"name": "crm", "report_url": "https://crm.example/reports", "secret": "s" * 16}],
        },
    )
    found = {one.name: one for one in lanes.overview(desk.core, desk.destinations)}
    families = {f"msg91:{action.family}" for action in ACTIONS.values() if action.family != "onward"}
    assert set(found) == families | {"msg91:onward:segment", "msg91:onward:crm"}
    assert found["msg91:onward:crm"].concurrency == 2
    sms = found[LANE]
    assert (sms.rate, sms.burst, sms.concurrency, sms.unit, sms.state, sms.overridden) == (
        20,
        5,
        7,
        "parts",
        "open",
        False,
    )
    assert (found["msg91:segmento"].rate, found["msg91:segmento"].burst) == (None, None)


def test_a_lane_that_left_the_configuration_is_still_shown(desk: Desk) -> None:
    """What was used is listed, without limits that nobody set."""
    desk.house.forward(track(A, "1"))
    desk.configure(name="other")
    found = {one.name: one for one in lanes.overview(desk.core, desk.destinations)}
    assert found[LANE].configured is None
    assert found[LANE].concurrency is None


def test_a_paused_lane_lets_nothing_go(desk: Desk) -> None:
    """Until it is resumed, or its time is over; what waits says why."""
    lane = lanes.pause(desk.core, desk.destinations, LANE, reason="audit", seconds=None, by="asha")
    assert (lane.state, lane.status.reason) == ("held", "audit")
    desk.house.forward(track(A, "1"))
    assert desk.house.requests == []
    assert desk.states() == {"scheduled": 1}
    assert desk.done() == ["lanes pause"]


def test_resuming_wakes_what_waited_for_the_end(desk: Desk) -> None:
    """Opened after a minute of ten, everything goes now, not in nine minutes; other lanes' batches keep their time."""
    lanes.pause(desk.core, desk.destinations, LANE, reason="audit", seconds=600, by="asha")
    for number in range(5):
        desk.house.forward(track(A + number, str(number)))
    desk.house.configure(
        {"name": "msg91", "authkey": "k", "default_sender": "MSGIND"},
        {"name": "second", "authkey": "k", "default_sender": "MSGIND"},
    )
    lanes.pause(desk.core, desk.destinations, "second:sms", reason="other", seconds=600.02, by="asha")
    desk.house.forward(track(A + 9, "9"), destination="second")
    assert desk.run_due(60) == 0
    lane, woken = lanes.resume(desk.core, desk.destinations, LANE, by="asha")
    assert (lane.state, woken) == ("open", 5)
    assert desk.run_due() == 5
    assert desk.states() == {"accepted": 5, "scheduled": 1}
    assert desk.done() == ["lanes pause", "lanes pause", "lanes resume"]


def test_resuming_a_held_lane_wakes_all_of_it(desk: Desk) -> None:
    """Those who came back in vain and asked again are woken too."""
    lanes.pause(desk.core, desk.destinations, LANE, reason="audit", seconds=None, by="asha")
    desk.house.forward(track(A, "1"))
    desk.run_due(31)
    assert desk.states() == {"scheduled": 1}
    assert lanes.resume(desk.core, desk.destinations, LANE, by="asha")[1] == 1
    desk.run_due()
    assert desk.states() == {"accepted": 1}


def test_resuming_an_open_lane_does_nothing(desk: Desk) -> None:
    """Safe to repeat."""
    assert lanes.resume(desk.core, desk.destinations, LANE, by="asha")[1] == 0


def test_limits_by_hand_are_in_force_until_unset(desk: Desk) -> None:
    """They win over the configuration, for everybody, and only those that were given change."""
    desk.configure(lanes={"sms": {"rate": "20/s", "burst": 5}})
    lane = lanes.set_limits(desk.core, desk.destinations, LANE, rate=2, concurrency=3, by="asha")
    assert (lane.rate, lane.burst, lane.concurrency, lane.overridden) == (pytest.approx(2), 5, 3, True)
    lane = lanes.set_limits(desk.core, desk.destinations, LANE, rate=0, by="asha")
    assert (lane.rate, lane.concurrency) == (None, 3)
    lane = lanes.unset_limits(desk.core, desk.destinations, LANE, by="asha")
    assert (lane.rate, lane.concurrency, lane.overridden) == (20, 30, False)
    assert desk.done() == ["lanes set"] * 3


def test_an_unknown_lane_is_said_to_be_one(desk: Desk) -> None:
    """With the name that was likely meant; nothing is written."""
    with pytest.raises(NotFound, match="did you mean msg91:sms"):
        lanes.pause(desk.core, desk.destinations, "msg91:sma", reason="", seconds=None, by="x")
    assert desk.core.lanes.names() == []
    assert desk.done() == []
