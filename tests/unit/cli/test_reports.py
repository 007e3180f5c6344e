"""`deliveries --unreported` and `reports`: what MSG91 never said, and what it said that fits nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.operators import NUMBER, bring
from worker.delivery import Awaiting, Unmatched
from worker.msg91.answers import Answer, AnswerClass

SECRET = "a-secret-of-sixteen-or-more"
TAKEN = Answer(AnswerClass.ACCEPTED, status=200, request_id="13672fa705a73d0000000001")


def sent(stage: Any, *message_ids: str, window: str = "1h") -> None:
    """Messages that MSG91 took, each expected to be reported."""
    bring(
        stage,
        TAKEN,
        *message_ids,
        callbacks={"secrets": [SECRET]},
        actions={"send_sms": {"report_window": window}},
    )


def make_overdue(stage: Any) -> None:
    """Let every report window be over."""
    client, keys = stage.core.store.client, stage.core.store.keys
    for token in client.zrange(keys.awaiting, 0, -1):
        client.zadd(keys.awaiting, {token: 1})


def report(stage: Any, number: int) -> None:
    """The final word on the message to one of the numbers."""
    stage.core.ledger.report(recipient=str(NUMBER + number), delivered=True, request_id=TAKEN.request_id or "")


def test_what_is_overdue_is_listed_and_leaves_with_1(stage: Any) -> None:
    """Nothing before its time; then what was not reported, by name; the code says whether there is any."""
    sent(stage, "one", "two", "three")
    assert stage.json("deliveries", "list", "--unreported", "--json")["deliveries"] == []
    report(stage, 1)
    make_overdue(stage)
    found = stage.json("deliveries", "--unreported", "--json", code=1)["deliveries"]
    assert sorted((row["message_id"], row["state"], row["action"]) for row in found) == [
        ("one", "accepted", "send_sms"),
        ("three", "accepted", "send_sms"),
    ]
    assert stage.run("deliveries", "list", "--unreported", "--destination", "other").exit_code == 0
    assert stage.run("deliveries", "list", "--unreported", "--limit", "1").exit_code == 1
    report(stage, 0)
    report(stage, 2)
    assert stage.json("deliveries", "list", "--unreported", "--json")["deliveries"] == []


def test_a_state_beside_it_is_refused(stage: Any) -> None:
    """What is unreported is accepted: asking for another state is a mistake."""
    assert stage.run("deliveries", "list", "--unreported", "--state", "dead").exit_code == 2


@pytest.mark.parametrize("window", ["0s", "1h"])
def test_only_what_expects_reports_is_watched(stage: Any, window: str) -> None:
    """``report_window: 0s`` expects nothing, and writes nothing."""
    sent(stage, "one", window=window)
    assert Awaiting(stage.core.store, stage.core.ledger).counts() == (int(window != "0s"), 0)


def test_without_a_secret_nothing_is_watched(stage: Any) -> None:
    """No report can come: none is expected, and the request costs no more than before."""
    bring(stage, TAKEN, "one")
    assert Awaiting(stage.core.store, stage.core.ledger).counts() == (0, 0)


def test_what_fits_nothing_is_explained(stage: Any) -> None:
    """Each is listed with why nothing came of it, as far as that is known by now."""
    sent(stage, "one")
    base = {"destination": "msg91", "channel": "sms", "says": "delivered", "recipient": "91*******001"}
    Unmatched(stage.core.store).keep(
        [
            {**base, "outcome": "unmatched"},
            {**base, "outcome": "early", "request_id": "unknown"},
            {**base, "outcome": "early", "request_id": TAKEN.request_id},
            {**base, "outcome": "unclear", "status": "26"},
            {**base, "outcome": "unmatched", "destination": "other"},
        ]
    )
    found = stage.json("reports", "--json", "--destination", "msg91")["reports"]
    beginnings = ["nobody knows what", "it came before the answer", "it waits for the answer", "it fits no request"]
    assert [one["meaning"].startswith(said) for one, said in zip(found, beginnings, strict=True)] == [True] * 4
    shown = stage.run("reports", "--limit", "2")
    assert (shown.exit_code, shown.stdout.count("91*******001")) == (0, 2)


def test_a_delivery_shows_its_report(stage: Any) -> None:
    """The life of a delivery says what MSG91 called back."""
    sent(stage, "one")
    stage.core.ledger.report(
        recipient=str(NUMBER),
        delivered=False,
        reason="blocked",
        request_id=TAKEN.request_id or "",
        about={"report": {"status": "17", "fields": {"ctCode": "900"}}},
    )
    shown = stage.run("deliveries", "show", "one").stdout
    assert "undelivered: blocked (by report [status 17] [ctCode 900])" in shown
