"""``archstat guidelines MODEL...``: the four guidelines of ShuffleNet V2, kept or broken."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.help import CHOOSE
from archstat.cli.output import Destination
from archstat.cli.screen import View, held, refuse_incomplete, show

if TYPE_CHECKING:
    from archstat.analyses.guidelines import Limits

_NEEDED = ("model", "guideline", "module", "figure", "verdict", "limit", "found", "access",
           "optimum", "input", "type")  # fmt: skip

Top = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Modules to list below each guideline, worst first; "
                 "by default 3 on a screen, 0 for several models.", rich_help_panel=CHOOSE),
]  # fmt: skip
G1 = Annotated[
    float | None,
    typer.Option("--g1", metavar="LIMIT", help="Most memory access beyond the least at equal macs, "
                 "as a share (0.05)."),
]  # fmt: skip
G2 = Annotated[
    float | None,
    typer.Option(
        "--g2", metavar="LIMIT", help="Most memory access relative to that without groups (1.1)."
    ),
]
G3 = Annotated[
    float | None,
    typer.Option(
        "--g3", metavar="LIMIT", help="Most convolutions and poolings per building block (3.5)."
    ),
]
G4 = Annotated[
    float | None,
    typer.Option("--g4", metavar="LIMIT", help="Largest share of element-wise and depthwise "
                 "operations in the access to feature maps (0.4)."),
]  # fmt: skip


def guidelines(
    models: options.Models,
    top: Top = None,
    g1: G1 = None,
    g2: G2 = None,
    g3: G3 = None,
    g4: G4 = None,
    fusion: options.FusionName = "inference",
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
    """Check models against the guidelines G1 to G4 of ShuffleNet V2, and name the worst modules.

    G1 equal channel widths, G2 few groups, G3 little fragmentation, G4 few element-wise operations.
    csv and json hold every module, and what its memory access would be at the optimum.
    """
    from archstat.analyses.memory_access import checked_fusion
    from archstat.tables.guidelines import (
        COLUMNS,
        MOST_SHOWN,
        for_screen,
        guideline_table,
        judged,
        side_by_side,
    )

    view = View(Destination(format, output), COLUMNS, columns)
    limits, fused, graphs = _limits(g1, g2, g3, g4), checked_fusion(fusion), graphs_for(no_cache)
    attempts, several = Attempts(models), len(models) > 1
    shapes = options.shapes(input, resolution)
    found = attempts(lambda spec: judged(spec, graphs(spec, shapes, batch), limits, fused))
    most = MOST_SHOWN if view.leaves_choice and top is None else top
    needed: list[str] = []
    if view.leaves_choice and several and not top:
        table = side_by_side(found, fused)
    else:
        table = guideline_table(found, fused, most)
        if view.leaves_choice:
            table = for_screen(table, several=several)
            needed = attempts.keys(held(table, _NEEDED))
    table = attempts.told(table, view)
    # A screen keeps the order of the columns.
    show(table, view, needed if needed and not view.destination.is_screen else None, needed)
    tell_of_cache(graphs, len(models), view.is_raw)
    attempts.refuse()
    unknown = sum(note.topic == "unknown_ops" for note in table.notes)
    refuse_incomplete(unknown, strict, view.destination, table.notes)


def _limits(*given: float | None) -> Limits:
    """The limits, those left out at their defaults."""
    from archstat.analyses.guidelines import Limits

    usual = astuple(Limits())
    return Limits(*(default if one is None else one
                    for one, default in zip(given, usual, strict=True)))  # fmt: skip
