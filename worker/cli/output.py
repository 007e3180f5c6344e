"""What the commands print: tables and colour for people, plain text when piped, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text


class Exit(IntEnum):
    """Exit codes that scripts can trust."""

    OK = 0
    PROBLEM = 1
    USAGE = 2


stdout = Console(highlight=False, soft_wrap=False)
stderr = Console(stderr=True, highlight=False)


def is_terminal() -> bool:
    """Whether a person is reading standard output."""
    return stdout.is_terminal


def fail(message: str, hint: str | None = None, *, code: Exit = Exit.USAGE) -> NoReturn:
    """Print one clean error (and what to do about it) and leave with ``code``.

    Raises:
        typer.Exit: always.
    """
    stderr.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    if hint:
        stderr.print(Text.assemble(("hint: ", "bold"), hint), soft_wrap=True)
    raise typer.Exit(int(code))


def warn(message: str) -> None:
    """Print a warning that does not stop the command."""
    stderr.print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table: aligned and coloured on a terminal, tab-separated with a header line when piped.

    A terminal is narrow: it is spared rules, and columns in which no row has anything.

    Args:
        columns: The headings.
        rows: One sequence per row; ``rich.text.Text`` cells keep their style on a terminal.
        title: A heading above the table, left out when piped.
    """
    if not is_terminal():
        lines = ["\t".join(columns)]
        lines.extend("\t".join(_plain(cell) for cell in row) for row in rows)
        sys.stdout.write("\n".join(lines) + "\n")
        return
    cells = [[cell if isinstance(cell, Text) else Text(_plain(cell)) for cell in row] for row in rows]
    shown = [at for at in range(len(columns)) if not cells or any(row[at].plain for row in cells)]
    grid = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for at in shown:
        grid.add_column(columns[at], overflow="fold", min_width=len(columns[at]))
    for row in cells:
        grid.add_row(*(row[at] for at in shown))
    stdout.print(grid)


def print_json(value: Any) -> None:
    """Print one JSON document, indented, and a newline."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    sys.stdout.write(orjson.dumps(value, option=options, default=str).decode())
    sys.stdout.flush()


def _plain(cell: Any) -> str:
    text = cell.plain if isinstance(cell, Text) else "" if cell is None else str(cell)
    return text.replace("\t", " ").replace("\n", " ")
