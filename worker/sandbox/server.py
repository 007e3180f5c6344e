"""The sandbox on a socket: HTTP/1.1, read by httptools (llhttp), over an asyncio protocol.

No framework stands between, because a fault must be able to end the connection at any byte.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import struct
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

import httptools
import orjson

from worker.sandbox.answers import Reply, json_reply
from worker.sandbox.callbacks.postman import Postman
from worker.sandbox.calls import NOT_JSON, Call
from worker.sandbox.script import Close, Send, Step, Wait
from worker.sandbox.settings import Settings
from worker.sandbox.stand_in import StandIn

#: Largest body that is read, and most that a client may send ahead while its request is answered (bytes).
BODY_LIMIT: Final = 16 * 1024 * 1024
#: Largest head of a request (bytes).
HEAD_LIMIT: Final = 64 * 1024
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_BACKLOG: Final = 4096
_PARENT_LOOK: Final = 1.0  # seconds between two looks at who our parent is


class Connection(asyncio.Protocol):
    """One client's connection: reads requests, plays what the sandbox says happens."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._client = ""
        self._ahead = bytearray()  # what came while a request was being answered
        self._waiting: deque[_Received] = deque()  # requests that came together with one before them
        self._now: _Received | None = None  # the request that is answered
        self._reading = _Received()
        self._steps: Generator[Step] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio gives a TCP server no other
        self._transport = transport
        self._client = transport.get_extra_info("peername")[0]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Drop what is left of an answer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def data_received(self, data: bytes) -> None:
        """Read what came, and answer each request that is complete."""
        if self._steps is not None:
            self._ahead += data
            if len(self._ahead) > BODY_LIMIT:
                self._transport.abort()
            return
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        if not self._reading.is_headed:
            self._reading.size += len(data)
        refusal: tuple[int, str] | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._transport.close()  # another protocol follows, which is none of ours
        except httptools.HttpParserError as wrong:
            refusal = 400, str(wrong)
        if self._reading.size > HEAD_LIMIT and not self._reading.is_headed:
            refusal = 431, "the head is too large"
        elif self._reading.size > BODY_LIMIT:
            refusal = 413, "the body is too large"
        self._refusal = refusal
        self._next()

    def on_url(self, piece: bytes) -> None:
        """The parser has read a piece of a target."""
        self._reading.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a header."""
        self._reading.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The parser has read a whole head."""
        reading = self._reading
        reading.is_headed, reading.size = True, 0
        reading.method = self._parser.get_method().decode("ascii")
        if not self._waiting and reading.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """The parser has read a piece of a body."""
        self._reading.size += len(piece)
        if self._reading.size <= BODY_LIMIT:
            self._reading.body.append(piece)

    def on_message_complete(self) -> None:
        """The parser has read a whole request."""
        if self._reading.size <= BODY_LIMIT:
            self._reading.keep_alive = self._parser.should_keep_alive()
            self._waiting.append(self._reading)
            self._reading = _Received()

    def _next(self) -> None:
        """Answer the next request that is there, then refuse what is none."""
        while self._steps is None and not self._transport.is_closing():
            if self._waiting:
                self._now = self._waiting.popleft()
                call = self._now.call()
                self._steps = self._stand_in.exchange(call, self._client, time.time(), self._render)
                self._play()
            elif self._refusal is not None:
                status, message = self._refusal
                self._now = None
                self._transport.write(self._render(json_reply(status, {"error": message})))
                self._transport.close()
            elif self._ahead:
                data = bytes(self._ahead)
                self._ahead.clear()
                self._feed(data)
            else:
                return

    def _play(self) -> None:
        self._timer = None
        while self._steps is not None:
            step = next(self._steps, None)
            if isinstance(step, Send):
                self._transport.write(step.data)
            elif isinstance(step, Wait):
                self._timer = asyncio.get_running_loop().call_later(step.seconds, self._play_on)
                return
            elif isinstance(step, Close):
                self._close(reset=step.reset)
                return
            else:
                self._end()

    def _play_on(self) -> None:
        self._play()
        self._next()

    def _end(self) -> None:
        """The answer is out: wait for the next request, or close where the client asked for it."""
        self._steps = None
        if self._now is not None and not self._now.keep_alive:
            self._transport.close()

    def _close(self, *, reset: bool) -> None:
        if reset:
            # Lingering for no time makes the kernel send a reset in place of an end of file.
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        else:
            self._transport.close()

    def _render(self, reply: Reply) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, '')}", "Server: nginx"]
        lines.append(f"Content-Length: {len(reply.body)}")
        if reply.content_type is not None:
            lines.append(f"Content-Type: {reply.content_type}")
        lines += [f"{name}: {value}" for name, value in reply.headers]
        if self._now is None or not self._now.keep_alive:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if self._now is not None and self._now.method == "HEAD" else head + reply.body


@dataclass(slots=True)
class _Received:
    """A request, as far as it has come.

    Attributes:
        size: Bytes of its head so far, then of its body.
        is_headed: Its head is whole.
    """

    method: str = ""
    target: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    body: list[bytes] = field(default_factory=list)
    size: int = 0
    is_headed: bool = False
    keep_alive: bool = False

    def call(self) -> Call:
        """What the sandbox is asked."""
        path, _, query = self.target.decode("ascii", "replace").partition("?")
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        return Call(
            method=self.method,
            path=unquote(path),
            query=dict(reversed(parse_qsl(query, keep_blank_values=True))) if query else {},
            headers=self.headers,
            body=body,
            document=_parse(body),
        )


def _parse(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return NOT_JSON


def serve(settings: Settings, ready: Callable[[str, StandIn], None]) -> StandIn:
    """Run a sandbox until SIGINT or SIGTERM (or, where the settings say so, the end of standard input).

    Args:
        settings: How it behaves.
        ready: Called with the address and the sandbox once it takes connections.

    Returns:
        The sandbox as it was left, its record closed.

    Raises:
        FaultError: one of the faults in the settings cannot be read.
        CallbackError: one of the callbacks cannot.
        OSError: the port is taken, or the record cannot be opened.
    """
    with tempfile.TemporaryDirectory(prefix="msg91-sandbox-") as directory:
        record = Path(settings.record) if settings.record is not None else Path(directory, "requests.ndjson")
        stand_in = StandIn(settings, record)
        try:
            asyncio.run(_run(stand_in, ready))
        finally:
            stand_in.close()
    return stand_in


async def _run(stand_in: StandIn, ready: Callable[[str, StandIn], None]) -> None:
    settings = stand_in.settings
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if settings.stop_with_stdin:
        _stop_with_parent(loop, stop)
    _raise_file_limit()
    server = await listen(stand_in)
    host, port = server.sockets[0].getsockname()[:2]
    posting = asyncio.create_task(Postman(stand_in.outbox, stand_in.recorder).run())
    posting.add_done_callback(lambda _: stop.set())
    ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", stand_in)
    await stop.wait()
    server.close()
    posting.cancel()
    try:
        await posting
    except asyncio.CancelledError:
        pass
    except ExceptionGroup as wrong:  # the record takes no more
        raise wrong.exceptions[0] from None


async def listen(stand_in: StandIn) -> asyncio.Server:
    """Take connections for ``stand_in`` on the address of its settings.

    Raises:
        OSError: the port is taken.
    """
    settings = stand_in.settings
    return await asyncio.get_running_loop().create_server(
        lambda: Connection(stand_in), settings.host, settings.port, backlog=_BACKLOG, reuse_address=True
    )


def _stop_with_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop when standard input ends, or when our parent is no longer who it was.

    Both, because a process forked by the parent may hold the other end of the pipe open after it.
    """
    stdin = sys.stdin.fileno()
    parent = os.getppid()

    def read() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stop.set()

    def look() -> None:
        if os.getppid() == parent:
            loop.call_later(_PARENT_LOOK, look)
        else:
            stop.set()

    loop.add_reader(stdin, read)
    look()


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets us: a thousand clients need more than 1024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
