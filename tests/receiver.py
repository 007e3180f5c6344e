"""Somebody who is told what MSG91 reports: a real HTTP server that fails as a test wants, and remembers it all."""

from __future__ import annotations

import contextlib
import hmac
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import orjson

WRITE_KEY = "write-key-of-the-receiver"
SECRET = "secret-of-the-receiver"


@dataclass(frozen=True)
class Told:
    """One request.

    Attributes:
        path: With its query.
        body: The bytes.
        proved: Whether it proves where it comes from: the write key, or the signature of the very bytes.
        answer: The status that it was answered with; 0 for none.
    """

    path: str
    body: bytes
    proved: bool
    answer: int

    @property
    def document(self) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = orjson.loads(self.body)
        return found


class Receiver:
    """A server on a free port of this machine.

    Args:
        answer: Says for a body how often it was sent before, and gives the status: 0 closes the connection, and None
            never answers.
    """

    def __init__(self, answer: Callable[[bytes, int], int | None] = lambda _body, _before: 200) -> None:
        self.answer = answer
        self._told: list[Told] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._take(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def told(self) -> list[Told]:
        """Every request so far."""
        with self._lock:
            return list(self._told)

    @property
    def taken(self) -> list[Told]:
        """Those that were answered with 2xx."""
        return [one for one in self.told if 200 <= one.answer < 300]

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        with self._lock:
            before = sum(one.body == body for one in self._told)
            status = self.answer(body, before)
            self._told.append(Told(handler.path, body, _is_proved(handler, body), status or 0))
        if status is None:
            self._over.wait()
        if not status:
            handler.close_connection = True
            with contextlib.suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.send_response(status)
        if status == 429:
            handler.send_header("Retry-After", "1")
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def _is_proved(handler: BaseHTTPRequestHandler, body: bytes) -> bool:
    if handler.path.startswith("/v1/track"):
        expected = "Basic " + b64encode(f"{WRITE_KEY}:".encode()).decode()
        return handler.headers.get("authorization") == expected
    digest = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    return handler.headers.get("x-hub-signature-256") == f"sha256={digest}"
