"""The demonstration finds fault with itself: whatever is not as it has to be is named."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from worker.delivery import Counts, Reconciliation, State
from worker.demo.outcomes import Outcome
from worker.demo.report import problems
from worker.demo.samples import Fate, expected_messages, kinds
from worker.demo.story import FAULTS, Result


def requests() -> list[dict[str, Any]]:
    """A record in which MSG91 took exactly what it has to."""
    messages = [{"to": to, "text": text} for (to, text), number in expected_messages().items() for _ in range(number)]
    return [{"kind": "sms", "taken": True, "messages": messages}]


def result(**changes: Any) -> Result:
    """A demonstration that went well, but for the changes."""
    nothing = dict.fromkeys(State, 0)
    good: dict[str, Any] = {
        "outcomes": [Outcome(kind, Counter({kind.fate: len(kind.lines)}), ()) for kind in kinds()],
        "reconciliation": Reconciliation(Counts({}, 0, nothing, nothing), nothing, moving=False, problems=()),
        "requests": requests(),
        "fault_hits": dict.fromkeys(FAULTS, 1),
        "seconds": 1.0,
    }
    return Result(**{**good, **changes})


def test_a_good_end_has_no_problem() -> None:
    """Nothing is complained of when everything is as it has to be."""
    assert problems(result()) == []


def test_a_wrong_fate_is_named() -> None:
    """An event that met another fate than it has to is a problem, with its kind."""
    first, *others = result().outcomes
    wrong = Outcome(first.kind, Counter({Fate.ACCEPTED: 3, Fate.REJECTED: 1}), ())
    (problem,) = problems(result(outcomes=[wrong, *others]))
    assert problem == "Segment's own four examples: expected 4 accepted, got 3 accepted, 1 rejected"


def test_a_broken_identity_is_named() -> None:
    """What does not add up is a problem, in the words of the reconciliation."""
    nothing = dict.fromkeys(State, 0)
    broken = Reconciliation(Counts({}, 1, nothing, nothing), nothing, moving=False, problems=("created is 1",))
    assert problems(result(reconciliation=broken)) == ["created is 1"]


@pytest.mark.parametrize(("change", "word"), [("twice", "or twice"), ("never", "never reached MSG91")])
def test_what_msg91_took_is_counted(change: str, word: str) -> None:
    """A message that MSG91 took twice, or never, is a problem even when our own books are in order."""
    (request,) = requests()
    messages = request["messages"]
    request["messages"] = [*messages, messages[-1]] if change == "twice" else messages[:-1]
    (problem,) = problems(result(requests=[request]))
    assert problem.startswith("1 messages")
    assert word in problem


def test_trouble_that_never_came_is_named() -> None:
    """A demonstration in which MSG91 had no troubles has not shown what it promises."""
    assert problems(result(fault_hits={})) == [f"the fault {fault} never came true" for fault in FAULTS]
