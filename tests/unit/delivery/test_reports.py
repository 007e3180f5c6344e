"""Delivery reports: joined by token or request id and the number, in any order, any number of times."""

from __future__ import annotations

import pytest

from tests.unit.delivery.conftest import ABOUT, Bench, slip, slips
from worker.delivery import Expectation, Outcome, State, Waiting, recipient_hash

ACCEPTED = Outcome(State.ACCEPTED)


def report(bench: Bench, number: int, *, delivered: bool = True, **join: str) -> str:
    """A report on the message to one of the bench's recipients."""
    return bench.ledger.report(recipient=slip(number).recipient, delivered=delivered, reason="DND", **join).outcome


def test_a_report_by_token_is_recorded(bench: Bench) -> None:
    """The token that MSG91 echoes, and the number, find the delivery among those of its request."""
    token = bench.send(slips(3), ACCEPTED)
    assert report(bench, 1, token=token) == "recorded"
    assert report(bench, 2, token=token, delivered=False) == "recorded"
    assert bench.states() == {"accepted": 1, "delivered": 1, "undelivered": 1}
    assert bench.record(slip(2)).reason == "DND"


def test_a_report_by_request_id_is_recorded(bench: Bench) -> None:
    """Without a token MSG91's own request id does."""
    bench.send(slips(2), ACCEPTED, request_id="abc123")
    assert report(bench, 0, request_id="abc123") == "recorded"
    assert bench.states() == {"accepted": 1, "delivered": 1}


@pytest.mark.parametrize(
    ("join", "answer"), [({"token": "unknown"}, "unmatched"), ({"request_id": "unknown"}, "early"), ({}, "unmatched")]
)
def test_a_report_that_fits_nothing_changes_nothing(bench: Bench, join: dict[str, str], answer: str) -> None:
    """A stranger's report is said to be one."""
    bench.send([slip(0)], ACCEPTED, request_id="abc123")
    assert report(bench, 0, **join) == answer
    assert bench.states() == {"accepted": 1}


def test_a_report_on_another_number_fits_nothing(bench: Bench) -> None:
    """The request is ours, but nothing in it went to that number."""
    token = bench.send([slip(0)], ACCEPTED)
    assert report(bench, 7, token=token) == "unmatched"


def test_the_same_report_again_is_harmless(bench: Bench) -> None:
    """Webhooks repeat themselves."""
    token = bench.send([slip(0)], ACCEPTED)
    assert [report(bench, 0, token=token) for _ in range(3)] == ["recorded", "repeated", "repeated"]
    assert bench.states() == {"delivered": 1}
    assert len(bench.journal.of(slip(0).key)) == 2


def test_the_last_word_counts(bench: Bench) -> None:
    """A failed delivery that later succeeds, or the reverse, ends as the last report says."""
    token = bench.send([slip(0)], ACCEPTED)
    report(bench, 0, token=token, delivered=False)
    report(bench, 0, token=token)
    assert bench.states() == {"delivered": 1}
    report(bench, 0, token=token, delivered=False)
    assert bench.states() == {"undelivered": 1}


@pytest.mark.parametrize("delivered", [True, False])
def test_a_report_settles_a_doubt(bench: Bench, delivered: bool) -> None:
    """It proves that MSG91 took the message: nobody has to decide any more, and nothing is kept."""
    token = bench.doubt(slips(2))
    assert report(bench, 0, token=token, delivered=delivered) == "settled"
    assert bench.states() == {"in_doubt": 1, "delivered" if delivered else "undelivered": 1}
    assert bench.ledger.attention(State.IN_DOUBT) == [slip(1).key]
    assert bench.ledger.kept([slip(0).key]) == [None]


def test_a_report_before_the_answer_waits_for_it(bench: Bench) -> None:
    """MSG91's webhook can be quicker than its answer: the report is kept and applied when the request is settled."""
    token, _ = bench.claim(slips(2))
    assert report(bench, 0, token=token) == "pending"
    assert bench.states() == {"sending": 2}
    bench.settle(slips(2), ACCEPTED, token=token)
    assert bench.states() == {"accepted": 1, "delivered": 1}
    claim = bench.ledger.request(token)
    assert claim is not None
    assert set(claim.deliveries) == {recipient_hash(slip(n).recipient) for n in range(2)}


def test_a_report_before_a_doubt_settles_it(bench: Bench) -> None:
    """The worker was lost, its report had come: the delivery is delivered, not in doubt."""
    token, _ = bench.claim([slip(0)])
    assert report(bench, 0, token=token) == "pending"
    bench.settle([slip(0)], Outcome(State.IN_DOUBT, "lost", b"{}"), token=token, allowed="s")
    assert bench.states() == {"delivered": 1}
    assert bench.ledger.attention(State.IN_DOUBT) == []


def send_again(bench: Bench, token: str) -> str:
    """Let what is in doubt under a token be sent again; gives the batch that it waits in."""
    waiting = Waiting(bench.store.now_ms(), b"[]", 1)
    bench.ledger.settle(
        [slip(0)],
        [Outcome(State.SCHEDULED, "again")],
        expect=Expectation("i", token),
        about=ABOUT,
        waiting=[waiting],
    )
    return waiting.id


def test_a_report_on_an_older_attempt_is_told_apart(bench: Bench) -> None:
    """Sent again under another token, the delivery is not settled by a report on the first request."""
    token = bench.doubt([slip(0)])
    bench.claim([slip(0)], batch=send_again(bench, token))
    assert report(bench, 0, token=token) == "other"
    assert bench.states() == {"sending": 1}


@pytest.mark.parametrize("delivered", [True, False])
def test_a_report_keeps_a_message_from_being_sent_again(bench: Bench, delivered: bool) -> None:
    """What a policy or an operator wanted repeated and still waits is over once a report proves that it was taken."""
    token = bench.doubt([slip(0)])
    batch = send_again(bench, token)
    assert report(bench, 0, token=token, delivered=delivered) == "settled"
    assert bench.states() == {"delivered" if delivered else "undelivered": 1}
    _, blocked = bench.claim([slip(0)], batch=batch)
    assert set(blocked) == {0}
    assert report(bench, 0, token=token, delivered=delivered) == "repeated"


def test_what_an_operator_accepted_can_still_be_reported(bench: Bench) -> None:
    """``accepted (by operator)`` keeps the request's token, so that its report finds it."""
    token = bench.doubt([slip(0)])
    bench.ledger.settle(
        [slip(0)], [Outcome(State.ACCEPTED, "by operator")], expect=Expectation("i", token), about=ABOUT
    )
    assert report(bench, 0, token=token) == "recorded"
    assert bench.states() == {"delivered": 1}


def test_indexes_live_a_week(bench: Bench) -> None:
    """A report can be joined for the time the retention says, whatever became of the record."""
    token = bench.send([slip(0)], ACCEPTED, request_id="abc123")
    week = 7 * 86_400_000
    for name in (bench.store.keys.request(token), bench.store.keys.request_id("abc123")):
        assert week - 5000 < bench.store.client.pttl(name) <= week


def test_a_request_that_left_nothing_leaves_no_index(bench: Bench) -> None:
    """When every delivery of a request waits again or was refused for good, its index goes."""
    token, _ = bench.claim([slip(0)])
    waiting = Waiting(bench.store.now_ms() + 1000, b"[]", 1)
    bench.settle([slip(0)], Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting])
    assert bench.ledger.request(token) is None


def test_a_report_is_believed_more_than_a_gateway(bench: Bench) -> None:
    """The report came, then a 503 that says "not taken": what was delivered is not sent again, the other one is."""
    token, _ = bench.claim(slips(2))
    assert report(bench, 0, token=token) == "pending"
    waiting = Waiting(bench.store.now_ms() + 1000, b"[]", 2)
    bench.settle(slips(2), Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting])
    assert bench.states() == {"delivered": 1, "scheduled": 1}
    assert (bench.record(slip(0)).ref, bench.record(slip(1)).ref) == (token, waiting.id)
    _, blocked = bench.claim(slips(2), batch=waiting.id)
    assert set(blocked) == {0}
    assert [line.state for line in bench.journal.of(slip(0).key)] == [State.DELIVERED]


def test_a_report_proves_that_all_of_a_request_left(bench: Bench) -> None:
    """When every delivery of a request was reported no batch is made for a retry."""
    token, _ = bench.claim([slip(0)])
    report(bench, 0, token=token, delivered=False)
    waiting = Waiting(bench.store.now_ms() + 1000, b"[]", 1)
    bench.settle([slip(0)], Outcome(State.SCHEDULED, "503"), token=token, waiting=[waiting])
    assert bench.states() == {"undelivered": 1}
    assert bench.schedule.depth() == 0
    assert bench.record(slip(0)).reason == "DND"


def test_a_report_settles_what_was_given_up_in_doubt(bench: Bench) -> None:
    """Dropped by a policy or an operator, then proved to have been delivered: no replay can send it again."""
    token = bench.doubt([slip(0)])
    bench.ledger.settle(
        [slip(0)], [Outcome(State.DEAD, "in doubt, dropped", b"{}")], expect=Expectation("i", token), about=ABOUT
    )
    assert report(bench, 0, token=token) == "settled"
    assert bench.states() == {"delivered": 1}
    assert bench.ledger.attention(State.DEAD) == []
    assert bench.ledger.kept([slip(0).key]) == [None]


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (((True, "e200"), (False, "e100")) * 2, "delivered"),
        (((False, "e200"), (True, "e100")) * 2, "undelivered"),
        (((False, "e100"), (True, "e200")) * 2, "delivered"),
        (((True, "e100"), (False, "e200")) * 2, "undelivered"),
        (((True, "e100"), (False, "e100")) * 2, "delivered"),
        (((False, "n100"), (True, "n100")) * 2, "delivered"),
        (((True, "e200"), (False, "n100")), "undelivered"),
        (((True, "e200"), (False, "")), "undelivered"),
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_reports_are_put_in_order_by_their_own_time(
    bench: Bench, words: tuple[tuple[bool, str], ...], ends: str, early: bool
) -> None:
    """The later word counts in whatever order they come, of two at once the good one, else the last to come."""
    token, _ = bench.claim([slip(0)])
    if not early:
        bench.settle([slip(0)], ACCEPTED, token=token)
    for delivered, at in words:
        report(bench, 0, token=token, delivered=delivered, at=at)
    if early:
        bench.settle([slip(0)], ACCEPTED, token=token)
    assert bench.states() == {ends: 1}


def taken(bench: Bench, number: int, **join: str) -> str:
    """A report that only says that MSG91 has the message."""
    return bench.ledger.report(recipient=slip(number).recipient, delivered=None, **join).outcome


def test_what_msg91_has_taken_is_in_doubt_no_more(bench: Bench) -> None:
    """A report that it was sent proves that it arrived: the doubt ends as accepted, and the final word still joins."""
    token = bench.doubt([slip(0)])
    assert [taken(bench, 0, token=token) for _ in range(2)] == ["settled", "repeated"]
    assert bench.states() == {"accepted": 1}
    assert bench.ledger.attention(State.IN_DOUBT) == []
    assert report(bench, 0, token=token, delivered=False) == "recorded"
    assert taken(bench, 0, token=token) == "outdated"
    assert bench.states() == {"undelivered": 1}


def test_what_msg91_has_taken_is_not_sent_again(bench: Bench) -> None:
    """What waits to be repeated, or was given up, is accepted once a report says that MSG91 has it."""
    token = bench.doubt([slip(0)])
    batch = send_again(bench, token)
    assert taken(bench, 0, token=token) == "settled"
    _, blocked = bench.claim([slip(0)], batch=batch)
    assert set(blocked) == {0}
    given_up = bench.doubt([slip(1)])
    dead = Outcome(State.DEAD, "dropped", b"{}")
    bench.ledger.settle([slip(1)], [dead], expect=Expectation("i", given_up), about=ABOUT)
    assert taken(bench, 1, token=given_up) == "settled"
    assert bench.states() == {"accepted": 2}


def test_taken_never_hides_a_final_word_that_waits(bench: Bench) -> None:
    """Before the answer, by token or by request id: "sent" after "delivered" leaves "delivered"."""
    token, _ = bench.claim(slips(2))
    assert report(bench, 0, token=token) == "pending"
    assert taken(bench, 0, token=token) == "outdated"
    assert report(bench, 1, request_id="abc123") == "early"
    assert taken(bench, 1, request_id="abc123") == "early"
    bench.settle(slips(2), ACCEPTED, token=token, request_id="abc123")
    assert bench.states() == {"delivered": 2}


def test_the_answer_may_have_named_the_message_alone(bench: Bench) -> None:
    """A single WhatsApp message is answered with the message's id; its report has another id of the request as well."""
    bench.send([slip(0)], ACCEPTED, request_id="of-the-message")
    assert report(bench, 0, request_id="of-the-request", message_id="of-the-message") == "recorded"


def test_reports_of_another_account_touch_nothing(bench: Bench) -> None:
    """Whoever calls back for one destination changes no delivery of another."""
    token = bench.send([slip(0)], ACCEPTED, request_id="abc123")
    for join in ({"token": token}, {"request_id": "abc123"}):
        found = bench.ledger.report(
            recipient=slip(0).recipient, delivered=True, destinations=frozenset({"other"}), **join
        )
        assert (found.outcome, found.key) == ("unmatched", "")
    assert bench.states() == {"accepted": 1}


def test_a_delivery_can_be_found_without_a_verdict(bench: Bench) -> None:
    """The delivery of a report with an unknown status is named, and stays what it is; nothing waits for it either."""
    bench.send([slip(0)], ACCEPTED, request_id="abc123")
    assert bench.ledger.reported(recipient=slip(0).recipient, request_id="abc123") == slip(0).key
    assert bench.ledger.reported(recipient=slip(0).recipient, request_id="unknown") == ""
    assert bench.store.client.exists(bench.store.keys.request_id("unknown")) == 0
    assert bench.states() == {"accepted": 1}
