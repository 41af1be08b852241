"""``archstat summary MODEL``: the tree of one model's modules."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.output import Destination
from archstat.cli.screen import View, refuse_incomplete, show, sort_key

_NARROW = ("output", "params", "macs", "macs_share")
_WIDE = ("calls", "output", "params", "params_share", "macs", "macs_share", "flops", "activations")
_ENOUGH_FOR_WIDE = 120

Depth = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Depth of the tree; deeper modules are included in their "
                 "parents."),
]  # fmt: skip
Top = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="The N modules with the largest own figures, not the tree."
    ),
]


def summary(
    model: options.Model,
    depth: Depth = None,
    top: Top = None,
    input: options.Input = None,
    batch: options.Batch = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    fusion: options.FusionName = "none",
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Show a model as a tree of modules with their parameters, macs and shares.

    --top N lists the N largest modules by their own figures; --sort KEY says by which.
    csv and json hold own and inherited figures of every column.
    """
    from archstat.analyses.memory_access import checked_fusion
    from archstat.models.pipeline import report as report_of
    from archstat.tables.summary import KNOWN_COLUMNS, with_columns
    from archstat.tables.summary import summary as summarise

    destination = Destination(format, output)
    first = "module" if destination.is_raw else "tree"
    view = View(destination, KNOWN_COLUMNS, columns, None if top else sort, first)
    by, _ = sort_key(sort, KNOWN_COLUMNS) or ("macs", False)
    fused, graphs = checked_fusion(fusion), graphs_for(no_cache)
    report = report_of(graphs(model, input or None, batch), model, fused)
    table = summarise(with_columns(report, (*(view.chosen or ()), by)), depth, top, by)
    if view.is_raw and view.chosen is None:
        table = table.select([key for key in table.keys() if key != "tree"])  # noqa: SIM118
    # Rows out of the tree show their whole path.
    shown = _fitting("tree" if view.order is None else "module")
    show(table, view, shown, (), conventions=True)
    tell_of_cache(graphs, 1, view.is_raw)
    refuse_incomplete(int(report.totals["unknown_ops"] or 0), strict, table.notes)


def _fitting(name: str) -> list[str]:
    narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < _ENOUGH_FOR_WIDE
    return [name, *(_NARROW if narrow else _WIDE)]
