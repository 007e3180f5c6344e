"""`lanes`: what is in force, and closing, opening and limiting by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.operators import bring, states
from worker.delivery import NotFound


def lane(stage: Any, name: str = "msg91:sms") -> dict[str, Any]:
    """One lane of the list."""
    return next(one for one in stage.json("lanes", "--json")["lanes"] if one["lane"] == name)


def test_the_table_shows_what_is_in_force(stage: Any) -> None:
    """Rate, burst, concurrency, state, before anything was sent."""
    bring(stage, None, lanes={"sms": {"rate": "600/min", "burst": 3, "concurrency": 7}})
    found = lane(stage)
    assert (found["rate"], found["burst"], found["concurrency"], found["state"]) == (10, 3, 7, "open")
    assert "msg91:sms\topen\t10 requests/s\t3\t7\t0\t0\t" in stage.run("lanes").stdout


def test_pause_and_resume(stage: Any) -> None:
    """Closed for a time with a reason that is shown, then opened; what waited is due."""
    result = stage.run("lanes", "pause", "msg91:sms", "--for", "10m", "--reason", "audit")
    assert result.exit_code == 0
    found = lane(stage)
    assert (found["state"], found["reason"]) == ("paused", "audit")
    bring(stage, None, "a")
    stage.work()
    assert states(stage) == {"scheduled": 1}
    assert "paused for 10 min" in stage.run("lanes").stdout
    assert "1 batch due now" in stage.run("lanes", "resume", "msg91:sms").stdout
    stage.work()
    assert states(stage) == {"accepted": 1}


def test_a_pause_without_an_end(stage: Any) -> None:
    """Held until somebody resumes it."""
    assert "until it is resumed" in stage.run("lanes", "pause", "msg91:sms").stdout
    assert lane(stage)["state"] == "held"


def test_limits_by_hand(stage: Any) -> None:
    """Set, shown as set, unset."""
    result = stage.run("lanes", "set", "msg91:sms", "--rate", "120/min", "--concurrency", "3", "--burst", "2")
    assert result.exit_code == 0
    found = lane(stage)
    assert (found["rate"], found["concurrency"], found["burst"], found["set_by_hand"]) == (2, 3, 2, True)
    assert "2 requests/s (set)" in stage.run("lanes").stdout
    assert stage.run("lanes", "set", "msg91:sms", "--unset").exit_code == 0
    found = lane(stage)
    assert (found["rate"], found["concurrency"], found["set_by_hand"]) == (None, 30, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("msg91:sms",),
        ("msg91:sms", "--unset", "--rate", "1/s"),
        ("msg91:sms", "--rate", "fast"),
        ("msg91:sms", "--concurrency", "0"),
    ],
)
def test_wrong_limits_are_refused(stage: Any, arguments: tuple[str, ...]) -> None:
    """Nothing given, both given, or what is no limit: exit 2."""
    assert stage.run("lanes", "set", *arguments).exit_code == 2
    assert lane(stage)["set_by_hand"] is False


def test_an_unknown_lane(stage: Any) -> None:
    """Its neighbour's name is suggested."""
    result = stage.run("lanes", "pause", "msg91:smss")
    assert isinstance(result.exception, NotFound)
    assert "did you mean msg91:sms?" in str(result.exception)


def test_a_broken_configuration_does_not_stop_an_emergency(stage: Any) -> None:
    """A lane that was used can be closed even when the file cannot be read."""
    bring(stage, None, "a")
    stage.work()
    (stage.folder / "destinations.yaml").write_text("destinations: [")
    result = stage.run("lanes", "pause", "msg91:sms")
    assert result.exit_code == 0
    assert "warning" in result.stderr
    assert stage.core.lanes.status("msg91:sms").held
