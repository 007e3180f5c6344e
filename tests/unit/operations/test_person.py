"""What names a person: a number however it is written, an id where ids stand, and nobody else."""

from __future__ import annotations

from typing import Any

import orjson
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.msg91.errors import InvalidNumber
from worker.msg91.numbers import PhoneNumbers
from worker.operations.person import Person

INDIA = PhoneNumbers("IN")
AMERICA = PhoneNumbers("US")
SOMEBODY = Person([INDIA], phone="+91 88188 88758")


@pytest.mark.parametrize(
    "value",
    [
        "+91 88188 88758",
        "918818888758",
        918818888758,
        918818888758.0,
        "8818888758",
        8818888758,
        "08818888758",
        "0091 88188-88758",
        "tel:+91-8818888758",
        "९१८८१८८८८७५८",
        "call 12345 8818888758 now",
        "two numbers: +1 212 555 1234, 8818888758",
        ["x", {"deep": {"down": "(0)88188 88758"}}],
        {"918818888758": "as a key"},
        "x918818888758y",
    ],
)
def test_a_number_is_found_however_it_is_written(value: Any) -> None:
    """Digits, separators, with and without country code, in text, in any script, as a number, at any depth."""
    assert SOMEBODY.is_named_in(value)


@pytest.mark.parametrize(
    "value",
    [
        "8818888759",
        "+1 881 888 8758",
        "0018818888758",
        "818888758",
        8818888,
        True,
        None,
        "",
        1.5,
        "2026-11-20T10:00:00.000Z",
        1763655012345,
        {"phone": "+91 88188 88757"},
    ],
)
def test_nobody_else_is(value: Any) -> None:
    """One digit off, another country, a part of it, a time."""
    assert not SOMEBODY.is_named_in(value)


@pytest.mark.parametrize("given_as", ["+91 88188 88758", "918818888758", "8818888758", "0091-8818888758"])
def test_the_operator_may_write_it_as_he_likes(given_as: str) -> None:
    """Every way of writing a number means the same person."""
    assert Person([INDIA], phone=given_as).phones == ("918818888758",)


def test_each_destination_reads_its_own_way() -> None:
    """A bare number can be two people's: with two default countries both are meant, each where it is read so."""
    person = Person([INDIA, AMERICA], phone="2125551234")
    assert set(person.phones) == {"12125551234"} | {PhoneNumbers("IN").read("2125551234")}


def test_what_is_no_number_is_refused() -> None:
    """The sentence says why and does not repeat what was given."""
    with pytest.raises(InvalidNumber) as caught:
        Person([INDIA], phone="12345")
    assert "12345" not in str(caught.value)
    with pytest.raises(InvalidNumber):
        Person([], phone="918818888758")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"userId": "42"}, True),
        ({"userId": 42}, True),
        ({"anonymousId": "42"}, True),
        ({"visitor_id": "42"}, True),
        ({"input": {"contact_id": "42"}}, True),
        ({"traits": {"id": "42"}}, True),
        ({"context": {"traits": {"user_id": "42"}}}, True),
        ({"properties": {"id": "42"}}, False),
        ({"properties": {"quantity": 42}}, False),
        ({"userId": "420"}, False),
        ({"userId": ["42", "43"]}, True),
        ("42", False),
    ],
)
def test_an_id_counts_where_ids_stand(value: Any, named: bool) -> None:
    """The same text elsewhere means something else: nobody's orders are erased for a quantity."""
    assert Person([], user="42").is_named_in(value) is named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"userId": "42", "type": "tra', True),
        ("{'user_id': 42}", True),
        ('{"quantity": 42}', False),
        ('{"userId": "421"}', False),
    ],
)
def test_a_short_id_in_broken_text_needs_its_key(text: str, named: bool) -> None:
    """What is no JSON is searched as text."""
    assert Person([], user="42").is_named_in_text(text) is named


def test_a_long_id_in_text_is_a_word() -> None:
    """An id that is long enough is told by itself, but not inside another one."""
    person = Person([], user="user-2847")
    assert person.is_named_in_text("order of user-2847, late")
    assert not person.is_named_in_text("order of user-28471")


def test_both_at_once() -> None:
    """By number and id together everything that names either is meant."""
    person = Person([INDIA], phone="8818888758", user="u1")
    assert person.is_named_in({"userId": "u1"})
    assert person.is_named_in({"phone": "8818888758"})
    assert person.recipients == ("918818888758", "u1")


EXAMPLES = [
    phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (example := phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)) is not None
]


@given(
    digits=st.sampled_from(EXAMPLES),
    gaps=st.lists(st.sampled_from(["", "", "", " ", "-", ".", " - "]), min_size=20, max_size=20),
    before=st.sampled_from(["", "call ", "no. 7: ", "é ", "("]),
    after=st.sampled_from(["", " now", ")", ", thanks", " ü"]),
)
def test_any_number_with_a_plus_is_found_in_any_text(digits: str, gaps: list[str], before: str, after: str) -> None:
    """Every country's example, with separators anywhere, in the middle of a text."""
    person = Person([INDIA], phone=f"+{digits}")
    spaced = "+" + "".join(digit + gap for digit, gap in zip(digits, gaps, strict=False))
    assert person.is_named_in(f"{before}{spaced}{after}")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.sampled_from(["+91 88188 88758", "918818888758", "९१८८१८८८८७५८", "(0)88188\u00a088758", "a\u000188188-88758"])
    | st.sampled_from([918818888758, 8818888758, 918818888758.0]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "userId", "traits"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=JSON)
def test_the_quick_look_is_never_wrong_when_it_says_no(data: Any) -> None:
    """Whatever names somebody is looked at closely, also in other scripts and with control characters inside."""
    person = Person([INDIA], phone="8818888758", user='u"1')
    data = [data, {"userId": data}]
    if person.is_named_in(data):
        assert person.may_be_named_in(orjson.dumps(data))


def test_the_quick_look_spares_the_others() -> None:
    """An event of somebody else is told from its bytes alone; an id is found as JSON writes it."""
    person = Person([INDIA], phone="8818888758", user='u"1')
    assert not person.may_be_named_in(orjson.dumps({"phone": "918818888759", "text": "née", "at": 1763655012345}))
    assert person.may_be_named_in(orjson.dumps({"userId": 'u"1'}))


@given(first=st.sampled_from(EXAMPLES), second=st.sampled_from(EXAMPLES))
def test_two_people_are_two(first: str, second: str) -> None:
    """A person is not named by another's number, fully written."""
    if first != second:
        assert not Person([INDIA], phone=f"+{first}").is_named_in(f"+{second}")
