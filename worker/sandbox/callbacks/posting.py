"""One HTTP POST on the event loop, by h11: nothing waits for it but who asked for it, and it can be cancelled."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import h11

#: Bytes of an answer that are read: only its status counts.
_MOST: Final = 64 * 1024


class PostError(Exception):
    """A post that got no answer, or none that can be read."""


async def post(url: str, headers: Iterable[tuple[str, str]], body: bytes, within: float) -> int:
    """Post ``body`` and give the status of the answer; redirects are not followed.

    Args:
        url: ``http://`` or ``https://``.
        headers: Further headers, the type of the body among them.
        body: What is posted.
        within: Seconds for all of it.

    Raises:
        PostError: no connection, no answer in time, or no HTTP.
    """
    try:
        async with asyncio.timeout(within):
            return await _exchange(url, headers, body)
    except TimeoutError:
        raise PostError(f"no answer within {within:g} s") from None
    except (OSError, h11.ProtocolError) as wrong:
        # Never the URL: its query may hold the secret.
        raise PostError(f"{type(wrong).__name__}: {wrong}") from None


async def _exchange(url: str, headers: Iterable[tuple[str, str]], body: bytes) -> int:
    parts = urlsplit(url)
    secure = _secure() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    try:
        http = h11.Connection(h11.CLIENT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fixed = [("Host", parts.netloc), ("Content-Length", str(len(body))), ("Connection", "close")]
        request = h11.Request(method="POST", target=target, headers=[*fixed, *headers])
        events: tuple[h11.Event, ...] = (request, h11.Data(data=body), h11.EndOfMessage())
        writer.write(b"".join(http.send(event) or b"" for event in events))
        await writer.drain()
        return await _status(http, reader)
    finally:
        writer.close()


@cache
def _secure() -> ssl.SSLContext:
    """Made once: loading the authorities takes so long that answers would notice."""
    return ssl.create_default_context()


async def _status(http: h11.Connection, reader: asyncio.StreamReader) -> int:
    """Read the answer to its end, or to the most that is read."""
    status, size = 0, 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_MOST))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            size += len(event.data)
        if status and (isinstance(event, h11.EndOfMessage) or size > _MOST):
            return status
        if isinstance(event, h11.ConnectionClosed):
            raise PostError("the connection was closed without an answer")
