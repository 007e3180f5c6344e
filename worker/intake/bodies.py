"""A request's body: read within bounds, inflated within bounds, parsed."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import ClientDisconnect

from worker.intake.limits import Limits
from worker.intake.refusals import Refused, later, unreadable
from worker.mending import read_json

Receive = Callable[[], Awaitable[Any]]


class Bodies:
    """Reads bodies and bounds what all of them together hold in memory.

    Args:
        limits: The bounds.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    async def read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """A request's body, inflated.

        Args:
            headers: The request's headers, names in lower case.
            receive: Of the ASGI application.

        Raises:
            Refused: too large, a false encoding, or too much on its way already.
            ClientDisconnect: the sender has gone.
        """
        limit = self.limits.body
        announced = headers.get(b"content-length", b"")
        if len(announced) > 18 or (announced.isdigit() and int(announced) > limit):
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk = message.get("body", b"")
                if chunk:
                    chunks.append(chunk)
                    size += len(chunk)
                    self.held += len(chunk)
                    if size > limit:
                        raise self._too_large()
                    if self.held > self.limits.bodies:
                        raise later("busy", "too much is on its way in at this moment", 1)
                if not message.get("more_body", False):
                    break
        finally:
            self.held -= size
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return inflate(body, headers.get(b"content-encoding", b""), limit)

    def _too_large(self) -> Refused:
        return Refused(413, "too_large", f"a body may have {self.limits.body} bytes, inflated")


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body without its content encoding.

    Args:
        body: As it came.
        encoding: The header ``Content-Encoding``: ``gzip`` or nothing.
        limit: Bytes that it may come to.

    Raises:
        Refused: another encoding, not gzip at all, truncated, or too large.
    """
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in (b"gzip", b"x-gzip"):
        raise Refused(415, "encoding_unknown", "the only content encoding that is read here is gzip")
    found: list[bytes] = []
    room = limit + 1
    rest = body
    try:
        while rest:
            member = zlib.decompressobj(wbits=31)
            data = member.decompress(rest, room)
            found.append(data)
            room -= len(data)
            if room <= 0:
                raise Refused(413, "too_large", f"a body may have {limit} bytes, inflated")
            if not member.eof:
                raise unreadable("gzip_truncated", "the gzip data ends too early")
            rest = member.unused_data.lstrip(b"\0")
    except zlib.error:
        raise unreadable("gzip_invalid", "the body is announced as gzip and is not") from None
    return b"".join(found)


def parse(body: bytes) -> Any:
    """The JSON value that a body holds.

    What clients write although JSON or Unicode forbids it is mended (`worker.mending`), so that one odd event does not
    cost its whole batch.

    Raises:
        Refused: it is not JSON.
    """
    try:
        return read_json(body)
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise unreadable("bad_request", "the body is empty; expected a JSON object") from None
        reason = f"the body is not JSON: {error.msg} at character {error.pos + 1}"
        raise unreadable("bad_request", reason[:300]) from None
