"""Help texts on terminals of any width."""

from __future__ import annotations

from itertools import pairwise

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
