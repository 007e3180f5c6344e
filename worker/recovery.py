"""What a lost worker leaves behind: its requests move into doubt, or are sent again where that is safe."""

from __future__ import annotations

import logging
from typing import Any

from worker import deliveries as kept
from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import Claim, Expectation, Kind, State
from worker.destinations import Destinations
from worker.events import Malformed, parse
from worker.outcomes import Decision, doubtful
from worker.sending import Sender, plan

log = logging.getLogger(__name__)

LEASE_RAN_OUT = "the worker was lost while the request was under way"


def recover_abandoned(sender: Sender, destinations: Destinations, *, limit: int = 20) -> int:
    """Settle requests whose lease has run out without an answer.

    Args:
        sender: The way out, for its ledger and timing.
        destinations: The present configuration, for the policies.
        limit: Requests looked at, at most.

    Returns:
        How many requests were settled.
    """
    claims = sender.ledger.abandoned(limit=limit)
    for claim in claims:
        _recover(sender, destinations, claim)
    return len(claims)


def _recover(sender: Sender, destinations: Destinations, claim: Claim) -> None:
    if not claim.items:
        sender.ledger.drop_claim(claim.token)
        return
    batch_id, deliveries = kept.load_claim(claim.items)
    _attach_events(sender, batch_id, deliveries)
    action = ACTIONS.get(claim.action)
    destination = destinations.get(claim.destination)
    now_ms = sender.store.now_ms()
    resend_ms = claim.lease_end_ms + round(sender.timing.deadline * 1000)
    decisions: list[Decision] = []
    for delivery in deliveries:
        delivery.attempts += 1
        delivery.first_ms = delivery.first_ms or claim.lease_end_ms
        delivery.remember(
            {
                "at": now_ms,
                "token": claim.token,
                "class": "lost",
                "message": LEASE_RAN_OUT,
                "maybe_sent": True,
            }
        )
        if action is not None and action.repeatable:
            decisions.append(Decision(State.SCHEDULED, LEASE_RAN_OUT, resend_ms))
        elif destination is None:
            decisions.append(Decision(State.IN_DOUBT, LEASE_RAN_OUT))
        else:
            decisions.append(doubtful(destination.policies[claim.action], LEASE_RAN_OUT, resend_ms))
    outcomes, waiting = plan(deliveries, decisions, queue="events")
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


def _attach_events(sender: Sender, batch_id: str, deliveries: list[Delivery]) -> None:
    """Give the deliveries their events back, as long as the batch that brought them is there."""
    client, keys = sender.store.client, sender.store.keys
    fields: list[Any] = sender.store.ask(lambda: client.hmget(keys.batch(batch_id), ["kind", "body", "count"]))
    kind, body, count = fields
    if kind is None:
        return
    if kind.decode() == Kind.EVENTS:
        events = parse(body, int(count))
        for one in deliveries:
            event = events[one.position] if 0 <= one.position < len(events) else None
            one.event = None if isinstance(event, Malformed) else event
    elif kind.decode() == Kind.DELIVERIES:
        by_key = {one.key: one.event for one in kept.load(body)}
        for one in deliveries:
            one.event = by_key.get(one.key)
