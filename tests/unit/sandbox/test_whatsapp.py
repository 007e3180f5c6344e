"""What the sandbox makes of WhatsApp: numbers, templates and their states, messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.sandbox.calls import call, provider, said
from worker.msg91.client import Request
from worker.msg91.whatsapp import (
    Components,
    WhatsAppTemplate,
    bulk_template,
    session_message,
    single_template,
)
from worker.msg91.whatsapp_panel import (
    create_template,
    delete_template,
    edit_template,
    list_numbers,
    list_templates,
    read_numbers,
    read_templates,
)
from worker.sandbox.calls import Call, Verdict
from worker.sandbox.provider import Provider
from worker.sandbox.whatsapp import DEFAULT_NUMBER

A = "918818888758"
SHIPPED = WhatsAppTemplate(DEFAULT_NUMBER, "order_shipped", "en")
ADA = Components(body={"1": "Ada"})


def made(request: Request) -> Call:
    """The request of a client as the sandbox sees it."""
    return call(
        request.path,
        said(request.body) if request.body else None,
        method=request.method,
        query=dict(request.query or {}),
    )


def ask(account: Provider, request: Request) -> Verdict:
    """Make a request; what is taken has its effect."""
    verdict = account.judge(made(request), 0.0)
    if verdict.accepted:
        account.take(verdict, 0.0)
    return verdict


def error_of(verdict: Verdict) -> str:
    """What a refusal says."""
    body = said(verdict.reply.body)
    assert (verdict.reply.status, body["hasError"], verdict.accepted) == (200, True, False)
    return str(body["errors"])


def test_a_bulk_message_is_taken_for_every_recipient() -> None:
    """The answer has a request id; each recipient is one message."""
    other = "919876543210"
    verdict = ask(provider(), bulk_template(SHIPPED, [(A, ADA), (other, Components(body={"1": "Bob"}))], "token"))
    body = said(verdict.reply.body)
    assert (body["status"], body["hasError"], len(body["request_id"])) == ("success", False, 32)
    assert [message["to"] for message in verdict.messages] == [A, other]
    assert verdict.request_id == body["request_id"]


def test_single_and_session_messages_are_answered_with_a_uuid() -> None:
    """Both come by the other endpoint and have an answer of another shape."""
    for request in (
        single_template(SHIPPED, A, ADA, None),
        session_message(DEFAULT_NUMBER, A, "text", {"text": "Hi"}, None),
    ):
        verdict = ask(provider(), request)
        assert said(verdict.reply.body)["data"]["message_uuid"] == verdict.request_id


@pytest.mark.parametrize(
    ("template", "components", "says"),
    [
        (WhatsAppTemplate("919999999999", "order_shipped", "en"), ADA, "not integrated"),
        (WhatsAppTemplate(DEFAULT_NUMBER, "nothing", "en"), ADA, "does not exist"),
        (WhatsAppTemplate(DEFAULT_NUMBER, "order_shipped", "fr"), ADA, "in the language fr"),
        (WhatsAppTemplate(DEFAULT_NUMBER, "spring_sale", "en"), ADA, "status: pending"),
        (WhatsAppTemplate(DEFAULT_NUMBER, "free_money", "en"), ADA, "status: rejected"),
        (SHIPPED, Components(body={"1": "a\nb"}), "new-line"),
        (SHIPPED, Components(body={"1": ""}), "empty"),
    ],
)
def test_refusals_of_bulk_messages(template: WhatsAppTemplate, components: Components, says: str) -> None:
    """What MSG91 refuses is refused as a whole, with status 200 and the newer services' envelope."""
    assert says in error_of(ask(provider(), bulk_template(template, [(A, components)], None)))


def test_the_variables_of_a_known_body_are_counted() -> None:
    """A template whose body is known takes exactly its variables."""
    account = provider()
    body = {"type": "BODY", "text": "Hi {{1}}, order {{2}}"}
    account.whatsapp.set({"templates": [{"name": "two", "components": [body]}]})
    two = WhatsAppTemplate(DEFAULT_NUMBER, "two", "en")
    assert "takes 2" in error_of(ask(account, bulk_template(two, [(A, ADA)], None)))
    assert ask(account, bulk_template(two, [(A, Components(body={"1": "a", "2": "b"}))], None)).accepted


def test_numbers_are_listed() -> None:
    """The integrated numbers are those that were set."""
    account = provider()
    account.whatsapp.set({"numbers": [DEFAULT_NUMBER, "14155550100"]})
    found = read_numbers(said(ask(account, list_numbers()).reply.body))
    assert found is not None
    assert [one.number for one in found] == [DEFAULT_NUMBER, "14155550100"]


def test_templates_are_listed_with_their_states_and_filtered() -> None:
    """Every language of a template has a state of its own."""

    def states(**wanted: Any) -> Any:
        found = read_templates(said(ask(provider(), list_templates(DEFAULT_NUMBER, **wanted)).reply.body))
        return None if found is None else {(one.name, one.language): one.status for one in found}

    assert states() == {
        ("order_shipped", "en"): "approved",
        ("order_shipped", "hi"): "approved",
        ("spring_sale", "en"): "pending",
        ("free_money", "en"): "rejected",
    }
    assert states(name="spring_sale") == {("spring_sale", "en"): "pending"}
    assert states(status="approved", language="hi") == {("order_shipped", "hi"): "approved"}
    assert "not integrated" in error_of(ask(provider(), list_templates("919999999999")))


def test_the_life_of_a_template() -> None:
    """Created it waits, approved it is sent, edited it waits again, deleted it is gone."""
    account = provider()
    body: list[dict[str, Any]] = [{"type": "BODY", "text": "Hello"}]
    new = WhatsAppTemplate(DEFAULT_NUMBER, "hello", "en")
    message = bulk_template(new, [(A, Components())], None)
    assert ask(account, create_template(DEFAULT_NUMBER, "hello", "en", "utility", body)).accepted
    assert "already exists" in error_of(ask(account, create_template(DEFAULT_NUMBER, "hello", "en", "utility", body)))
    assert "pending" in error_of(ask(account, message))
    account.whatsapp.set({"templates": [{"name": "hello", "status": "approved"}]})
    assert ask(account, message).accepted
    found = read_templates(said(ask(account, list_templates(DEFAULT_NUMBER, name="hello")).reply.body))
    assert found
    assert ask(account, edit_template(DEFAULT_NUMBER, found[0].id, [{"type": "BODY", "text": "Hi"}])).accepted
    assert "pending" in error_of(ask(account, message))
    assert ask(account, delete_template(DEFAULT_NUMBER, "hello")).accepted
    assert "does not exist" in error_of(ask(account, message))
    assert "does not exist" in error_of(ask(account, delete_template(DEFAULT_NUMBER, "hello", found[0].id)))


def test_the_authkey_comes_first() -> None:
    """Without a good key nothing of WhatsApp is looked at."""
    request = list_numbers()
    reply = provider().judge(call(request.path, method="GET", authkey="another"), 0.0).reply
    assert (reply.status, said(reply.body)["apiError"]) == (401, "201")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v5/whatsapp/whatsapp-outbound-message/"),
        ("GET", "/api/v5/whatsapp/client-panel-template/"),
        ("POST", "/api/v5/whatsapp/get-template-client/918888888888"),
        ("GET", "/api/v5/whatsapp/get-template-client/"),
    ],
)
def test_other_addresses_are_not_there(method: str, path: str) -> None:
    """A wrong method or address is answered as any that MSG91 does not have."""
    assert provider().judge(call(path, method=method), 0.0).reply.status == 404


@pytest.mark.parametrize("told", [{"numbers": ["x"]}, {"numbers": "91"}, {"templates": ["t"]}, {"templates": 5}])
def test_the_control_call_refuses_what_it_cannot_read(told: dict[str, Any]) -> None:
    """A mistake in what the sandbox is told is said, and changes nothing."""
    account = provider().whatsapp
    with pytest.raises(ValueError, match="expected"):
        account.set(told)
    assert account.numbers == [DEFAULT_NUMBER]
