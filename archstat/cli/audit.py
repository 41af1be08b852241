"""``archstat audit TABLE.csv``: somebody's table of models, each figure with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.output import Destination
from archstat.cli.progress import working
from archstat.cli.screen import View, show
from archstat.errors import DisagreementError, SpecError

_ON_SCREEN = ("line", "model", "spec", "column", "figure", "verdict", "remark")
_NEEDED = ("line", "model", "figure", "verdict", "remark", "spec", "column")

File = Annotated[
    str, typer.Argument(metavar="TABLE", help="A table in csv or markdown; - for standard input.")
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="WORD=COLUMN", help="What a column holds: model, spec, params, "
                 "macs, flops, activations, input, source, or quantity, figure and unit; repeat "
                 "for several."),
]  # fmt: skip


def audit(
    table: File,
    map: Map = None,
    columns: options.Columns = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Audit a table of models: which convention its figures follow, and which cannot be right.

    Models are matched by name to the zoo, torchvision and timm; the spec is shown. Exit code 1
    if a figure cannot be right.
    """
    from archstat.tables.audit import COLUMNS, audit_table
    from archstat.tables.audit import audit as judged
    from archstat.tables.printed_table import printed_table, text_of

    view, graphs = View(Destination(format, output), COLUMNS, columns), graphs_for(no_cache)
    printed = printed_table(text_of(table), _named(map or ()))
    with working(f"auditing {table}"):
        found = judged(printed, graphs)
    show(audit_table(found), view, _ON_SCREEN, _NEEDED)
    tell_of_cache(graphs, len({one.spec for one in found.findings}), view.is_raw)
    if found.has_impossible:
        raise DisagreementError("the table has figures that cannot be right.")


def _named(pairs: Sequence[str]) -> dict[str, str]:
    named = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(named) < len(pairs):
        raise SpecError(f"--map {' '.join(pairs)}: write each as WORD=COLUMN, such as "
                        "--map flops=GFLOPs, and each word once.")  # fmt: skip
    return named
