"""``archstat list [PATTERN]``: the networks of the zoo, without torch."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.filters import Filters
from archstat.cli.options import Columns, Debug, FormatName, Output, Sort
from archstat.cli.screen import chosen_columns, on_screen, screen_width, sort_key
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
        table = on_screen(table, _NEEDED, screen_width(destination.path))
    destination.write(table if chosen is None else table.select(chosen))


def networks(filters: Filters) -> Table:
    """The catalogue's entries that the filters leave.

    Raises:
        SpecError: a filter that cannot be, or that leaves none.
    """

    rows = tuple(
        (e.name, e.family, e.year, e.category, e.paper, e.input, e.params, e.published_params,
         e.macs, e.published_macs, " ".join(e.options))
        for e in filters.left()
    )  # fmt: skip
    return Table(LIST_COLUMNS, rows)
