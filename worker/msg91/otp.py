"""Verifying one-time passwords: ``GET /api/v5/otp/verify``. The words of the answer count, not its status."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from worker.msg91.answers import Answer, AnswerClass
from worker.msg91.client import Request
from worker.msg91.errors import CallRefused
from worker.msg91.numbers import mask
from worker.msg91.reading import Asks

__all__ = ["Verification", "Verified", "verify"]

VERIFY_PATH: Final = "/api/v5/otp/verify"


class Verified(StrEnum):
    """What MSG91 says of the digits that somebody typed."""

    VERIFIED = "verified"
    WRONG = "wrong"
    EXPIRED = "expired"
    ALREADY_VERIFIED = "already_verified"
    MAX_ATTEMPTS = "max_attempts"
    NOT_FOUND = "not_found"
    UNKNOWN = "unknown"
    """MSG91 said something else; `Verification.answer` has its words."""


#: Words that turn "verified" into its opposite, should a success ever come with them.
_DENIAL: Final = re.compile(r"\b(not|never|fail\w*|could)\b|unverified")


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a verification.

    Attributes:
        result: what MSG91 says.
        answer: its answer; the digits are not in it.
    """

    result: Verified
    answer: Answer

    def __bool__(self) -> bool:
        return self.result is Verified.VERIFIED


#: Searched in order in the answer's text, its case folded and its underscores and white space made one space.
_RESULTS: Final = tuple(
    (re.compile(pattern), result)
    for pattern, result in (
        (r"already ?verified", Verified.ALREADY_VERIFIED),
        (r"^max limit reached for this otp verification", Verified.MAX_ATTEMPTS),
        (r"^otp expired", Verified.EXPIRED),
        (r"^otp not match|^invalid otp$", Verified.WRONG),
        (r"^mobile no\.? not found", Verified.NOT_FOUND),
    )
)


def verify(client: Asks, mobile: str, otp: str) -> Verification:
    """Ask MSG91 whether these are the digits it sent.

    Args:
        client: the account.
        mobile: digits with country code.
        otp: the digits that somebody typed.

    Raises:
        CallRefused: MSG91 refused the account or did not answer: nothing is known of the digits.
    """
    query = {"mobile": mobile, "otp": otp}
    fetched = client.fetch(Request("GET", VERIFY_PATH, query=query, sample={"verify": mask(mobile)}))
    answer = fetched.answer
    if otp:
        message, body = (text.replace(otp, "***") for text in (answer.message, answer.body))
        answer = replace(answer, message=message, body=body)
    return Verification(read(answer, fetched.document), answer)


def read(answer: Answer, document: Any) -> Verified:
    """Read the words of an answer.

    Raises:
        CallRefused: they are about the account, or there is no answer.
    """
    fields = document if isinstance(document, dict) else {}
    said_success = any(str(fields.get(key)).casefold() == "success" for key in ("type", "status"))
    said = next((fields[key] for key in ("message", "msg", "errors") if isinstance(fields.get(key), str)), "")
    text = " ".join(said.replace("_", " ").split()).casefold()
    for pattern, result in _RESULTS:
        if pattern.search(text):
            return result
    if said_success and (not text or ("verified" in text and not _DENIAL.search(text))):
        return Verified.VERIFIED
    if answer.klass in (AnswerClass.REQUEST, AnswerClass.RECIPIENT, AnswerClass.ACCEPTED):
        return Verified.UNKNOWN
    raise CallRefused("the verification", answer)
