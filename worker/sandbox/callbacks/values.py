"""The values of callback settings, read from text.

Each function gives what the text stands for, and raises `ValueError` with the reason where it stands for nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from worker.sandbox.callbacks.placeholders import check_template
from worker.sandbox.callbacks.statuses import FINAL

#: Longest wait before a report, in seconds.
LONGEST_DELAY: Final = 86_400.0


def read_url(text: str) -> str:
    """Read the URL of a webhook."""
    parts = urlsplit(text)
    try:
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine or parts.username is not None:
        raise ValueError(f"expected the URL of a webhook, http:// or https://, got {text!r}")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a URL is printable ASCII without spaces")
    return text


def read_both(text: str) -> dict[str, Any]:
    """Read the URL that both channels' webhooks are below; a query stands behind each."""
    base, _, query = read_url(text).partition("?")
    tail = f"?{query}" if query else ""
    return {channel: f"{base.rstrip('/')}/{channel}{tail}" for channel in ("sms", "whatsapp")}


def read_seconds(text: str) -> float:
    """Read seconds, a day at most."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_DELAY:
        raise ValueError(f"expected seconds from 0 to {LONGEST_DELAY:.0f}, got {text!r}")
    return seconds


def read_timeout(text: str) -> float:
    """Read the seconds that a post may take."""
    seconds = read_seconds(text)
    if not 0.1 <= seconds <= 600:
        raise ValueError(f"expected seconds from 0.1 to 600, got {text!r}")
    return seconds


def read_range(text: str) -> tuple[float, float]:
    """Read seconds, or a range of them like ``0.5-3``."""
    first, dash, last = text.partition("-")
    shortest = read_seconds(first)
    longest = read_seconds(last) if dash else shortest
    if longest < shortest:
        raise ValueError(f"the longest, {last}, is shorter than the shortest, {first}")
    return shortest, longest


def read_share(text: str) -> float:
    """Read a share from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share from 0 to 1, got {text!r}")
    return share


def read_yes(text: str) -> bool:
    """Read yes or no."""
    if text not in {"yes", "no"}:
        raise ValueError(f"expected yes or no, got {text!r}")
    return text == "yes"


def read_tries(text: str) -> int:
    """Read how often something is tried."""
    if not (text.isdecimal() and text.isascii() and 1 <= int(text) <= 20):
        raise ValueError(f"expected a number from 1 to 20, got {text!r}")
    return int(text)


def one_of(*words: str) -> Callable[[str], str]:
    """Make a reader of one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected one of {', '.join(words)}, got {text!r}")
        return text

    return read


def read_shares(text: str) -> tuple[tuple[str, float], ...]:
    """Read what becomes of messages, like ``delivered:8/failed:1``."""
    shares: list[tuple[str, float]] = []
    for part in text.split("/"):
        name, colon, share = part.partition(":")
        if name not in FINAL:
            raise ValueError(f"{name!r} is no end of a message; there are: {', '.join(FINAL)}")
        try:
            number = float(share) if colon else 1.0
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            raise ValueError(f"expected a share after {name}:, got {share!r}")
        shares.append((name, number))
    if not sum(share for _, share in shares):
        raise ValueError("the shares add up to nothing")
    return tuple(shares)


_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def read_header(text: str) -> str:
    """Read the name of a header of one's own."""
    if not _HEADER.fullmatch(text) or text.lower() in {"host", "content-length", "content-type", "connection"}:
        raise ValueError(f"expected the name of a header, got {text!r}")
    return text


def template_with(fields: Iterable[str]) -> Callable[[str], Any]:
    """Make a reader of JSON templates with these placeholders."""

    def read(text: str) -> Any:
        try:
            # Not orjson: it gives no place where the text goes wrong.
            template = json.loads(text)
        except json.JSONDecodeError as wrong:
            raise ValueError(f"expected JSON: {wrong}") from None
        check_template(template, fields)
        return template

    return read
