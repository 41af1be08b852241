"""``archstat diff BEFORE AFTER``: what differs between two models, in total and by layer."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.completion import complete_model
from archstat.cli.options import (
    Batch,
    Columns,
    Debug,
    FormatName,
    Input,
    NoCache,
    Output,
    Strict,
)

Sides = Annotated[
    list[str],
    typer.Argument(metavar="BEFORE [AFTER]", help="A model, a saved Graph or report (.json) or a "
                   "lock file (.lock); with --base just one.", autocompletion=complete_model),
]  # fmt: skip
Base = Annotated[
    str | None,
    typer.Option(metavar="REV", help="Compare with this git revision, such as origin/main."),
]
Head = Annotated[
    str | None,
    typer.Option(metavar="REV", help="With --base: this revision, not the working tree."),
]
Top = Annotated[
    int | None, typer.Option(min=1, help="Just the N layers with the largest part of the change.")
]


def diff(
    sides: Sides,
    base: Base = None,
    head: Head = None,
    top: Top = None,
    input: Input = None,
    batch: Batch = None,
    columns: Columns = None,
    no_cache: NoCache = False,
    format: FormatName = None,
    output: Output = None,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Show what differs between two models: totals, and the layers that make the difference.

    Layers are aligned by path, then by type and shapes. Two models, two files of models, or one
    model or lock file at two git revisions (--base). A difference is no failure: exit code 0.
    """
    from archstat.analyses import COLUMNS
    from archstat.cli.cached import graphs_for, tell_of_cache
    from archstat.cli.diff_sides import Request, both_sides, unknown_ops
    from archstat.cli.output import Destination
    from archstat.cli.screen import chosen_columns, refuse_incomplete
    from archstat.diff.difference import differences
    from archstat.tables.diff import raw_table, remarks
    from archstat.tables.diff_shown import views

    destination = Destination(format, output)
    chosen = chosen_columns(columns, COLUMNS, first="")
    keys = None if chosen is None else chosen[1:]
    graphs = graphs_for(no_cache)
    before, after = both_sides(Request(tuple(sides), base, head, input, batch), graphs)
    found = differences(before, after)
    if destination.is_raw:
        destination.write(raw_table(found, keys, top))
    else:
        destination.write(*views(found, keys, top))
    tell_of_cache(graphs, len(sides), destination.is_raw)
    refuse_incomplete(unknown_ops((*before, *after)), strict, remarks(found))
