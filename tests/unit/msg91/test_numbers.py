"""Phone numbers as events carry them."""

import random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.msg91 import numbers as module
from worker.msg91.errors import InvalidNumber
from worker.msg91.numbers import PhoneNumbers, mask

INDIA = PhoneNumbers("IN")


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        pytest.param(918818888758, "918818888758", id="a JSON number with country code"),
        pytest.param(918818888758.0, "918818888758", id="a JSON number that became a float"),
        pytest.param(9.18818888758e11, "918818888758", id="a float in scientific notation"),
        pytest.param("918818888758.0", "918818888758", id="the text of a float"),
        pytest.param(8818888758, "918818888758", id="a JSON number without country code"),
        pytest.param("+918818888758", "918818888758", id="plus"),
        pytest.param("\uff0b918818888758", "918818888758", id="full-width plus"),
        pytest.param("+91 88188 88758", "918818888758", id="plus and spaces"),
        pytest.param("+91-88188-88758", "918818888758", id="plus and hyphens"),
        pytest.param(" 918818888758\n", "918818888758", id="white space around it"),
        pytest.param("\u202a+91\u00a088188\u00a088758\u202c", "918818888758", id="marks of a copied contact card"),
        pytest.param("00918818888758", "918818888758", id="00"),
        pytest.param("00 91 88188 88758", "918818888758", id="00 and spaces"),
        pytest.param("8818888758", "918818888758", id="without country code"),
        pytest.param("0008001234567", "910008001234567", id="a number of India that begins with 00"),
        pytest.param("08818888758", "918818888758", id="with the trunk prefix"),
        pytest.param("+91 (0) 88188 88758", "918818888758", id="with country code and trunk prefix"),
        pytest.param("tel:+91-88188-88758", "918818888758", id="a tel: address"),
        pytest.param("९१८८१८८८८७५८", "918818888758", id="Devanagari digits"),
        pytest.param("+٩١٨٨١٨٨٨٨٧٥٨", "918818888758", id="Arabic digits with plus"),
        pytest.param("14155552671", "14155552671", id="another country's number without plus"),
        pytest.param("+1 (415) 555-2671", "14155552671", id="another country's way of writing"),
        pytest.param("447911123456", "447911123456", id="a British mobile"),
        pytest.param("6581234567", "6581234567", id="bare digits valid in both are international first"),
    ],
)
def test_reads_numbers_as_they_are_written(written: object, digits: str) -> None:
    """Whatever way a number is written, it is read as digits with country code."""
    assert INDIA.read(written) == digits


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        pytest.param("", "empty", id="empty text"),
        pytest.param(" \u00a0 ", "empty", id="blank text"),
        pytest.param("12345", "too_short", id="five digits"),
        pytest.param(12345, "too_short", id="five digits as number"),
        pytest.param(167554321, "not_a_number", id="the nine digits of Segment's page"),
        pytest.param("919876543210123456", "too_long", id="eighteen digits"),
        pytest.param("1" * 300, "too_long", id="a page of digits"),
        pytest.param("+999123456789", "unknown_country", id="no such country code"),
        pytest.param("00999123456789", "unknown_country", id="no such country code after 00"),
        pytest.param("+91 00000 00000", "not_a_number", id="no such Indian number"),
        pytest.param("+0918818888758", "unknown_country", id="a country code that begins with zero"),
        pytest.param("true", "letters", id="a word"),
        pytest.param("1-800-FLOWERS", "letters", id="a vanity number"),
        pytest.param("+91 88188 88758 ext. 5", "extension", id="an extension"),
        pytest.param("9.18819E+11", "scientific", id="what a spreadsheet leaves of a number"),
        pytest.param("918818888758;918818888759", "not_a_number", id="two numbers"),
        pytest.param("918818888758O", "letters", id="a letter at the end"),
        pytest.param(True, "type", id="a boolean"),
        pytest.param(None, "type", id="null"),
        pytest.param({"mobile": "918818888758"}, "type", id="an object"),
        pytest.param(["918818888758"], "type", id="a list"),
        pytest.param(918818888758.5, "type", id="a fraction"),
        pytest.param(float("nan"), "type", id="NaN"),
        pytest.param(float("inf"), "type", id="infinity"),
        pytest.param(-918818888758.0, "type", id="a negative float"),
    ],
)
def test_refuses_what_is_no_number(written: object, reason: str) -> None:
    """What is no phone number is refused with a reason, and the reason does not show it."""
    with pytest.raises(InvalidNumber) as caught:
        INDIA.read(written)
    assert caught.value.reason == reason
    shown = str(written)
    assert len(shown) < 5 or shown not in str(caught.value)


def test_prefers_the_default_country_when_told() -> None:
    """Digits that make a number both ways go to the default country when the destination says so."""
    assert PhoneNumbers("IN").read("6581234567") == "6581234567"
    national = PhoneNumbers("IN", prefer="national")
    assert national.read("6581234567") == "916581234567"
    assert national.read("+6581234567") == "6581234567"
    assert national.read("14155552671") == "14155552671"


def test_other_default_countries() -> None:
    """A number without country code is read in the destination's own country."""
    assert PhoneNumbers("us").read("415-555-2671") == "14155552671"
    assert PhoneNumbers("GB").read("07911 123456") == "447911123456"
    assert PhoneNumbers("US").read("011 91 88188 88758") == "918818888758"
    assert PhoneNumbers("IT").read("06 1234 5678") == "390612345678"


def test_a_country_may_have_a_prefix_of_its_own() -> None:
    """On Christmas Island eight digits that begin with 9 lack an 8; in Australia, with the same code, they do not."""
    assert PhoneNumbers("CX").read("99165120") == "61899165120"


@pytest.mark.parametrize("country", ["", "XX", "India", "001", "9"])
def test_unknown_default_country(country: str) -> None:
    """A default country that does not exist is refused when the reader is made."""
    with pytest.raises(InvalidNumber, match="ISO 3166"):
        PhoneNumbers(country)


def _library(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def _examples() -> list[tuple[str, int, str]]:
    """Every example number of the library: region, calling code, national number."""
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(11):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                found.append((region, number.country_code, phonenumbers.national_significant_number(number)))
    return found


def test_agrees_with_the_library_on_every_example() -> None:
    """Read with country code or as a number at home, every example number of every country is what the library says."""
    for region, calling_code, national in _examples():
        international = f"{calling_code}{national}"
        assert module._international(international) == _library(f"+{international}", None)
        assert PhoneNumbers(region)._national(national) == _library(national, region), (region, national)
    for calling_code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        number = phonenumbers.example_number_for_non_geo_entity(calling_code)
        digits = f"{calling_code}{phonenumbers.national_significant_number(number)}"
        assert module._international(digits) == _library(f"+{digits}", None) == digits


@pytest.mark.parametrize("seed", range(91, 96))
def test_agrees_with_the_library_on_random_numbers(seed: int) -> None:
    """On 100,000 random digit strings in all, most of them near-misses of real numbers, both ways agree."""
    random_ = random.Random(seed)
    examples = _examples()
    readers = {region: PhoneNumbers(region) for region in phonenumbers.SUPPORTED_REGIONS}
    for _ in range(10_000):
        region, calling_code, national = random_.choice(examples)
        digits = list(national)
        for _ in range(random_.randint(1, 4)):
            digits[random_.randrange(len(digits))] = random_.choice("0123456789")
        near = "".join(digits)[: len(digits) - (random_.random() < 0.2)] + "7" * (random_.random() < 0.2)
        assert module._international(f"{calling_code}{near}") == _library(f"+{calling_code}{near}", None)
        written = random_.choice(["", "", "0", str(calling_code), f"00{calling_code}"]) + near
        assert readers[region]._national(written) == _library(written, region), (region, written)


@given(st.text(st.characters(), max_size=40) | st.floats() | st.integers() | st.none() | st.booleans())
def test_any_value_is_read_or_refused(value: object) -> None:
    """No value whatever makes anything but digits or a refusal."""
    try:
        digits = INDIA.read(value)
    except InvalidNumber:
        return
    assert digits.isascii()
    assert digits.isdigit()
    assert phonenumbers.is_valid_number(phonenumbers.parse(f"+{digits}"))


@given(st.integers(6_000_000_000, 9_999_999_999), st.text(st.sampled_from(" -.()"), min_size=13, max_size=13))
def test_separators_never_change_a_number(national: int, separators: str) -> None:
    """Spaces, hyphens, dots and brackets between the digits make no difference."""
    number = f"+91{national}"
    written = "".join(f"{digit}{separator}" for digit, separator in zip(number, separators, strict=True))
    try:
        plain = INDIA.read(number)
    except InvalidNumber:
        with pytest.raises(InvalidNumber):
            INDIA.read(written)
    else:
        assert INDIA.read(written) == plain


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("918818888758", "91*******758"),
        ("14155552671", "14******671"),
        ("12345", "*****"),
        ("", ""),
        ("user-1234", "us****234"),
    ],
)
def test_mask(number: str, masked: str) -> None:
    """A masked number keeps its beginning and end; a short one keeps nothing."""
    assert mask(number) == masked
