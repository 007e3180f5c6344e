"""An operator decides about doubts: exactly once, with everything counted."""

from __future__ import annotations

import pytest

from tests.unit.operations.conftest import DOWN, SILENT, A, Desk
from worker.delivery import NotFound, State, recipient_hash
from worker.operations import in_doubt
from worker.operations.letters import Selection

ALL = Selection((State.IN_DOUBT,))
QUIET = 80.0


def test_the_plan_says_how_many_sends_and_parts(desk: Desk) -> None:
    """Before anything is sent again the operator sees what it would cost."""
    desk.bring(SILENT, A, A + 1)
    desk.bring(SILENT, A + 2, message="x" * 200)
    plan = in_doubt.plan_resend(desk.core, desk.destinations, ALL)
    assert (plan.sends, plan.parts, dict(plan.by_action)) == (3, 4, {("msg91", "send_sms"): 3})
    assert desk.states() == {"in_doubt": 3}


def test_resend_sends_each_once(desk: Desk) -> None:
    """They wait until the first request is surely over, go out once, and are decided."""
    desk.bring(SILENT, A, A + 1)
    result = in_doubt.resend(desk.core, desk.destinations, ALL, by="asha", quiet=QUIET)
    assert (result.decided, result.elsewhere) == (2, 0)
    assert desk.states() == {"scheduled": 2}
    assert desk.run_due() == 0
    desk.run_due(QUIET)
    assert desk.states() == {"accepted": 2}
    assert [number for number, _ in desk.house.sent].count(str(A)) == 2
    assert desk.core.ledger.attention(State.IN_DOUBT) == []
    assert desk.done() == ["in-doubt resend"]


def test_what_has_been_in_doubt_for_long_goes_at_once(desk: Desk) -> None:
    """The quiet time runs from when it came into doubt, not from when the operator decides."""
    desk.bring(SILENT, A)
    desk.store.pass_time(QUIET)
    in_doubt.resend(desk.core, desk.destinations, ALL, by="asha", quiet=QUIET)
    assert desk.run_due() == 1
    assert desk.states() == {"accepted": 1}


def test_resending_twice_sends_once(desk: Desk) -> None:
    """The second command finds nothing in doubt."""
    keys = desk.bring(SILENT, A)
    one = Selection((State.IN_DOUBT,), tuple(keys))
    assert in_doubt.resend(desk.core, desk.destinations, one, by="a", quiet=0).decided == 1
    again = in_doubt.resend(desk.core, desk.destinations, one, by="b", quiet=0)
    assert (again.decided, again.elsewhere) == (0, 1)
    desk.run_due(1)
    assert len(desk.house.requests) == 2
    assert desk.done() == ["in-doubt resend"]


def test_two_operators_at_once_decide_once(desk: Desk) -> None:
    """Both read the list before either acts: what the first decided stays decided."""
    desk.bring(SILENT, *range(A, A + 5))
    read_first = list(in_doubt.select(desk.core, ALL))
    assert in_doubt.drop(desk.core, ALL, by="a").decided == 5
    stale = [one.standing_in() for letters in read_first for one in letters]
    assert in_doubt.resolve_doubt(desk.core.ledger, stale, State.SCHEDULED, "x") == 0
    assert desk.states() == {"dead": 5}
    assert desk.core.schedule.depth() == 0


def test_drop_makes_dead_letters(desk: Desk) -> None:
    """What is dropped is dead, says why, and keeps its payload for a replay."""
    (key,) = desk.bring(SILENT, A)
    assert in_doubt.drop(desk.core, ALL, by="asha").decided == 1
    assert desk.states() == {"dead": 1}
    assert desk.record(key).reason == "in doubt, dropped by operator"
    (kept,) = desk.core.ledger.kept([key])
    assert kept is not None
    assert kept["payload"]["to"] == str(A)
    assert kept["event"]["messageId"] == "m0"


def test_accept_says_by_whom(desk: Desk) -> None:
    """Accepted by an operator, it keeps nothing, and a later report still joins."""
    (key,) = desk.bring(SILENT, A)
    assert in_doubt.accept(desk.core, ALL, by="asha").decided == 1
    assert desk.states() == {"accepted": 1}
    record = desk.record(key)
    assert record.reason == "by operator"
    assert desk.core.ledger.kept([key]) == [None]
    claim = desk.core.ledger.request(record.ref)
    assert claim is not None
    assert claim.deliveries == {recipient_hash(str(A)): key}
    assert desk.core.ledger.report(recipient=str(A), delivered=True, token=record.ref).outcome == "recorded"
    assert [line.about.get("by") for line in desk.core.journal.of(key)][1] == "asha"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"destination": "msg91"}, 3),
        ({"destination": "other"}, 0),
        ({"action": "send_sms"}, 3),
        ({"action": "send_flow_sms"}, 0),
        ({"reason": "NO ANSWER"}, 3),
        ({"reason": "nothing like it"}, 0),
    ],
)
def test_filters_choose(desk: Desk, wanted: dict[str, str], found: int) -> None:
    """By destination, action, and part of the reason in any case."""
    desk.bring(SILENT, *range(A, A + 3))
    assert in_doubt.accept(desk.core, Selection((State.IN_DOUBT,), **wanted), by="x").decided == found  # type: ignore[arg-type]


def test_older_than_chooses(desk: Desk) -> None:
    """What came into doubt after a moment is left alone."""
    desk.bring(SILENT, A)
    desk.store.pass_time(3600)
    desk.bring(SILENT, A + 1)
    old = Selection((State.IN_DOUBT,), until_ms=desk.store.now_ms() - 600_000)
    assert in_doubt.drop(desk.core, old, by="x").decided == 1
    assert desk.states() == {"dead": 1, "in_doubt": 1}


def test_an_unknown_delivery_is_said_to_be_one(desk: Desk) -> None:
    """A wrong id stops the command before anything is done."""
    keys = desk.bring(SILENT, A)
    with pytest.raises(NotFound, match="AAAAAAAAAAAAAAAAAAAA"):
        in_doubt.drop(desk.core, Selection((State.IN_DOUBT,), (*keys, "A" * 20)), by="x")
    assert desk.states() == {"in_doubt": 1}


def test_a_key_given_twice_is_one_delivery(desk: Desk) -> None:
    """Nothing is counted twice because somebody pasted it twice."""
    keys = desk.bring(SILENT, A)
    assert in_doubt.drop(desk.core, Selection((State.IN_DOUBT,), (*keys, *keys)), by="x").decided == 1
    assert desk.states() == {"dead": 1}


def test_what_is_not_in_doubt_is_left_alone(desk: Desk) -> None:
    """Named by its key, a dead delivery is not touched; the result says that it was elsewhere."""
    keys = desk.bring(DOWN, A)
    result = in_doubt.accept(desk.core, Selection((State.IN_DOUBT,), tuple(keys)), by="x")
    assert (result.decided, result.elsewhere) == (0, 1)
    assert desk.states() == {"dead": 1}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"mode": "dry"}, "mode dry"),
        ({"mode": "allow-list", "allow_list": ["+919999999999"]}, "allow list"),
        ({"name": "renamed"}, "not configured"),
    ],
)
def test_what_may_not_be_sent_now_stays_in_doubt(desk: Desk, more: dict[str, object], words: str) -> None:
    """The destination's mode counts as it is now: nobody is texted through a house that was switched to dry."""
    desk.bring(SILENT, A)
    desk.configure(**more)
    plan = in_doubt.plan_resend(desk.core, desk.destinations, ALL)
    assert (plan.sends, plan.obstacles.total()) == (0, 1)
    result = in_doubt.resend(desk.core, desk.destinations, ALL, by="x", quiet=0)
    assert (result.decided, result.elsewhere) == (0, 0)
    assert words in next(iter(result.obstacles))
    assert desk.states() == {"in_doubt": 1}


def test_what_is_too_old_is_not_sent_late(desk: Desk) -> None:
    """A message past its time to live is not sent again."""
    desk.configure(actions={"send_sms": {"time_to_live": 300}})
    desk.bring(SILENT, A)
    desk.store.pass_time(301)
    result = in_doubt.resend(desk.core, desk.destinations, ALL, by="x", quiet=0)
    assert result.obstacles == {"its time to live is over": 1}


def test_a_hundred_doubts_are_decided_in_one_go(desk: Desk) -> None:
    """More than one page, several requests each: every one decided, progress told."""
    for start in range(0, 500, 100):
        desk.bring(SILENT, *range(A + start, A + start + 100))
    seen: list[int] = []
    assert in_doubt.drop(desk.core, ALL, by="x", on_progress=seen.append).decided == 500
    assert sum(seen) == 500
    assert desk.states() == {"dead": 500}
