"""Phone numbers that force an outcome, so that each can be rehearsed without a fault.

The numbers are ``+1 20H 555 01NN``. North America keeps 555-0100 to 555-0199 free for fiction: they are valid
numbers, and none of them can reach anyone. For a numeric code or a status HNN the area code ends in H and the
number in NN: code 202 is ``+1 202 555 0102``, status 503 is ``+1 205 555 0103``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from worker.sandbox.codes import CODES
from worker.sandbox.faults import Fault, read_fault

#: Statuses that have a number of their own. 506 and 505 are codes; no status shares a number with a code.
STATUSES: Final = ("429", "500", "502", "503", "504")

#: Last two digits (area code 209) → what happens on the wire.
WIRE: Final[dict[str, str]] = {
    "01": "close-before",
    "02": "close-after",
    "03": "half-answer",
    "04": "hang-after=30",
    "05": "hang-before=30",
    "06": "invalid-json",
    "07": "slow=3000",
    "08": "drip=20",
    "09": "redirect",
}

#: Last two digits (area code 208) → codes below 100, which have no hundreds digit for an area code.
_LOW: Final = {"01": "001", "02": "002"}


def number_for(outcome: str) -> str:
    """Give the digits of the number for a three-digit code or status.

    Args:
        outcome: Like ``202`` or ``503``.
    """
    area = "208" if outcome.startswith("0") else f"20{outcome[0]}"
    return f"1{area}55501{outcome[1:]}"


def _numbers() -> dict[str, Fault]:
    faults = {number_for(code): f"code={code}" for code in CODES}
    faults |= {number_for(status): status for status in STATUSES}
    faults |= {f"120955501{last}": text for last, text in WIRE.items()}
    return {number: read_fault(text) for number, text in faults.items()}


#: Last two digits (area code 207) → what becomes of a message that was taken, or how its reports come. Those of
#: outcomes are the numbers of SMS statuses.
REPORT_ENDINGS: Final[dict[str, str]] = {
    "01": "delivered",
    "02": "failed",
    "09": "dnd",
    "16": "rejected",
    "17": "blocked",
    "25": "rejected-25",
    "26": "undocumented",
    "31": "lost",
    "32": "late",
    "33": "twice",
    "34": "disorder",
    "35": "held",
}
#: Digits with country code → the same.
REPORTS: Final[dict[str, str]] = {f"120755501{last}": what for last, what in REPORT_ENDINGS.items()}

#: Digits with country code → the fault it stands for.
MAGIC: Final[dict[str, Fault]] = _numbers()
_NUMBERS: Final = MAGIC.keys()


def magic_fault(numbers: Sequence[str]) -> Fault | None:
    """Give the fault of the first magic number among ``numbers``, if there is any."""
    if _NUMBERS.isdisjoint(numbers):
        return None
    return next(MAGIC[number] for number in numbers if number in MAGIC)
