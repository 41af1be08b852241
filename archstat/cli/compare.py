"""``archstat compare MODEL...``: one row a model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.help import CHOOSE, MEASURING, OUTPUT
from archstat.cli.options import Rule, check_options
from archstat.cli.output import Destination, check_plot, draw
from archstat.cli.screen import View, arranged, axis, filled, refuse_incomplete, show
from archstat.cli.where import conditions, kept
from archstat.errors import Option, OutputError
from archstat.result import RATIO_SUFFIX, Column, Report, Table
from archstat.tables.accuracy import ACCURACY_COLUMNS, checked_accuracy, with_accuracy
from archstat.tables.join import joined, read_joined

if TYPE_CHECKING:
    from archstat.analyses.conventions.tools import Tool
    from archstat.analyses.prediction import Fit
    from archstat.cli.bench_grid import Sweep
    from archstat.models.cache import Graphs

_LATENCY = ("latency_ms", "latency_ms_low", "latency_ms_high", "verdict", "throughput")
_LIMITS = 3  # a forecast, and the limits of its interval
_RULES = (
    Rule("--device", needs="--latency"),
    Rule("--join-on", needs="--join"),
    Rule("--x", needs="--plot"),
    Rule("--y", needs="--plot"),
    Rule("--budget", needs="--latency"),
    Rule("--latency", excludes=("--variants", "--fully-convolutional", "--resolution"),
         hint="models are measured as specified; write MODEL,resolution=SIZE"),
    Rule("--fully-convolutional", excludes=("--variants",)),
    Rule("--fully-convolutional", excludes=("--input",),
         hint="--resolution gives the size of the convolutional form"),
    Rule("--predict", excludes=("--variants", "--fully-convolutional"),
         hint="it predicts models as given"),
    Rule("--resolution", excludes=("--input",), hint="both set the input's size"),
)  # fmt: skip

Join = Annotated[
    str | None,
    typer.Option(metavar="FILE.csv", help="Add columns from a CSV, matched by its `model` column.",
                 rich_help_panel=CHOOSE),
]  # fmt: skip
JoinOn = Annotated[
    str | None,
    typer.Option("--join-on", metavar="NAME", help="The column of --join that names the models "
                 "(default: model, else name).", rich_help_panel=CHOOSE),
]  # fmt: skip
Accuracy = Annotated[
    str | None,
    typer.Option(metavar="SOURCE", help="Add published top-1 on ImageNet-1k; timm covers timm: "
                 "models and zoo networks with the same weights.", rich_help_panel=CHOOSE),
]  # fmt: skip
Plot = Annotated[
    str | None,
    typer.Option(metavar="FILE[:WIDTH]", help="Also draw --y against --x with the Pareto front, "
                 "such as f.pdf or f.svg:3.3in.", rich_help_panel=OUTPUT),
]  # fmt: skip
X = Annotated[
    str | None,
    typer.Option("--x", metavar="KEY", help="Column across in --plot (default: macs); write -KEY "
                 "if less is better, +KEY if more.", rich_help_panel=OUTPUT),
]  # fmt: skip
Y = Annotated[
    str | None,
    typer.Option("--y", metavar="KEY", help="Column up in --plot (default: top1, else the first "
                 "one joined); more is better unless the column says "
                 "otherwise.", rich_help_panel=OUTPUT),
]  # fmt: skip
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITION", help="Only models with, say, 'params<5M'; repeat "
                 "the option, or join conditions with and.", rich_help_panel=CHOOSE),
]  # fmt: skip
NoRatios = Annotated[
    bool,
    typer.Option("--no-ratios", help="Leave out ratios; a screen shows none above 8 models.",
                 rich_help_panel=CHOOSE),
]  # fmt: skip
As = Annotated[
    str | None,
    typer.Option("--as", metavar="TOOL,TOOL...", help="Add what these tools would print, such as "
                 "fvcore, thop or ptflops; an unknown name lists all.",
                 rich_help_panel=CHOOSE),
]  # fmt: skip
Predict = Annotated[
    str | None,
    typer.Option("--predict", metavar="DEVICE,DEVICE...", help="Add predicted throughput on these "
                 "devices, as `archstat predict` gives it.", rich_help_panel=CHOOSE),
]  # fmt: skip
Transpose = Annotated[
    bool, typer.Option("--transpose", help="Swap rows and columns.", rich_help_panel=CHOOSE)
]
Variants = Annotated[
    bool,
    typer.Option("--variants", help="Add variants of each model: depthwise-separable, grouped and "
                 "factorised convolutions, and strides instead of pooling."),
]  # fmt: skip
FullyConvolutional = Annotated[
    bool,
    typer.Option("--fully-convolutional", help="Add each classifier with its dense layers made "
                 "convolutions, at --resolution: one pass instead of a sliding window."),
]  # fmt: skip
Latency = Annotated[
    bool,
    typer.Option("--latency", help="Also measure latency as `archstat bench` does; models take "
                 "turns.", rich_help_panel=MEASURING),
]  # fmt: skip


def compare(
    context: typer.Context,
    models: options.Models,
    reference: options.Reference = None,
    variants: Variants = False,
    fully_convolutional: FullyConvolutional = False,
    resolution: options.Resolution = None,
    latency: Latency = False,
    device: options.MeasuredDevice = None,
    budget: options.Budget = None,
    input: options.Input = None,
    batch: options.Batch = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    top: options.Top = None,
    where: Where = None,
    no_ratios: NoRatios = False,
    join: Join = None,
    join_on: JoinOn = None,
    accuracy: Accuracy = None,
    plot: Plot = None,
    x: X = None,
    y: Y = None,
    as_: As = None,
    bits: options.Bits = None,
    predict: Predict = None,
    transpose: Transpose = False,
    fusion: options.FusionName = "none",
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Compare models: one row each, with ratios to the first or to --reference.

    macs are multiply-accumulates without bias (what papers call FLOPs); flops are twice that plus
    everything else. csv and json hold exact numbers and every column.
    """
    from archstat.tables.compare import ON_SCREEN, tools_for

    check_options(context, *_RULES)
    tools = tools_for(as_, bits)
    fits, foreseen = _forecasts(predict)
    as_printed = (*(tool.column for tool in tools), *foreseen)
    known = (*_known(fully_convolutional, latency), *as_printed)
    known = (*known, *ACCURACY_COLUMNS) if accuracy else known
    extra = read_joined(join, [column.key for column in known], join_on)
    known = (*known, *extra.columns)
    view = View(Destination(format, output), known, columns, sort, top=top, largest="macs")
    axes = _axes(x, y, known, extra.columns) if plot else None
    check_plot(plot)
    asked = conditions(where or (), known)
    missing = [extra.missing(models), checked_accuracy(accuracy, models)]
    sweep = sweep_for(models, device, budget, reference, input, batch) if latency else None
    graphs = graphs_for(no_cache)
    counted = _counter(fully_convolutional, resolution, variants, input, batch, fusion, graphs)
    attempts = Attempts(models)
    table, unknown = _table(attempts, reference, counted, fully_convolutional, tools, graphs, fits)
    table, is_interrupted = measured_too(table, sweep, attempts) if sweep else (table, False)
    table = with_accuracy(table) if accuracy else table
    table = arranged(kept(joined(table, extra), asked), view)
    if no_ratios or table.reference is None:
        table = _without_ratios(table, view)
    table = attempts.told(table, view)
    foreseen = foreseen[::_LIMITS]
    asked_for = (*(t.column for t in tools), *foreseen, *extra.columns, ACCURACY_COLUMNS[0])
    shown = attempts.keys(_shown(table, unknown, asked_for))
    needed = [*(column.key for column in foreseen), *_LATENCY[:4], "params", "macs",
              *(key for key in shown if key not in ON_SCREEN)]  # fmt: skip
    show(table, view, shown, needed, conventions=True, transpose=transpose)
    if plot and axes:
        draw(plot, partial(_draw, table, *axes))
    tell_of_cache(graphs, len(models), view.is_raw)
    for said in filter(None, missing):
        print(f"archstat: {said}", file=sys.stderr)
    if is_interrupted:
        raise KeyboardInterrupt
    attempts.refuse()
    refuse_incomplete(unknown, strict, view.destination, table.notes)


def _axes(
    x: str | None, y: str | None, known: Sequence[Column], own: Sequence[Column]
) -> tuple[tuple[Column, bool], tuple[Column, bool]]:
    """What stands across and up, and of each whether more is better.

    Raises:
        ColumnError, OutputError: no such column, or one that holds no numbers.
    """
    numeric = [column.key for column in own if column.unit != "text"]
    keys = {column.key for column in known}
    usual = "top1" if "top1" in keys else [*numeric, "activations"][0]
    found = []
    for option, given, more in ((Option("x"), x or "macs", False), (Option("y"), y or usual, True)):
        column, better = axis(given, known)
        if column.unit == "text":
            raise OutputError(
                f"{option} {column.key}: this column holds text; a picture needs numbers."
            )
        found.append((column, more if better is None else better))
    return found[0], found[1]


def _draw(table: Table, x: tuple[Column, bool], y: tuple[Column, bool], path: str | Path) -> None:
    """The models between the two columns.

    Raises:
        OutputError: no model has both.
    """
    from archstat.reporters.plots import Named, plot_pareto
    from archstat.tables.sweep import plain

    keys = (x[0].key, y[0].key)
    names = map(str, table.column("model"))
    cells = zip(names, *(map(plain, table.column(key)) for key in keys), strict=True)
    points = [Named(name, across, up) for name, across, up in cells
              if across is not None and up is not None]  # fmt: skip
    if not points:
        raise OutputError(f"no model has both {keys[0]} and {keys[1]} to draw.")
    plot_pareto(points, x[0], y[0], path, more=(x[1], y[1]))


def _forecasts(devices: str | None) -> tuple[tuple[Fit, ...], tuple[Column, ...]]:
    if devices is None:
        return (), ()
    from archstat.tables.predict import forecast_columns, forecasts

    fits = forecasts(devices)
    return fits, forecast_columns(fits)


def _without_ratios(table: Table, view: View) -> Table:
    """The table without the ratios that were not asked for by their keys."""
    asked = (*(view.chosen or ()), *view.added)
    return table.select([key for key in table.keys()  # noqa: SIM118
                         if key in asked or not key.endswith(RATIO_SUFFIX)])  # fmt: skip


def _known(fully_convolutional: bool, latency: bool) -> tuple[Column, ...]:
    from archstat.tables.compare import COMPARISON_COLUMNS as known

    if fully_convolutional:
        from archstat.tables.sliding import SLIDING_COLUMNS

        return (*known, *SLIDING_COLUMNS)
    if latency:
        from archstat.tables.bench import COMPARED

        return (*known, *COMPARED)
    return known


def sweep_for(
    models: Sequence[str], device: str | None, budget: str | None, reference: str | None,
    input: Sequence[str] | None, batch: int | None,
) -> Sweep:  # fmt: skip
    """What `--latency` measures, checked before the work."""
    from archstat.cli.bench_grid import Sweep, grid_of

    grid = grid_of(device, batches=None if batch is None else [str(batch)])
    return Sweep(models, grid, budget, reference, input)


def _counter(
    fully_convolutional: bool, resolution: str | None, variants: bool,
    input: Sequence[str] | None, batch: int | None, fusion: str, graphs: Graphs,
) -> Callable[[str], tuple[Report, ...]]:  # fmt: skip
    """What counts a model: as it is, with its variants, or with its fully convolutional form."""
    from archstat.analyses.memory_access import checked_fusion
    from archstat.models.specs import parse_resolution
    from archstat.tables.compare import reports_of
    from archstat.tables.sliding import fully_convolutional_reports

    sizes = None if resolution is None else parse_resolution(resolution)
    fused, shapes = checked_fusion(fusion), options.shapes(input, resolution)
    if fully_convolutional:
        return lambda model: fully_convolutional_reports(model, sizes, batch, fused)
    return lambda model: reports_of(model, shapes, batch, variants, fused, graphs)


def _table(
    attempts: Attempts, reference: str | None, counted: Callable[[str], tuple[Report, ...]],
    fully_convolutional: bool, tools: Sequence[Tool], graphs: Graphs, fits: Sequence[Fit],
) -> tuple[Table, int]:  # fmt: skip
    """The comparison, and how many operations are unknown."""
    from archstat.tables.compare import reference_row, table_of_groups, with_tools
    from archstat.tables.sliding import with_sliding

    base = reference_row(attempts.models, reference or 0)
    groups = attempts(counted)
    table = table_of_groups(groups, attempts.place(base) if reference else 0)
    unknown = sum(report.unknown_ops for group in groups for report in group)
    table = with_sliding(table, groups) if fully_convolutional else table
    table = with_tools(table, groups, tools, graphs)
    if fits:
        from archstat.tables.predict import with_forecasts

        table = with_forecasts(table, [report for group in groups for report in group], fits)
    return table, unknown


def measured_too(table: Table, sweep: Sweep, attempts: Attempts) -> tuple[Table, bool]:
    """The comparison with what is measured now, and whether that was cut short."""
    from archstat.tables.bench import with_latency

    counted = attempts.left()
    series = sweep.run(attempts)
    table = table.take([row for row, number in enumerate(counted) if number not in attempts.failed])
    return with_latency(table, series.runs[0]), series.is_interrupted


def _shown(table: Table, unknown: int, extra: Sequence[Column]) -> list[str]:
    """What a reader gets: the usual columns, and all that were asked for by an option."""
    from archstat.tables.compare import ON_SCREEN
    from archstat.tables.sliding import SLIDING_COLUMNS

    keys = table.keys()
    measured = filled(table, [key for key in _LATENCY if key in keys])
    asked = [column.key for column in (*SLIDING_COLUMNS, *extra) if column.key in keys]
    usual = [*ON_SCREEN, *(["unknown_ops"] if unknown else [])]
    return list(dict.fromkeys([*usual, *measured, *asked]))
