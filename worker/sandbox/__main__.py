"""``python -m worker.sandbox [SETTINGS]``: a sandbox for programs.

SETTINGS is `Settings` as one JSON object. Prints one line of JSON with its address and its record once it
answers. For people there is ``msg91-destination sandbox``.
"""

from __future__ import annotations

import os
import sys

import orjson

from worker.sandbox.callbacks.settings import SECRET_VARIABLE
from worker.sandbox.errors import SandboxError
from worker.sandbox.server import serve
from worker.sandbox.settings import TOKEN_VARIABLE, Settings
from worker.sandbox.stand_in import StandIn


def _tell(url: str, stand_in: StandIn) -> None:
    _print({"url": url, "record": str(stand_in.recorder.path), "seed": stand_in.seed})


def _print(line: dict[str, object]) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run until told to stop; 2 where it cannot start."""
    try:
        text = arguments[0] if arguments else "{}"
        token, secret = os.environ.get(TOKEN_VARIABLE), os.environ.get(SECRET_VARIABLE)
        serve(Settings.from_json(text, control_token=token, callback_secret=secret), _tell)
    except (SandboxError, OSError, ValueError, TypeError) as wrong:
        _print({"error": str(wrong)})
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
