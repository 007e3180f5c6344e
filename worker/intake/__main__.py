"""``python -m worker.intake FD``: one process of the HTTP door, on a socket that its parent has bound.

It prints ``ready`` when it answers, and nothing else on its standard output. It stops when it is told to (TERM), and
when its standard input ends: whoever started it is gone then.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

from worker.configuration import ConfigurationError
from worker.delivery import DeliveryError
from worker.intake.server import serve
from worker.logs import configure_logging
from worker.settings import load_settings
from worker.supervisor import EXIT_USAGE
from worker.tracing import configure_tracing


def main(descriptor: int) -> int:
    """Serve until told to stop; 2 where it cannot start."""
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        configure_tracing("intake")
        if settings.redis_url is None:
            msg = "the HTTP door needs REDIS_URL; `msg91-destination up` starts everything on one machine"
            raise ConfigurationError(msg)
        # Before and after the server has them, the signals simply end the process.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        _end_with_parent()
        with socket.socket(fileno=descriptor) as listening:
            serve(settings, settings.redis_url, listening=listening, ready=_tell)
    except (ConfigurationError, DeliveryError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    return 0


def _tell() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    if sys.stdin is None or sys.stdin.isatty():
        return

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
