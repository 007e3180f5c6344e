"""Run a batch: parse, resolve, deliver, count. What a Celery task does, without Celery."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from worker import deliveries as kept
from worker.actions import ACTIONS
from worker.deliveries import Delivery
from worker.delivery import (
    Batch,
    Batches,
    CannotOpen,
    EventCounts,
    Expectation,
    Kind,
    Outcome,
    State,
    Store,
    StoreUnavailable,
)
from worker.destinations import Destination, Destinations
from worker.doubts import load_timer, resolve_doubt
from worker.events import Event, Malformed, kind_of, malformed, parse
from worker.logs import following
from worker.masking import redact_text
from worker.pipeline import Over, Resolved, resolve_events, resolve_payload
from worker.sending import Sender, Sent
from worker.tracing import span

log = logging.getLogger(__name__)

#: Actions whose payload carries a one-time password.
CARRY_SECRETS = frozenset(name for name, action in ACTIONS.items() if action.secret)
#: Seconds after which a batch is looked at again while nothing may be sent.
HELD_PAUSE = 5.0


class Forwarder:
    """Runs batches for one process.

    Args:
        store: The store.
        batches: Its batches.
        sender: The way out.
        destinations: Gives the present configuration; asked once per batch, so that a reload takes effect between two.
        remember: Told what new events were resolved to, before anything of it is sent.
    """

    def __init__(
        self,
        store: Store,
        batches: Batches,
        sender: Sender,
        destinations: Callable[[], Destinations],
        remember: Callable[[Resolved, Destinations, Batch], object] = lambda _resolved, _destinations, _batch: None,
    ) -> None:
        self._remember = remember
        self.store = store
        self.batches = batches
        self.sender = sender
        self._destinations = destinations
        self._running: dict[str, Batch] = {}

    def give_up(self) -> int:
        """Let go of everything at once: what has not left is handed back, what has is in doubt. For a shutdown.

        Returns:
            How many requests were under way.

        Raises:
            StoreUnavailable: the store is away; the rest is left to its leases.
        """
        given_up = self.sender.give_up()
        for batch in list(self._running.values()):
            self.batches.postpone(batch, self.store.now_ms())
        return given_up

    def run(self, batch_id: str) -> bool:
        """Run one batch under a token of its own.

        Returns:
            ``False`` when the batch is gone or another run has it (a doubled id ends here), when this worker stops, or
            while nothing may be sent.
        """
        if self.sender.stopping.is_set():
            self.batches.hand_back(batch_id)
            return False
        if self.sender.held:
            self.batches.hand_back(batch_id, HELD_PAUSE)
            return False
        try:
            batch = self.batches.begin(batch_id)
        except CannotOpen as error:
            # It comes back when its lease is over, later each time; a worker with the right key runs it.
            log.error("batch %s cannot be run: %s", batch_id, error)  # noqa: TRY400 - a setting, not a bug
            return False
        if batch is None:
            return False
        before = following.set(batch.id)
        self._running[batch.token] = batch
        try:
            with span("batch", parent=batch.trace, arrival=batch.id, kind=batch.kind.value, events=batch.count):
                self._run(batch)
        except StoreUnavailable:
            raise
        except Exception:
            # The batch is not lost: it comes back, later each time, and the log says why.
            wait = min(3600.0, 10.0 * 2 ** min(batch.runs, 10))
            self.batches.postpone(batch, self.store.now_ms() + round(wait * 1000))
            log.exception("batch %s failed, run %d; it runs again in %.0f s", batch.id, batch.runs, wait)
        finally:
            del self._running[batch.token]
            following.reset(before)
        return True

    def _run(self, batch: Batch) -> None:
        destinations = self._destinations()
        if batch.kind in (Kind.EVENTS, Kind.PAYLOADS) and self._wait_for_destinations(batch, destinations):
            return
        match batch.kind:
            case Kind.EVENTS:
                self._run_new(batch, destinations, self._resolve_events(batch, destinations))
            case Kind.PAYLOADS:
                self._run_new(batch, destinations, self._resolve_payloads(batch, destinations))
            case Kind.DELIVERIES:
                self._run_waiting(batch, destinations)
            case Kind.GRACE:
                self._run_grace(batch, destinations)

    def _resolve_events(self, batch: Batch, destinations: Destinations) -> Resolved:
        events = parse(batch.body, batch.count)
        return resolve_events(
            events,
            self._targets(batch, destinations),
            now_ms=self.store.now_ms(),
            arrival=batch.id,
            received_ms=batch.received_ms,
        )

    def _resolve_payloads(self, batch: Batch, destinations: Destinations) -> Resolved:
        result = Resolved()
        seen: set[str] = set()
        targets = {one.name: one for one in self._targets(batch, destinations)}
        now_ms = self.store.now_ms()
        for position, item in enumerate(parse_payloads(batch.body, batch.count)):
            if isinstance(item, Malformed):
                result.malformed.append(item)
                continue
            result.parsed += 1
            message_id = item.get("messageId") or f"{batch.id}-{position}"
            if message_id in seen:
                result.repeated.add(position)
                continue
            seen.add(message_id)
            for destination in targets.values():
                outcome = resolve_payload(
                    item["payload"],
                    destination=destination,
                    action=ACTIONS[item["action"]],
                    message_id=message_id,
                    mapping=item["action"],
                    position=position,
                    now_ms=now_ms,
                    received_ms=batch.received_ms,
                )
                if isinstance(outcome, Over):
                    result.over.append(outcome)
                else:
                    result.deliveries.append(outcome)
        return result

    def _targets(self, batch: Batch, destinations: Destinations) -> list[Destination]:
        if not batch.destination:
            return list(destinations)
        # A producer may name one twice: its events go there once.
        named = map(destinations.get, dict.fromkeys(batch.destination.split(",")))
        return [one for one in named if one is not None]

    def _wait_for_destinations(self, batch: Batch, destinations: Destinations) -> bool:
        """A batch for a destination that is not configured waits for it: dropping its events would lose them."""
        missing = [name for name in batch.destination.split(",") if name and destinations.get(name) is None]
        if not missing:
            return False
        wait = min(3600.0, 10.0 * 2 ** min(batch.runs, 10))
        self.batches.postpone(batch, self.store.now_ms() + round(wait * 1000))
        log.error(
            "batch %s is for destination %s, which is not configured; it waits %.0f s for it",
            batch.id,
            ", ".join(missing),
            wait,
        )
        return True

    def _run_new(self, batch: Batch, destinations: Destinations, resolved: Resolved) -> None:
        self._remember(resolved, destinations, batch)
        mine = self.sender.record(resolved.over, batch) if resolved.over else set()
        received_ms, arrival = batch.received_ms, batch.id
        for one in resolved.deliveries:
            one.received_ms, one.arrival = received_ms, arrival
            if one.action in CARRY_SECRETS:
                self._seal(one)
        sent = self._deliver(batch, destinations, resolved.deliveries)
        if self._hand_back(batch, sent):
            return
        mine |= sent.mine
        touched = {one.position for one in resolved.deliveries}
        touched |= {one.delivery.position for one in resolved.over}
        parents = len(mine)
        duplicates = len(touched - mine) + len(resolved.repeated)
        counts = EventCounts(
            parsed=resolved.parsed,
            malformed=len(resolved.malformed),
            filtered=resolved.parsed - parents - duplicates,
            duplicate=duplicates,
            parent=parents,
        )
        if not self.batches.finish(
            batch, counts, [replace(one, raw=redact_text(one.raw)).as_json() for one in resolved.malformed]
        ):
            log.warning("batch %s was taken over by another run", batch.id)

    def _seal(self, delivery: Delivery) -> None:
        """Encrypt its one-time password; from here on nobody reads the digits but the request."""
        secret = ACTIONS[delivery.action].secret
        if secret and secret in delivery.payload and delivery.expires_ms is not None:
            digits = delivery.payload[secret]
            delivery.payload[secret] = self.batches.sealing.seal(digits, delivery.expires_ms)

    def _run_waiting(self, batch: Batch, destinations: Destinations) -> None:
        waiting = kept.load(batch.body)
        following.set(waiting[0].arrival or batch.id)
        sent = self._deliver(batch, destinations, waiting)
        if not self._hand_back(batch, sent):
            self.batches.finish(batch, EventCounts())

    def _deliver(self, batch: Batch, destinations: Destinations, deliveries: Sequence[Delivery]) -> Sent:
        total = Sent()
        by_destination: dict[str, list[Delivery]] = {}
        for one in deliveries:
            by_destination.setdefault(one.destination, []).append(one)
        progress = _LeaseKeeper(self.batches, batch)
        for name, members in by_destination.items():
            destination = destinations.get(name)
            if destination is None:
                self._missing(batch, name, members, total)
                continue
            sent = self.sender.deliver(members, destination, batch, on_progress=progress)
            total.mine |= sent.mine
            total.busy_until_ms = max(total.busy_until_ms, sent.busy_until_ms)
            if sent.stopped or sent.held:
                total.stopped, total.held = sent.stopped, sent.held
                break
        return total

    def _missing(self, batch: Batch, name: str, members: list[Delivery], total: Sent) -> None:
        """Deliveries that wait for a destination that has left the configuration: they are dead, and say so."""
        by_action: dict[str, list[Delivery]] = {}
        for one in members:
            by_action.setdefault(one.action, []).append(one)
        for action, group in by_action.items():
            self.sender.ledger.settle(
                group,
                [Outcome(State.DEAD, f"destination {name} is not configured", one.keep()) for one in group],
                expect=Expectation("w", batch.id),
                about=f"{name}|{action}",
                origin=batch.origin,
            )
        total.mine |= {one.position for one in members}

    def _run_grace(self, batch: Batch, destinations: Destinations) -> None:
        keys, token = load_timer(batch.body)
        resend: dict[tuple[str, str], list[Delivery]] = {}
        for key, record, blob in zip(
            keys, self.sender.ledger.records(keys), self.sender.ledger.kept(keys), strict=True
        ):
            if record is None or record.state is not State.IN_DOUBT or blob is None:
                continue
            if token and record.ref != token:
                continue  # in doubt by a later request, which has a timer of its own
            delivery = kept.restore(blob)
            delivery.key = key
            destination = destinations.get(delivery.destination)
            policy = destination.policies[delivery.action].in_doubt if destination else "hold"
            if policy == "resend":
                resend.setdefault((delivery.destination, delivery.action), []).append(delivery)
            elif policy == "drop":
                resolve_doubt(self.sender.ledger, [delivery], State.DEAD, "in doubt, dropped")
        for members in resend.values():
            resolve_doubt(self.sender.ledger, members, State.SCHEDULED, "in doubt, sent again by policy")
        self.batches.finish(batch, EventCounts())

    def _hand_back(self, batch: Batch, sent: Sent) -> bool:
        """Give the batch back when it is not done with; it is run again, and what is settled stays settled."""
        now_ms = self.store.now_ms()
        if sent.stopped or sent.held:
            self.batches.postpone(batch, now_ms + (round(HELD_PAUSE * 1000) if sent.held else 0))
            return True
        if sent.busy_until_ms:
            # Mostly another worker is at it and settles it within the second; a lost worker's lease takes longer.
            soon = now_ms + 1000 * 2 ** min(batch.runs, 6)
            self.batches.postpone(batch, min(max(sent.busy_until_ms, now_ms) + 1000, soon))
            return True
        return False


class _LeaseKeeper:
    """Pushes a batch's lease on while its requests are under way."""

    def __init__(self, batches: Batches, batch: Batch) -> None:
        self._batches = batches
        self._batch = batch
        self._next = time.monotonic() + batches.lease_ms / 3000

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return True
        self._next = time.monotonic() + self._batches.lease_ms / 3000
        return self._batches.extend(self._batch)


def parse_payloads(body: bytes, count: int) -> list[dict[str, Any] | Malformed]:
    """Read a batch of payloads: objects of ``action``, ``payload`` and optionally ``messageId``."""
    items: list[dict[str, Any] | Malformed] = []
    for position, line in enumerate(body.split(b"\n")):
        raw = line[:2000].decode("utf-8", "replace")
        try:
            item: Event = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            items.append(Malformed(position, "not_json", f"not JSON: {error.msg}", raw))
            continue
        problem = _payload_problem(item)
        items.append(malformed(position, problem, item) if problem else item)
    if len(items) != count:
        log.error("a batch of %d payloads holds %d lines", count, len(items))
    return items


def _payload_problem(item: Any) -> tuple[str, str] | None:
    if not isinstance(item, dict):
        return "not_an_object", f"a payload is a JSON object, this is {kind_of(item)}"
    if item.get("action") not in ACTIONS:
        return "action_unknown", f"action: expected one of {', '.join(ACTIONS)}"
    if not isinstance(item.get("payload"), dict):
        return "payload_not_object", f"payload: expected an object, got {kind_of(item.get('payload'))}"
    message_id = item.get("messageId")
    if message_id is not None and not isinstance(message_id, str):
        return "id_not_string", f"messageId: expected a string, got {kind_of(message_id)}"
    return None
