"""Who is told of what MSG91 reports: tracking APIs, and those that take callbacks. All of them are configured."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from worker.msg91.client import Request

#: The header that carries the signature, as GitHub and Meta sign their webhooks.
SIGNATURE: Final = "X-Hub-Signature-256"


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go.

    Attributes:
        origin: Scheme, host and port.
        path: Absolute path, percent-encoded; it may be as good as a secret.
        query: Parameters; they may be as well.
    """

    origin: str
    path: str = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Receiver:
    """One of those who are told.

    Attributes:
        name: Names it among all receivers of the destination; part of the identity of what is sent to it.
        addresses: Where it takes what, by kind: ``track``, ``report`` or ``inbound``.
        timeout: Seconds that one request may take.
        secret: What bodies are signed with; None leaves the signature out.
        authorization: The value of that header; None leaves it out.
    """

    name: str
    addresses: Mapping[str, Address]
    timeout: float = 5.0
    secret: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)

    def post(self, kind: str, body: bytes, sample: dict[str, Any]) -> Request:
        """The request that tells it of something.

        Args:
            kind: One of `addresses`.
            body: JSON.
            sample: The body for people, numbers masked.
        """
        address = self.addresses[kind]
        headers = {}
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        if self.secret is not None:
            headers[SIGNATURE] = signature(self.secret, body)
        return Request(
            "POST",
            address.path,
            body,
            query=address.query or None,
            headers=headers,
            sample={"method": "POST", "receiver": self.name, "origin": address.origin, "body": sample},
            receiver=address.origin,
            timeout=self.timeout,
        )


@dataclass(frozen=True, slots=True)
class Receivers:
    """All receivers of a destination, by name.

    Attributes:
        tracking: Those that take Segment's track calls.
        callbacks: Those that take callbacks in CleverTap's shape.
    """

    tracking: Mapping[str, Receiver] = field(default_factory=lambda: MappingProxyType({}))
    callbacks: Mapping[str, Receiver] = field(default_factory=lambda: MappingProxyType({}))


def signature(secret: str, body: bytes) -> str:
    """``sha256=`` and the HMAC-SHA-256 of a body under a secret, in hexadecimal digits."""
    return f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"


def unknown(name: str, known: Mapping[str, Receiver], key: str) -> str | None:
    """Say that no receiver has this name, or None when one has.

    Args:
        name: The name.
        known: The receivers there are.
        key: Where the configuration names them.
    """
    if name in known:
        return None
    there = f"it names {', '.join(known)}" if known else "it names none"
    return f"the destination's {key} names no such receiver; {there}"
