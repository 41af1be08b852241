"""``archstat list [PATTERN]``: the networks of the zoo, without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.completion import complete_category
from archstat.cli.output import Destination
from archstat.cli.progress import working
from archstat.cli.screen import View, show
from archstat.result import Table
from archstat.tables.list import LIST_COLUMNS, blocks_last
from archstat.tables.list import list_networks as networks
from archstat.units import format_printed

# what a narrow screen keeps, the most needed first
_NEEDED = ("model", "params", "macs", "year", "paper", "input", "category", "published_params",
           "published_macs", "family")  # fmt: skip

Pattern = Annotated[
    str | None,
    typer.Argument(
        metavar="PATTERN", help="Part of a name, or a glob such as vgg*_bn or timm:mobilenet*."
    ),
]
Family = Annotated[
    str | None, typer.Option(metavar="TITLE", help="Only families whose title contains this.")
]
Category = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Only one category, such as lightweight, width or block.",
        autocompletion=complete_category,
    ),
]
Year = Annotated[
    str | None,
    typer.Option(
        metavar="YEAR[-YEAR]", help="Only papers of this year, or from one year to another."
    ),
]
MaxParams = Annotated[
    str | None, typer.Option(metavar="COUNT", help="Most parameters, such as 5M.")
]
MaxMacs = Annotated[str | None, typer.Option(metavar="COUNT", help="Most macs, such as 600M.")]


def list_networks(
    pattern: Pattern = None,
    family: Family = None,
    category: Category = None,
    year: Year = None,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """List the networks of the zoo by year, with measured and published parameters and macs.

    Blocks, which are models as well, come last. csv and json hold every column.
    """
    view = View(Destination(format, output), LIST_COLUMNS, columns, sort)
    with working(f"listing {pattern or 'the zoo'}"):
        found = networks(pattern, family=family, category=category, year=year,
                         max_params=max_params, max_macs=max_macs)  # fmt: skip
    table, view.order = blocks_last(found, view.order), None
    if view.destination.format.name in ("console", "markdown"):
        table = _as_printed(table)
    show(table, view, table.shown, _NEEDED)


def _as_printed(table: Table) -> Table:
    """The table with published figures without zeros behind, such as ``4.2 M``."""
    places = [number for number, key in enumerate(table.keys()) if key.startswith("published_")]
    rows = tuple(
        tuple(
            format_printed(cell) if number in places and isinstance(cell, int) else cell
            for number, cell in enumerate(row)
        )
        for row in table.rows
    )
    return replace(table, rows=rows)
