"""What the commands that speak to a running sandbox have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from worker.cli.output import fail
from worker.sandbox.errors import SandboxError
from worker.sandbox.settings import DEFAULT_HOST, DEFAULT_PORT, TOKEN_VARIABLE

#: Environment variable with the address of the sandbox that the commands speak to.
URL_VARIABLE = "MSG91_SANDBOX_URL"
LOCAL_URL = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"

Url = Annotated[str, typer.Option("--url", envvar=URL_VARIABLE, help="Address of the running sandbox.")]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar=TOKEN_VARIABLE, help="Its control token, where it listens beyond this machine."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_T = TypeVar("_T")


def ask(call: Callable[[], _T]) -> _T:
    """Ask a sandbox; what it refuses, and that none answers, ends the command."""
    try:
        return call()
    except SandboxError as wrong:
        hint = "start one with: msg91-destination sandbox" if "no sandbox answers" in str(wrong) else None
        fail(str(wrong), hint)
