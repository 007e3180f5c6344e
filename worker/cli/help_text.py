"""Help texts fill the reader's terminal, whatever the width of the source they are written in."""

from __future__ import annotations

import inspect
from typing import Any


def refill(command: Any) -> None:
    """Let the help of a command, and of all below it, be wrapped by the terminal alone."""
    if command.help:
        command.help = refilled(command.help, marked=getattr(command, "rich_markup_mode", None) is None)
    for below in getattr(command, "commands", {}).values():
        refill(below)


def refilled(text: str, *, marked: bool = False) -> str:
    """A help text with every paragraph on one line; what is indented, examples say, stays as it is.

    Args:
        text: A help text.
        marked: Mark what stays for click, which would fill it, too, where rich does not print it.
    """
    return "\n\n".join(_joined(paragraph, marked=marked) for paragraph in inspect.cleandoc(text).split("\n\n"))


def _joined(paragraph: str, *, marked: bool) -> str:
    lines = paragraph.split("\n")
    if paragraph.startswith("\b"):
        return paragraph
    if any(line[:1].isspace() for line in lines):
        return f"\b\n{paragraph}" if marked else paragraph
    return " ".join(lines)
