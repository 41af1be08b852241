"""``archstat crosscheck MODEL...``: the same totals from other tools, side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.output import Destination
from archstat.cli.progress import working
from archstat.cli.screen import View, show
from archstat.errors import CaptureError, DisagreementError

_NEEDED = ("model", "part", "archstat_macs", "fvcore_macs", "flop_counter_macs", "verdict")

Deep = Annotated[
    bool, typer.Option("--deep", help="Compare every module, not just kinds of operation.")
]


def crosscheck(
    models: options.Models,
    deep: Deep = False,
    input: options.Input = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Check macs against fvcore and PyTorch's FlopCounterMode, by kind of operation or by module.

    Each tool counts its own copy of the model in a separate process, on cpu. Exit code 1 if a
    product (conv, linear, matmul, attention) differs without a known reason.
    """
    with working("importing torch"):
        from archstat.tables.crosscheck import CROSSCHECK_COLUMNS, crosscheck_table
        from archstat.tables.crosscheck import crosscheck as check

    view = View(Destination(format, output), CROSSCHECK_COLUMNS, columns)
    attempts, shapes = (
        Attempts(models, "fvcore and PyTorch count"),
        options.shapes(input, resolution),
    )
    found = attempts(lambda model: check([model], shapes, batch, deep=deep))
    parts = [part for each in found for part in each]
    table = attempts.told(crosscheck_table(parts), view)
    show(table, view, attempts.keys(table.keys()), attempts.keys(_NEEDED))
    attempts.refuse()
    alone = [model for model in models if not any(p.compared for p in parts if p.model == model)]
    if alone:
        raise CaptureError(
            f"nothing could be compared for {', '.join(alone)}: neither tool can count it, for the "
            "reasons above. Crosscheck a model that runs for real on cpu."
        )
    if any(part.disagrees for part in parts):
        raise DisagreementError("the tools disagree without a known reason: see `differs` above.")
