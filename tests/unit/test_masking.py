"""Hiding phone numbers in what people are shown."""

from __future__ import annotations

from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.masking import mask_text, mask_value


@pytest.mark.parametrize(
    "written",
    [
        "918818888758",
        "+918818888758",
        "+91 88188 88758",
        "+91-8818-888-758",
        "88188 88758",
        "8818888758",
        "+1 (650) 253-0000",
    ],
)
@pytest.mark.parametrize("text", ["{}", "call {} now", "call:{}.", "order-{}", "({})", "a\n{}\nb"])
def test_numbers_in_text_are_hidden_however_they_are_written(written: str, text: str) -> None:
    """Plain or spelled with gaps, wherever in a text: what is left does not tell the number."""
    masked = mask_text(text.format(written))
    assert written not in masked
    assert "*" in masked
    assert text.split("{}", maxsplit=1)[0] == masked[: len(text.split("{}", maxsplit=1)[0])]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T10:00:00.000Z",
        "5f1234567890abcdef123456",
        "Hello John, 2 parcels, 1,299.00 Rs",
        "HTTP 503",
        "m-1234567",
    ],
)
def test_dates_ids_and_amounts_stay(text: str) -> None:
    """What is no phone number by its form stays readable."""
    assert text == mask_text(text)


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_an_example_number_of_every_country_is_hidden(region: str) -> None:
    """Digits with country code, as they are on the wire, are hidden for every country."""
    example = phonenumbers.example_number(region)
    assert example is not None
    digits = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]
    assert digits not in str(mask_value({"to": [digits], "mobiles": digits, "phone": int(digits)}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"phone": "12345"}, {"phone": "*****"}),
        ({"to": ["918818888758"]}, {"to": ["91*******758"]}),
        ({"properties": {"note": 918818888758.0, "count": 3}}, {"properties": {"note": "91*******758", "count": 3}}),
        ({"template_id": "1107161513279021234", "schtime": "1700000000"}, None),
        ({"timestamp": 1700000000, "flash": True, "nothing": None}, None),
        ({"918818888758": "x"}, {"91*******758": "x"}),
    ],
)
def test_data_is_masked_by_key_and_by_form(value: Any, expected: Any) -> None:
    """Keys that hold numbers are hidden whole; ids and times keep their digits."""
    assert (value if expected is None else expected) == mask_value(value)
