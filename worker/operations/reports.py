"""Callbacks that changed nothing although they should have, and what has become of them since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worker.delivery import EARLY_REPORT_MS, Unmatched
from worker.runtime import Core

__all__ = ["StrayReport", "strays"]


@dataclass(frozen=True, slots=True)
class StrayReport:
    """One of them.

    Attributes:
        at_ms: When it came, ms since 1970.
        about: What it said; phone numbers are hidden.
        meaning: What that means now, as a sentence.
    """

    at_ms: int
    about: dict[str, Any]
    meaning: str


def strays(core: Core, *, destination: str = "") -> Iterator[StrayReport]:
    """The reports that joined no delivery or settled none, newest first.

    Args:
        core: The store.
        destination: Only those of this destination.
    """
    for one in Unmatched(core.store).newest_first():
        if not destination or one.about.get("destination") == destination:
            yield StrayReport(one.at_ms, one.about, _meaning(core, one.about, one.at_ms))


def _meaning(core: Core, about: dict[str, Any], at_ms: int) -> str:
    match about.get("outcome"):
        case "early":
            name = core.store.keys.request_id(str(about.get("request_id") or about.get("message_id") or ""))
            if core.store.ask(lambda: core.store.client.type(name)) == b"string":
                return "it came before the answer to its request, and was joined by it"
            if core.store.now_ms() - at_ms <= EARLY_REPORT_MS:
                return "it waits for the answer to its request, if that is one of ours"
            return "no request of ours had this id: something else sends through this account, or the answer was lost"
        case "unknown":
            return "its delivery is forgotten: it came after the end of its record"
        case "other":
            return "its delivery went out again under another request, or was decided otherwise"
        case "unclear":
            return "nobody knows what its status means; it settled nothing"
        case _:
            return "it fits no request of ours: another sender, no correlation id, or older than the index"
