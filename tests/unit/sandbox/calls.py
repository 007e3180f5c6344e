"""Requests as the sandbox's tests make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from worker.sandbox.calls import NOT_JSON, Call
from worker.sandbox.provider import Provider
from worker.sandbox.settings import DEFAULT_AUTHKEY

SENDSMS = "/api/v2/sendsms"
FLOW = "/api/v5/flow"
EVENTS = "/api/v5/segmento/api/v1/phonebooks/7/events"
CONTACTS = "/api/v5/segmento/api/v1/phonebooks/7/contacts"
TEMPLATE = "65f0a1b2c3d4e5f607182930"


def call(
    path: str,
    document: Any = None,
    *,
    method: str = "POST",
    authkey: str | None = DEFAULT_AUTHKEY,
    query: Mapping[str, str] | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Call:
    """Build one request; ``body`` stands for a document that is no JSON."""
    given = {} if authkey is None else {"authkey": authkey}
    return Call(
        method=method,
        path=path,
        query=dict(query or {}),
        headers={**given, **(headers or {})},
        body=body if body is not None else orjson.dumps(document),
        document=NOT_JSON if body is not None else document,
    )


def sms(**changed: Any) -> dict[str, Any]:
    """Build a good ``sendsms`` body with some keys changed; a value of ``None`` removes the key."""
    body = {"sender": "SEGMNT", "route": "4", "country": "91", "sms": [{"message": "Hello", "to": ["919812345678"]}]}
    return {key: value for key, value in {**body, **changed}.items() if value is not None}


def flow(**changed: Any) -> dict[str, Any]:
    """Build a good ``flow`` body with some keys changed; a value of ``None`` removes the key."""
    body = {"template_id": TEMPLATE, "recipients": [{"mobiles": "919812345678", "name": "Asha"}]}
    return {key: value for key, value in {**body, **changed}.items() if value is not None}


def event(**changed: Any) -> dict[str, Any]:
    """Build a good user event with some keys changed; a value of ``None`` removes the key."""
    good = {"event_name": "order-placed", "visitor_id": "u-1", "event_properties": {"total": 3}}
    return {key: value for key, value in {**good, **changed}.items() if value is not None}


def provider(**changed: Any) -> Provider:
    """Build a provider that takes the usual authkey."""
    return Provider(**{"authkeys": [DEFAULT_AUTHKEY], **changed})


def said(body: bytes) -> Any:
    """Read the JSON of an answer."""
    return orjson.loads(body)
