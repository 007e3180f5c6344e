"""Every call but WhatsApp's against recorded pairs of request and answer.

Three parties are held together, two at a time: the client makes the recorded request, it reads the recorded answer, and
the sandbox takes the recorded request and answers in the recorded shape, which means the same.
"""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from worker.actions import ACTIONS, ActionContext
from worker.actions.record_user_events import spread
from worker.msg91 import Msg91, Msg91Client, Msg91Error, PhoneNumbers
from worker.sandbox.calls import NOT_JSON, Call
from worker.sandbox.provider import Provider

AUTHKEY = "the-key"
BASE = "https://msg91.test"
CONTEXT = ActionContext("msg91", PhoneNumbers("IN"), phonebook_id="7")
PAIRS: dict[str, dict[str, Any]] = {
    pair["name"]: pair
    for file in ("account.json", "sending.json")
    for pair in orjson.loads(Path(__file__).with_name(file).read_bytes())["pairs"]
}
EVENTS = "/api/v5/segmento/api/v1/phonebooks/7/"
#: What a request id of SMS looks like.
REQUEST_ID = re.compile(r"[0-9a-f]{24}")
each = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def told(pair: dict[str, Any], transport: httpx.BaseTransport) -> dict[str, Any]:
    """What a program is told that makes a call: in the words of the record."""
    by, given = pair["by"], pair["given"]
    with closing(Msg91Client(BASE, pair.get("authkey", AUTHKEY), transport=transport)) as client:
        if by in ACTIONS:
            action = ACTIONS[by]
            items = [one for item in (given if isinstance(given, list) else [given]) for one in spread(item)]
            prepared = [action.prepare(one, CONTEXT) for one in items]
            assert len({one.group for one in prepared}) == 1, "they may share a request"
            answer = client.send(action.build([one.payload for one in prepared], CONTEXT, "token"))
            return {"class": answer.klass.value, "code": answer.code, "request_id": answer.request_id}
        account = Msg91(client=client, phonebook_id="7")
        try:
            return read(account, by, given)
        except Msg91Error as error:
            return {"error": type(error).__name__}


def read(account: Msg91, by: str, given: Any) -> dict[str, Any]:
    """What the answer to a question says."""
    if by == "verify":
        return {"result": account.verify_otp(*given).result.value}
    if by == "campaign_fields":
        fields = account.campaign_fields(**given)
        return {"fields": [[name for name, _, _ in fields.mapping], list(fields.variables)]}
    if by == "templates":
        first = account.templates()[0]
        return {"first": [first.id, first.name]}
    if by == "template_versions":
        [version] = account.template_versions(**given)
        return {"version": [version.dlt_status, version.dlt_reason]}
    if by == "campaigns":
        return {"items": [[one.id, one.slug] for one in account.campaigns(**given)]}
    if by == "event_types":
        return {"items": [[one.id, one.name] for one in account.event_types()]}
    return {"items": [[one.id, one.recipient] for one in account.failed_events(**given)]}


def check(pair: dict[str, Any], found: dict[str, Any], *, own_ids: bool = False) -> None:
    """Compare with the record, as far as that goes; ``own_ids`` of a sandbox look like the record's."""
    means = dict(pair["means"])
    if own_ids and "request_id" in means:
        assert REQUEST_ID.fullmatch(found["request_id"])
        means["request_id"] = found["request_id"]
    assert {name: found.get(name) for name in means} == means


@each
def test_the_client_makes_the_recorded_request_and_reads_its_answer(pair: dict[str, Any]) -> None:
    """Method, path, query and body are those of the record, and the recorded answer means what the record says."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        said = pair["answer"]
        body = orjson.dumps(said["body"]) if "body" in said else said["text"].encode()
        headers = {"content-type": "text/html", "content-length": str(len(body))}
        return httpx.Response(pair["answer"]["status"], content=body, headers=headers)

    check(pair, told(pair, httpx.MockTransport(answer)))
    [request], recorded = seen, pair["request"]
    assert (request.method, request.url.path) == (recorded["method"], recorded["path"])
    assert dict(request.url.params) == recorded.get("query", {})
    body = request.read()
    assert (orjson.loads(body) if body else None) == recorded.get("body")


def call_of(pair: dict[str, Any]) -> Call:
    """The recorded request, as a sandbox sees it."""
    recorded = pair["request"]
    return Call(
        method=recorded["method"],
        path=recorded["path"],
        query=recorded.get("query", {}),
        headers={"authkey": pair.get("authkey", AUTHKEY)},
        body=orjson.dumps(recorded["body"]) if "body" in recorded else b"",
        document=recorded.get("body", NOT_JSON),
    )


def provider_for(pair: dict[str, Any]) -> Provider:
    """A sandbox's provider, brought into the state that the record needs."""
    provider = Provider(authkeys=[AUTHKEY], duplicate_window=0.0)
    calls = [call_of(PAIRS[name]) for name in pair.get("before", ())]
    if pair.get("before_events"):
        contact = {"input": {"contact_id": "u-1"}}
        events: dict[str, Any] = {
            "data": [
                {"event_name": "order-placed", "visitor_id": one, "event_properties": {}} for one in ("u-1", "u-2")
            ]
        }
        for path, body in (("contacts", contact), ("events", events)):
            calls.append(Call("POST", EVENTS + path, {}, {"authkey": AUTHKEY}, orjson.dumps(body), body))
    for call in calls:
        verdict = provider.judge(call, 0.0)
        assert verdict.accepted
        provider.take(verdict, 0.0)
    return provider


@each
def test_the_sandbox_answers_in_the_recorded_shape(pair: dict[str, Any]) -> None:
    """The sandbox answers the recorded request with the record's status, words and keys."""
    if not pair.get("sandbox", True):
        pytest.skip("the sandbox never answers this")
    reply = provider_for(pair).judge(call_of(pair), pair.get("after_seconds", 1.0)).reply
    answer, expected = orjson.loads(reply.body), pair["answer"]["body"]
    assert reply.status == pair["answer"]["status"]
    for name in ("type", "message", "status", "code", "apiError", "errors"):
        if REQUEST_ID.fullmatch(str(expected.get(name))):
            assert REQUEST_ID.fullmatch(answer[name])
        elif name in expected:
            assert answer.get(name) == expected[name]
    data, wanted = answer.get("data"), expected.get("data")
    for found, recorded in ((data, wanted), (first(data), first(wanted))):
        if isinstance(recorded, dict):
            assert set(recorded) <= set(found)


@each
def test_the_client_understands_the_sandbox(pair: dict[str, Any]) -> None:
    """What a program is told by the sandbox is what the record says."""
    if not pair.get("sandbox", True):
        pytest.skip("the sandbox never answers this")
    provider = provider_for(pair)

    def answer(request: httpx.Request) -> httpx.Response:
        body = request.read()
        call = Call(
            request.method,
            request.url.path,
            dict(request.url.params),
            dict(request.headers),
            body,
            orjson.loads(body) if body else NOT_JSON,
        )
        reply = provider.judge(call, pair.get("after_seconds", 1.0)).reply
        return httpx.Response(reply.status, content=reply.body)

    check(pair, told(pair, httpx.MockTransport(answer)), own_ids=True)


def first(data: Any) -> Any:
    """The first item of a list, wherever in the data it is."""
    if isinstance(data, dict):
        data = next((value for value in data.values() if isinstance(value, list)), None)
    return data[0] if isinstance(data, list) and data else None
