"""From MSG91's answer to what becomes of a delivery. Pure: time and randomness are passed in."""

from __future__ import annotations

from dataclasses import dataclass

from worker.deliveries import Delivery
from worker.delivery import Ending, State
from worker.destinations import ActionPolicy
from worker.msg91.answers import Answer, AnswerClass

#: MSG91 answers 311 when the same request came within this many seconds.
DUPLICATE_WINDOW = 10.0

#: Refusals that concern what all recipients of a request share (sender, route, template, schedule, campaign): splitting
#: the request finds no culprit. Any other refusal may be one recipient's or one text's fault.
SHARED_CODES = frozenset({"103", "104", "105", "107", "203", "205", "211", "307", "308", "309", "campaign"})


#: Answers by which MSG91 itself said that it did not take a request.
REFUSALS = frozenset({AnswerClass.RECIPIENT, AnswerClass.REQUEST, AnswerClass.ACCOUNT, AnswerClass.DUPLICATE})


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one delivery.

    Attributes:
        state: Its new state.
        reason: Why, in a few words; ``""`` for accepted.
        due_ms: When it is tried again (scheduled), or its grace time ends (in doubt; ``None`` holds it).
        counts: Whether the attempt counts against its budget.
        split: It shares a request with a culprit that has to be found.
    """

    state: State
    reason: str = ""
    due_ms: int | None = None
    counts: bool = True
    split: bool = False


#: MSG91 has taken it: the same for every delivery, whatever its history and policy.
TAKEN = Decision(State.ACCEPTED)


def decide(
    delivery: Delivery,
    answer: Answer,
    policy: ActionPolicy,
    *,
    repeatable: bool,
    shared: bool,
    now_ms: int,
    random: float,
    resend_after_ms: int,
) -> Decision:
    """What becomes of a delivery after an answer.

    Args:
        delivery: With the attempts before this one.
        answer: MSG91's answer, as far as this delivery is concerned.
        policy: Its action's policy.
        repeatable: Sending it again harms nobody (user events, contacts), so `resend` needs no doubt before it.
        shared: The answer speaks for several deliveries at once.
        now_ms: The present.
        random: A number in [0, 1) for the jitter.
        resend_after_ms: Before this moment a request that is in doubt must not be repeated.
    """
    reason = reason_of(answer)
    match answer.klass:
        case AnswerClass.ACCEPTED:
            return TAKEN
        case AnswerClass.RECIPIENT | AnswerClass.REQUEST if shared and may_be_one_recipient(answer):
            return Decision(State.SCHEDULED, reason, now_ms, counts=False, split=True)
        case AnswerClass.RECIPIENT | AnswerClass.REQUEST:
            return Decision(State.REJECTED, reason)
        case AnswerClass.ACCOUNT:
            return Decision(State.SCHEDULED, reason, now_ms + 1000, counts=False)
        case AnswerClass.THROTTLED:
            return Decision(State.SCHEDULED, reason, now_ms + _ms(answer.retry_after or 1.0), counts=False)
        case AnswerClass.DUPLICATE:
            if left_within(delivery, now_ms, DUPLICATE_WINDOW):
                return Decision(State.ACCEPTED, "311: an earlier attempt was taken")
            return _retry(delivery, answer, policy, reason, now_ms, random, _ms(DUPLICATE_WINDOW))
        case AnswerClass.RETRY:
            return _retry(delivery, answer, policy, reason, now_ms, random, 0)
        case AnswerClass.UNKNOWN:
            # A policy that somebody set for what is safe to repeat is obeyed, too; unless set it is `resend`.
            if repeatable and policy.in_doubt == "resend":
                wait = max(0, resend_after_ms - now_ms)
                return _retry(delivery, answer, policy, reason, now_ms, random, wait)
            return doubtful(policy, reason, max(now_ms, resend_after_ms))
    msg = f"no decision for {answer.klass}"
    raise AssertionError(msg)


def doubtful(policy: ActionPolicy, reason: str, from_ms: int) -> Decision:
    """A delivery that may have gone out: in doubt, with a timer unless the policy holds it."""
    if policy.in_doubt == "hold":
        return Decision(State.IN_DOUBT, reason)
    return Decision(State.IN_DOUBT, reason, from_ms + _ms(policy.in_doubt_grace))


def ending_of(answer: Answer) -> Ending:
    """What a lane is told of a request."""
    match answer.klass:
        case AnswerClass.THROTTLED:
            return Ending.THROTTLE
        case AnswerClass.ACCOUNT:
            return Ending.ACCOUNT
        case AnswerClass.RETRY if answer.code == "handed_back":
            return Ending.NONE
        case AnswerClass.RETRY | AnswerClass.UNKNOWN:
            return Ending.FAIL
        case _ if not answer.sent:
            return Ending.NONE  # it could not be built: that says nothing of MSG91, least of all that it works again
        case _:
            return Ending.OK


def reason_of(answer: Answer) -> str:
    """A short reason: MSG91's code or the HTTP status, and its words."""
    code = answer.code or (f"HTTP {answer.status}" if answer.status else "")
    words = answer.message if answer.message and answer.message != answer.code else ""
    return ": ".join(part for part in (code, words) if part)[:160] or answer.klass.value


def may_be_one_recipient(answer: Answer) -> bool:
    """Whether one recipient of several may have caused a refusal of the whole request."""
    return answer.klass is AnswerClass.RECIPIENT or answer.code not in SHARED_CODES


def left_within(delivery: Delivery, now_ms: int, seconds: float) -> bool:
    """Whether an earlier attempt of this very delivery may have been taken within the last ``seconds``.

    One that MSG91 itself refused was not.
    """
    return any(
        attempt.get("maybe_sent")
        and attempt.get("class") not in REFUSALS
        and now_ms - int(attempt["at"]) <= _ms(seconds)
        for attempt in delivery.history
    )


def _retry(
    delivery: Delivery,
    answer: Answer,
    policy: ActionPolicy,
    reason: str,
    now_ms: int,
    random: float,
    at_least_ms: int,
) -> Decision:
    counts = answer.code != "handed_back"
    attempt = delivery.attempts + counts
    first_ms = delivery.first_ms or now_ms
    wait = max(_ms(policy.retry.delay(max(attempt, 1), random)), _ms(answer.retry_after or 0), at_least_ms)
    if counts and attempt >= policy.retry.attempts:
        return Decision(State.DEAD, f"gave up after {attempt} attempts; {reason}"[:160])
    if now_ms + wait - first_ms > _ms(policy.retry.horizon):
        return Decision(State.DEAD, f"gave up after {policy.retry.horizon:.0f} s; {reason}"[:160])
    return Decision(State.SCHEDULED, reason, now_ms + (wait if counts else 0), counts=counts)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
