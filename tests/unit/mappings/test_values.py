"""Missing, numbers and text."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from mappings import MISSING, MappingError
from mappings.values import javascript_number, json_text, number_text, text, utf16_length, without_missing


def test_missing_is_one_falsy_thing_that_survives_copying() -> None:
    """There is one MISSING, however it is copied or pickled, and it is not null."""
    assert copy.deepcopy([MISSING])[0] is MISSING
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING
    assert type(MISSING)() is MISSING
    assert not MISSING
    assert repr(MISSING) == "MISSING"
    assert MISSING is not None


# Answers of node's String(x).
@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, "0"),
        (-0.0, "0"),
        (3.0, "3"),
        (-1.5, "-1.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (100.0, "100"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e21, "1.5e+21"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (123456.789e3, "123456789"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (918818888758, "918818888758"),
        (2**70, "1180591620717411303424"),
    ],
)
def test_numbers_read_as_javascript_writes_them(number: float, written: str) -> None:
    """A number in a template looks as it does at Segment, and a whole number keeps every digit."""
    assert number_text(number) == written


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, "true"),
        (None, ""),
        (MISSING, ""),
        ([1, "b", None, True], "1,b,,true"),
        ([[1, 2], [3, [4]]], "1,2,3,4"),
        ({"a": [1, None], "b": "ü"}, '{"a":[1,null],"b":"ü"}'),
        ([{"a": 1}, {}], '{"a":1},{}'),
    ],
)
def test_values_read_as_text(value: Any, read: str) -> None:
    """Lists join by commas, null and missing are empty, objects are JSON."""
    assert text(value) == read


def test_json_has_no_value_that_json_cannot_carry() -> None:
    """NaN and infinities become null, missing members go, missing items are null, strange objects are refused."""
    value = {"a": float("nan"), "b": MISSING, "c": [MISSING, float("inf"), 1.0], 'q"': "\n\x01é"}

    assert json_text(value) == '{"a":null,"c":[null,null,1],"q\\"":"\\n\\u0001é"}'
    with pytest.raises(MappingError, match="cannot be written as JSON"):
        json_text({"a": b"bytes"})


def test_a_number_with_too_many_digits_is_an_error_and_no_crash() -> None:
    """Python refuses to print very long integers; that is a mapping error."""
    with pytest.raises(MappingError, match="too many digits"):
        number_text(10**5000)


@pytest.mark.parametrize(
    ("words", "number"), [(" 5 ", 5), ("5.5", 5.5), ("1e3", 1000), (".5", 0.5), ("0x1F", 31), ("-7", -7), ("+2", 2)]
)
def test_text_is_read_as_javascript_reads_numbers(words: str, number: float) -> None:
    """Blanks around it, exponents and prefixes are fine."""
    assert javascript_number(words) == number


@pytest.mark.parametrize("words", ["", "  ", "abc", "5a", "1e999", "Infinity", "NaN", "1_000", "٣", "--1", "1.2.3"])
def test_what_is_no_finite_number_is_refused(words: str) -> None:
    """Blank text, infinities and digits of other scripts are not numbers."""
    with pytest.raises(ValueError, match="not a finite number"):
        javascript_number(words)


def test_length_counts_utf16_units() -> None:
    """An emoji is two units, as it is at Segment and in an SMS."""
    assert utf16_length("a👍é") == 4


def test_without_missing_copies_only_what_changes() -> None:
    """Parts of the event that hold nothing missing stay the same objects."""
    event_part = {"deep": [1, 2]}

    cleaned = without_missing({"kept": event_part, "gone": MISSING, "list": [MISSING, event_part]})

    assert cleaned == {"kept": event_part, "list": [None, event_part]}
    assert cleaned["kept"] is event_part
    assert without_missing(event_part) is event_part
