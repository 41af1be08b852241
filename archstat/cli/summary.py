"""``archstat summary MODEL``: the tree of one model's modules."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from archstat.cli.options import (
    Batch,
    Columns,
    Debug,
    FormatName,
    FusionName,
    Input,
    Model,
    NoCache,
    Output,
    Sort,
    Strict,
)
from archstat.cli.screen import chosen_columns, refuse_incomplete, sort_key

_NARROW = ("tree", "output", "params", "macs", "macs_share")
_WIDE = (
    *("tree", "calls", "output", "params", "params_share", "macs", "macs_share"),
    *("flops", "activations"),
)
_ENOUGH_FOR_WIDE = 120

Depth = Annotated[
    int | None, typer.Option(min=0, help="Levels below the root; deeper ones are added up.")
]
Top = Annotated[
    int | None,
    typer.Option(min=1, help="The N modules with the largest own figures, not the tree."),
]


def summary(
    model: Model,
    depth: Depth = None,
    top: Top = None,
    input: Input = None,
    batch: Batch = None,
    columns: Columns = None,
    sort: Sort = None,
    fusion: FusionName = "none",
    no_cache: NoCache = False,
    format: FormatName = None,
    output: Output = None,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Show a model as a tree of modules with their parameters, macs and shares.

    --top N lists the N largest modules by their own figures; --sort KEY says by which.
    csv and json hold own and inherited figures of every column.
    """
    from archstat.analyses import COLUMNS
    from archstat.analyses.gemm import COLUMNS as GEMM_COLUMNS
    from archstat.analyses.gemm import with_gemm
    from archstat.analyses.memory import MODULE_COLUMNS as PEAK_COLUMNS
    from archstat.analyses.memory import with_module_peaks
    from archstat.analyses.memory_access import checked_fusion
    from archstat.cli.cached import graphs_for, tell_of_cache
    from archstat.cli.output import Destination
    from archstat.cli.screen import with_footers
    from archstat.models.pipeline import report as report_of
    from archstat.tables.summary import summary as summarise
    from archstat.tables.summary import summary_columns

    destination = Destination(format, output)
    usual = tuple(column for column in COLUMNS if column.of != "model")
    known = summary_columns((*usual, *GEMM_COLUMNS, *PEAK_COLUMNS))
    chosen = chosen_columns(columns, known, first="module" if destination.is_raw else "tree")
    order = sort_key(sort, known)
    fused, graphs = checked_fusion(fusion), graphs_for(no_cache)
    report = report_of(graphs(model, input or None, batch), model, fused)
    asked = {*(chosen or ()), order[0] if order else ""}
    for columns_on_request, extended in (
        (GEMM_COLUMNS, with_gemm),
        (PEAK_COLUMNS, with_module_peaks),
    ):
        if asked.intersection(column.key for column in columns_on_request):
            report = extended(report)
    table = summarise(report, depth, top, by=order[0] if order else "macs")
    if order is not None and top is None:
        table = table.sort(*order)
        if chosen is None and not destination.is_raw:
            chosen = ["module", *_fitting()[1:]]  # rows out of the tree show their whole path
    if chosen is None:
        chosen = (
            [c.key for c in table.columns if c.key != "tree"] if destination.is_raw else _fitting()
        )
    destination.write(with_footers(table.select(chosen), raw=destination.is_raw))
    tell_of_cache(graphs, 1, destination.is_raw)
    refuse_incomplete(int(report.totals["unknown_ops"] or 0), strict, table.notes)


def _fitting() -> list[str]:
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < _ENOUGH_FOR_WIDE:
        return list(_NARROW)
    return list(_WIDE)
