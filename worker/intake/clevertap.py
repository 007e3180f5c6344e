"""CleverTap's generic WhatsApp provider: what it posts becomes an event, and what it wants to hear is answered.

CleverTap sends one message a request, with Basic authorization, and reads the body of an answer 200 alone: failures,
too, are answered with 200 and a code (https://docs.clevertap.com/docs/generic-whatsapp). What becomes of a message is
said by the mappings of the destination, usually the preset ``clevertap-whatsapp``: the door only takes the payload
apart.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope

from worker.delivery import State
from worker.destinations import Destination
from worker.events import Event
from worker.intake import tracking
from worker.intake.authentication import bearer_of, equal
from worker.intake.bodies import parse
from worker.intake.door import Endpoint, Reply
from worker.intake.refusals import Refused, unreadable
from worker.intake.tracking import Arrival
from worker.pipeline import Over, resolve_events

#: What the event is called that a message becomes.
EVENT: Final = "CleverTap WhatsApp Message"
#: The template that CleverTap names when it only wants to know whether address and password are good.
VERIFY: Final = "whatsapp:hsm:technology:generic:verify"

#: CleverTap's codes.
BAD_CREDENTIALS: Final = 2000
BAD_TEMPLATE: Final = 2001
BAD_NUMBER: Final = 2002
OTHER: Final = 2004

SUCCESS: Final = b'{"status":"success"}'

#: The id of messages by which CleverTap tries a setting out; they all have it.
_TRIAL: Final = re.compile(r"0(\|0)*")
_REGIONAL: Final = re.compile(r"([A-Za-z]{2,3})\s*[(_-]\s*([A-Za-z]{2,4})\s*\)?")
#: Regions that CleverTap writes otherwise than language codes do.
_REGIONS: Final = {"UK": "GB"}
_BUTTONS: Final = {"dynamicurl": "url", "url": "url", "quickreply": "quick_reply", "copy_code": "copy_code"}
_KINDS: Final = {"file": "document"}


class ClevertapEndpoint(Endpoint):
    """``POST /v1/clevertap/{destination}``: messages of CleverTap's generic WhatsApp provider."""

    async def handle(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, arrival: Arrival) -> Reply:
        """Take one message; what is wrong with it is answered as CleverTap reads it."""
        body = await self.door.bodies.read(headers, receive)
        destination = self.door.destinations.current.get(scope["path_params"]["destination"])
        if destination is None or not is_clevertap(destination, headers):
            return self._failure("unauthorized", BAD_CREDENTIALS, "Invalid credentials")
        try:
            payload = payload_of(parse(body))
            if is_verification(payload):
                return Reply(SUCCESS)
            event = event_of(payload, arrival)
            taken = tracking.take_one(None, event, arrival, self.door.limits)
        except Refused as refused:
            return self._failure(refused.code, OTHER, refused.message)
        problem = problem_of(event, destination, arrival)
        if problem is not None and problem[0] == OTHER:
            return self._failure("not_taken", *problem)
        if problem is not None and problem[0] == BAD_NUMBER and is_trial(payload):
            return Reply(SUCCESS)
        # What is rejected is handed over as well: it is found among the deliveries, with its reason.
        await self.door.take(arrival, taken, (destination,), door=self.name)
        return Reply(SUCCESS) if problem is None else Reply(failure(*problem))

    def _failure(self, counted: str, code: int, message: str) -> Reply:
        self.door.measures.refused(self.name, counted)
        return Reply(failure(code, message))


def failure(code: int, message: str) -> bytes:
    """The body by which CleverTap learns that a message is not sent."""
    return orjson.dumps({"status": "failure", "error": {"code": code, "message": message[:500]}})


def is_clevertap(destination: Destination, headers: dict[bytes, bytes]) -> bool:
    """Whether a request proves that it comes from the destination's CleverTap: by Basic, or by its webhook token."""
    known = destination.configuration.whatsapp.clevertap
    token, expected = bearer_of(headers), destination.configuration.webhooks.token
    if token is not None and expected is not None and equal(token, expected.get_secret_value()):
        return True
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if known is None or scheme.lower() != b"basic" or len(value) > 4096:
        return False
    try:
        given = b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return equal(given, f"{known.username.get_secret_value()}:{known.password.get_secret_value()}")


def payload_of(document: Any) -> dict[str, Any]:
    """The message that a request holds, bare or below ``body``.

    Raises:
        Refused: it holds none.
    """
    if isinstance(document, dict) and "to" not in document and isinstance(document.get("body"), dict):
        document = document["body"]
    if not isinstance(document, dict):
        raise unreadable("bad_request", "expected a JSON object: one message")
    if any(isinstance(one, dict) and one.get("type") == "carousel" for one in _components(document)):
        raise unreadable("carousel", "carousel templates are not supported")
    return document


def is_verification(payload: Mapping[str, Any]) -> bool:
    """Whether CleverTap only tries out address and password."""
    template = payload.get("template")
    return isinstance(template, dict) and template.get("namespace") == VERIFY


def is_trial(payload: Mapping[str, Any]) -> bool:
    """Whether CleverTap tries out a template: its messages all have the same id then, maybe to a made-up number."""
    return _TRIAL.fullmatch(str(payload.get("msgId") or payload.get("msg_id") or "0")) is not None


def event_of(payload: dict[str, Any], arrival: Arrival) -> Event:
    """The event that a message becomes: the payload as it came, and beside it what mappings need, taken apart."""
    properties = {**payload, **_template(payload), **_message(payload)}
    is_template = payload.get("isTemplate")
    properties["isTemplate"] = is_template if isinstance(is_template, bool) else "template" in payload
    event: Event = {"type": "track", "event": EVENT, "properties": properties}
    if not is_trial(payload):
        event["messageId"] = str(payload.get("msgId") or payload["msg_id"])
    event["context"] = {"clevertap": {"request": arrival.id}}
    return event


def problem_of(event: Event, destination: Destination, arrival: Arrival) -> tuple[int, str] | None:
    """Why a message will not be sent, as far as that is known now: CleverTap's code, and a sentence."""
    resolved = resolve_events([event], [destination], now_ms=arrival.at_ms, arrival=arrival.id)
    if not resolved.deliveries and not resolved.over:
        return OTHER, "no mapping of the destination takes this message; its mappings need clevertap-whatsapp"
    rejected = [one for one in resolved.over if one.state is State.REJECTED]
    if resolved.deliveries or not rejected:
        return None
    errors = list(_errors(rejected))
    code = BAD_NUMBER if any(field == "phone" for field, _ in errors) else BAD_TEMPLATE
    return code, "; ".join(f"{field}: {message}" for field, message in errors)


def _errors(rejected: Iterable[Over]) -> Iterable[tuple[str, str]]:
    for one in rejected:
        for attempt in one.delivery.history:
            for error in attempt.get("errors", ()):
                yield str(error["field"]), str(error["message"])


def _components(payload: Mapping[str, Any]) -> list[Any]:
    return _list(payload.get("components"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _template(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What fills a template, as the fields of ``send_whatsapp_template`` have it."""
    found: dict[str, Any] = {}
    template = payload.get("template")
    if isinstance(template, dict):
        space, _, name = str(template.get("namespace") or template.get("name") or "").rpartition(":")
        found["templateName"] = template.get("name") or name
        if space:
            found["templateNamespace"] = space
        if template.get("languageCode"):
            found["language"] = language_of(str(template["languageCode"]))
    for component in _components(payload):
        if not isinstance(component, dict):
            continue
        kind, inner = component.get("type"), component.get(str(component.get("type")))
        if kind == "header" and isinstance(inner, dict):
            found["header"] = _header(inner)
        elif kind == "body" and isinstance(inner, dict):
            found["body"] = [_text(each) for each in _list(inner.get("parameters"))]
        elif kind == "limited_time_offer":
            for parameter in _list(component.get("parameters")):
                offer = parameter.get(kind) if isinstance(parameter, dict) else None
                if isinstance(offer, dict):
                    found["offerEnds"] = offer.get("expiration_time_ms")
        elif kind == "button":
            _add_button(found.setdefault("buttons", {}), component)
    return found


def _header(header: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(header.get("type"))
    inner = header.get(kind)
    fields: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    if kind == "location":
        return {"type": kind, **fields}
    value = _text(inner) if kind == "text" else fields.get("mediaURL")
    found = {"type": _KINDS.get(kind, kind), "value": value}
    return {**found, "filename": fields["filename"]} if fields.get("filename") else found


def _add_button(buttons: dict[str, Any], component: Mapping[str, Any]) -> None:
    """Add a button that takes a value; addresses and numbers that stand in the template itself take none."""
    kind = _BUTTONS.get(str(component.get("subType")).casefold())
    first = next(iter(_list(component.get("parameters"))), None)
    index = component.get("index")
    if kind is None or first is None or not isinstance(index, int):
        return
    value = first.get("coupon_code") or first.get("payload") if isinstance(first, dict) else None
    buttons.setdefault(str(index + 1), {"type": kind, "value": value or _text(first)})


def _message(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a free-form message holds, as the fields of ``send_whatsapp_session`` have it."""
    kind = payload.get("type")
    if not isinstance(kind, str):
        return {}
    inner = payload.get(kind)
    found: dict[str, Any] = {"kind": _KINDS.get(kind, kind)}
    if kind == "text":
        found["text"] = _text(inner)
    elif isinstance(inner, dict):
        given = {"mediaUrl": inner.get("mediaURL"), "text": inner.get("caption"), "filename": inner.get("filename")}
        found |= {name: value for name, value in given.items() if value}
    return found


def _text(value: Any) -> Any:
    """The text of a parameter: itself, or its member ``text`` or ``body``."""
    return (value.get("text") or value.get("body")) if isinstance(value, dict) else value


def language_of(code: str) -> str:
    """A language code as WhatsApp writes it: ``en(UK)`` is ``en_GB``."""
    match = _REGIONAL.fullmatch(code.strip())
    if match is None:
        return code.strip()
    region = match[2].upper()
    return f"{match[1].lower()}_{_REGIONS.get(region, region)}"
