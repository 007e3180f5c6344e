"""The sandbox on a socket: HTTP/1.1 by h11 over an asyncio protocol.

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
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

import h11
import orjson

from worker.sandbox.answers import Reply, json_reply
from worker.sandbox.callbacks.postman import Postman
from worker.sandbox.calls import NOT_JSON, Call
from worker.sandbox.script import Close, Send, Step, Wait
from worker.sandbox.settings import Settings
from worker.sandbox.stand_in import StandIn

#: Largest body that is read, and most that a client may send ahead while its request is answered (bytes).
BODY_LIMIT: Final = 16 * 1024 * 1024
_BACKLOG: Final = 4096
_PARENT_LOOK: Final = 1.0  # seconds between two looks at who our parent is


class Connection(asyncio.Protocol):
    """One client's connection: reads requests, plays what the sandbox says happens."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport
        self._client = ""
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._steps: Generator[Step] | None = None
        self._timer: asyncio.TimerHandle | None = None

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
        self._http.receive_data(data)
        if self._steps is None:
            self._read()
        elif len(self._http.trailing_data[0]) > BODY_LIMIT:
            self._transport.abort()

    def _read(self) -> None:
        while self._steps is None:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as wrong:
                self._give_up(wrong.error_status_hint, str(wrong))
                return
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    self._transport.write(_bytes(self._http, h11.InformationalResponse(status_code=100, headers=[])))
                return
            if isinstance(event, h11.Request):
                self._request, self._body, self._size = event, [], 0
            elif isinstance(event, h11.Data):
                self._size += len(event.data)
                if self._size > BODY_LIMIT:
                    self._give_up(413, "the body is too large")
                    return
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._begin()
            else:
                self._transport.close()
                return

    def _begin(self) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - h11 ends no message before it began one
        call = read_call(request, b"".join(self._body))
        self._steps = self._stand_in.exchange(call, self._client, time.time(), self._render)
        self._play()

    def _play(self) -> None:
        self._timer = None
        while self._steps is not None:
            step = next(self._steps, None)
            if isinstance(step, Send):
                self._transport.write(step.data)
            elif isinstance(step, Wait):
                self._timer = asyncio.get_running_loop().call_later(step.seconds, self._play)
                return
            elif isinstance(step, Close):
                self._close(reset=step.reset)
                return
            else:
                self._end()

    def _end(self) -> None:
        """The answer is out: wait for the next request, or close where the client asked for it."""
        self._steps = None
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self._transport.close()
            return
        self._http.start_next_cycle()
        self._read()

    def _close(self, *, reset: bool) -> None:
        if reset:
            # Lingering for no time makes the kernel send a reset in place of an end of file.
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        else:
            self._transport.close()

    def _give_up(self, status: int, message: str) -> None:
        """Answer a request that cannot be read, and close."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._transport.write(self._render(json_reply(status, {"error": message})))
        self._transport.close()

    def _render(self, reply: Reply) -> bytes:
        headers = [("Server", "nginx"), ("Content-Length", str(len(reply.body)))]
        if reply.content_type is not None:
            headers.append(("Content-Type", reply.content_type))
        headers += reply.headers
        body = b"" if self._request is not None and self._request.method == b"HEAD" else reply.body
        raw = _bytes(self._http, h11.Response(status_code=reply.status, headers=headers))
        if body:
            raw += _bytes(self._http, h11.Data(data=body))
        return raw + _bytes(self._http, h11.EndOfMessage())


def _bytes(connection: h11.Connection, event: h11.Event) -> bytes:
    return connection.send(event) or b""


def read_call(request: h11.Request, body: bytes) -> Call:
    """Turn a request as h11 gives it into a `Call`."""
    path, _, query = request.target.decode("ascii", "replace").partition("?")
    return Call(
        method=request.method.decode("ascii"),
        path=unquote(path),
        query=dict(reversed(parse_qsl(query, keep_blank_values=True))) if query else {},
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in request.headers},
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
