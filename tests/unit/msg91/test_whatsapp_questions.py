"""What a Python program asks MSG91 about WhatsApp, answered by the sandbox's account."""

from __future__ import annotations

from urllib.parse import parse_qsl

import httpx
import orjson
import pytest

from worker.msg91 import CallRefused, Msg91, UnexpectedAnswer
from worker.sandbox.calls import Call
from worker.sandbox.provider import Provider
from worker.sandbox.whatsapp import DEFAULT_NUMBER

KEY = "the-key"
BODY = [{"type": "BODY", "text": "Hello"}]


def account(provider: Provider) -> Msg91:
    """An account whose requests a sandbox's provider answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        call = Call(
            method=request.method,
            path=request.url.path,
            query=dict(parse_qsl(request.url.query.decode())),
            headers=dict(request.headers),
            body=request.content,
            document=orjson.loads(request.content) if request.content else None,
        )
        verdict = provider.judge(call, 0.0)
        if verdict.accepted:
            provider.take(verdict, 0.0)
        return httpx.Response(verdict.reply.status, content=verdict.reply.body)

    return Msg91(KEY, transport=httpx.MockTransport(answer))


def test_numbers_and_templates() -> None:
    """The numbers, and every language of every template with its state."""
    with account(Provider(authkeys=[KEY])) as msg91:
        assert [one.number for one in msg91.whatsapp_numbers()] == [DEFAULT_NUMBER]
        found = msg91.whatsapp_templates(DEFAULT_NUMBER, name="order_shipped")
        assert [(one.name, one.language, one.status) for one in found] == [
            ("order_shipped", "en", "approved"),
            ("order_shipped", "hi", "approved"),
        ]


def test_the_life_of_a_template() -> None:
    """A template is handed in, changed, and deleted; what MSG91 refuses is raised with its words."""
    with account(Provider(authkeys=[KEY])) as msg91:
        assert msg91.create_whatsapp_template(DEFAULT_NUMBER, "hello", "en", "utility", BODY)
        [created] = msg91.whatsapp_templates(DEFAULT_NUMBER, name="hello")
        assert (created.status, created.category) == ("pending", "UTILITY")
        msg91.edit_whatsapp_template(DEFAULT_NUMBER, created.id, [{"type": "BODY", "text": "Hi"}])
        assert msg91.whatsapp_templates(DEFAULT_NUMBER, name="hello")[0].components[0]["text"] == "Hi"
        msg91.delete_whatsapp_template(DEFAULT_NUMBER, "hello", created.id)
        assert msg91.whatsapp_templates(DEFAULT_NUMBER, name="hello") == []
        with pytest.raises(CallRefused, match="does not exist"):
            msg91.delete_whatsapp_template(DEFAULT_NUMBER, "hello")


def test_an_unheard_of_answer_is_shown() -> None:
    """What is no list is not guessed at."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"status": "success", "data": {"x": 1}}))
    with Msg91(KEY, transport=transport) as msg91, pytest.raises(UnexpectedAnswer, match="'x': 1"):
        msg91.whatsapp_numbers()
