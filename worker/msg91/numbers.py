"""Phone numbers: whatever an event carries, read as digits with country code.

`phonenumbers` (Google's libphonenumber) knows the rules but takes about 35 µs a number. Numbers of plain
digits without a national prefix, nearly all there are, are decided here by the library's own metadata,
compiled to one regular expression a country and length; every other case goes to the library. A test holds
that both say the same.
"""

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Final, Literal

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, NumberParseException, PhoneMetadata

from worker.msg91.errors import InvalidNumber

#: How bare digits are read that make a valid number both with a country code and in the default country.
Preference = Literal["international", "national"]

_SEPARATORS: Final = str.maketrans(
    dict.fromkeys(map(ord, " \t\r\n-.()/\u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013"), None)
)
_INVISIBLE: Final = frozenset({"Cf", "Cc"})
_SCIENTIFIC: Final = re.compile(r"[0-9.]+[eE][+]?[0-9]+")
_WHOLE: Final = re.compile(r"([0-9]+)\.0+")
_MIN_DIGITS: Final = 7
_MAX_DIGITS: Final = 15
_MAX_TEXT: Final = 250  # libphonenumber's own limit
_CACHE_SIZE: Final = 16_384

_TYPES: Final = (
    "mobile",
    "fixed_line",
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)


class PhoneNumbers:
    """Reads phone numbers for one destination.

    Args:
        default_country: ISO 3166 code of the country whose numbers may come without country code.
        prefer: which reading wins where bare digits make a valid number in both. With ``IN`` about one in
            twenty ten-digit mobile numbers is such a case: 6581234567 may be India's or, with country code
            65, Singapore's.

    Raises:
        InvalidNumber: the country is unknown.
    """

    __slots__ = ("_calling_code", "_country", "_idd", "_prefer", "_prefix")

    def __init__(self, default_country: str = "IN", *, prefer: Preference = "international") -> None:
        country = default_country.strip().upper()
        metadata = PhoneMetadata.metadata_for_region(country, None) if country != "001" else None
        if metadata is None:
            sentence = f"{default_country!r} is no country: expected an ISO 3166 code of two letters, such as IN"
            raise InvalidNumber("unknown_country", sentence)
        self._country = country
        self._calling_code = str(metadata.country_code)
        self._idd = re.compile(metadata.international_prefix or "(?!)")
        # Its own, which is not always that of the main country of its calling code.
        self._prefix = re.compile(metadata.national_prefix_for_parsing or "(?!)")
        self._prefer = prefer

    def __repr__(self) -> str:
        return f"PhoneNumbers(default_country={self._country!r}, prefer={self._prefer!r})"

    def read(self, value: object) -> str:
        """Read a phone number.

        Args:
            value: text, or a JSON number without a fraction.

        Returns:
            Digits with country code, as MSG91 wants them: no ``+``, no spaces.

        Raises:
            InvalidNumber: it is none; the text says why and does not show the number.
        """
        if isinstance(value, str):
            return self._read_text(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidNumber("type", f"expected a phone number as text or number, but it was {_kind(value)}")
        if isinstance(value, float):
            if not value.is_integer() or value < 0 or value >= 1e15:
                raise InvalidNumber(
                    "type",
                    "expected a phone number, but it was a number with a fraction, a sign or too many digits",
                )
            value = int(value)
        return self._read_text(str(value))

    def _read_text(self, text: str) -> str:
        # No cache here: most numbers come once, and a miss would cost as much as reading.
        if text.isascii() and text.isdigit():
            if self._prefer == "international" and (whole := _international(text)) is not None:
                return whole  # no country code begins with 0, so this is none after 00
            digits, plus = text, False
        else:
            digits, plus = _clean(text)
        if plus:
            return self._explicit(digits)
        if digits.startswith("00"):
            try:
                return self._explicit(digits[2:])
            except InvalidNumber:
                found = self._national(digits)
                if found is None:
                    raise
                return found
        first, second = (_international, self._national)
        if self._prefer == "national":
            first, second = second, first
        found = first(digits) or second(digits)
        if found is None:
            raise self._invalid(digits, explicit=False)
        return found

    def _explicit(self, digits: str) -> str:
        """Read digits that say themselves that they carry a country code (``+`` or ``00``)."""
        found = _international(digits)
        if found is None:
            raise self._invalid(digits, explicit=True)
        return found

    def _national(self, digits: str) -> str | None:
        """Read digits as a number of the default country."""
        if not (digits.startswith(self._calling_code) or self._idd.match(digits) or self._prefix.match(digits)):
            decided = _plan(int(self._calling_code)).decide(digits)
            if decided is not None:
                return self._calling_code + digits if decided else None
        return _by_library(digits, self._country)

    def _invalid(self, digits: str, *, explicit: bool) -> InvalidNumber:
        count = len(digits)
        what = "expected digits with country code" + ("" if explicit else f" or a number of {self._country}")
        if count < _MIN_DIGITS:
            return InvalidNumber("too_short", f"{count} digits are too few for a phone number: {what}")
        if count > _MAX_DIGITS:
            return InvalidNumber("too_long", f"{count} digits are too many for a phone number: {what}")
        if explicit and _split_by_lead(digits[:3]) is None:
            return InvalidNumber("unknown_country", "the country code after + or 00 does not exist")
        return InvalidNumber("not_a_number", f"the {count} digits are no valid phone number: {what}")


def mask(number: str) -> str:
    """Hide the middle of a number or contact id: ``919876543210`` becomes ``91*******210``."""
    if len(number) < 8:
        return "*" * len(number)
    return f"{number[:2]}{'*' * (len(number) - 5)}{number[-3:]}"


class _Plan:
    """The numbering plan of a calling code, from libphonenumber's metadata."""

    __slots__ = ("_alone", "_prefix", "_regions")

    def __init__(self, calling_code: int) -> None:
        regions = [
            metadata
            for region in COUNTRY_CODE_TO_REGION_CODE[calling_code]
            if (metadata := PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)) is not None
        ]
        prefix = regions[0].national_prefix_for_parsing
        self._prefix = re.compile(prefix).match if prefix else None
        alone = len(regions) == 1
        self._regions = tuple(
            (re.compile(m.leading_digits) if m.leading_digits and not alone else None, _types_by_length(m))
            for m in regions
        )
        self._alone = self._regions[0][1] if alone else None

    def decide(self, national: str) -> bool | None:
        """Say whether a national number is valid; None when only the library can tell (a national prefix)."""
        if self._prefix is not None and self._prefix(national):
            return None
        length = len(national)
        if self._alone is not None:
            matches = self._alone.get(length)
            return matches is not None and matches(national) is not None
        for leading, by_length in self._regions:
            matches = by_length.get(length)
            if leading is not None:
                if leading.match(national):
                    return matches is not None and matches(national) is not None
            elif matches is not None and matches(national) is not None:
                return True
        return False


def _types_by_length(metadata: Any) -> dict[int, Callable[[str], re.Match[str] | None]]:
    """Compile a region's types of numbers: length of the national number → matcher."""
    general = metadata.general_desc
    descriptions = [getattr(metadata, kind) for kind in _TYPES]
    patterns: dict[int, list[str]] = {}
    for description in descriptions:
        if description is None or not description.national_number_pattern:
            continue
        for length in description.possible_length or general.possible_length:
            patterns.setdefault(length, []).append(description.national_number_pattern)
    return {
        length: re.compile(
            rf"(?=(?:{general.national_number_pattern})\Z)(?:{'|'.join(dict.fromkeys(kinds))})"
        ).fullmatch
        for length, kinds in patterns.items()
        if not general.possible_length or length in general.possible_length
    }


@functools.cache
def _plan(calling_code: int) -> _Plan:
    return _Plan(calling_code)


_CALLING_CODES: Final = frozenset(str(code) for code in COUNTRY_CODE_TO_REGION_CODE)


@functools.cache
def _split_by_lead(lead: str) -> tuple[int, _Plan] | None:
    """Country code and plan by the first three digits: at most a thousand and some."""
    for length in (1, 2, 3):
        if lead[:length] in _CALLING_CODES:
            return length, _plan(int(lead[:length]))
    return None


def _international(digits: str) -> str | None:
    """Read digits that begin with a country code; None when they are no valid number."""
    split = _split_by_lead(digits[:3])
    if split is None or len(digits) > _MAX_TEXT:
        return None
    length, plan = split
    decided = plan.decide(digits[length:])
    if decided is None:
        return _by_library("+" + digits, None)
    return digits if decided else None


@functools.lru_cache(_CACHE_SIZE)
def _by_library(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def _clean(text: str) -> tuple[str, bool]:
    """Bring a written number to ASCII digits; the flag says whether it began with a plus sign."""
    if len(text) > _MAX_TEXT:
        raise InvalidNumber("too_long", f"{len(text)} characters are too many for a phone number")
    if whole := _WHOLE.fullmatch(text):
        return whole[1], False
    written = text.translate(_SEPARATORS).removeprefix("tel:")
    if not written.isascii():
        written = "".join(c for c in written if unicodedata.category(c) not in _INVISIBLE)
    if not written or written.isspace():
        raise InvalidNumber("empty", "expected a phone number, but the text was empty or blank")
    plus = written[0] in "+\uff0b"
    digits = written[1:] if plus else written
    if digits.isdecimal():
        return (digits if digits.isascii() else "".join(str(unicodedata.decimal(c)) for c in digits)), plus
    if _SCIENTIFIC.fullmatch(text.strip()):
        sentence = "expected a phone number, but it was in scientific notation, which drops digits: store it as text"
        raise InvalidNumber("scientific", sentence)
    if any(c.isalpha() for c in written):
        if re.search(r"[0-9](?:ext|x|#|;ext=)", written, re.IGNORECASE):
            raise InvalidNumber(
                "extension", "expected a phone number, but it has an extension, which no message reaches"
            )
        raise InvalidNumber("letters", "expected a phone number, but the text has letters in it")
    raise InvalidNumber(
        "not_a_number",
        "expected a phone number, but the text has other characters than digits, spaces and + - . ( )",
    )


def _kind(value: object) -> str:
    names: dict[type, str] = {bool: "a boolean", dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")
