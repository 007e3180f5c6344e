"""What a plan of faults makes of an answer: the bytes, the waits between them, and how it ends."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from email.utils import formatdate
from math import ceil
from typing import Final

from worker.sandbox.answers import (
    HTML,
    Reply,
    error,
    gateway_page,
    something_went_wrong,
    too_many_attempts,
)
from worker.sandbox.calls import Verdict
from worker.sandbox.faultboard import Plan
from worker.sandbox.faults import Fault


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Let this many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection; with ``reset`` the other side sees a reset instead of an end of file."""

    reset: bool = False


#: Statuses that HTTP gives no body.
_WITHOUT_BODY: Final = frozenset({204, 205, 304})

Step = Send | Wait | Close


def takes(verdict: Verdict, plan: Plan) -> bool:
    """Tell whether MSG91 takes the request: it would, and no fault keeps it from it."""
    return verdict.accepted and (plan.ending is None or plan.ending.takes)


def faulty_reply(verdict: Verdict, plan: Plan, now: float) -> Reply:
    """Give the answer that is sent, whole or in part, once the faults had their say.

    Args:
        verdict: What MSG91 made of the request.
        plan: The faults that hit it.
        now: The time of a Retry-After date (Unix seconds).
    """
    fault = plan.ending
    if fault is None:
        return verdict.reply
    if fault.kind == "status":
        return _with_retry_after(_status_reply(fault, verdict), plan, fault, now)
    if fault.kind == "rate":
        return _with_retry_after(too_many_attempts(), plan, fault, now)
    if fault.kind == "code":
        return error(verdict.envelope, fault.code)
    if fault.kind == "invalid-json":
        return Reply(200, b'{"message":"3763646c3058373530393', HTML)
    if fault.kind == "redirect":
        return Reply(fault.status, b"", None, headers=(("Location", fault.location),))
    return verdict.reply


def steps(raw: bytes, plan: Plan) -> Generator[Step]:
    """Give what happens on the connection, in order.

    Args:
        raw: The whole answer as bytes, head and body.
        plan: The faults that hit the request.
    """
    fault = plan.ending
    kind = fault.kind if fault is not None else ""
    if plan.delay:
        yield Wait(plan.delay)
    if kind in {"hang-before", "hang-after"}:
        yield Wait(plan.hang)
    if fault is not None and kind in {"close-before", "close-after", "hang-before"}:
        yield Close(fault.reset)
        return
    # Cut inside the body, so that the client has the status and is owed the rest.
    sent = raw[: -(max(1, (len(raw) - raw.find(b"\r\n\r\n") - 4) // 2))] if kind == "half-answer" else raw
    if plan.drip:
        for at in range(len(sent)):
            yield Send(sent[at : at + 1])
            yield Wait(plan.drip)
    else:
        yield Send(sent)
    if fault is not None and kind == "half-answer":
        yield Close(fault.reset)


def _status_reply(fault: Fault, verdict: Verdict) -> Reply:
    if fault.body == "none" or fault.status in _WITHOUT_BODY:
        return Reply(fault.status, b"", None)
    if fault.body == "success":
        return replace(verdict.reply, status=fault.status)
    if fault.status == 429:
        return too_many_attempts()
    if fault.body == "json":
        return something_went_wrong(fault.status)
    return gateway_page(fault.status)


def _with_retry_after(reply: Reply, plan: Plan, fault: Fault, now: float) -> Reply:
    if plan.retry_after is None:
        return reply
    # Rounded up: a date has whole seconds, and one that is already past would say "at once".
    value = formatdate(ceil(now) + plan.retry_after, usegmt=True) if fault.retry_after_is_date else plan.retry_after
    return replace(reply, headers=(*reply.headers, ("Retry-After", str(value))))
