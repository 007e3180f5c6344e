"""Help texts on terminals of any width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from worker.cli.help_text import refilled
from worker.cli.main import app


def test_paragraphs_are_joined_and_examples_stay() -> None:
    """A paragraph becomes one line; lines that are indented keep their places."""
    text = "First\n    line.\n\n    A second\n    paragraph.\n\n    Examples:\n      do this\n      do that\n"
    assert refilled(text) == "First line.\n\nA second paragraph.\n\nExamples:\n  do this\n  do that"


def test_no_line_ends_early_on_a_narrow_terminal() -> None:
    """What a narrow terminal shows of a long paragraph fills its lines, as far as words allow."""
    shown = CliRunner().invoke(app, ["send", "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).output
    paragraph = shown[shown.index("Every event is checked.") : shown.index("A command that was killed")]
    lines = [line.strip() for line in paragraph.strip().splitlines()]
    for line, following in pairwise(lines):
        assert len(line) + 1 + len(following.split()[0]) > 76, line


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command that has none below it."""
    if not hasattr(command, "list_commands"):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), (*path, name))


@pytest.mark.parametrize("path", [path for path in leaves(get_command(app)) if path != ("demo",)], ids=" ".join)
def test_every_command_shows_how_it_is_used(path: tuple[str, ...]) -> None:
    """The help of a command has examples of that very command, indented under their heading."""
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "120", "TERMINAL_WIDTH": "120"}).output
    heading = re.search(r"^( *)Examples:", shown, re.MULTILINE)
    assert heading is not None
    examples = " ".join(shown[heading.end() :].split())
    assert f"msg91-destination {' '.join(path)}".removesuffix(" list") in examples
    first = shown[heading.end() :].lstrip(" ").lstrip("\n").splitlines()[0]
    assert first.startswith(heading[1] + "  ")
