"""Read what MSG91 answered.

HTTP statuses cannot be trusted: most refusals come with 200. Three shapes of body exist:

- A: ``{"type": "success"|"error", "message": …, "code"?: …}`` (SMS and OTP),
- B: ``{"status": "success"|"fail"|"error", "hasError": bool, "data": …, "errors": …, "apiError"?: …}``
  (newer services),
- C: ``{"msg": …, "msgType"|"msg_type": "error"}``, or a bare numeric code (older endpoints).

An answer counts as a success only when it says so in one of these shapes.
"""

import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from worker.msg91.codes import CODES, STATUS_LIKE_CODES, AnswerClass, Code, find_text, of_status

__all__ = ["MAX_BODY", "MAX_EXCERPT", "MAX_RETRY_AFTER", "Answer", "AnswerClass", "read_answer", "retry_after_of"]

#: Bytes of a body that are read; the rest is not waited for.
MAX_BODY = 64 * 1024
#: Characters of a body that an answer keeps.
MAX_EXCERPT = 2048
#: Characters of a message that an answer keeps.
MAX_MESSAGE = 300
#: Seconds: no header makes anything wait longer.
MAX_RETRY_AFTER = 3600.0

_ERROR_WORDS = frozenset({"error", "fail", "failed", "failure"})
_REQUEST_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.:-]{7,127}")
_BARE_REQUEST_ID = re.compile(r"[0-9a-f]{24}")
_BARE_CODE = re.compile(r"[0-9]{3}")
_PHONE_LIKE = re.compile(r"(?<!\w)\+?\d{5,10}(\d{3})(?!\w)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    Attributes:
        klass: what it means for what was sent.
        status: HTTP status, None when there was no answer.
        code: MSG91's code (three digits, kept as text), or the client's own word, such as ``read_timeout``.
        message: one sentence for people; phone numbers are masked.
        request_id: MSG91's id of an accepted request.
        retry_after: seconds to wait before another attempt, None when nothing says so.
        body: the start of the body (at most 2,048 characters); phone numbers are masked.
        sent: False when not one byte of the request was ever written to a socket.
        elapsed: seconds between the call and the answer.
        by_provider: True when the body has one of MSG91's own shapes, so that no gateway made it up.
    """

    klass: AnswerClass
    status: int | None = None
    code: str | None = None
    message: str = ""
    request_id: str | None = None
    retry_after: float | None = None
    body: str = ""
    sent: bool = True
    elapsed: float = 0.0
    by_provider: bool = False


def read_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    treat_503_as_unknown: bool = False,
    empty_is_success: bool = False,
    complete: bool = True,
    elapsed: float = 0.0,
) -> Answer:
    """Judge an answer by its body and its status.

    Args:
        status: HTTP status.
        headers: header names in lower case.
        body: the body as it came.
        now: seconds since the epoch, to read a ``Retry-After`` date against.
        treat_503_as_unknown: a 503 that MSG91 did not write leaves in doubt what was sent; for gateways
            that pass requests on before they answer 503.
        empty_is_success: an empty 2xx body means success, as it does for Segmento's contacts.
        complete: False when the body was cut off; only what proves itself complete is then believed.
        elapsed: seconds the request took, kept in the answer.
    """
    text = text_of_body(unpacked(body, headers.get("content-encoding", ""), MAX_BODY))
    parsed = _parse(text)
    retry_after = retry_after_of(headers, now)
    common: dict[str, Any] = {"status": status, "body": mask_numbers(text[:MAX_EXCERPT]), "elapsed": elapsed}

    if isinstance(parsed, dict):
        if _says_error(parsed) and (status < 500 or _is_own_shape(parsed)):
            return _refused(status, parsed, retry_after, common)
        if _says_success(parsed):
            request_id = _request_id(parsed)
            if status < 400 or request_id is not None:
                return Answer(
                    AnswerClass.ACCEPTED,
                    request_id=request_id,
                    message="accepted",
                    by_provider=True,
                    **common,
                )
            message = f"HTTP {status} with a body that says success but names no request"
            return Answer(AnswerClass.UNKNOWN, message=message, **common)
        known = _known_anywhere(status, parsed)
        if known is not None:
            return _coded(known, _first_text(parsed), retry_after, common, known.code)
    elif complete and text:
        # A cut-off number or word may be the start of another one, so bare texts count only when complete.
        bare = text.strip('"')
        if _BARE_REQUEST_ID.fullmatch(bare) and status < 300:
            return Answer(AnswerClass.ACCEPTED, request_id=bare, message="accepted", by_provider=True, **common)
        known = CODES.get(bare) if _BARE_CODE.fullmatch(bare) else _known_anywhere(status, {"message": bare[:200]})
        if known is not None:
            return _coded(known, "", retry_after, common, known.code)

    if empty_is_success and complete and not text and 200 <= status < 300:
        return Answer(AnswerClass.ACCEPTED, message="accepted (empty answer)", by_provider=True, **common)
    klass, meaning = of_status(status)
    if status == 503 and treat_503_as_unknown:
        klass = AnswerClass.UNKNOWN
    if not complete:
        meaning += "; the answer was cut off"
    return Answer(klass, message=meaning, retry_after=_if_waiting(klass, retry_after), **common)


def mask_numbers(text: str) -> str:
    """Mask whatever in a text may be a phone number (8 to 13 digits standing alone)."""
    return _PHONE_LIKE.sub(r"*******\1", text)


def _refused(status: int, parsed: dict[str, Any], retry_after: float | None, common: dict[str, Any]) -> Answer:
    """An error that MSG91 wrote: by its code or text, else by the status, else for good."""
    known = _known(parsed)
    text = _first_text(parsed)
    own_code = next(_codes(parsed), None)
    if known is not None:
        return _coded(known, text, retry_after, common, own_code or known.code)
    if status >= 500:
        klass, meaning = AnswerClass.RETRY, f"MSG91 refused the request with HTTP {status}"
    elif status >= 400:
        klass, meaning = of_status(status)
    else:
        klass, meaning = AnswerClass.REQUEST, "MSG91 refused the request"
    message = _sentence(meaning, text)
    return Answer(
        klass,
        code=own_code,
        message=message,
        retry_after=_if_waiting(klass, retry_after),
        by_provider=True,
        **common,
    )


def _coded(known: Code, text: str, retry_after: float | None, common: dict[str, Any], code: str) -> Answer:
    waiting = _if_waiting(known.klass, known.retry_after if retry_after is None else retry_after)
    if known.klass is AnswerClass.DUPLICATE:
        waiting = known.retry_after
    message = _sentence(known.meaning, text)
    return Answer(known.klass, code=code, message=message, retry_after=waiting, by_provider=True, **common)


def _sentence(meaning: str, text: str) -> str:
    text = " ".join(text.split())
    return mask_numbers(f"{meaning}: {text}" if text and not text.isdigit() else meaning)[:MAX_MESSAGE]


def _if_waiting(klass: AnswerClass, retry_after: float | None) -> float | None:
    return retry_after if klass in (AnswerClass.RETRY, AnswerClass.THROTTLED) else None


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo gzip or deflate (asked not to, some gateways compress all the same), never beyond ``limit`` bytes."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(wbits=47).decompress(body, limit)
    except zlib.error:
        return body


def text_of_body(body: bytes) -> str:
    """The text of a body, without a byte order mark and what else stands around it."""
    return body.decode("utf-8", "replace").strip("\ufeff \t\r\n\0")


def _parse(text: str) -> Any:
    if not text.startswith("{"):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _word(parsed: dict[str, Any], key: str) -> str:
    value = parsed.get(key)
    return value.strip().casefold() if isinstance(value, str) else ""


def _says_error(parsed: dict[str, Any]) -> bool:
    has_error = parsed.get("hasError")
    return (
        has_error is True
        or (isinstance(has_error, str) and has_error.strip().casefold() == "true")
        or any(_word(parsed, key) in _ERROR_WORDS for key in ("type", "status", "msgType", "msg_type"))
    )


def _is_own_shape(parsed: dict[str, Any]) -> bool:
    """Tell MSG91's error bodies from the bare ``status: error`` that gateways write, too."""
    return "hasError" in parsed or any(_word(parsed, key) in _ERROR_WORDS for key in ("type", "msgType", "msg_type"))


def _says_success(parsed: dict[str, Any]) -> bool:
    if any(_word(parsed, key) == "success" for key in ("type", "status", "msgType", "msg_type")):
        return True
    # The contact that Segmento's upsert returns, with or without an envelope around it.
    data = parsed.get("data")
    contact = data.get("contact") if isinstance(data, dict) else None
    return isinstance(contact, dict) and contact.get("id") is not None


def _request_id(parsed: dict[str, Any]) -> str | None:
    data = parsed.get("data")
    inner = data if isinstance(data, dict) else {}
    for value in (
        parsed.get("request_id"),
        inner.get("request_id"),
        inner.get("message_uuid"),
        parsed.get("message"),
        parsed.get("msg"),
    ):
        if isinstance(value, str) and _REQUEST_ID.fullmatch(value.strip()):
            return value.strip()
    return None


def _codes(parsed: dict[str, Any]) -> Iterator[str]:
    """The codes a body carries: ``apiError`` tells most, then ``code``, then a text that is a number."""
    for key in ("apiError", "code", "msg", "message", "errors", "error"):
        value = parsed.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str):
            value = value.strip()
            if value.isascii() and value.isdigit() and len(value) <= 4:
                yield value.zfill(3)


def _known(parsed: dict[str, Any]) -> Code | None:
    codes = list(_codes(parsed))
    for code in codes:
        if code in CODES:
            return CODES[code]
    for text in _texts(parsed):
        found = find_text(text)
        if found is not None:
            return found
    for code in codes:
        if code in STATUS_LIKE_CODES:
            return STATUS_LIKE_CODES[code]
    return None


def _known_anywhere(status: int, parsed: dict[str, Any]) -> Code | None:
    """Find the entry for a body in no shape of MSG91's own, which a gateway may have written.

    Its numeric codes are MSG91's alone. Texts such as "Internal Server Error" are everybody's: they never prove that
    nothing was taken, nor does any text under a 5xx.
    """
    for code in _codes(parsed):
        if code in CODES:
            return CODES[code]
    if status >= 500:
        return None
    known = _known(parsed)
    return None if known is not None and known.klass is AnswerClass.RETRY else known


def _texts(parsed: dict[str, Any]) -> Iterator[str]:
    for key in ("message", "msg", "errors", "error", "data"):
        yield from _strings(parsed.get(key), 3)


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value[:1000]
    elif depth and isinstance(value, list | dict):
        for inner in list(value.values() if isinstance(value, dict) else value)[:20]:
            yield from _strings(inner, depth - 1)


def _first_text(parsed: dict[str, Any]) -> str:
    return next(_texts(parsed), "")


def retry_after_of(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from ``Retry-After``, as a number or a date, between 0 and `MAX_RETRY_AFTER`."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = _date(value)
        if date is None:
            return None
        # Measured on the server's own clock where it tells it, so that a skewed clock here does not matter.
        server_now = _date(headers.get("date", ""))
        seconds = date - (now if server_now is None else server_now)
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
