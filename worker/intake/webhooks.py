"""Webhooks of other systems: what proves who sends, and what they send. Pure.

Segment's webhook destinations sign with HMAC-SHA1 and the shared secret, as a hexadecimal ``X-Signature``: the classic
one the whole body, the Actions one the JSON of its first event alone, also when it sends several
(https://segment.com/docs/connections/destinations/catalog/webhooks/ and
https://github.com/segmentio/action-destinations/blob/main/packages/destination-actions/src/destinations/webhook/generic/actions).
RudderStack and Jitsu do not sign; both send headers of one's choice, so they prove themselves by a token.
"""

from __future__ import annotations

import hmac
import json
from types import MappingProxyType
from typing import Any, Final

from worker.configuration.model import WebhooksModel
from worker.destinations import Destination
from worker.intake.authentication import bearer_of, equal
from worker.intake.limits import Limits
from worker.intake.refusals import Refused, unauthorized
from worker.intake.tracking import Arrival, Taken, take_batch, take_events, take_one

#: Who sends, and whether its identify calls may carry their traits in the context alone.
SOURCES: Final = MappingProxyType({"segment": False, "rudderstack": True, "jitsu": True, "json": False})

_NONE: Final = WebhooksModel()


def verify(destination: Destination | None, source: str, headers: dict[bytes, bytes], body: bytes) -> Destination:
    """The destination, once the sender has proved that it may send there.

    Args:
        destination: The one that the path names, None when there is none.
        source: Who sends.
        headers: The request's headers.
        body: The request's body, as it was signed.

    Raises:
        Refused: no proof, a false one, or no such destination; which of them is not said.
    """
    known = destination.configuration.webhooks if destination else _NONE
    token = bearer_of(headers)
    if token is not None and known.token and equal(token, known.token.get_secret_value()) and destination:
        return destination
    signature = headers.get(b"x-signature")
    if (
        signature
        and source == "segment"
        and known.segment_secret
        and signed(body, signature.decode("latin-1"), known.segment_secret.get_secret_value())
        and destination
    ):
        return destination
    raise unauthorized(
        "no webhook of this destination has this token or signature; "
        "webhooks in the destinations file says what it has to be"
    )


def signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether a signature is that of the body, or of the first element of the array that the body is."""
    given = signature.strip().lower()
    key = secret.encode()
    texts = [body]
    first = first_element(body)
    if first is not None:
        texts.append(first)
    found = False
    for text in texts:
        found |= equal(given, hmac.new(key, text, "sha1").hexdigest())
    return found


def first_element(body: bytes) -> bytes | None:
    """The bytes of the first element of a JSON array, exactly as they stand in it; None where there is none."""
    rest = body.lstrip()
    if not rest.startswith(b"["):
        return None
    try:
        text = rest[1:].decode().lstrip()
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return text[:end].encode()


def take(source: str, document: Any, arrival: Arrival, limits: Limits) -> Taken:
    """The events of a webhook: one, an array, or an object with the array ``batch``.

    Raises:
        Refused: it holds none, or too many, or the only one is no event of the spec.
    """
    if isinstance(document, dict) and isinstance(document.get("batch"), list):
        events = document["batch"]
    else:
        events = document if isinstance(document, list) else [document]
    if SOURCES[source]:
        for event in events:
            _find_traits(event)
    if isinstance(document, list):
        return take_events(document, arrival, limits)
    if isinstance(document, dict) and isinstance(document.get("batch"), list):
        return take_batch(document, arrival, limits)
    return take_one(None, document, arrival, limits)


def _find_traits(event: Any) -> None:
    """RudderStack's and Jitsu's browser clients write an identify call's traits into its context."""
    if isinstance(event, dict) and event.get("type") == "identify" and not event.get("traits"):
        context = event.get("context")
        traits = context.get("traits") if isinstance(context, dict) else None
        if isinstance(traits, dict):
            event["traits"] = traits


def unknown_source() -> Refused:
    """The path names a sender that is not known."""
    return Refused(404, "not_found", f"the webhooks are {', '.join(SOURCES)}")
