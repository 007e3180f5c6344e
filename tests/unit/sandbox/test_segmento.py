"""What the sandbox makes of contacts and user events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.sandbox.calls import CONTACTS, EVENTS, call, event, provider, said
from worker.sandbox.provider import Provider

ANY_PHONEBOOK = "/api/v5/segmento/api/v1/events"
BARE_ARRAY = "/api/v5/segmento/events"


def knowing(*contacts: str) -> Provider:
    """Build a provider with contacts in phonebook 7."""
    account = provider()
    for contact in contacts:
        account.take(account.judge(call(CONTACTS, {"input": {"contact_id": contact}}), 0.0), 0.0)
    return account


def test_a_contact_is_answered_with_its_id() -> None:
    """An upsert answers the contact's id inside the newer services' envelope."""
    verdict = provider().judge(call(CONTACTS, {"fields": True, "input": {"contact_id": "u-1", "name": "Asha"}}), 0.0)
    assert verdict.accepted
    assert said(verdict.reply.body) == {
        "status": "success",
        "hasError": False,
        "data": {"contact": {"id": "u-1"}},
        "errors": [],
    }


@pytest.mark.parametrize("body", [{}, {"input": {}}, {"input": {"contact_id": ""}}, {"input": "u-1"}, []])
def test_a_contact_without_an_id_is_refused(body: Any) -> None:
    """An upsert that names no contact fails with status 200."""
    reply = provider().judge(call(CONTACTS, body), 0.0).reply
    assert reply.status == 200
    assert (said(reply.body)["status"], said(reply.body)["hasError"]) == ("fail", True)


def test_an_event_of_an_unknown_visitor_is_taken_and_fails() -> None:
    """The answer says success; the record says that the event failed, and why."""
    verdict = knowing("u-1").judge(call(EVENTS, {"data": [event(), event(visitor_id="u-2")]}), 0.0)
    assert verdict.accepted
    assert said(verdict.reply.body)["status"] == "success"
    assert [message.get("failed") for message in verdict.messages] == [
        None,
        "visitor_id is not in the phonebook",
    ]


def test_a_contact_is_known_in_its_phonebook_only() -> None:
    """A visitor of phonebook 7 is unknown in phonebook 8, and known where no phonebook is named."""
    account = knowing("u-1")
    other = EVENTS.replace("/7/", "/8/")
    failed = {
        path: account.judge(call(path, {"data": [event()]}), 0.0).messages[0].get("failed")
        for path in (EVENTS, other, ANY_PHONEBOOK, BARE_ARRAY)
    }
    assert [path for path, reason in failed.items() if reason] == [other]


def test_the_oldest_path_takes_a_bare_array() -> None:
    """A list without its ``data`` key is taken as the events themselves."""
    assert len(knowing("u-1").judge(call(BARE_ARRAY, [event(), event()]), 0.0).messages) == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"event_name": None}, "event_name is required"),
        ({"event_name": 5}, "event_name is required"),
        ({"visitor_id": None}, "visitor_id is required"),
        ({"event_properties": None}, "event_properties must be an object"),
        ({"event_properties": "x"}, "event_properties must be an object"),
        ({"event_timestamp": "2026-01-01T00:00:00Z"}, "event_timestamp must be YYYY-MM-DD HH:MM:SS"),
        ({"event_timestamp": "2026-01-01 00:00:00"}, None),
        ({"context": {"os": "x"}, "type": "track"}, None),
    ],
)
def test_an_event_that_is_not_right_fails_after_it_was_taken(changed: dict[str, Any], reason: str | None) -> None:
    """Each rule of the format fails its event with a reason of its own, and the request is taken all the same."""
    verdict = knowing("u-1").judge(call(EVENTS, {"data": [event(**changed)]}), 0.0)
    assert verdict.accepted
    assert verdict.messages[0].get("failed") == reason


@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": "x"}, "x"])
def test_a_request_without_events_is_refused(body: Any) -> None:
    """No list of events, or an empty one, fails with status 200."""
    reply = provider().judge(call(EVENTS, body), 0.0).reply
    assert (reply.status, said(reply.body)["status"]) == (200, "fail")


def test_judging_a_contact_does_not_make_it_known() -> None:
    """A contact whose request was not taken stays unknown."""
    account = provider()
    account.judge(call(CONTACTS, {"input": {"contact_id": "u-1"}}), 0.0)
    assert account.judge(call(EVENTS, {"data": [event()]}), 0.0).messages[0]["failed"]
