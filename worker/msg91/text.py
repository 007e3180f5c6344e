"""How long a message is on the air: GSM-7 or UCS-2, and how many parts it takes.

Alphabet and lengths are those of 3GPP TS 23.038 and TS 23.040 with an 8-bit reference number, which MSG91's
own page on long messages repeats: 160 characters, then 153 a part; 70, then 67 a part.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"

_is_basic = re.compile(f"[{re.escape(_BASIC)}]*").fullmatch
_is_gsm = re.compile(f"[{re.escape(_BASIC + _EXTENSION)}]*").fullmatch
_extensions = re.compile(f"[{re.escape(_EXTENSION)}]").findall


class TextSize(NamedTuple):
    """The size of a message.

    Attributes:
        encoding: ``GSM-7`` when every character is in the GSM alphabet, else ``UCS-2``.
        characters: Unicode characters in the text.
        units: septets (extension characters take two) or UTF-16 code units (characters beyond the BMP take
            two).
        parts: messages it takes, which is what it costs; 0 for an empty text.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    characters: int
    units: int
    parts: int


def measure(text: str, *, unicode: bool | None = None) -> TextSize:
    """Measure a message.

    Args:
        text: the message.
        unicode: True measures it as UCS-2 even if GSM-7 would do, because the request says so; None decides
            by the text.
    """
    characters = len(text)
    if not unicode:
        if _is_basic(text):
            parts = 1 if 0 < characters <= 160 else _even_parts(characters, 160, 153)
            return TextSize("GSM-7", characters, characters, parts)
        if _is_gsm(text):
            units = characters + len(_extensions(text))
            parts = 1 if units <= 160 else _packed(map(_septets, text), 153)
            return TextSize("GSM-7", characters, units, parts)
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if units <= 70 or units == characters:
        return TextSize("UCS-2", characters, units, _even_parts(units, 70, 67))
    return TextSize("UCS-2", characters, units, _packed(map(_code_units, text), 67))


def _even_parts(units: int, single: int, part: int) -> int:
    if units <= single:
        return 1 if units else 0
    return -(-units // part)


def _septets(character: str) -> int:
    return 2 if character in _EXTENSION else 1


def _code_units(character: str) -> int:
    return 2 if character > "\uffff" else 1


def _packed(sizes: Iterable[int], part: int) -> int:
    """Count parts when no character may be split across two."""
    parts, room = 1, part
    for size in sizes:
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return parts
