"""``archstat diff BEFORE AFTER``: what differs between two models, in total and by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.completion import complete_model
from archstat.cli.options import Rule, check_options
from archstat.cli.output import Destination
from archstat.cli.progress import working
from archstat.cli.screen import chosen_columns, refuse_incomplete

if TYPE_CHECKING:
    from archstat.differences.snapshots import Snapshot

_RULES = (
    Rule("--head", needs="--base"),
    Rule("--resolution", excludes=("--base",), hint="write MODEL,resolution=SIZE"),
)

Sides = Annotated[
    list[str],
    typer.Argument(metavar="BEFORE [AFTER]", help="A model, a saved Graph or report (.json) or a "
                   "lock file (.lock); with --base only one.", autocompletion=complete_model),
]  # fmt: skip
Base = Annotated[
    str | None,
    typer.Option(metavar="REV", help="Compare with this git revision, such as origin/main."),
]
Head = Annotated[
    str | None,
    typer.Option(metavar="REV", help="With --base: compare this revision, not the working tree."),
]


def diff(
    context: typer.Context,
    sides: Sides,
    base: Base = None,
    head: Head = None,
    top: options.Top = None,
    input: options.Input = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Show what differs between two models: totals, and the layers that make the difference.

    Layers are aligned by path, then by type and shapes. Two models, two files of models, or one
    model or lock file at two git revisions (--base). A difference is not a failure: exit code 0.
    """
    from archstat.differences.difference import differences
    from archstat.differences.sides import both
    from archstat.tables.diff import raw_table, remarks, with_texts
    from archstat.tables.diff_shown import views

    check_options(context, *_RULES)
    destination = Destination(format, output)
    keys, texts = _chosen(columns, destination.is_raw)
    graphs = graphs_for(no_cache)
    with working(f"capturing {' and '.join(sides)}"):
        before, after = both(sides, base, head, options.shapes(input, resolution), batch, graphs)
    found = differences(before, after)
    raw = destination.is_raw
    destination.write(*([with_texts(raw_table(found, keys, top), texts)] if raw else
                        views(found, keys, top, texts)))  # fmt: skip
    tell_of_cache(graphs, len(sides), raw)
    refuse_incomplete(_unknown_ops((*before, *after)), strict, destination, remarks(found))


def _chosen(text: str | None, raw: bool) -> tuple[list[str] | None, list[str]]:
    """The figures of models, None for the usual ones, and the other columns that were chosen.

    A heading such as ``params_change`` stands for its figure.
    """
    from archstat.tables.diff import FIGURES, raw_columns
    from archstat.tables.diff_shown import TOTAL_COLUMNS, USUAL

    figures = {column.key for column in FIGURES}
    known = (*FIGURES, *TOTAL_COLUMNS, *raw_columns([*figures]))
    chosen, added = chosen_columns(text, known, first="")
    if chosen is None:
        return [*USUAL, *added] if added and not raw else None, []
    named = [key if key in figures else key.rpartition("_")[0] for key in chosen]
    keys = [key for key in named if key in figures]
    return keys, [key for key, name in zip(chosen, named, strict=True) if name not in figures]


def _unknown_ops(snapshots: Sequence[Snapshot]) -> int:
    """How many operations of all models are neither counted nor free, as far as they tell."""
    counts = (snapshot.totals.get("unknown_ops") for snapshot in snapshots)
    return sum(count for count in counts if isinstance(count, int))
