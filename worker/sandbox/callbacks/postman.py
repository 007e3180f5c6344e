"""Posts what an outbox owes, beside the answers that the sandbox gives; every try is on record before it is made."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from worker.sandbox.callbacks.outbox import Item, Outbox, Post
from worker.sandbox.callbacks.posting import PostError, post
from worker.sandbox.callbacks.settings import Callbacks
from worker.sandbox.record import MASK, Recorder

#: Posts under way at once.
AT_ONCE: Final = 16


class Postman:
    """Posts for one sandbox.

    Args:
        outbox: What is owed.
        recorder: Where it is written down.
    """

    def __init__(self, outbox: Outbox, recorder: Recorder) -> None:
        self._outbox = outbox
        self._recorder = recorder
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Post until cancelled; posts under way are cancelled with it."""
        changed = asyncio.Event()
        self._outbox.changed = changed.set
        async with asyncio.TaskGroup() as tasks:
            while True:
                changed.clear()
                posts, next_due = self._outbox.due(time.time())
                for one in posts:
                    await self._free.acquire()
                    tasks.create_task(self._post(one))
                wait = None if next_due is None else max(0.0, next_due - time.time())
                try:
                    await asyncio.wait_for(changed.wait(), wait)
                except TimeoutError:
                    continue

    async def _post(self, one: Post) -> None:
        try:
            callbacks = self._outbox.callbacks
            url = callbacks.url_of(one.channel, inbound=one.inbound is not None)
            if not url:  # switched off since
                return
            body = one.body(callbacks)
            headers = {"Content-Type": body.content_type, "Accept": "application/json"}
            whole = url
            if callbacks.secret and callbacks.secret_in == "header":  # noqa: S105 - where it goes, not a secret
                headers[callbacks.header] = callbacks.secret
            elif callbacks.secret:
                whole += f"{'&' if '?' in url else '?'}token={quote(callbacks.secret, safe='')}"
            self._recorder.append(_line(one, callbacks, url, body.document, headers))
            status, error = 0, None
            try:
                status = await post(whole, headers.items(), body.encoded(), callbacks.timeout)
            except PostError as wrong:
                error = str(wrong)
            answered = 200 <= status < 300
            again = self._outbox.done(one, time.time(), answered=answered)
            if not answered:
                self._recorder.append(_failure(one, url, status, error, again))
        finally:
            self._free.release()


def _line(one: Post, callbacks: Callbacks, url: str, document: Any, headers: dict[str, str]) -> dict[str, Any]:
    parts = urlsplit(url)
    query = {name: MASK for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if callbacks.secret and callbacks.secret_in == "query":  # noqa: S105 - where it goes, not a secret
        query["token"] = MASK
    shown = {name.lower(): MASK if name == callbacks.header else value for name, value in headers.items()}
    return {
        **_about(one, url),
        "faults": sorted({manner for item in one.items for manner in item.manner}),
        "query": query,
        "headers": shown,
        "body": document,
    }


def _failure(one: Post, url: str, status: int, error: str | None, again: float | None) -> dict[str, Any]:
    about = _about(one, url)
    tried = one.attempt if again is None else one.attempt - 1
    reason = error or f"answered {status}"
    return {**about, "kind": "report-failed", "status": status, "attempt": tried, "error": reason, "again_in": again}


def lost_line(item: Item) -> dict[str, Any]:
    """The line of a report that gets lost."""
    return {**_about(Post(item.report.sent.channel, [item]), ""), "kind": "report-lost", "faults": list(item.manner)}


def _about(one: Post, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    messages = [{"to": item.report.sent.number, "text": item.report.status.name} for item in one.items]
    first = one.items[0].report.sent if one.items else None
    return {
        "time": datetime.now(UTC),
        "kind": "report" if one.inbound is None else "inbound",
        # A report is no message that went out: who counts sends passes it over.
        "taken": False,
        "messages": messages or [{"to": one.inbound[1] if one.inbound else "", "text": "inbound"}],
        "status": 0,
        "code": None,
        "request_id": first.request_id if first else None,
        "correlation": dict(first.correlation) if first else {},
        "post": one.number,
        "attempt": one.attempt,
        "faults": [],
        "method": "POST",
        "path": f"{parts.scheme}://{parts.netloc}{parts.path}" if url else "",
        "query": {},
        "headers": {},
        "body": None,
    }
