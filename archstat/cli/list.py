"""``archstat list [PATTERN]``: the networks of the zoo, without torch."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

import typer

from archstat.cli.columns import chosen_columns, sort_key
from archstat.cli.options import Columns, Debug, FormatName, Output, Sort
from archstat.errors import UnknownModelError
from archstat.result import Column, Table

LIST_COLUMNS = (
    Column("model", "text", "name of the network"),
    Column("family", "text", "title of its family"),
    Column("year", "number", "year of the paper"),
    Column("input", "text", "default input, without the batch"),
    Column("params", "count", "parameter elements"),
    Column("macs", "count", "multiply-accumulates at the default input"),
    Column("category", "text", "what the family is known for"),
    Column("paper", "text", "arXiv id or venue"),
    Column("options", "text", "what KEY=VALUE may set"),
)
_ON_SCREEN = ("family", "year", "input", "params", "macs", "paper")

Pattern = Annotated[
    str | None,
    typer.Argument(metavar="[PATTERN]", help="Part of a name, or a glob such as vgg*_bn."),
]


def list_networks(
    pattern: Pattern = None,
    columns: Columns = None,
    sort: Sort = None,
    format: FormatName = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """List the networks of the zoo with their parameters and macs."""
    from archstat.cli.output import Destination

    destination = Destination(format, output)
    chosen = chosen_columns(columns, LIST_COLUMNS)
    order = sort_key(sort, LIST_COLUMNS)
    table = networks(pattern)
    if order is not None:
        table = table.sort(*order)
    if chosen is None and not destination.is_raw:
        chosen = ["model", *_ON_SCREEN]
    destination.write(table if chosen is None else table.select(chosen))


def networks(pattern: str | None) -> Table:
    """The catalogue's entries whose name contains the pattern, or matches it as a glob.

    Raises:
        UnknownModelError: none does.
    """
    from archstat import __version__, zoo
    from archstat.lookup import did_you_mean

    known = zoo.catalogue()
    wanted = pattern or "*"
    glob = wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"
    found = [entry for name, entry in known.items() if fnmatchcase(name, glob.lower())]
    if not found:
        hint = did_you_mean(wanted, known) or " `archstat list` shows them all."
        raise UnknownModelError(f"No network of the zoo matches {wanted!r}.{hint}")
    rows = tuple(
        (e.name, e.family, e.year, e.input, e.params, e.macs, e.category, e.paper,
         " ".join(e.options))
        for e in found
    )  # fmt: skip
    return Table(LIST_COLUMNS, rows, archstat_version=__version__)
