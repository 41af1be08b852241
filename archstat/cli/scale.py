"""``archstat scale MODEL --by width,depth``: how the figures of one model grow with its options."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.completion import complete_columns
from archstat.cli.output import Destination, check_plot, draw
from archstat.cli.progress import tracked
from archstat.cli.screen import View, known_key, show
from archstat.errors import OutputError, SpecError

if TYPE_CHECKING:
    from archstat.tables.scale import Curve

By = Annotated[
    str,
    typer.Option(metavar="KEY,KEY...", help="Options to scale, one at a time: KEY, KEY=A|B|C, "
                 "KEY=LOW..HIGH:STEP, or KEY+KEY together."),
]  # fmt: skip
Against = Annotated[
    str,
    typer.Option(
        metavar="KEY", help="Column that the exponents refer to.", autocompletion=complete_columns
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Worker processes; by default one per core."),
]


def scale(
    model: options.Model,
    by: By,
    against: Against = "macs",
    jobs: Jobs = None,
    input: options.Input = None,
    batch: options.Batch = None,
    fusion: options.FusionName = "none",
    columns: options.Columns = None,
    sort: options.Sort = None,
    plot: options.Plot = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Scale one model by its options, and show the power of macs that each figure grows with.

    An option without values spans about a quarter to four times the macs: width and resolution
    change by the square root of that, depth in proportion, options together in equal parts.
    """
    from archstat.analyses import COLUMNS
    from archstat.analyses.memory_access import checked_fusion
    from archstat.tables.scale import SCALE_COLUMNS, curve, scale_table
    from archstat.tables.sweep import Settings

    view = View(Destination(format, output), SCALE_COLUMNS, columns, sort)
    base, names = known_key(against, COLUMNS), [name.strip() for name in by.split(",")]
    if "" in names:
        raise SpecError(f"--by {by!r} lacks an option; give KEY,KEY, such as width,resolution.")
    check_plot(plot)
    settings = Settings(input or None, batch, checked_fusion(fusion), jobs)
    curves = [curve(model, name, settings) for name in tracked(names, "scaling by")]
    table = scale_table(curves, base, view.is_raw)
    if plot is not None:
        draw(plot, partial(_draw, curves, base))
    show(table, view)


def _draw(curves: Sequence[Curve], base: str, path: str | Path) -> None:
    from archstat.reporters.plots import Scatter, plot_scatter
    from archstat.tables.scale import sentence
    from archstat.tables.sweep import points

    clouds = []
    for one in curves:
        law, dots = one.law("activations", base), points(one.table, base, "activations")
        ends = [f(x for x, _ in dots) for f in (min, max)] if law else []
        line = tuple((end, law.at(end)) for end in ends) if law else ()
        grows = sentence("", base, law).removeprefix(" ~ ") if law else ""
        name = f"{one.by}: {grows}" if law else one.by
        clouds += [Scatter(name, dots, line)] if dots else []
    if not clouds:
        raise OutputError(f"no size has both {base} and activations to draw.")
    table = curves[0].table
    x, y = (table.columns[table.index(key)] for key in (base, "activations"))
    plot_scatter(clouds, x, y, path)
