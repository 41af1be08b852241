"""``archstat compare MODEL...``: one row a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from archstat.cli.columns import chosen_columns, sort_key
from archstat.cli.options import (
    Batch,
    Columns,
    Debug,
    FormatName,
    Input,
    Models,
    Output,
    Sort,
    Strict,
)
from archstat.errors import IncompleteCountError
from archstat.result import RATIO_SUFFIX, Table

_ON_SCREEN = ("input", "params", "macs", "flops", "activations", "depth")

Reference = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Ratios refer to this model, not to the first.")
]
Variants = Annotated[
    bool,
    typer.Option("--variants", help="Add each model with depthwise-separable, grouped and "
                 "factorised convolutions, and with strided ones instead of pooling."),
]  # fmt: skip


def compare(
    models: Models,
    reference: Reference = None,
    variants: Variants = False,
    input: Input = None,
    batch: Batch = None,
    columns: Columns = None,
    sort: Sort = None,
    format: FormatName = None,
    output: Output = None,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Compare models: one row each, with ratios to the first or to --reference.

    macs are multiply-accumulates without bias (what papers call FLOPs); flops are twice that plus
    everything else. csv and json hold exact numbers and every column.
    """
    from archstat.cli.output import Destination
    from archstat.comparison import COMPARISON_COLUMNS
    from archstat.comparison import compare as compare_models

    destination = Destination(format, output)
    chosen = chosen_columns(columns, COMPARISON_COLUMNS)
    order = sort_key(sort, COMPARISON_COLUMNS)
    table = compare_models(
        models, input or None, batch, reference=reference or 0, variants=variants
    )
    unknown = sum(int(cell or 0) for cell in table.column("unknown_ops"))
    if order is not None:
        table = table.sort(*order)
    if not destination.is_raw:
        chosen = _on_screen(table, chosen or [*_ON_SCREEN, *(["unknown_ops"] if unknown else [])])
    destination.write(table if chosen is None else table.select(chosen))
    if strict and unknown:
        raise IncompleteCountError(
            f"the count is incomplete: {unknown} operations are neither counted nor known to be "
            "free, and --strict was given. The notes above name them."
        )


def _on_screen(table: Table, keys: Sequence[str]) -> list[str]:
    """The keys with `model` in front and, where there are several rows, each one's ratio."""
    with_ratios = list(dict.fromkeys(["model", *keys]))
    if len(table) > 1:
        known = set(table.keys())
        with_ratios += [k + RATIO_SUFFIX for k in keys if k + RATIO_SUFFIX in known]
    return list(dict.fromkeys(with_ratios))
