"""Hiding phone numbers in what people are shown: payloads, requests, answers. Pure.

A value is hidden whole where its key says that it is a number, or where it is one by its form. Better one number too
many is hidden than one too few: order numbers of eight digits look like this too.
"""

from __future__ import annotations

import re
from typing import Any, Final

from worker.msg91.numbers import mask

__all__ = ["mask_text", "mask_value"]

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


def _masked(text: str) -> str:
    digits = "".join(character for character in text if character.isdigit())
    return mask(digits or text)
