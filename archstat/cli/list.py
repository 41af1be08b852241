"""``archstat list [PATTERN]``: the networks of the zoo, without torch."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from typing import Annotated

import typer

from archstat.cli.columns import chosen_columns, sort_key
from archstat.cli.filters import Filters
from archstat.cli.options import Columns, Debug, FormatName, Output, Sort
from archstat.result import Column, Table

LIST_COLUMNS = (
    Column("model", "text", "name of the network"),
    Column("family", "text", "title of its family"),
    Column("year", "number", "year of the paper"),
    Column("category", "text", "what the family is known for"),
    Column("paper", "text", "arXiv id or venue"),
    Column("input", "text", "default input, without the batch"),
    Column("params", "count", "parameter elements"),
    Column("published_params", "count", "parameters as printed"),
    Column("macs", "count", "multiply-accumulates at the default input"),
    Column("published_macs", "count", "multiply-accumulates as printed"),
    Column("options", "text", "what KEY=VALUE may set"),
)
# what a narrow screen keeps, the most needed first
_NEEDED = ("model", "params", "macs", "year", "paper", "category", "published_params",
           "published_macs", "family", "input")  # fmt: skip
_GAP = 2

Pattern = Annotated[
    str | None,
    typer.Argument(metavar="[PATTERN]", help="Part of a name, or a glob such as vgg*_bn."),
]
Family = Annotated[str | None, typer.Option(help="Title of a family, or part of one.")]
Category = Annotated[str | None, typer.Option(help="Such as lightweight, width or block.")]
Year = Annotated[
    str | None, typer.Option(metavar="YEAR[-YEAR]", help="Year of the paper, or first and last.")
]
MaxParams = Annotated[str | None, typer.Option(metavar="COUNT", help="At most, such as 5M.")]
MaxMacs = Annotated[str | None, typer.Option(metavar="COUNT", help="At most, such as 600M.")]


def list_networks(
    pattern: Pattern = None,
    family: Family = None,
    category: Category = None,
    year: Year = None,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    columns: Columns = None,
    sort: Sort = None,
    format: FormatName = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """List the networks of the zoo by year, with measured and published parameters and macs.

    Blocks, which are models as well, come last. csv and json hold every column.
    """
    from archstat.cli.output import Destination

    destination = Destination(format, output)
    chosen = chosen_columns(columns, LIST_COLUMNS)
    order = sort_key(sort, LIST_COLUMNS)
    table = networks(Filters(pattern, family, category, year, max_params, max_macs))
    if order is not None:
        table = table.sort(*order)
    if chosen is None and not destination.is_raw:
        to_terminal = destination.path is None and sys.stdout.isatty()
        table = on_screen(table, shutil.get_terminal_size().columns if to_terminal else None)
    destination.write(table if chosen is None else table.select(chosen))


def networks(filters: Filters) -> Table:
    """The catalogue's entries that the filters leave.

    Raises:
        SpecError: a filter that cannot be, or that leaves none.
    """
    from archstat.version import __version__

    rows = tuple(
        (e.name, e.family, e.year, e.category, e.paper, e.input, e.params, e.published_params,
         e.macs, e.published_macs, " ".join(e.options))
        for e in filters.left()
    )  # fmt: skip
    return Table(LIST_COLUMNS, rows, archstat_version=__version__)


def on_screen(table: Table, width: int | None) -> Table:
    """The columns that stand side by side in `width`; a note names the others."""
    lines = [table.keys(), *table.formatted()]
    taken, left = -_GAP, []
    kept = set()
    for key in _NEEDED:
        index = table.index(key)
        taken += _GAP + max(len(line[index]) for line in lines)
        if width is None or taken <= width:
            kept.add(key)
        else:
            left.append(key)
            width = 0 if width is None else min(width, taken - 1)
    shown = table.select([column.key for column in table.columns if column.key in kept])
    note = f"A wider screen or --columns shows {', '.join(left)}, too."
    return replace(shown, notes=(*shown.notes, note)) if left else shown
