"""Tables, on terminals and in pipes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from worker.cli import output

COLUMNS = ("lane", "state", "why")


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, *rows: tuple[str | None, ...]) -> list[str]:
    """The lines of a table on a terminal of 80 columns, without colour."""
    screen = io.StringIO()
    monkeypatch.setattr(output, "stdout", Console(file=screen, force_terminal=True, no_color=True, width=80))
    output.table(COLUMNS, rows)
    return [line.strip() for line in screen.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()]


def test_a_terminal_is_spared_columns_without_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column in which no row has a value is left out; one value is enough to show it."""
    assert on_a_terminal(monkeypatch, ("a:sms", "open", None), ("b:otp", "open", "")) == [
        "lane   state",
        "a:sms  open",
        "b:otp  open",
    ]
    assert on_a_terminal(monkeypatch, ("a:sms", "held", "audit"), ("b:otp", "open", None))[0] == "lane   state  why"


def test_a_table_without_rows_has_all_its_headings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headings say what there would be."""
    assert on_a_terminal(monkeypatch) == ["lane  state  why"]


def test_headings_are_never_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a long value takes all the room, headings still stand on one line, and the value is shown whole."""
    heading, *lines = on_a_terminal(monkeypatch, ("a:sms", "open", "x" * 200))
    assert heading.split() == list(COLUMNS)
    assert sum(line.count("x") for line in lines) == 200


def test_a_pipe_gets_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts count on columns: piped, they all stand there, separated by tabs."""
    output.table(COLUMNS, [("a:sms", "open", None)])
    assert capsys.readouterr().out == "lane\tstate\twhy\na:sms\topen\t\n"
