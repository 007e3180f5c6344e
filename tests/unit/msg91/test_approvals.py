"""Approved templates: what is asked, what is remembered, and what is never held back."""

from __future__ import annotations

from typing import Any

import pytest

from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.approvals import BELIEVED, RETRY, ApprovedTemplates
from worker.msg91.client import Fetched, Request

NUMBER = "918888888888"
ACCEPTED = Answer(AnswerClass.ACCEPTED)
AWAY = Answer(AnswerClass.RETRY, message="no connection could be made")


def listed(**templates: dict[str, str]) -> dict[str, Any]:
    """MSG91's list: names, and the status of each language."""
    return {
        "status": "success",
        "data": [
            {"name": name, "languages": [{"language": code, "status": status} for code, status in languages.items()]}
            for name, languages in templates.items()
        ],
    }


class Account:
    """An account whose templates a test changes, and a clock that it moves."""

    def __init__(self, document: Any = None, *, ttl: float = 600.0) -> None:
        self.now = 1000.0
        self.answer = ACCEPTED
        self.document = document
        self.asked: list[Request] = []
        self.approved = ApprovedTemplates(self._fetch, ttl=ttl, clock=lambda: self.now)

    def _fetch(self, request: Request, _deadline: float) -> Fetched:
        self.asked.append(request)
        return Fetched(self.answer, self.document if self.answer is ACCEPTED else None, b"")

    def problem(self, name: str = "order_shipped", language: str = "en") -> str | None:
        """What is wrong with a template."""
        return self.approved.problem(NUMBER, name, language)


def test_an_approved_template_passes_and_is_asked_for_once() -> None:
    """The list is asked for at the first message and used for its time."""
    account = Account(listed(order_shipped={"en": "APPROVED"}))
    assert [account.problem() for _ in range(3)] == [None] * 3
    assert [request.path for request in account.asked] == [f"/api/v5/whatsapp/get-template-client/{NUMBER}"]
    account.now += 601
    assert account.problem() is None
    assert len(account.asked) == 2


@pytest.mark.parametrize(
    ("name", "language", "says"),
    [
        ("order_shiped", "en", "did you mean 'order_shipped'"),
        ("something_else", "en", "no template 'something_else'"),
        ("order_shipped", "fr", "it is in en, hi"),
        ("order_shipped", "hi", "is pending"),
        ("spring_sale", "en", "is rejected (INVALID_FORMAT)"),
    ],
)
def test_what_is_not_approved_is_refused_with_a_reason(name: str, language: str, says: str) -> None:
    """An unknown name, a language that is not there and a state that is not approved are each said as what they are."""
    document = listed(order_shipped={"en": "approved", "hi": "pending"}, spring_sale={"en": "rejected"})
    document["data"][1]["languages"][0]["rejection_reason"] = "INVALID_FORMAT"
    problem = Account(document).problem(name, language)
    assert problem is not None
    assert says in problem
    assert NUMBER not in problem


def test_language_codes_are_read_as_people_write_them() -> None:
    """Case and the kind of dash make no other language."""
    account = Account(listed(order_shipped={"en_US": "approved"}))
    assert account.problem(language="en-us") is None


def test_a_template_approved_a_moment_ago_is_found() -> None:
    """Before a message is refused by a list that is not quite new, the list is asked for again."""
    account = Account(listed(order_shipped={"en": "pending"}))
    assert account.problem() is not None
    account.document = listed(order_shipped={"en": "approved"})
    assert account.problem() is not None
    account.now += BELIEVED + 1
    assert account.problem() is None
    assert len(account.asked) == 2


def test_a_list_that_cannot_be_had_keeps_nothing_back() -> None:
    """While MSG91 does not answer, messages go out unchecked, and it is asked again now and then."""
    account = Account(listed())
    account.answer = AWAY
    assert [account.problem() for _ in range(5)] == [None] * 5
    assert len(account.asked) == 1
    account.now += RETRY
    assert account.problem() is None
    assert len(account.asked) == 2
    account.answer = ACCEPTED
    account.now += RETRY
    assert account.problem() is not None


def test_an_old_list_refuses_nothing() -> None:
    """A list that could not be renewed may let pass, and no longer refuses."""
    account = Account(listed(order_shipped={"en": "approved"}))
    assert account.problem() is None
    assert account.problem("another") is not None
    account.answer = AWAY
    account.now += BELIEVED + 1
    assert account.problem("another") is None
    assert account.problem() is None


@pytest.mark.parametrize("document", [None, {}, {"data": "text"}, {"data": {"x": 1}}, 5])
def test_what_is_no_list_is_not_believed(document: Any) -> None:
    """An answer in an unheard-of shape keeps nothing back."""
    assert Account(document).problem() is None


def test_a_list_that_may_be_cut_off_refuses_no_unknown_name() -> None:
    """MSG91 lists so many templates at most: a name beyond them may exist."""
    account = Account(listed(**{f"t{n}": {"en": "approved"} for n in range(500)}))
    assert account.problem("another") is None
    assert account.problem("t7", "fr") is not None
