"""From MSG91's answer to what becomes of a delivery: the whole table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.deliveries import Delivery
from worker.delivery import Ending, RetryPolicy, State
from worker.destinations import ActionPolicy, InDoubt
from worker.msg91.answers import Answer, AnswerClass
from worker.outcomes import Decision, decide, ending_of

NOW = 1_800_000_000_000
POLICY = ActionPolicy(
    retry=RetryPolicy(attempts=3, base=2, cap=60, horizon=3600),
    time_to_live=None,
    in_doubt="hold",
    in_doubt_grace=600.0,
)


def decided(
    answer: Answer, delivery: Delivery | None = None, policy: ActionPolicy = POLICY, **more: object
) -> Decision:
    """Decide with defaults."""
    arguments = {
        "repeatable": False,
        "shared": False,
        "now_ms": NOW,
        "random": 0.5,
        "resend_after_ms": NOW + 60_000,
        **more,
    }
    return decide(delivery or Delivery("k" * 20, "m", "track"), answer, policy, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("klass", "state", "counts"),
    [
        (AnswerClass.ACCEPTED, State.ACCEPTED, True),
        (AnswerClass.RETRY, State.SCHEDULED, True),
        (AnswerClass.THROTTLED, State.SCHEDULED, False),
        (AnswerClass.ACCOUNT, State.SCHEDULED, False),
        (AnswerClass.RECIPIENT, State.REJECTED, True),
        (AnswerClass.REQUEST, State.REJECTED, True),
        (AnswerClass.DUPLICATE, State.SCHEDULED, True),
        (AnswerClass.UNKNOWN, State.IN_DOUBT, True),
    ],
)
def test_each_class_of_answer_has_its_state(klass: AnswerClass, state: State, counts: bool) -> None:
    """A first attempt of one delivery ends in the state of the answer's class."""
    decision = decided(Answer(klass))
    assert (state, counts) == (decision.state, decision.counts)


def test_attempts_and_horizon_end_in_dead() -> None:
    """The last attempt that counts, or a wait beyond the horizon, makes a delivery dead."""
    used_up = Delivery("k" * 20, "m", "track", attempts=2)
    assert State.DEAD is decided(Answer(AnswerClass.RETRY), used_up).state
    old = Delivery("k" * 20, "m", "track", attempts=1, first_ms=NOW - 3_600_000)
    assert State.DEAD is decided(Answer(AnswerClass.RETRY), old).state


def test_a_request_handed_back_unwritten_costs_nothing() -> None:
    """What was never written goes back at once and does not count, however often."""
    tired = Delivery("k" * 20, "m", "track", attempts=2)
    decision = decided(Answer(AnswerClass.RETRY, code="handed_back", sent=False), tired)
    assert (decision.state, decision.counts, decision.due_ms) == (State.SCHEDULED, False, NOW)
    assert Ending.NONE is ending_of(Answer(AnswerClass.RETRY, code="handed_back", sent=False))


def test_retry_after_is_obeyed() -> None:
    """A retry is never earlier than the provider asked."""
    decision = decided(Answer(AnswerClass.RETRY, retry_after=120.0))
    assert decision.due_ms is not None
    assert decision.due_ms >= NOW + 120_000


def test_repeatable_actions_wait_until_the_first_request_is_surely_over() -> None:
    """What is safe to repeat is retried, but not while the first request may still be under way."""
    decision = decided(Answer(AnswerClass.UNKNOWN), policy=replace(POLICY, in_doubt="resend"), repeatable=True)
    assert State.SCHEDULED is decision.state
    assert decision.due_ms is not None
    assert decision.due_ms >= NOW + 60_000


@pytest.mark.parametrize(("policy", "due_ms"), [("hold", None), ("drop", NOW + 660_000)])
def test_a_policy_set_for_a_repeatable_action_is_obeyed(policy: InDoubt, due_ms: int | None) -> None:
    """Who says `hold` or `drop` of user events gets what those words mean everywhere."""
    decision = decided(Answer(AnswerClass.UNKNOWN), policy=replace(POLICY, in_doubt=policy), repeatable=True)
    assert (State.IN_DOUBT, due_ms) == (decision.state, decision.due_ms)


@pytest.mark.parametrize(("seconds_ago", "state"), [(5, State.ACCEPTED), (15, State.SCHEDULED)])
def test_311_counts_only_within_its_window(seconds_ago: int, state: State) -> None:
    """311 after an attempt that may have left within ten seconds means that attempt was taken; later it does not."""
    delivery = Delivery(
        "k" * 20, "m", "track", history=[{"at": NOW - seconds_ago * 1000, "maybe_sent": True, "class": "unknown"}]
    )
    decision = decided(Answer(AnswerClass.DUPLICATE, code="311"), delivery)
    assert state is decision.state
    if state is State.SCHEDULED:
        assert decision.due_ms is not None
        assert decision.due_ms >= NOW + 10_000


def test_311_after_an_attempt_that_never_left_proves_nothing() -> None:
    """An attempt that was surely not sent cannot be the duplicate's first copy."""
    delivery = Delivery("k" * 20, "m", "track", history=[{"at": NOW - 1000, "maybe_sent": False, "class": "retry"}])
    assert State.SCHEDULED is decided(Answer(AnswerClass.DUPLICATE, code="311"), delivery).state


@pytest.mark.parametrize("klass", ["recipient", "request", "account", "duplicate"])
def test_311_after_a_refusal_proves_nothing(klass: str) -> None:
    """What MSG91 refused itself it did not take: the first copy was another message of the same text."""
    delivery = Delivery("k" * 20, "m", "track", history=[{"at": NOW - 1000, "maybe_sent": True, "class": klass}])
    assert State.SCHEDULED is decided(Answer(AnswerClass.DUPLICATE, code="311"), delivery).state


@given(
    klass=st.sampled_from(list(AnswerClass)),
    attempts=st.integers(0, 20),
    age=st.integers(0, 10**8),
    random=st.floats(0, 1, exclude_max=True),
    retry_after=st.none() | st.floats(0, 3600),
    repeatable=st.booleans(),
    shared=st.booleans(),
    sent=st.booleans(),
)
def test_a_message_people_receive_is_never_repeated_out_of_doubt(
    klass: AnswerClass,
    attempts: int,
    age: int,
    random: float,
    retry_after: float | None,
    repeatable: bool,
    shared: bool,
    sent: bool,
) -> None:
    """Whatever the numbers: unknown outcomes of messages are never scheduled by themselves, and due times lie ahead."""
    delivery = Delivery("k" * 20, "m", "track", attempts=attempts, first_ms=NOW - age)
    decision = decided(
        Answer(klass, retry_after=retry_after, sent=sent), delivery, repeatable=repeatable, shared=shared, random=random
    )
    if klass is AnswerClass.UNKNOWN and not repeatable:
        assert State.IN_DOUBT is decision.state
    if decision.state is State.SCHEDULED:
        assert decision.due_ms is not None
        assert decision.due_ms >= NOW


def test_a_request_that_was_never_built_tells_a_lane_nothing() -> None:
    """Nothing of it left, so it must not open a lane that waits for a sign that MSG91 works again."""
    assert ending_of(Answer(AnswerClass.REQUEST, code="not_built", sent=False)) is Ending.NONE
