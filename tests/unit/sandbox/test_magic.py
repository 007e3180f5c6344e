"""The numbers that force an outcome."""

from __future__ import annotations

import re

import phonenumbers

from tests.unit.sandbox.calls import SENDSMS, call, provider, sms
from worker.sandbox.codes import CODES
from worker.sandbox.magic import MAGIC, STATUSES, WIRE, magic_fault, number_for


def test_every_magic_number_is_valid_and_reaches_nobody() -> None:
    """They pass for real numbers, and all lie in the range that is kept free for fiction."""
    for digits in MAGIC:
        assert phonenumbers.is_valid_number(phonenumbers.parse(f"+{digits}")), digits
        assert re.fullmatch(r"120[1-9]55501\d\d", digits), digits


def test_every_code_and_status_has_a_number_of_its_own() -> None:
    """No two outcomes share a number, and none is without one."""
    outcomes = [fault.text for fault in MAGIC.values()]
    assert sorted(outcomes) == sorted([*(f"code={code}" for code in CODES), *STATUSES, *WIRE.values()])


def test_a_number_reads_like_its_outcome() -> None:
    """The area code ends in the hundreds digit and the number in the rest."""
    assert number_for("202") == "12025550102"
    assert number_for("503") == "12055550103"
    assert MAGIC["12025550102"].code == "202"
    assert MAGIC["12055550103"].status == 503
    assert MAGIC["12095550102"].kind == "close-after"


def test_the_first_magic_number_of_a_request_decides() -> None:
    """A request with one among its recipients has that outcome; a request without has none."""
    assert magic_fault(["919812345678", "12035550111", "12025550102"]) is MAGIC["12035550111"]
    assert magic_fault(["919812345678"]) is None
    assert magic_fault([]) is None


def test_a_magic_number_passes_every_check_before_its_outcome() -> None:
    """A request to a magic number is a good request: what comes of it is the number's doing."""
    for digits in MAGIC:
        body = sms(sms=[{"message": "Hello", "to": [digits]}])
        assert provider().judge(call(SENDSMS, body), 0.0).accepted
