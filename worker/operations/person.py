"""What names a person in the data of others: a phone number however it is written, or a user's id."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from worker.destinations import Destinations
from worker.msg91.errors import InvalidNumber
from worker.msg91.numbers import PhoneNumbers

#: Digits in a text, and what people put between the digits of one number.
_DIGITS: Final = re.compile(r"\+?[0-9]+")
_GAP: Final = re.compile(r"[ \t().\-/\u00a0]{0,3}")
_MAX_DIGITS: Final = 18
#: Everything but ASCII digits, and digits of other scripts.
_NO_DIGITS: Final = bytes(one for one in range(256) if not 48 <= one <= 57)
_OTHER_DIGIT: Final = re.compile(r"(?![0-9])\d")
#: Ids of this length are told from other words by themselves.
_WORD: Final = 6
#: Keys under which a user's id stands, without their separators and in lower case.
_ID_KEYS: Final = frozenset(
    {"userid", "anonymousid", "previousid", "visitorid", "contactid", "customerid", "externalid"}
)
_SEPARATORS: Final = str.maketrans("", "", "_- ")
#: Digits at the end of a number by which nearly everything else is told apart quickly.
_TAIL: Final = 7


class Person:
    """Somebody, by phone number, by user id, or both.

    Args:
        numbers: Readers of numbers, one for each way in which a bare number may be meant.
        phone: The number, in any form that one of them reads.
        user: The user's id, exactly.

    Attributes:
        phones: The number as digits with country code, as each reader reads it.

    Raises:
        InvalidNumber: no reader can read the number.
    """

    def __init__(self, numbers: Iterable[PhoneNumbers], *, phone: str = "", user: str = "") -> None:
        self.user = user
        self._targets: list[tuple[PhoneNumbers, str]] = []
        problem: InvalidNumber | None = None
        for reader in numbers if phone else ():
            try:
                self._targets.append((reader, reader.read(phone)))
            except InvalidNumber as error:
                problem = error
        if phone and not self._targets:
            raise problem or InvalidNumber("unknown_country", "there is no destination that could read the number")
        self.phones = tuple(dict.fromkeys(digits for _, digits in self._targets))
        self._tails = {digits[-_TAIL:] for digits in self.phones}
        self._user_in_text = _user_in_text(user) if user else None
        self._user_in_json = orjson.dumps(user)[1:-1] if user else b""

    @classmethod
    def known_to(cls, destinations: Destinations, *, phone: str = "", user: str = "") -> Person:
        """Somebody as the destinations read numbers.

        Raises:
            InvalidNumber: none of them can read the number.
        """
        readers = {repr(one.context.numbers): one.context.numbers for one in destinations}
        return cls(readers.values(), phone=phone, user=user)

    @property
    def recipients(self) -> tuple[str, ...]:
        """As whom requests reach this person: the number's digits, the user's id."""
        return (*self.phones, self.user) if self.user else self.phones

    def may_be_named_in(self, raw: bytes) -> bool:
        """Whether JSON text could name this person: quick, and never wrong when it says no."""
        if self._user_in_json and self._user_in_json in raw:
            return True
        if not self._tails:
            return False
        if b"\\u" in raw or (not raw.isascii() and _OTHER_DIGIT.search(raw.decode("utf-8", "replace"))):
            return True
        digits = raw.translate(None, _NO_DIGITS)
        return any(tail.encode() in digits for tail in self._tails)

    def is_named_in(self, value: Any, key: str = "") -> bool:
        """Whether JSON data names this person anywhere.

        A number counts wherever it stands, also inside a text. An id counts only under a key that holds ids
        (``userId``, ``anonymousId``, ``visitor_id``, … or ``id`` of ``traits``): elsewhere the same text may mean
        something else.

        Args:
            value: The data.
            key: The key it stands under.
        """
        if isinstance(value, dict):
            return any(
                self.is_named_in(item, f"{key}.id" if name == "id" else str(name)) or self._is_phone(name)
                for name, item in value.items()
            )
        if isinstance(value, list | tuple):
            return any(self.is_named_in(item, key) for item in value)
        if isinstance(value, bool) or value is None:
            return False
        if self.user and _holds_ids(key) and str(value) == self.user:
            return True
        return self._is_phone(value)

    def is_named_in_text(self, text: str) -> bool:
        """Whether a text that may be no JSON names this person.

        The id counts where it is written as the value of such a key; one of six characters or more also as a word.
        """
        if self._user_in_text is not None and self._user_in_text.search(text):
            return True
        return self._is_phone(text)

    def _is_phone(self, value: Any) -> bool:
        return bool(self._targets) and self._is_number(value)

    def _is_number(self, value: Any) -> bool:
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if not text.isascii():
            text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
        digits = "".join([one for one in text if one.isdigit()])
        if not any(tail in digits for tail in self._tails):
            return False
        return any(phone in digits for phone in self.phones) or any(map(self._reads_as_target, _candidates(text)))

    def _reads_as_target(self, text: str) -> bool:
        for reader, target in self._targets:
            try:
                if reader.read(text) == target:
                    return True
            except InvalidNumber:
                continue
        return False


def _holds_ids(key: str) -> bool:
    return key.translate(_SEPARATORS).lower() in _ID_KEYS or key in ("traits.id", "user.id")


def _user_in_text(user: str) -> re.Pattern[str]:
    value = re.escape(user)
    names = "|".join(rf"{name[:-2]}[_ -]?id" for name in sorted(_ID_KEYS))
    as_value = rf"(?:{names})\W{{1,6}}{value}(?!\w)"
    return re.compile(as_value if len(user) < _WORD else rf"{as_value}|(?<!\w){value}(?!\w)", re.IGNORECASE)


def _candidates(text: str) -> Iterator[str]:
    """Everything in a text that may be a phone number: groups of digits that stand together, from each group on.

    A group that belongs to a number with a plus sign begins none of its own: ``+1 8818888758`` is no Indian number.
    """
    yield text
    groups = list(_DIGITS.finditer(text))
    bound_until = 0
    for at, first in enumerate(groups):
        if first.start() < bound_until:
            continue
        joined, end = "", first.start()
        for group in groups[at:]:
            if not _GAP.fullmatch(text, end, group.start()) or (joined and group[0].startswith("+")):
                break
            joined, end = joined + group[0], group.end()
            if len(joined) > _MAX_DIGITS:
                break
            yield joined
            if first[0].startswith("+"):
                bound_until = end
