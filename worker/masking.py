"""Hiding phone numbers in what people are shown: payloads, requests, answers. Pure.

A value is hidden whole where its key says that it is a number, or where it is one by its form. Better one number too
many is hidden than one too few: order numbers of eight digits look like this too.
"""

from __future__ import annotations

import re
from typing import Any, Final

from worker.delivery import REDACTED, is_sealed
from worker.msg91.numbers import mask

__all__ = ["REDACTED", "mask_text", "mask_value", "redact_event", "redact_secrets", "redact_text"]

#: Keys whose value is a one-time password.
_ONE_TIME: Final = (
    r"otp(?:_?(?:code|value|pin|digits))?|one_?time_?(?:password|passcode|code|pin)|passcode|verification_?(?:code|pin)"
)
_SECRET_KEY: Final = re.compile(rf"^(?:{_ONE_TIME})$", re.IGNORECASE)
_SECRET_IN_TEXT: Final = re.compile(
    rf"""((?<![A-Za-z])(?:{_ONE_TIME})["']?\s*[:=]\s*["']?)[0-9A-Za-z]{{3,}}""", re.IGNORECASE
)
#: Keys at the top of an event that say which event it is.
_IDENTITY: Final = frozenset(
    ["messageId", "type", "event", "userId", "anonymousId", "timestamp", "originalTimestamp", "sentAt", "receivedAt"]
)

#: Keys whose value is a phone number, in events, payloads and on the wire.
_NUMBER_KEY: Final = re.compile(r"phone|mobile|msisdn|whatsapp|cell|(?:^|_)tel$|^to$|recipient", re.IGNORECASE)
#: Keys whose value is long digits and no phone number: shown as they are.
_ID_KEY: Final = re.compile(
    r"^(?:template_?id|dlt_?te_?id|dlt_?template_?id|crqid|schtime|short_?url_?expiry|message_?id|.*timestamp|.*_?at)$",
    re.IGNORECASE,
)
#: Phone numbers in text: long runs of digits; with a plus sign, or in two groups of five, also spelled with gaps.
_NUMBER: Final = re.compile(
    r"""(?<![0-9A-Za-z]) (?: \+[0-9][0-9 ()./-]{6,20}[0-9] | [0-9]{5}[ -][0-9]{5} | [0-9]{8,15} ) (?![0-9A-Za-z])""",
    re.VERBOSE,
)


def mask_text(text: str) -> str:
    """Hide what looks like a phone number in a text."""
    return _NUMBER.sub(lambda found: _masked(found[0]), text)


def mask_value(value: Any, key: str = "") -> Any:
    """Hide phone numbers in JSON-able data, at any depth.

    Args:
        value: The data; it is not changed.
        key: The key it stands under.
    """
    if _is_secret(key, value):
        return REDACTED
    if isinstance(value, dict):
        return {mask_text(str(name)): mask_value(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_value(inner, key) for inner in value]
    if isinstance(value, bool) or value is None or _ID_KEY.search(key):
        return value
    if isinstance(value, str):
        return _masked(value) if _NUMBER_KEY.search(key) else mask_text(value)
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if _NUMBER_KEY.search(key) or _NUMBER.fullmatch(text):
        return _masked(text)
    return value


def redact_secrets(value: Any, key: str = "") -> Any:
    """Hide one-time passwords alone, by their keys, at any depth; the value is not changed."""
    if _is_secret(key, value):
        return REDACTED
    if isinstance(value, dict):
        return {name: redact_secrets(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_secrets(inner, key) for inner in value]
    return value


def redact_event(event: dict[str, Any], digits: str = "") -> dict[str, Any]:
    """An event without its one-time password: by its keys, and by its value where that is known."""
    redacted: dict[str, Any] = redact_secrets(event)
    if not digits:
        return redacted
    alone = re.compile(rf"(?<![0-9]){re.escape(digits)}(?![0-9])")
    return {name: value if name in _IDENTITY else _without(value, digits, alone) for name, value in redacted.items()}


def redact_text(text: str) -> str:
    """Hide what follows the name of a one-time password in a text that is no JSON."""
    return _SECRET_IN_TEXT.sub(rf"\1{REDACTED}", text)


def _is_secret(key: str, value: Any) -> bool:
    if is_sealed(value):
        return True
    return bool(_SECRET_KEY.search(key)) and isinstance(value, str | int | float) and not isinstance(value, bool)


def _without(value: Any, digits: str, alone: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(inner, digits, alone) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without(inner, digits, alone) for inner in value]
    if isinstance(value, str):
        return alone.sub(REDACTED, value)
    same = isinstance(value, int | float) and not isinstance(value, bool) and str(value).removesuffix(".0") == digits
    return REDACTED if same else value


def _masked(text: str) -> str:
    digits = "".join(character for character in text if character.isdigit())
    return mask(digits or text)
