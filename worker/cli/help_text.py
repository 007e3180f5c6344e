"""Help texts fill the reader's terminal, whatever the width of the source they are written in."""

from __future__ import annotations

import inspect
from typing import Any


def refill(command: Any) -> None:
    """Let the help of a command, and of all below it, be wrapped by the terminal alone."""
    if command.help:
        command.help = refilled(command.help)
    for below in getattr(command, "commands", {}).values():
        refill(below)


def refilled(text: str) -> str:
    """A help text with every paragraph on one line; what is indented, examples say, stays as it is."""
    return "\n\n".join(_joined(paragraph) for paragraph in inspect.cleandoc(text).split("\n\n"))


def _joined(paragraph: str) -> str:
    lines = paragraph.split("\n")
    if paragraph.startswith("\b") or any(line[:1].isspace() for line in lines):
        return paragraph
    return " ".join(lines)
