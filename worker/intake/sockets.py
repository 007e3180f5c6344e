"""The socket that the HTTP door listens on."""

from __future__ import annotations

import socket

from worker.configuration import ConfigurationError

#: Connections that may wait to be taken.
BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigurationError: the address is taken, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        msg = f"the HTTP door cannot listen on {host}, port {port}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    found.set_inheritable(True)
    return found


def url_of(listening: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
