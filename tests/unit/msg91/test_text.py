"""Encoding and parts of a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.msg91.text import measure

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"


def test_alphabet_is_complete() -> None:
    """The GSM alphabet has 127 characters besides the escape, and ten more behind it."""
    assert len(set(BASIC)) == 127
    assert len(set(EXTENSION)) == 10
    for character in BASIC:
        assert (measure(character).encoding, measure(character).units) == ("GSM-7", 1), character
    for character in EXTENSION:
        assert (measure(character).encoding, measure(character).units) == ("GSM-7", 2), character


@pytest.mark.parametrize(
    "character", ["`", "ç", "á", "“", "\u2013", "…", "₹", "न", "中", "😀", "\t", "\x1b", "\u00a0", "\x00"]
)
def test_other_characters_need_ucs2(character: str) -> None:
    """One character outside the GSM alphabet makes the whole message UCS-2."""
    assert measure("Hi " + character).encoding == "UCS-2"


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts"),
    [
        ("", "GSM-7", 0, 0),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("a" * 459, "GSM-7", 459, 3),
        ("a" * 460, "GSM-7", 460, 4),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("न" * 70, "UCS-2", 70, 1),
        ("न" * 71, "UCS-2", 71, 2),
        ("न" * 134, "UCS-2", 134, 2),
        ("न" * 135, "UCS-2", 135, 3),
        ("न" * 201, "UCS-2", 201, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
    ],
)
def test_parts(text: str, encoding: str, units: int, parts: int) -> None:
    """160, then 153 a part; 70, then 67 a part."""
    size = measure(text)
    assert (size.encoding, size.units, size.parts, size.characters) == (encoding, units, parts, len(text))


def test_extension_character_is_not_split() -> None:
    """An extension character that would straddle two parts moves to the next, and may cost a part by that."""
    assert measure("a" * 152 + "€" + "a" * 152).units == 306
    assert measure("a" * 152 + "€" + "a" * 152).parts == 3
    assert measure("a" * 151 + "€" + "a" * 153).parts == 2


def test_surrogate_pair_is_not_split() -> None:
    """A character of two code units that would straddle two parts moves to the next."""
    assert measure("न" * 66 + "😀" + "न" * 66).units == 134
    assert measure("न" * 66 + "😀" + "न" * 66).parts == 3
    assert measure("न" * 65 + "😀" + "न" * 67).parts == 2


def test_forced_unicode_is_counted_as_ucs2() -> None:
    """A plain text that is sent as UCS-2 all the same is counted so."""
    size = measure("a" * 71, unicode=True)
    assert (size.encoding, size.units, size.parts) == ("UCS-2", 71, 2)


def _reference_parts(sizes: list[int], single: int, part: int) -> int:
    """Cut a message the way a phone does: fill a part until the next character does not fit."""
    if sum(sizes) <= single:
        return 1 if sizes else 0
    parts: list[int] = [0]
    for size in sizes:
        if parts[-1] + size > part:
            parts.append(0)
        parts[-1] += size
    return len(parts)


@given(st.text(st.sampled_from(BASIC + EXTENSION), max_size=700))
def test_gsm_parts_are_those_of_cutting_it(text: str) -> None:
    """Counting agrees with cutting, for any GSM text."""
    assert measure(text).parts == _reference_parts([2 if c in EXTENSION else 1 for c in text], 160, 153)


@given(st.text(st.sampled_from("aन中😀👍🏽€"), max_size=400))
def test_ucs2_parts_are_those_of_cutting_it(text: str) -> None:
    """Counting agrees with cutting, for any UCS-2 text."""
    size = measure(text, unicode=True)
    assert size.units == len(text.encode("utf-16-le")) // 2
    assert size.parts == _reference_parts([2 if c > "\uffff" else 1 for c in text], 70, 67)


@given(st.text(st.characters(), max_size=300))
def test_any_text_has_a_size(text: str) -> None:
    """Every text has a size, lone surrogates included."""
    size = measure(text)
    assert size.units >= size.characters
    assert (size.parts == 0) == (text == "")
