"""Which paths the sandbox has, and whom it lets in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.sandbox.calls import CONTACTS, EVENTS, FLOW, SENDSMS, call, event, flow, provider, said, sms
from worker.sandbox.settings import DEFAULT_AUTHKEY

PROBE = "/api/v5/otp/verify"
BALANCE = "/api/balance.php"
UNAUTHORIZED = {"status": "fail", "hasError": True, "errors": "Unauthorized", "code": "401", "apiError": "201"}


@pytest.mark.parametrize(
    ("method", "path", "document", "status", "missing", "invalid"),
    [
        (
            "POST",
            SENDSMS,
            sms(),
            200,
            {"message": "Auth Key missing", "type": "error", "code": "106"},
            {"message": "Invalid authkey", "type": "error", "code": "207"},
        ),
        (
            "POST",
            FLOW,
            flow(),
            200,
            {"message": "Auth Key missing", "type": "error", "code": "201"},
            {"message": "Invalid authkey", "type": "error", "code": "201"},
        ),
        (
            "GET",
            PROBE,
            None,
            200,
            {"message": "Auth Key missing", "type": "error", "code": "201"},
            {"message": "Invalid authkey", "type": "error", "code": "201"},
        ),
        ("POST", EVENTS, {"data": [event()]}, 401, UNAUTHORIZED, UNAUTHORIZED),
        ("POST", CONTACTS, {"input": {"contact_id": "u-1"}}, 401, UNAUTHORIZED, UNAUTHORIZED),
        (
            "GET",
            BALANCE,
            None,
            200,
            {"msg": "106", "msgType": "error"},
            {"msg": "207", "msgType": "error"},
        ),
    ],
)
def test_a_bad_authkey_is_refused_in_the_words_of_the_endpoint(
    method: str, path: str, document: Any, status: int, missing: dict[str, Any], invalid: dict[str, Any]
) -> None:
    """Each family of endpoints answers a missing and an invalid key with its own status and body."""
    account = provider()
    for authkey, expected in ((None, missing), ("", missing), ("wrong", invalid), ("schlüssel", invalid)):
        reply = account.judge(call(path, document, method=method, authkey=authkey), 0.0).reply
        assert (reply.status, said(reply.body)) == (status, expected)


def test_the_authkey_may_stand_in_the_query() -> None:
    """A key in the query opens as well as one in the header."""
    verdict = provider().judge(call(SENDSMS, sms(), authkey=None, query={"authkey": DEFAULT_AUTHKEY}), 0.0)
    assert verdict.accepted


def test_every_key_of_the_account_opens() -> None:
    """An account with two keys takes either."""
    account = provider(authkeys=["one", "two"])
    assert account.judge(call(SENDSMS, sms(), authkey="two"), 0.0).accepted
    assert account.judge(call(SENDSMS, sms(sender="OTHERS"), authkey="one"), 0.0).accepted


def test_the_probe_of_a_good_key_finds_no_number() -> None:
    """The cheap credential probe is answered with an error that is not about the key."""
    query = {"otp": "0000", "mobile": "910000000000"}
    verdict = provider().judge(call(PROBE, method="GET", query=query), 0.0)
    assert not verdict.accepted
    assert said(verdict.reply.body) == {"message": "Mobile no. not found", "type": "error"}


def test_the_balance_is_a_bare_number() -> None:
    """The legacy balance is digits and nothing else."""
    assert provider().judge(call(BALANCE, method="GET"), 0.0).reply.body.isdigit()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/api/v5/nothing"),
        ("GET", SENDSMS),
        ("GET", EVENTS),
        ("POST", "/api/v5/segmento/api/v1/phonebooks//events"),
        ("POST", f"{EVENTS}/more"),
    ],
)
def test_a_path_that_msg91_does_not_have_is_a_missing_route(method: str, path: str) -> None:
    """Another path, or another method on a known one, is answered 404 Route Missing, key or no key."""
    reply = provider().judge(call(path, {}, method=method, authkey=None), 0.0).reply
    assert (reply.status, said(reply.body)) == (404, {"type": "error", "msg": "Route Missing"})
