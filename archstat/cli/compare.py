"""``archstat compare MODEL...``: one row a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from archstat.cli.options import (
    Batch,
    Columns,
    Debug,
    FormatName,
    FusionName,
    Input,
    Models,
    NoCache,
    Output,
    Reference,
    Sort,
    Strict,
)
from archstat.cli.screen import chosen_columns, refuse_incomplete, sort_key
from archstat.result import RATIO_SUFFIX, Table

_ON_SCREEN = ("input", "params", "macs", "flops", "activations", "depth")

Join = Annotated[
    str | None,
    typer.Option(metavar="FILE.csv", help="Add this file's columns to the rows of equal `model`."),
]
Transpose = Annotated[
    bool, typer.Option("--transpose", help="One column a model, for few models and many columns.")
]
Variants = Annotated[
    bool,
    typer.Option("--variants", help="Add each model with depthwise-separable, grouped and "
                 "factorised convolutions, and with strided ones instead of pooling."),
]  # fmt: skip
FullyConvolutional = Annotated[
    bool,
    typer.Option("--fully-convolutional", help="Add each classifier with convolutions for its "
                 "dense layers, at --resolution: one pass against sliding over the input."),
]  # fmt: skip
AtResolution = Annotated[
    str | None,
    typer.Option("--resolution", metavar="SIZE", help="Spatial size of every input, such as 384 "
                 "or 384x256; with --fully-convolutional of the convolutional form's."),
]  # fmt: skip
Latency = Annotated[
    bool,
    typer.Option("--latency", help="Measure the models, too, taking turns, as `archstat bench` "
                 "does."),
]  # fmt: skip
DeviceName = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="With --latency: cpu (the default), cuda or "
                 "cuda:NUMBER."),
]  # fmt: skip
Budget = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="With --latency: for measuring, such as 30s (the default)."),
]


def compare(
    models: Models,
    reference: Reference = None,
    variants: Variants = False,
    fully_convolutional: FullyConvolutional = False,
    resolution: AtResolution = None,
    latency: Latency = False,
    device: DeviceName = None,
    budget: Budget = None,
    input: Input = None,
    batch: Batch = None,
    columns: Columns = None,
    sort: Sort = None,
    join: Join = None,
    transpose: Transpose = False,
    fusion: FusionName = "none",
    no_cache: NoCache = False,
    format: FormatName = None,
    output: Output = None,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Compare models: one row each, with ratios to the first or to --reference.

    macs are multiply-accumulates without bias (what papers call FLOPs); flops are twice that plus
    everything else. csv and json hold exact numbers and every column.
    """
    from archstat.analyses.memory_access import checked_fusion
    from archstat.cli.cached import graphs_for, tell_of_cache
    from archstat.cli.compare_latency import Latencies
    from archstat.cli.compare_sliding import Pairs
    from archstat.cli.join import joined, read_joined
    from archstat.cli.output import Destination
    from archstat.cli.progress import tracked
    from archstat.cli.screen import with_footers
    from archstat.tables.compare import (
        COMPARISON_COLUMNS,
        reference_row,
        reports_of,
        table_of_groups,
    )

    destination = Destination(format, output)
    pairs = Pairs(fully_convolutional, resolution, input, variants)
    clashing = (("--variants", variants), ("--fully-convolutional", fully_convolutional),
                ("--resolution", resolution))  # fmt: skip
    latencies = Latencies(latency, device, budget, clashing)
    taken = (*COMPARISON_COLUMNS, *pairs.columns, *latencies.columns)
    extra = read_joined(join, {column.key for column in taken})
    known = (*taken, *(extra.columns if extra else ()))
    chosen, order = chosen_columns(columns, known), sort_key(sort, known)
    base, fused = reference_row(models, reference or 0), checked_fusion(fusion)
    graphs = graphs_for(no_cache)
    groups = [
        pairs.reports(model, batch, fused)
        or reports_of(model, pairs.input, batch, variants, fused, graphs)
        for model in tracked(models)
    ]
    table = pairs.with_columns(table_of_groups(groups, base), groups)
    table = latencies.with_columns(table, models, input, batch, base)
    unknown = sum(report.totals["unknown_ops"] for group in groups for report in group)
    if extra is not None:
        table = joined(table, extra)
    if order is not None:
        table = table.sort(*order)
    if not destination.is_raw and chosen is None:
        joins = extra.columns if extra else ()
        more = [*latencies.shown(table), *(column.key for column in (*pairs.columns, *joins))]
        chosen = ["model", *_ON_SCREEN, *(["unknown_ops"] if unknown else []), *more]
    if destination.format.name == "console" and chosen is not None and len(table) > 1:
        chosen = _with_ratios(table, chosen)
    table = with_footers(table if chosen is None else table.select(chosen), destination.is_raw)
    destination.write(table.transposed(raw=destination.is_raw) if transpose else table)
    tell_of_cache(graphs, len(models), destination.is_raw)
    if latencies.interrupted:
        raise KeyboardInterrupt
    refuse_incomplete(unknown, strict, table.notes)


def _with_ratios(table: Table, keys: Sequence[str]) -> list[str]:
    """The keys, and the ratio of each that has one."""
    known = set(table.keys())
    return list(dict.fromkeys([*keys, *(k for key in keys if (k := key + RATIO_SUFFIX) in known)]))
