"""Dead and rejected deliveries in an operator's hands: shown, replayed once, discarded with no count changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from tests.unit.operations.conftest import DOWN, REFUSED, SILENT, A, Desk, track
from worker.delivery import Kind, NotAllowed, NotFound, State
from worker.msg91.answers import Answer, AnswerClass
from worker.operations import dead_letters, in_doubt
from worker.operations.letters import Selection, count

ALL = Selection(dead_letters.STATES)


def replay(desk: Desk, selection: Selection = ALL) -> dead_letters.Replayed:
    """Replay them."""
    return dead_letters.replay(desk.core, desk.destinations, selection, by="asha")


def plan(desk: Desk, selection: Selection = ALL) -> dead_letters.ReplayPlan:
    """What a replay would do."""
    return dead_letters.plan_replay(desk.core, desk.destinations, selection)


def test_the_plan_counts_sends_parts_and_doubts(desk: Desk) -> None:
    """Before a replay the operator sees how many sends, how many parts, and how many may have gone out before."""
    desk.bring(DOWN, A, message="x" * 161)
    desk.bring(REFUSED, A + 1)
    desk.bring(SILENT, A + 2, A + 3)
    in_doubt.drop(desk.core, Selection((State.IN_DOUBT,)), by="x")
    found = plan(desk)
    assert (found.sends, found.parts, found.once_in_doubt, found.resolved_again) == (4, 5, 2, 0)
    assert desk.states() == {"dead": 3, "rejected": 1}
    assert count(desk.core, ALL) == 4


def test_a_replay_sends_what_was_kept(desk: Desk) -> None:
    """The kept payload goes out, whatever the mapping says by now, with a budget of attempts as if it were new."""
    (key,) = desk.bring(DOWN, A, message="the old text")
    desk.configure(mappings=["segment-msg91-flow"], default_template_id="a" * 24)
    assert replay(desk).replayed == 1
    assert desk.states() == {"scheduled": 1}
    assert desk.record(key).attempts == 0
    assert desk.run_due() == 1
    assert desk.states() == {"accepted": 1}
    assert desk.house.sent[-1] == (str(A), "the old text")
    assert desk.done() == ["dead-letters replay"]
    assert desk.core.journal.of(key)[1].about["by"] == "asha"


def test_two_replays_send_once(desk: Desk) -> None:
    """The second command finds them scheduled, or sent."""
    keys = desk.bring(DOWN, A, A + 1)
    named = Selection(dead_letters.STATES, tuple(keys))
    assert replay(desk, named).replayed == 2
    again = replay(desk, named)
    assert (again.replayed, again.elsewhere) == (0, 2)
    desk.run_due()
    assert replay(desk, named).replayed == 0
    assert len(desk.house.sent) == 4
    assert desk.states() == {"accepted": 2}


def test_two_replays_at_once_send_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read the same letters before either writes."""
    desk.bring(DOWN, *range(A, A + 10))
    first = dead_letters.ready
    raced: list[dead_letters.Replayed] = []

    def race(*arguments: object) -> object:
        if not raced:
            raced.append(dead_letters.Replayed())
            raced[0] = replay(desk)
        return first(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dead_letters, "ready", race)
    late = replay(desk)
    assert (raced[0].replayed, late.replayed, late.elsewhere) == (10, 0, 10)
    desk.run_due()
    assert len(desk.house.sent) == 20
    assert desk.states() == {"accepted": 10}
    assert desk.core.schedule.depth() == 0


def test_what_dies_again_is_a_letter_again(desk: Desk) -> None:
    """A replay that fails ends in the list again, with both attempts in its history."""
    (key,) = desk.bring(DOWN, A)
    replay(desk)
    desk.house.answers = [DOWN]
    desk.run_due()
    assert desk.states() == {"dead": 1}
    shown = dead_letters.describe(desk.core, desk.destinations, key)
    assert [one["class"] for one in shown["attempts"]] == ["retry", "replayed", "retry"]


def test_what_was_refused_for_its_fields_is_made_anew(desk: Desk) -> None:
    """Its event is run through the present mapping: a corrected sender makes it good."""
    desk.house.configure({"name": "msg91", "authkey": "key"})
    event = track(A, "m")
    del event["properties"]["senderID"]
    desk.house.forward(event)
    assert desk.states() == {"rejected": 1}
    assert (plan(desk).sends, plan(desk).obstacles) == (0, {"still invalid: senderID": 1})
    assert replay(desk).replayed == 0
    desk.configure()
    found = plan(desk)
    assert (found.sends, found.resolved_again) == (1, 1)
    assert replay(desk).replayed == 1
    desk.run_due()
    assert desk.states() == {"accepted": 1}
    assert desk.house.requests[-1]["sender"] == "MSGIND"


def test_a_corrected_mapping_makes_it_good(desk: Desk) -> None:
    """The mapping of today, by the same name, decides; one that is gone, or wants other events, does not."""
    file = desk.house.folder / "mine.yaml"

    def write(trigger: str, phone: str, name: str = "mine") -> None:
        mapping = {
            "name": name,
            "action": "send_sms",
            "trigger": trigger,
            "mapping": {"phone": {"@path": phone}, "message": "hello"},
        }
        file.write_text(yaml.safe_dump({"mappings": [mapping]}), encoding="utf-8")
        desk.configure(mappings=["mine.yaml"])

    write('type = "track"', "$.properties.wrong")
    desk.house.forward(track(A, "m"))
    assert desk.states() == {"rejected": 1}
    write('type = "track"', "$.properties.phone", name="another")
    assert list(plan(desk).obstacles) == ["destination msg91 has no mapping mine any more"]
    write('type = "identify"', "$.properties.phone")
    assert list(plan(desk).obstacles) == ["mapping mine does not want its event any more"]
    write('type = "track"', "$.properties.phone")
    assert replay(desk).replayed == 1
    desk.run_due()
    assert desk.house.sent == [(str(A), "hello")]
    assert desk.states() == {"accepted": 1}


def test_a_producers_own_payload_is_checked_anew(desk: Desk) -> None:
    """A payload that came by a task has no event: its fields meet the action's present rules."""
    desk.house.configure({"name": "msg91", "authkey": "key"})
    item = {"action": "send_sms", "messageId": "p", "payload": {"phone": str(A), "message": "hi"}}
    desk.house.forward(item, kind=Kind.PAYLOADS, destination="msg91")
    assert desk.states() == {"rejected": 1}
    desk.configure()
    assert replay(desk).replayed == 1
    desk.run_due()
    assert desk.states() == {"accepted": 1}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"states": (State.DEAD,)}, 2),
        ({"states": (State.REJECTED,)}, 1),
        ({"reason": "gave up"}, 2),
        ({"reason": "203"}, 1),
        ({"action": "send_sms"}, 3),
        ({"destination": "nowhere"}, 0),
    ],
)
def test_filters_choose(desk: Desk, wanted: dict[str, object], found: int) -> None:
    """By state, reason, action, destination."""
    desk.bring(DOWN, A, A + 1)
    desk.bring(REFUSED, A + 2)
    assert replay(desk, replace(ALL, **wanted)).replayed == found


def test_a_span_of_time_chooses(desk: Desk) -> None:
    """Only what died since, or until, a moment."""
    desk.bring(DOWN, A)
    desk.store.pass_time(3600)
    middle = desk.store.now_ms() - 1800_000
    desk.bring(DOWN, A + 1)
    assert plan(desk, replace(ALL, since_ms=middle)).sends == 1
    assert plan(desk, replace(ALL, until_ms=middle)).sends == 1


def test_what_may_not_be_sent_now_stays_dead(desk: Desk) -> None:
    """Dry mode, and a time to live that is over, stand in the way; the plan says so."""
    desk.bring(DOWN, A)
    desk.configure(mode="dry")
    assert replay(desk).obstacles == {"destination msg91 is in mode dry": 1}
    desk.configure(actions={"send_sms": {"attempts": 1, "time_to_live": 300}})
    desk.bring(DOWN, A + 1)
    desk.store.pass_time(301)
    result = replay(desk)
    assert (result.replayed, result.obstacles) == (1, {"its time to live is over": 1})


def test_discard_keeps_the_record(desk: Desk) -> None:
    """Payload and entry go, the state and every count stay; the journal says who did it."""
    keys = desk.bring(DOWN, A, A + 1)
    assert dead_letters.discard(desk.core, ALL, by="asha") == 2
    assert desk.states() == {"dead": 2}
    assert desk.core.ledger.kept(keys) == [None, None]
    assert desk.core.journal.of(keys[0])[-1].reason == "discarded by operator"
    assert dead_letters.discard(desk.core, ALL, by="asha") == 0
    assert replay(desk).replayed == 0
    assert replay(desk, Selection(dead_letters.STATES, tuple(keys))).obstacles == {"nothing is kept of it": 2}
    assert desk.done() == ["dead-letters discard"]


def test_discarding_what_is_not_over_is_refused(desk: Desk) -> None:
    """Named by its key, a doubt is not discarded; nor are its neighbours."""
    dead = desk.bring(DOWN, A)
    doubt = desk.bring(SILENT, A + 1)
    with pytest.raises(NotAllowed, match="in_doubt"):
        dead_letters.discard(desk.core, Selection(dead_letters.STATES, (*dead, *doubt)), by="x")
    assert len(desk.core.ledger.attention(State.DEAD)) == 1
    with pytest.raises(NotFound):
        dead_letters.discard(desk.core, Selection(dead_letters.STATES, ("B" * 20,)), by="x")


def test_the_whole_life_is_shown_masked(desk: Desk) -> None:
    """Event, mapping and version, reason, every attempt with its request and answer; no number stands open."""
    answer = Answer(AnswerClass.RETRY, status=503, message="down", body="<html>down</html>")
    (key,) = desk.bring(answer, A, message="call me")
    shown = dead_letters.describe(desk.core, desk.destinations, key)
    assert (shown["state"], shown["mapping"], shown["action"], shown["destination"]) == (
        "dead",
        "track",
        "send_sms",
        "msg91",
    )
    assert shown["mapping_version"]
    assert "gave up" in shown["reason"]
    assert shown["event"]["event"] == "Clicked Login Button"
    (attempt,) = shown["attempts"]
    assert (attempt["status"], attempt["answer"]) == (503, "<html>down</html>")
    assert attempt["request"]["path"] == "/api/v2/sendsms"
    assert attempt["request"]["body"]["CRQID"] == attempt["token"]
    assert str(A) not in str(shown)
    assert "91*******758" in str(shown["event"])
    revealed = dead_letters.describe(desk.core, desk.destinations, key, reveal=True)
    assert revealed["event"]["properties"]["phone"] == A


def test_field_errors_are_shown(desk: Desk) -> None:
    """What a validation refused, field by field; no request was made."""
    desk.house.forward(track("12345", "m"))
    (key,) = desk.core.ledger.attention(State.REJECTED)
    shown = dead_letters.describe(desk.core, desk.destinations, key)
    assert [error["field"] for error in shown["field_errors"]] == ["phone"]
    assert shown["attempts"] == []
    assert "still invalid" in shown["replay"]


def test_showing_changes_nothing(desk: Desk) -> None:
    """Neither looking nor planning leaves a trace."""
    (key,) = desk.bring(DOWN, A)
    before = desk.everything()
    dead_letters.describe(desk.core, desk.destinations, key)
    plan(desk)
    assert desk.everything() == before


def test_what_cannot_be_shown_says_why(desk: Desk) -> None:
    """An unknown id, another state, and a letter whose payload was discarded are told apart."""
    (key,) = desk.bring(DOWN, A)
    (doubt,) = desk.bring(SILENT, A + 1)
    with pytest.raises(NotFound):
        dead_letters.describe(desk.core, desk.destinations, "C" * 20)
    with pytest.raises(NotAllowed, match="in_doubt"):
        dead_letters.describe(desk.core, desk.destinations, doubt)
    dead_letters.discard(desk.core, ALL, by="x")
    with pytest.raises(NotAllowed, match="discarded"):
        dead_letters.describe(desk.core, desk.destinations, key)


def test_many_letters_go_in_chunks(desk: Desk) -> None:
    """More than one page: all are replayed, each once, in batches of at most a hundred."""
    for start in range(0, 450, 90):
        desk.bring(DOWN, *range(A + start, A + start + 90))
    seen: list[int] = []
    result = dead_letters.replay(desk.core, desk.destinations, ALL, by="x", on_progress=seen.append)
    assert (result.replayed, sum(seen)) == (450, 450)
    assert {entry.items for entry in desk.core.schedule.entries()} <= set(range(1, 101))
    desk.run_due()
    assert desk.states() == {"accepted": 450}
    assert len(desk.house.sent) == 900
