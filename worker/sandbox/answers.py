"""The answers MSG91 gives, in the four shapes it gives them in.

No shape can be told by its status: the SMS family answers errors with status 200, most of it labels JSON as
``text/html``, and codes are strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import orjson

from worker.sandbox.codes import AUTHKEY_INVALID, AUTHKEY_MISSING, sentence

HTML: Final = "text/html; charset=UTF-8"
JSON: Final = "application/json"

#: Codes that say the account, not the request, is at fault; the newer services answer them with status 401.
_ACCOUNT_CODES: Final = frozenset({"106", "201", "207", "208", "418"})


class Envelope(StrEnum):
    """Which family of answers an endpoint speaks."""

    SMS = "sms"  # {"type": "error", "message": …, "code": …}, status 200, labelled as HTML
    SERVICE = "service"  # {"status": "fail", "hasError": true, "errors": …}: Segmento and other newer services
    LEGACY = "legacy"  # {"msg": "207", "msgType": "error"}: the *.php endpoints
    NONE = "none"  # a path that MSG91 does not have


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer.

    Attributes:
        status: HTTP status.
        body: The bytes of the body.
        content_type: What the answer says the body is; ``None`` says nothing.
        headers: Further headers.
        code: The numeric code in the body, where there is one.
    """

    status: int
    body: bytes
    content_type: str | None = JSON
    headers: tuple[tuple[str, str], ...] = ()
    code: str | None = None


def json_reply(status: int, value: Any, content_type: str = JSON, *, code: str | None = None) -> Reply:
    """Answer ``status`` with ``value`` as JSON."""
    return Reply(status, orjson.dumps(value), content_type, code=code)


def error(envelope: Envelope, code: str | None, message: str | None = None) -> Reply:
    """Answer an error as the endpoints of ``envelope`` do.

    Args:
        envelope: The family of the endpoint.
        code: The numeric code as text; ``None`` where MSG91 gives only a sentence.
        message: The sentence; ``None`` takes the one that goes with the code.
    """
    text = message if message is not None else sentence(code or "")
    if envelope is Envelope.LEGACY:
        return json_reply(200, {"msg": code or text, "msgType": "error"}, HTML, code=code)
    if envelope is Envelope.SERVICE:
        failed: dict[str, Any] = {"status": "fail", "hasError": True, "errors": text}
        if code in _ACCOUNT_CODES:
            # Only the two codes that were seen on the wire: the newer services know no 207 or 106.
            api_error = code if code == "418" else "201"
            refused = {**failed, "errors": "Unauthorized", "code": "401", "apiError": api_error}
            return json_reply(401, refused, code=api_error)
        return json_reply(200, failed if code is None else {**failed, "code": code}, code=code)
    body: dict[str, Any] = {"message": text, "type": "error"}
    if code is not None:
        body["code"] = code
    return json_reply(200, body, HTML, code=code)


def authkey_error(envelope: Envelope, *, missing: bool, legacy_codes: bool = False) -> Reply:
    """Answer a request without an authkey, or with one that is not known.

    Args:
        envelope: The family of the endpoint.
        missing: There was none at all.
        legacy_codes: Answer 106 and 207 of the published list, where v5 answers 201 for both.
    """
    if legacy_codes:
        return error(envelope, "106" if missing else "207")
    return error(envelope, "201", AUTHKEY_MISSING if missing else AUTHKEY_INVALID)


def sms_accepted(request_id: str) -> Reply:
    """Answer that the message is queued; its request id stands where an error has its sentence."""
    return json_reply(200, {"message": request_id, "type": "success"}, HTML)


def service_accepted(data: Any) -> Reply:
    """Answer for Segmento and other newer services that all is well."""
    return json_reply(200, {"status": "success", "hasError": False, "data": data, "errors": []})


def route_missing() -> Reply:
    """Answer a path that MSG91 does not have."""
    return json_reply(404, {"type": "error", "msg": "Route Missing"}, HTML)


def something_went_wrong(status: int) -> Reply:
    """Answer ``status`` as one of MSG91's own services writes a failure of its own."""
    return json_reply(status, {"status": "fail", "hasError": True, "data": None, "errors": "Something went wrong"})


def too_many_attempts() -> Reply:
    """Answer 429 as MSG91's rate limit does."""
    return json_reply(429, {"message": "Too many Attempts"})


def gateway_page(status: int) -> Reply:
    """Answer ``status`` as the gateway in front of MSG91 does: a page that says nothing of the request."""
    title = f"{status} {HTTPStatus(status).phrase}" if status in _STATUSES else str(status)
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return Reply(status, f"{page}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n".encode(), "text/html")


_STATUSES: Final = frozenset(int(status) for status in HTTPStatus)
