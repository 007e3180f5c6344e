"""Reading what comes back to a question: the envelopes, and pages of lists.

Nothing is guessed at: an answer in a shape that nobody has described is shown as it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

from worker.msg91.answers import AnswerClass, mask_numbers
from worker.msg91.client import Fetched, Request
from worker.msg91.errors import CallRefused, UnexpectedAnswer

__all__ = ["Asks", "ask", "items_of", "objects_in", "pages", "text_of", "whole"]

#: Pages that are read before something must be wrong.
MAX_PAGES: Final = 10_000
_SHOWN: Final = 500


class Asks(Protocol):
    """What is asked of a client: `worker.msg91.client.Msg91Client`."""

    def fetch(self, request: Request, *, deadline: float | None = None) -> Fetched:
        """Ask for something and give what came back whole."""


def ask(client: Asks, request: Request, what: str) -> Any:
    """Ask, and return what is inside the envelope: ``data`` where there is one, else the whole document.

    Args:
        client: the account.
        request: the question.
        what: what is asked for, for errors.

    Raises:
        CallRefused: MSG91 said no, or did not answer.
        UnexpectedAnswer: what it said is no JSON.
    """
    fetched = client.fetch(request)
    answer, document = fetched.answer, fetched.document
    # A question has no fate that could be in doubt: a document with status 2xx is the answer, if it is no error.
    is_plain = answer.klass is AnswerClass.UNKNOWN and answer.status is not None and answer.status < 300
    if answer.klass is not AnswerClass.ACCEPTED and not is_plain:
        raise CallRefused(what, answer)
    if not isinstance(document, dict | list):
        raise UnexpectedAnswer(f"{what}: expected JSON, {_shown(fetched)}")
    if isinstance(document, dict) and document.get("data") is not None:
        return document["data"]
    return document


def items_of(data: Any, *names: str, what: str) -> list[dict[str, Any]]:
    """Find the list in what was inside the envelope: the data itself, or what stands under one of the names.

    Raises:
        UnexpectedAnswer: there is no list of objects.
    """
    found = data
    if isinstance(data, dict):
        found = next((data[name] for name in (*names, "data") if isinstance(data.get(name), list)), None)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        shown = mask_numbers(repr(data))[:_SHOWN]
        raise UnexpectedAnswer(f"{what}: expected a list of objects, but MSG91 answered {shown}")
    return found


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects in a value that may be a list of them, one of them, or nothing."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, dict)]


def pages(read: Any, *, size: int, first: int = 1) -> Iterator[dict[str, Any]]:
    """Go through the pages of a list to its end.

    Nobody has said how many items MSG91 gives at most, nor that it minds the number of a page. So a page that is not
    full ends the list only when an earlier one was longer, and so does a page that came before.

    Args:
        read: called with the number of a page; gives its items and how many there are in all (None: not said).
        size: items that are asked for.
        first: number of the first page.
    """
    seen = 0
    longest = size
    before: list[dict[str, Any]] | None = None
    for number in range(first, first + MAX_PAGES):
        try:
            items, total = read(number)
        except CallRefused as refusal:
            if before is not None and longest < size and refusal.answer.klass is AnswerClass.REQUEST:
                return  # the page before was the last one, and asking for another is an error there
            raise
        if not items or items == before:
            return
        yield from items
        seen += len(items)
        if total is not None:
            if seen >= total:
                return
        elif before is not None and len(items) < longest:
            return
        longest = min(size, len(items)) if before is None else longest
        before = items


def text_of(item: dict[str, Any], *names: str) -> str:
    """The first of some keys that holds something, as text; empty when none does."""
    for name in names:
        value = item.get(name)
        if value is not None and value != "" and not isinstance(value, dict | list):
            return str(value)
    return ""


def whole(value: Any) -> int | None:
    """A whole number that may be written as text; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _shown(fetched: Fetched) -> str:
    text = mask_numbers(fetched.body[:_SHOWN].decode("utf-8", "replace"))
    return f"but MSG91 answered HTTP {fetched.answer.status}: {text}" if text else "but the answer was empty"
