"""The options that say how files of events are to be read; the same wherever a command reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from worker.cli.output import fail
from worker.intake.columns import TYPE_NAMES, Columns
from worker.intake.files import Format, Reading

__all__ = ["Call", "ColumnNames", "ColumnPaths", "ColumnTypes", "Delimiter", "EventName", "FileFormat", "reading_of"]

_PANEL: Final = "CSV"

FileFormat = Annotated[
    Format | None,
    typer.Option("--format", help="What the files are, where looking at them is not enough.", show_default="look"),
]
Call = Annotated[str, typer.Option("--type", help="The type of every row, as in --type track.", rich_help_panel=_PANEL)]
EventName = Annotated[
    str, typer.Option("--event", help="The event of every row, as in --event 'Order Shipped'.", rich_help_panel=_PANEL)
]
ColumnPaths = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=PATH",
        help="Where a column goes, as in --map 'Mobile No=properties.phone'; an empty path leaves it out.",
        rich_help_panel=_PANEL,
    ),
]
ColumnTypes = Annotated[
    list[str] | None,
    typer.Option(
        "--types",
        metavar="COLUMN=TYPE,...",
        help=f"What the cells of a column are: {', '.join(TYPE_NAMES)}. The header can say it too: total:number.",
        rich_help_panel=_PANEL,
    ),
]
ColumnNames = Annotated[
    str,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        help="The columns, for files whose first row does not name them.",
        rich_help_panel=_PANEL,
    ),
]
Delimiter = Annotated[
    str,
    typer.Option("--delimiter", help="What separates the cells.", show_default="look", rich_help_panel=_PANEL),
]


def reading_of(
    format_: Format | None,
    call: str,
    event: str,
    paths: Sequence[str] | None,
    types: Sequence[str] | None,
    columns: str,
    delimiter: str,
) -> Reading:
    """Understand the options.

    Raises:
        typer.Exit: One of them cannot be understood.
    """
    kinds = dict(_pair("--types", one) for text in types or () for one in text.split(","))
    for name, kind in kinds.items():
        if kind not in TYPE_NAMES:
            fail(f"--types: {name} cannot be {kind!r}", f"There are: {', '.join(TYPE_NAMES)}")
    delimiter = {"tab": "\t", r"\t": "\t"}.get(delimiter, delimiter)
    if delimiter and (len(delimiter) > 1 or delimiter in '"\r\n' or not delimiter.isascii()):
        fail(f"--delimiter: {delimiter!r} is not one character that can separate cells", "A tab is: --delimiter tab")
    return Reading(
        format_,
        Columns(
            names=tuple(one.strip() for one in columns.split(",")) if columns else (),
            paths=dict(_pair("--map", one) for one in paths or ()),
            types=kinds,
            call=call,
            event=event,
            delimiter=delimiter,
        ),
    )


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=") if option == "--map" else text.partition("=")
    if not equals or not name.strip():
        fail(f"{option}: {text!r} has no '='", f"Write {option} 'COLUMN={'PATH' if option == '--map' else 'TYPE'}'")
    return name.strip(), value.strip() if option == "--map" else value.strip().lower()
