"""The ledger: who may send what, and what became of it; on the fake store and on a real one."""

from __future__ import annotations

from itertools import count

import orjson
import pytest

from tests.stores import HOUR_MS
from tests.unit.delivery.conftest import ABOUT, LEASE, Bench, slip, slips
from worker.delivery import (
    Expectation,
    Kind,
    Outcome,
    State,
    Waiting,
    delivery_key,
    new_id,
    recipient_hash,
)
from worker.delivery.states import LETTERS

ACCEPTED = Outcome(State.ACCEPTED)


def test_new_deliveries_are_claimed(bench: Bench) -> None:
    """A delivery nobody knows becomes ``sending`` under the request's token."""
    token, blocked = bench.claim(slips(3))
    assert not blocked
    assert bench.states() == {"sending": 3}
    record = bench.record(slip(0))
    assert (record.state, record.ref, record.attempts, record.hour) == (State.SENDING, token, 1, None)
    assert bench.ledger.under_way() == [token]


def test_a_claim_repeated_is_one_claim(bench: Bench) -> None:
    """The same call again, its answer having been lost, claims the same and counts nothing twice."""
    token, _ = bench.claim(slips(2))
    _, blocked = bench.claim(slips(2), token=token)
    assert not blocked
    assert bench.states() == {"sending": 2}
    assert bench.record(slip(0)).attempts == 1


def test_nobody_else_claims_what_is_being_sent(bench: Bench) -> None:
    """A second worker is shown the record and gets nothing, but what is new of its request is its own."""
    first, _ = bench.claim(slips(2))
    second, blocked = bench.claim(slips(3))
    assert [(at, record.ref) for at, record in blocked.items()] == [(0, first), (1, first)]
    assert bench.record(slip(2)).ref == second
    assert bench.states() == {"sending": 3}


@pytest.mark.parametrize(
    "state", [State.ACCEPTED, State.REJECTED, State.DEAD, State.EXPIRED, State.IN_DOUBT, State.SUPPRESSED]
)
def test_what_is_over_or_in_doubt_is_never_claimed(bench: Bench, state: State) -> None:
    """The same event again finds its delivery decided, whatever the decision."""
    if state is State.SUPPRESSED:
        bench.ledger.settle([slip(0)], [Outcome(state, "dry")], expect=Expectation("-"), about=ABOUT)
    else:
        bench.send([slip(0)], Outcome(state, "why", b"{}"))
    _, blocked = bench.claim([slip(0)])
    assert blocked[0].state is state
    assert bench.states() == {state.value: 1}


def test_what_waits_is_claimed_by_its_batch_alone(bench: Bench) -> None:
    """A scheduled delivery goes out with the batch that holds it, and its second attempt is counted."""
    batch_id = bench.postpone([slip(0)])
    assert bench.states() == {"scheduled": 1}
    _, blocked = bench.claim([slip(0)], batch="another")
    assert blocked[0].ref == batch_id
    _, blocked = bench.claim([slip(0)], batch=batch_id)
    assert not blocked
    assert bench.record(slip(0)).attempts == 2
    assert bench.states() == {"sending": 1}


def test_an_attempt_that_does_not_count_is_not_counted(bench: Bench) -> None:
    """Waiting for a lane, or being handed back, costs no attempt."""
    bench.postpone([slip(0)], counts=False)
    assert bench.record(slip(0)).attempts == 0


@pytest.mark.parametrize("state", [State.ACCEPTED, State.REJECTED, State.DEAD, State.EXPIRED])
def test_a_settlement_repeated_is_one_settlement(bench: Bench, state: State) -> None:
    """The same call again changes no record, no counter, no journal."""
    token, _ = bench.claim(slips(2))
    outcome = Outcome(state, "" if state is State.ACCEPTED else "why", b"" if state is State.ACCEPTED else b"{}")
    assert bench.settle(slips(2), outcome, token=token) == {}
    lines = list(bench.journal.newest_first())
    refused = bench.settle(slips(2), outcome, token=token)
    assert set(refused) == {0, 1}
    assert list(bench.journal.newest_first()) == lines
    assert bench.states() == {state.value: 2}


def test_a_repeated_postponement_makes_one_batch(bench: Bench) -> None:
    """When the answer to a settlement is lost, repeating it does not double the batch that waits."""
    token, _ = bench.claim([slip(0)])
    waiting = Waiting(bench.store.now_ms() + 5000, b"[]", 1)
    for _ in range(2):
        bench.settle([slip(0)], Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting])
    assert [entry.batch_id for entry in bench.schedule.entries()] == [waiting.id]
    taken = bench.batches.begin(waiting.id)
    assert taken is not None
    bench.settle([slip(0)], Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting])
    assert bench.schedule.entries()[0].running


def test_another_token_settles_nothing(bench: Bench) -> None:
    """Fencing: a worker that lost its claim cannot write over what its successor does."""
    token, _ = bench.claim([slip(0)])
    refused = bench.settle([slip(0)], ACCEPTED, token=new_id())
    assert refused[0] is not None
    assert refused[0].ref == token
    assert bench.states() == {"sending": 1}


def test_a_late_answer_settles_what_is_in_doubt(bench: Bench) -> None:
    """The lease ran out, nobody acted, and the worker's definite answer under the same token still counts."""
    token, _ = bench.claim(slips(2))
    bench.settle(slips(2), Outcome(State.IN_DOUBT, "lost", b'{"a":1}'), token=token, allowed="s")
    assert bench.states() == {"in_doubt": 2}
    assert bench.settle(slips(2), ACCEPTED, token=token) == {}
    assert bench.states() == {"accepted": 2}
    assert bench.ledger.attention(State.IN_DOUBT) == []
    assert bench.ledger.kept([slip(0).key]) == [None]
    assert bench.journal.of(slip(0).key)[-1].about["late"] is True


def test_a_late_answer_to_some_leaves_the_others(bench: Bench) -> None:
    """Of one request some are in doubt still and some were decided by an operator: the answer settles the former."""
    token, _ = bench.claim(slips(3))
    bench.settle(slips(3), Outcome(State.IN_DOUBT, "lost", b"{}"), token=token, allowed="s")
    bench.ledger.settle([slip(1)], [Outcome(State.DEAD, "dropped", b"{}")], expect=Expectation("i", token), about=ABOUT)
    refused = bench.settle(slips(3), ACCEPTED, token=token)
    assert set(refused) == {1}
    assert bench.states() == {"accepted": 2, "dead": 1}


def test_a_late_answer_after_a_resend_changes_nothing(bench: Bench) -> None:
    """Once somebody acted on the doubt the old token is worth nothing."""
    token = bench.doubt([slip(0)])
    waiting = Waiting(bench.store.now_ms(), b"[]", 1)
    bench.ledger.settle(
        [slip(0)],
        [Outcome(State.SCHEDULED, "sent again")],
        expect=Expectation("i", token),
        about=ABOUT,
        waiting=[waiting],
    )
    assert set(bench.settle([slip(0)], ACCEPTED, token=token)) == {0}
    assert bench.record(slip(0)).ref == waiting.id
    assert bench.states() == {"scheduled": 1}


def test_a_late_retry_makes_its_batch(bench: Bench) -> None:
    """A late answer that says "surely not taken" brings the delivery back into the schedule."""
    token, _ = bench.claim([slip(0)])
    bench.settle([slip(0)], Outcome(State.IN_DOUBT, "lost", b"{}"), token=token, allowed="s")
    waiting = Waiting(bench.store.now_ms() + 1000, b"body", 1)
    assert bench.settle([slip(0)], Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting]) == {}
    assert [entry.batch_id for entry in bench.schedule.entries()] == [waiting.id]
    assert bench.states() == {"scheduled": 1}


def test_what_somebody_may_act_on_keeps_its_payload(bench: Bench) -> None:
    """In doubt, dead and rejected keep their payload and are listed, oldest first; accepted keeps nothing."""
    bench.send([slip(0)], Outcome(State.DEAD, "gave up", b'{"n":0}'))
    bench.store.pass_time(1)
    bench.send([slip(1)], Outcome(State.DEAD, "gave up", b'{"n":1}'))
    bench.send([slip(2)], Outcome(State.REJECTED, "bad", b'{"n":2}'))
    bench.send([slip(3)], ACCEPTED)
    assert bench.ledger.attention(State.DEAD) == [slip(0).key, slip(1).key]
    assert bench.ledger.attention(State.REJECTED) == [slip(2).key]
    assert bench.ledger.kept([slip(n).key for n in range(4)]) == [{"n": 0}, {"n": 1}, {"n": 2}, None]


def test_replayed_letters_begin_anew(bench: Bench) -> None:
    """A dead delivery that is scheduled again has no attempts behind it, no payload beside it, no entry in the list."""
    bench.send([slip(0)], Outcome(State.DEAD, "gave up", b"{}"))
    waiting = Waiting(bench.store.now_ms(), b"[]", 1)
    bench.ledger.settle(
        [slip(0)], [Outcome(State.SCHEDULED, "replayed")], expect=Expectation("xr"), about=ABOUT, waiting=[waiting]
    )
    record = bench.record(slip(0))
    assert (record.state, record.attempts, record.ref, record.hour) == (State.SCHEDULED, 0, waiting.id, None)
    assert bench.ledger.attention(State.DEAD) == []
    assert bench.ledger.kept([slip(0).key]) == [None]
    assert bench.states() == {"scheduled": 1}


def test_an_accepted_delivery_can_say_why(bench: Bench) -> None:
    """A reason given with ``accepted`` stands in the record and in the journal."""
    token, _ = bench.claim(slips(3))
    bench.ledger.settle(
        slips(3),
        [ACCEPTED, Outcome(State.ACCEPTED, "by operator"), Outcome(State.REJECTED, "bad", b"{}")],
        expect=Expectation("si", token),
        about=ABOUT,
        token=token,
    )
    assert [bench.record(slip(n)).reason for n in range(3)] == ["", "by operator", "bad"]
    assert bench.record(slip(1)).ref == token
    assert bench.states() == {"accepted": 2, "rejected": 1}


def test_mixed_outcomes_go_their_own_ways(bench: Bench) -> None:
    """One request can end in five states, two of them in batches of their own, in one step."""
    token, _ = bench.claim(slips(6))
    now = bench.store.now_ms()
    soon, later = Waiting(now + 1000, b"soon", 1), Waiting(now + 9000, b"later", 1)
    grace = Waiting(now + 5000, slip(4).key.encode(), 1, kind=Kind.GRACE)
    refused = bench.ledger.settle(
        slips(6),
        [
            ACCEPTED,
            Outcome(State.SCHEDULED, "later", waiting=1),
            Outcome(State.REJECTED, "bad", b"{}"),
            Outcome(State.SCHEDULED, "soon", waiting=0, counts=False),
            Outcome(State.IN_DOUBT, "who knows", b"{}"),
            Outcome(State.DEAD, "gave up", b"{}"),
        ],
        expect=Expectation("si", token),
        about=ABOUT,
        token=token,
        waiting=[soon, later, grace],
    )
    assert refused == {}
    assert bench.states() == {"accepted": 1, "scheduled": 2, "rejected": 1, "in_doubt": 1, "dead": 1}
    assert [(entry.batch_id, entry.kind) for entry in bench.schedule.entries()] == [
        (soon.id, Kind.DELIVERIES),
        (grace.id, Kind.GRACE),
        (later.id, Kind.DELIVERIES),
    ]
    assert (bench.record(slip(1)).attempts, bench.record(slip(3)).attempts) == (1, 0)
    assert bench.ledger.under_way() == []


def test_a_record_dies_with_its_hour(bench: Bench) -> None:
    """A terminal record lives to the end of the hour in which its time is up; an unfinished one has no end."""
    bench.send([slip(0)], ACCEPTED)
    token, _ = bench.claim([slip(1)])
    hour = bench.record(slip(0)).hour
    assert hour is not None
    left = bench.store.client.pttl(bench.store.keys.record(slip(0).key))
    assert 72 * HOUR_MS - 5000 <= left <= 73 * HOUR_MS
    assert bench.store.client.pttl(bench.store.keys.record(slip(1).key)) == -1
    bench.settle([slip(1)], Outcome(State.DEAD, "x", b"{}"), token=token)
    assert bench.store.client.pttl(bench.store.keys.record(slip(1).key)) > 29 * 24 * HOUR_MS
    assert bench.store.client.pttl(bench.store.keys.kept(slip(1).key)) > 29 * 24 * HOUR_MS


def test_an_abandoned_request_is_found_after_its_lease(bench: Bench) -> None:
    """While its lease runs a request is its worker's; then it is found, with what was in it."""
    token, _ = bench.claim(slips(2), items=b'["batch"]')
    assert bench.ledger.abandoned() == []
    bench.store.pass_time(LEASE + 1)
    (claim,) = bench.ledger.abandoned()
    assert (claim.token, claim.items, claim.destination, claim.action) == (token, b'["batch"]', "msg91", "send_sms")
    bench.settle(slips(2), Outcome(State.IN_DOUBT, "lost", b"{}"), token=token, allowed="s")
    assert bench.ledger.abandoned() == []
    assert bench.states() == {"in_doubt": 2}


def test_every_recipient_is_found_in_the_index(bench: Bench) -> None:
    """Whatever a recipient's hash begins with, the request's index knows the delivery (a report joins by it)."""
    awkward = next(f"91{n}" for n in count(9_000_000_000) if recipient_hash(f"91{n}")[0] in ".-")
    one = slip(1)
    one.recipient = awkward
    token = bench.send([one], ACCEPTED)
    claim = bench.ledger.request(token)
    assert claim is not None
    assert claim.deliveries == {recipient_hash(awkward): one.key}
    assert bench.ledger.report(recipient=awkward, delivered=True, token=token).outcome == "recorded"


def test_no_delivery_key_looks_like_an_option() -> None:
    """A key can be given to a command as it is: it begins with no hyphen, and has twenty characters."""
    keys = [delivery_key("msg91", str(n), "track") for n in range(2000)]
    assert not [key for key in keys if key.startswith("-")]
    assert {len(key) for key in keys} == {20}
    assert len({recipient_hash(str(n))[0] for n in range(2000)} & {"_"}) == 0


def test_the_key_tells_destination_message_and_mapping_apart() -> None:
    """Moving a character from one part to the next makes another delivery."""
    assert (
        len({delivery_key(*parts) for parts in [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("", "b", "ac")]})
        == 4
    )


def test_only_transitions_of_the_table_happen(bench: Bench) -> None:
    """Every letter has a state, and a settlement refuses what the expectation does not name."""
    assert len(set(LETTERS.values())) == len(State)
    bench.send([slip(0)], ACCEPTED)
    for state in (State.DEAD, State.REJECTED, State.IN_DOUBT):
        assert bench.ledger.settle([slip(0)], [Outcome(state, "x", b"{}")], expect=Expectation("six"), about=ABOUT)
    assert bench.states() == {"accepted": 1}


def test_the_journal_has_a_line_for_each_outcome(bench: Bench) -> None:
    """Message, mapping, state, reason, request: what is needed to tell a delivery's life."""
    bench.postpone([slip(0)])
    (line,) = bench.journal.of(slip(0).key)
    assert (line.message_id, line.mapping, line.state, line.reason) == ("m0", "track", State.SCHEDULED, "503")
    assert (line.destination, line.action) == ("msg91", "send_sms")


def test_reasons_may_hold_anything(bench: Bench) -> None:
    """A reason with the record's own separators, or in another script, comes back as it was."""
    reason = "a|b\nc: प्रेषक"
    bench.send([slip(0)], Outcome(State.DEAD, reason, orjson.dumps({"x": "ü"})))
    assert bench.record(slip(0)).reason == reason
    assert bench.journal.of(slip(0).key)[-1].reason == reason
