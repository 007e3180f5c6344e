"""Who is sending: write keys, tokens, webhook signatures. Compared in constant time."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from typing import Any

from worker.destinations import Destination, Destinations
from worker.intake.refusals import unauthorized

#: Longest key that is looked at, characters.
_LONGEST = 1024


def key_of_headers(headers: dict[bytes, bytes]) -> str | None:
    """The write key that the headers carry: Basic authorization (``key:``), or ``X-Write-Key`` as Jitsu's clients do.

    Raises:
        Refused: an authorization that cannot be read.
    """
    given = headers.get(b"authorization")
    if given is not None:
        scheme, _, value = given.partition(b" ")
        if scheme.lower() == b"basic":
            try:
                text = b64decode(value.strip(), validate=True).decode()
            except (binascii.Error, ValueError):
                raise unauthorized("Authorization: expected Basic, and the base64 of '<write key>:'") from None
            # The whole pair is tried where a key has a colon in itself.
            return text.removesuffix(":")
    given = headers.get(b"x-write-key")
    return given.decode("latin-1") if given else None


def bearer_of(headers: dict[bytes, bytes]) -> str | None:
    """The token of ``Authorization: Bearer``, or None."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    return value.strip().decode("latin-1") if scheme.lower() == b"bearer" and value.strip() else None


def reached(destinations: Destinations, headers: dict[bytes, bytes], body_key: Any) -> tuple[Destination, ...]:
    """The destinations that a sender reaches by its write key, in a header or else in the body.

    Raises:
        Refused: there is no key, or no destination has it.
    """
    key = key_of_headers(headers)
    if key is None:
        key = body_key if isinstance(body_key, str) else None
    if not key:
        raise unauthorized("a write key is needed: by Basic authorization ('<write key>:'), or writeKey in the body")
    found = destinations.by_write_key(key) if len(key) <= _LONGEST else ()
    if not found:
        raise unauthorized("no destination has this write key; write_keys in the destinations file lists them")
    return found


def equal(given: str, known: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode("utf-8", "surrogatepass"))
