"""What a lost worker leaves behind: its requests move into doubt, or are sent again where that is safe."""

from __future__ import annotations

import logging
import random

from worker import deliveries as kept
from worker.actions import ACTIONS, Action
from worker.deliveries import Delivery
from worker.delivery import (
    PRIORITY_QUEUE,
    Batches,
    CannotOpen,
    Claim,
    Expectation,
    Kind,
    State,
    StoreUnavailable,
    is_sealed,
)
from worker.destinations import Destinations
from worker.events import Malformed, parse
from worker.masking import redact_event
from worker.msg91.answers import Answer, AnswerClass
from worker.outcomes import Decision, decide
from worker.sending import Sender, note_attempt, plan

log = logging.getLogger(__name__)

LEASE_RAN_OUT = "the worker was lost while the request was under way"

#: What an abandoned request counts as: it may have been taken, and no answer will ever say so.
LOST = Answer(AnswerClass.UNKNOWN, code="lost", message=LEASE_RAN_OUT, sent=True)

#: Seconds after which a claim that could not be settled is looked at again.
LOOK_AGAIN = 60.0


def recover_abandoned(sender: Sender, destinations: Destinations, *, limit: int = 20) -> int:
    """Settle requests whose lease has run out without an answer.

    Args:
        sender: The way out, for its ledger and timing.
        destinations: The present configuration, for the policies.
        limit: Requests looked at, at most.

    Returns:
        How many requests were settled.
    """
    settled = 0
    for claim in sender.ledger.abandoned(limit=limit):
        try:
            _recover(sender, destinations, claim)
        except StoreUnavailable:
            raise
        except Exception:
            # It must not keep the others from being settled.
            sender.ledger.put_off_claim(claim.token, LOOK_AGAIN)
            log.exception("abandoned request %s cannot be settled; tried again in %.0f s", claim.token, LOOK_AGAIN)
        else:
            settled += 1
    return settled


def _recover(sender: Sender, destinations: Destinations, claim: Claim) -> None:
    if not claim.items:
        sender.ledger.drop_claim(claim.token)
        return
    batch_id, deliveries = kept.load_claim(claim.items)
    action = ACTIONS.get(claim.action)
    _attach_events(sender, batch_id, deliveries, action)
    destination = destinations.get(claim.destination)
    repeatable = action is not None and action.repeatable
    now_ms = sender.store.now_ms()
    left_ms = claim.lease_end_ms - round(sender.timing.lease * 1000)
    resend_ms = claim.lease_end_ms + round(sender.timing.deadline * 1000)
    jitter = random.random()  # noqa: S311 - jitter, not a secret
    decisions: list[Decision] = []
    for delivery in deliveries:
        if destination is not None and action is not None:
            decision = decide(
                delivery,
                LOST,
                destination.policies[claim.action],
                repeatable=repeatable,
                shared=len(deliveries) > 1,
                now_ms=now_ms,
                random=jitter,
                resend_after_ms=resend_ms,
            )
        elif repeatable:
            decision = Decision(State.SCHEDULED, LEASE_RAN_OUT, resend_ms)
        else:
            decision = Decision(State.IN_DOUBT, LEASE_RAN_OUT)
        decisions.append(decision)
        note_attempt(delivery, LOST, decision, claim.token, left_ms)
    outcomes, waiting = plan(
        deliveries,
        decisions,
        token=claim.token,
        queue=PRIORITY_QUEUE if action is not None and action.urgent else "events",
    )
    refused = sender.ledger.settle(
        deliveries,
        outcomes,
        expect=Expectation("s", claim.token),
        about=claim.about,
        token=claim.token,
        waiting=waiting,
        journal={"lost": True},
    )
    moved = len(deliveries) - len(refused)
    log.warning("request %s was abandoned by its worker: %d deliveries settled", claim.token, moved)


def _attach_events(sender: Sender, batch_id: str, deliveries: list[Delivery], action: Action | None) -> None:
    """Give the deliveries their events back, as long as the batch that brought them is there."""
    try:
        found = Batches(sender.store, sealing=sender.sealing).body_of(batch_id)
    except CannotOpen as error:
        log.warning("the events of batch %s are not kept with its deliveries: %s", batch_id, error)
        return
    if found is None:
        return
    kind, body, count = found
    if kind is Kind.EVENTS:
        events = parse(body, count)
        for one in deliveries:
            event = events[one.position] if 0 <= one.position < len(events) else None
            if event is None or isinstance(event, Malformed):
                continue
            sealed = one.payload.get(action.secret) if action is not None and action.secret else None
            digits = sender.sealing.open(sealed) if is_sealed(sealed) else None
            one.event = redact_event(event, digits or "")
    elif kind is Kind.DELIVERIES:
        by_key = {one.key: one.event for one in kept.load(body)}
        for one in deliveries:
            one.event = by_key.get(one.key)
