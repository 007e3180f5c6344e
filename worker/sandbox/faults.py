"""The faults a sandbox can be told to have, and how they are written.

A fault is one word with options after commas::

    503                             every request is answered 503
    429,retry-after=5,p=0.1         one request in ten is answered 429 with Retry-After: 5
    code=301,count=20               the next 20 requests are answered "Insufficient balance"
    hang-after=30,path=/api/v5/flow a flow is taken, and its answer comes 30 seconds later
    slow=50-200                     every answer waits between 50 and 200 milliseconds

This module reads and writes them; `worker.sandbox.faultboard` decides which requests they hit, and
`worker.sandbox.script` what a hit does to the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from worker.sandbox.errors import FaultError

#: Longest wait a fault may ask for, in seconds.
LONGEST_WAIT: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, read and checked.

    Attributes:
        text: The fault as it was written.
        kind: Its first word; ``status`` where that is a number.
        status: The HTTP status, for ``status`` and ``redirect``.
        code: The numeric code in the body, for ``code``.
        seconds: Shortest and longest wait, for ``hang-…``, ``slow`` and ``drip`` (per byte).
        location: Where a ``redirect`` points.
        rate: Requests and the seconds they may come in, for ``rate``.
        takes: MSG91 takes the request although the answer says otherwise or never comes.
        body: The body of a ``status``: ``html``, ``json``, ``none`` or ``success``.
        retry_after: Value of Retry-After in seconds, ``None`` for none.
        retry_after_is_date: Retry-After is written as a date.
        reset: The connection is reset instead of closed.
        probability: Share of requests it hits.
        count: Number of requests it hits before it is spent; ``None`` for no end.
        path: Beginning of the path of requests it hits, or a pattern with ``*``.
        seed: Seed of its dice; ``None`` takes one from the sandbox's seed.
    """

    text: str
    kind: str
    status: int = 200
    code: str = ""
    seconds: tuple[float, float] = (0.0, 0.0)
    location: str = ""
    rate: tuple[int, float] = (0, 1.0)
    takes: bool = False
    body: str = "html"
    retry_after: int | None = None
    retry_after_is_date: bool = False
    reset: bool = False
    probability: float = 1.0
    count: int | None = None
    path: str | None = None
    seed: int | None = None

    @property
    def ends(self) -> bool:
        """Whether it decides the answer; ``slow`` and ``drip`` only delay it."""
        return self.kind not in {"slow", "drip"}


_COMMON: Final = ("p", "count", "path", "seed")


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What can be said about one kind of fault.

    Attributes:
        example: How it is written.
        summary: What it does, in one line.
        takes: Whether MSG91 takes the request; ``None`` where the request is judged as ever.
        options: The options it knows.
    """

    example: str
    summary: str
    takes: bool | None
    options: tuple[str, ...] = _COMMON


KINDS: Final[dict[str, FaultKind]] = {
    "status": FaultKind(
        "429 500 502 503 504",
        "answer with this HTTP status (429: Retry-After: 1)",
        takes=False,
        options=(*_COMMON, "retry-after", "retry-after-date", "body", "taken"),
    ),
    "code": FaultKind(
        "code=301",
        "answer with this code, in the endpoint's own shape",
        takes=False,
        options=(*_COMMON, "taken"),
    ),
    "invalid-json": FaultKind(
        "invalid-json",
        "take it, and answer 200 with what is no JSON",
        takes=True,
        options=(*_COMMON, "taken"),
    ),
    "close-before": FaultKind(
        "close-before",
        "close the connection; the request is not taken",
        takes=False,
        options=(*_COMMON, "reset"),
    ),
    "close-after": FaultKind(
        "close-after",
        "take it, then close the connection unanswered",
        takes=True,
        options=(*_COMMON, "reset"),
    ),
    "half-answer": FaultKind(
        "half-answer",
        "take it, then close in the middle of the answer",
        takes=True,
        options=(*_COMMON, "reset"),
    ),
    "hang-before": FaultKind("hang-before=30", "30 seconds of silence, then close; it is not taken", takes=False),
    "hang-after": FaultKind("hang-after=30", "take it, and answer 30 seconds later", takes=True),
    "redirect": FaultKind("redirect=/elsewhere", "answer 302 with this Location", takes=False),
    "rate": FaultKind(
        "rate=50/s", "429 with Retry-After beyond 50 a second (or 120/min)", takes=False, options=("path",)
    ),
    "slow": FaultKind("slow=50-200", "wait 50 to 200 milliseconds before the answer", takes=None),
    "drip": FaultKind("drip=20", "send a byte of the answer every 20 milliseconds", takes=None),
}

_BODIES: Final = ("html", "json", "none", "success")
_RATE: Final = re.compile(r"([0-9]{1,9})/(s|min)")
_SECONDS: Final = {"s": 1.0, "min": 60.0}


def read_fault(text: str) -> Fault:
    """Read one fault.

    Args:
        text: The fault as a person writes it, like ``429,retry-after=5,p=0.1``.

    Raises:
        FaultError: the text is no fault; says which part is not understood and what may stand there.
    """
    head, *rest = [part.strip() for part in text.strip().split(",")]
    name, has_value, value = head.partition("=")
    kind = "status" if name.isdecimal() else name
    if kind not in KINDS or (kind == "status" and name == "status"):
        raise FaultError(_unknown_kind(text, name))
    values = _read_head(text, kind, name, value if has_value else None)
    takes = KINDS[kind].takes
    values["takes"] = bool(takes)
    for part in rest:
        key, separator, given = part.partition("=")
        key = "p" if key == "probability" else key
        if key not in KINDS[kind].options:
            raise FaultError(_unknown_option(text, name, key, KINDS[kind].options))
        if key == "reset" and not separator:
            given = "yes"
        elif not separator or not given:
            raise FaultError(f"fault {text!r}: {key} needs a value, like {key}={_EXAMPLES[key]}")
        values.update(_OPTION_READERS[key](text, given))
    return Fault(text=text.strip(), kind=kind, **values)  # type: ignore[arg-type]


_Values = dict[str, object]


def _read_head(text: str, kind: str, name: str, value: str | None) -> _Values:
    """Read the first word: the kind and its value."""
    if kind == "status":
        status = int(name)
        if value is not None or not 200 <= status <= 599:
            raise FaultError(f"fault {text!r}: a status is a number from 200 to 599 and takes no value")
        return {"status": status, "retry_after": 1} if status == 429 else {"status": status}
    if kind == "code":
        if value is None or not (value.isdecimal() and len(value) <= 4):
            raise FaultError(f"fault {text!r}: code needs a numeric code, like code=301")
        return {"code": value.zfill(3)}
    if kind == "redirect":
        location = value or "/elsewhere"
        if not (location.isascii() and location.isprintable() and " " not in location):
            raise FaultError(f"fault {text!r}: a redirect needs a plain address, like redirect=/elsewhere")
        return {"status": 302, "location": location}
    if kind == "rate":
        match = _RATE.fullmatch(value or "")
        if match is None or not int(match[1]):
            raise FaultError(f"fault {text!r}: rate needs requests per second or minute, like rate=50/s")
        return {"status": 429, "rate": (int(match[1]), _SECONDS[match[2]])}
    if kind in {"hang-before", "hang-after"}:
        return {"seconds": _wait(text, value or "30", unit=1.0)}
    if kind in {"slow", "drip"}:
        return {"seconds": _wait(text, value or _DEFAULT_WAITS[kind], unit=0.001)}
    if value is not None:
        raise FaultError(f"fault {text!r}: {name} takes no value")
    return {}


_DEFAULT_WAITS: Final = {"slow": "100", "drip": "20"}


def _wait(text: str, value: str, *, unit: float) -> tuple[float, float]:
    low, separator, high = value.partition("-")
    try:
        first = float(low) * unit
        last = float(high) * unit if separator else first
    except ValueError:
        first, last = 1.0, 0.0
    if not 0 <= first <= last <= LONGEST_WAIT:
        name = "seconds" if unit == 1.0 else "milliseconds"
        raise FaultError(
            f"fault {text!r}: {value!r} is no time; give {name}, like 30, or a range, like 50-200, of at most an hour"
        )
    return first, last


def _whole(name: str, *, least: int, field: str | None = None) -> Callable[[str, str], _Values]:
    def read(text: str, value: str) -> _Values:
        if not value.isdecimal() or int(value) < least:
            raise FaultError(f"fault {text!r}: {name} must be a whole number of at least {least}, like {name}=5")
        return {field or name: int(value)}

    return read


def _read_probability(text: str, value: str) -> _Values:
    try:
        probability = float(value)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise FaultError(f"fault {text!r}: p must be a number from 0 to 1, like p=0.1")
    return {"probability": probability}


def _read_retry_after(text: str, value: str) -> _Values:
    if value == "none":
        return {"retry_after": None, "retry_after_is_date": False}
    return {**_whole("retry-after", least=0, field="retry_after")(text, value), "retry_after_is_date": False}


def _read_retry_after_date(text: str, value: str) -> _Values:
    return {
        **_whole("retry-after-date", least=0, field="retry_after")(text, value),
        "retry_after_is_date": True,
    }


def _read_path(text: str, value: str) -> _Values:
    if not value.startswith(("/", "*")):
        raise FaultError(f"fault {text!r}: path must begin with / or *, like path=/api/v5/flow")
    return {"path": value}


def _read_body(text: str, value: str) -> _Values:
    if value not in _BODIES:
        raise FaultError(f"fault {text!r}: body must be one of {', '.join(_BODIES)}")
    return {"body": value}


def _yes_or_no(name: str, field: str) -> Callable[[str, str], _Values]:
    def read(text: str, value: str) -> _Values:
        if value not in {"yes", "no"}:
            raise FaultError(f"fault {text!r}: {name} must be yes or no")
        return {field: value == "yes"}

    return read


_OPTION_READERS: Final[dict[str, Callable[[str, str], _Values]]] = {
    "p": _read_probability,
    "count": _whole("count", least=1),
    "path": _read_path,
    "seed": _whole("seed", least=0),
    "retry-after": _read_retry_after,
    "retry-after-date": _read_retry_after_date,
    "body": _read_body,
    "taken": _yes_or_no("taken", "takes"),
    "reset": _yes_or_no("reset", "reset"),
}
_EXAMPLES: Final = {
    "p": "0.1",
    "count": "5",
    "path": "/api/v5/flow",
    "seed": "7",
    "retry-after": "5",
    "retry-after-date": "5",
    "body": "json",
    "taken": "yes",
    "reset": "yes",
}


def _unknown_kind(text: str, name: str) -> str:
    near = get_close_matches(name, KINDS, n=1)
    hint = f"did you mean {near[0]!r}? " if near and near[0] != "status" else ""
    examples = ", ".join(kind.example.split()[0] for kind in KINDS.values())
    return f"fault {text!r}: {name!r} is no fault; {hint}faults are, for example: {examples}"


def _unknown_option(text: str, name: str, key: str, options: tuple[str, ...]) -> str:
    near = get_close_matches(key, options, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"fault {text!r}: {name} has no option {key!r}; {hint}it has {', '.join(options)}"
