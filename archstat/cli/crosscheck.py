"""``archstat crosscheck MODEL...``: the same totals from other tools, side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.output import Destination
from archstat.cli.screen import View, show
from archstat.errors import CaptureError, DisagreementError

Deep = Annotated[bool, typer.Option("--deep", help="Compare every module, not only kinds of op.")]


def crosscheck(
    models: options.Models,
    deep: Deep = False,
    input: options.Input = None,
    batch: options.Batch = None,
    columns: options.Columns = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Check macs against fvcore and torch's FlopCounterMode, by kind or by module.

    Both run a real model on cpu in a separate process. Exit code 1 if a product (conv, linear,
    matmul, attention) differs without a known reason.
    """
    from archstat.tables.crosscheck import CROSSCHECK_COLUMNS, crosscheck_table
    from archstat.tables.crosscheck import crosscheck as check

    view = View(Destination(format, output), CROSSCHECK_COLUMNS, columns)
    attempts = Attempts(models)
    found = attempts(lambda model: check([model], input or None, batch, deep=deep))
    parts = [part for each in found for part in each]
    table = attempts.told(crosscheck_table(parts), view)
    show(table, view, attempts.keys(table.keys()), ())
    attempts.refuse()
    alone = [model for model in models if not any(p.compared for p in parts if p.model == model)]
    if alone:
        raise CaptureError(
            f"nothing was compared of {', '.join(alone)}: neither tool can count it, for the "
            "reasons above. Crosscheck a model that runs for real on cpu."
        )
    if any(part.disagrees for part in parts):
        raise DisagreementError("the tools disagree without a known reason: see `differs` above.")
