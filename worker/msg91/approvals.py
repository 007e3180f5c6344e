"""Which WhatsApp templates MSG91 has approved, remembered for a while.

What cannot be looked up keeps nothing from being sent: a message is held back only by a list that MSG91 gave and that
is fresh enough to be believed. MSG91 judges every message itself in the end.
"""

from __future__ import annotations

import difflib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from worker.msg91.client import Fetched, Request
from worker.msg91.numbers import mask
from worker.msg91.whatsapp_panel import (
    MOST_TEMPLATES,
    ListedTemplate,
    list_templates,
    read_templates,
)

__all__ = ["ApprovedTemplates"]

log = logging.getLogger(__name__)

#: Seconds that a refusal may rest on a list: a template that was approved a moment ago is found.
BELIEVED: Final = 30.0
#: Seconds between two attempts to get a list that could not be had.
RETRY: Final = 30.0
#: Seconds that a list is waited for.
DEADLINE: Final = 5.0

Fetch = Callable[[Request, float], Fetched]


@dataclass(slots=True)
class _List:
    """What is known of one integrated number; times are those of `time.monotonic`."""

    lock: threading.Lock
    templates: dict[str, dict[str, ListedTemplate]] | None = None
    complete: bool = True
    taken_at: float = float("-inf")
    next_at: float = float("-inf")


class ApprovedTemplates:
    """The approved templates of one account.

    Args:
        fetch: asks MSG91; gets the request and `time.monotonic` by which it wants the answer.
        ttl: seconds that a list is used before it is asked for again.
        clock: seconds, as `time.monotonic`.
    """

    def __init__(self, fetch: Fetch, *, ttl: float = 600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._ttl = ttl
        self._clock = clock
        self._lists: dict[str, _List] = {}
        self._making = threading.Lock()

    def problem(self, number: str, name: str, language: str) -> str | None:
        """Say why MSG91 would refuse a template, or None when it would not, or nobody can tell.

        Args:
            number: the integrated number.
            name: the template's name.
            language: its language code.
        """
        known = self._known(number)
        now = self._clock()
        if now - known.taken_at > self._ttl:
            self._refresh(known, number, self._ttl)
        found = _judge(known, number, name, language)
        if found is not None and self._clock() - known.taken_at > BELIEVED:
            self._refresh(known, number, BELIEVED)
            found = _judge(known, number, name, language)
        if found is not None and self._clock() - known.taken_at > BELIEVED:
            return None  # the list is too old to say no
        return found

    def _known(self, number: str) -> _List:
        known = self._lists.get(number)
        if known is None:
            with self._making:
                known = self._lists.setdefault(number, _List(threading.Lock()))
        return known

    def _refresh(self, known: _List, number: str, age: float) -> None:
        """Ask again for a list that is older than `age`, unless somebody does, or just did in vain."""
        if known.templates is not None and known.lock.locked():
            return  # the old list serves until the new one is here
        with known.lock:
            now = self._clock()
            if now - known.taken_at <= age or now < known.next_at:
                return
            fetched = self._fetch(list_templates(number), time.monotonic() + DEADLINE)
            templates = read_templates(fetched.document) if fetched.answer.klass == "accepted" else None
            now = self._clock()
            if templates is None:
                known.next_at = now + RETRY
                log.warning(
                    "the templates of %s could not be looked up (%s); messages go out unchecked, the next attempt is "
                    "in %.0f s",
                    mask(number),
                    fetched.answer.message,
                    RETRY,
                )
                return
            known.templates = {}
            for one in templates:
                known.templates.setdefault(one.name, {})[_code(one.language)] = one
            known.complete = len(templates) < MOST_TEMPLATES
            known.taken_at = now


def _judge(known: _List, number: str, name: str, language: str) -> str | None:
    if known.templates is None:
        return None
    languages = known.templates.get(name)
    if languages is None:
        if not known.complete:
            return None
        close = difflib.get_close_matches(name, known.templates, 1, 0.6)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"the number {mask(number)} has no template {name!r}{hint}"
    template = languages.get(_code(language))
    if template is None:
        there = ", ".join(sorted(one.language for one in languages.values()))
        return f"the template {name!r} is not there in {language!r}; it is in {there}"
    if template.status in ("approved", ""):
        return None
    reason = f" ({template.reason})" if template.reason else ""
    return f"the template {name!r} in {language!r} is {template.status}{reason}; only approved ones can be sent"


def _code(language: str) -> str:
    return language.strip().replace("-", "_").casefold()
