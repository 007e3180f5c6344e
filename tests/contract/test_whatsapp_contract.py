"""WhatsApp against recorded pairs: client and sandbox cannot agree on the same mistake.

Three parties are held together, two at a time: the client makes the recorded request, it reads the recorded answer, and
the sandbox takes the recorded request and answers in the recorded shape.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from worker.msg91.answers import read_answer
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
from worker.sandbox.calls import Call
from worker.sandbox.provider import Provider

AUTHKEY = "the-key"
PAIRS = orjson.loads(Path(__file__).with_name("whatsapp.json").read_bytes())["pairs"]
each = pytest.mark.parametrize("pair", PAIRS, ids=[pair["name"] for pair in PAIRS])


def made(by: str, given: dict[str, Any]) -> Request:
    """The request as the client makes it."""
    if by == "numbers":
        return list_numbers()
    if by == "templates":
        return list_templates(given["number"], name=given.get("name"))
    if by == "create":
        return create_template(**given)
    if by == "edit":
        return edit_template(**given)
    if by == "delete":
        return delete_template(**given)
    if by == "session":
        return session_message(given["number"], given["to"][0], given["kind"], given["content"], None)
    template = WhatsAppTemplate(given["number"], given["name"], given["language"], given["namespace"])
    components = Components(given.get("header"), given.get("body"), given.get("buttons"), given.get("offer_ends_ms"))
    if by == "single":
        return single_template(template, given["to"][0], components, None)
    return bulk_template(template, [(number, components) for number in given["to"]], None)


@each
def test_the_client_makes_the_recorded_request(pair: dict[str, Any]) -> None:
    """Method, path, query and body are those of the record."""
    request, recorded = made(pair["by"], pair["given"]), pair["request"]
    assert (request.method, request.path) == (recorded["method"], recorded["path"])
    assert dict(request.query or {}) == recorded.get("query", {})
    assert (orjson.loads(request.body) if request.body else None) == recorded["body"]


@each
def test_the_client_reads_the_recorded_answer(pair: dict[str, Any]) -> None:
    """The recorded answer means what the record says, under any content type."""
    body = orjson.dumps(pair["answer"]["body"])
    answer = read_answer(pair["answer"]["status"], {"content-type": "text/html"}, body, now=0.0)
    means = pair["means"]
    assert answer.klass == means["class"]
    if "request_id" in means:
        assert answer.request_id == means["request_id"]
    if "numbers" in means:
        assert [one.number for one in read_numbers(pair["answer"]["body"]) or ()] == means["numbers"]
    if "templates" in means:
        found = read_templates(pair["answer"]["body"]) or ()
        assert [[one.name, one.language, one.status] for one in found] == means["templates"]


@each
def test_the_sandbox_answers_in_the_recorded_shape(pair: dict[str, Any]) -> None:
    """The sandbox takes and refuses as the record says, with the record's status and the members of its answer."""
    if not pair.get("sandbox", True):
        pytest.skip("the sandbox fails only when it is told to")
    recorded = pair["request"]
    call = Call(
        method=recorded["method"],
        path=recorded["path"],
        query=recorded.get("query", {}),
        headers={"authkey": pair.get("authkey", AUTHKEY)},
        body=orjson.dumps(recorded["body"]),
        document=recorded["body"],
    )
    reply = Provider(authkeys=[AUTHKEY]).judge(call, 0.0).reply
    answer = orjson.loads(reply.body)
    assert reply.status == pair["answer"]["status"]
    assert read_answer(reply.status, {}, reply.body, now=0.0).klass == pair["means"]["class"]
    expected = pair["answer"]["body"]
    for name in ("status", "hasError", "code", "apiError"):
        assert answer.get(name) == expected.get(name)
    data = expected.get("data")
    if isinstance(data, dict):
        assert set(answer["data"]) == set(data)
    elif isinstance(data, list):
        assert set(data[0]) <= set(answer["data"][0])
