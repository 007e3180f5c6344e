"""A link between workers and the store that can go black: open sockets never answer, and nobody says goodbye."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field
from typing import Self

#: Bytes moved at once, and bytes held back for a side that does not read.
PIECE = 1 << 16
MOST_HELD = 1 << 22


@dataclass(slots=True, eq=False)
class _Side:
    """One socket of a pair, and what waits to be written to it."""

    sock: socket.socket
    held: bytearray = field(default_factory=bytearray)
    other: _Side | None = None
    dead: bool = False
    connected: bool = True


class Link:
    """A TCP proxy on the loopback interface.

    While it is black, new connections are accepted and stay silent, and open ones carry nothing; neither side is told.
    When it ends, connections that were open go on being silent for ever (``late=False``: their other end is long
    gone, as behind a failed firewall), or what was on its way arrives after all (``late=True``: commands that the
    client has given up are carried out late).

    Args:
        port: The port on 127.0.0.1 to pass everything on to.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._sides: set[_Side] = set()
        self._black = False
        self._lock = threading.Lock()
        self._ended = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ, "listener")
        self._selector.register(self._wake_in, selectors.EVENT_READ, "wake")
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._wake_out.send(b"x")
        self._thread.join(5)
        for side in list(self._sides):
            side.sock.close()
        for sock in (self._listener, self._wake_in, self._wake_out):
            sock.close()
        self._selector.close()

    def url(self, url: str) -> str:
        """The store's address with this link in between."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    def black(self) -> None:
        """Carry nothing from now on."""
        with self._lock:
            self._black = True
        self._wake_out.send(b"x")

    def heal(self, *, late: bool = False) -> None:
        """Carry again: new connections, and old ones only when ``late``."""
        with self._lock:
            self._black = False
            if not late:
                for side in self._sides:
                    side.dead = True
        self._wake_out.send(b"x")

    def _run(self) -> None:
        while not self._ended:
            with self._lock:
                black = self._black
                for side in list(self._sides):
                    self._watch(side, black=black)
            for key, events in self._selector.select(1.0):
                if key.data == "listener":
                    self._accept()
                elif key.data == "wake":
                    self._wake_in.recv(4096)
                elif key.data in self._sides:
                    self._move(key.data, events)

    def _watch(self, side: _Side, *, black: bool) -> None:
        wanted = 0
        if not black and not side.dead:
            if side.other is not None and len(side.other.held) < MOST_HELD:
                wanted |= selectors.EVENT_READ
            if side.held:
                wanted |= selectors.EVENT_WRITE
        registered = self._selector.get_map().get(side.sock)
        if registered is None and wanted:
            self._selector.register(side.sock, wanted, side)
        elif registered is not None and not wanted:
            self._selector.unregister(side.sock)
        elif registered is not None and registered.events != wanted:
            self._selector.modify(side.sock, wanted, side)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            near, _ = self._listener.accept()
            far = socket.socket()
            for sock in (near, far):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                far.setblocking(True)
                far.settimeout(2)
                far.connect(("127.0.0.1", self._target))
                far.setblocking(False)
            except OSError:
                near.close()
                far.close()
                return
            one, two = _Side(near), _Side(far)
            one.other, two.other = two, one
            with self._lock:
                self._sides |= {one, two}

    def _move(self, side: _Side, events: int) -> None:
        other = side.other
        assert other is not None
        try:
            if events & selectors.EVENT_WRITE and side.held:
                sent = side.sock.send(side.held)
                del side.held[:sent]
            if events & selectors.EVENT_READ:
                data = side.sock.recv(PIECE)
                if not data:
                    self._close(side)
                    return
                other.held += data
                with contextlib.suppress(BlockingIOError):
                    sent = other.sock.send(other.held)
                    del other.held[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._close(side)

    def _close(self, side: _Side) -> None:
        for one in (side, side.other):
            if one is not None and one in self._sides:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(one.sock)
                with contextlib.suppress(OSError):
                    if one.held and not one.dead:
                        one.sock.settimeout(1)
                        one.sock.sendall(one.held)
                one.sock.close()
                with self._lock:
                    self._sides.discard(one)
