"""``archstat sweep SPEC...``: every candidate of a design space, and what one learns of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.compare import Where
from archstat.cli.completion import complete_columns, complete_device, complete_model
from archstat.cli.expansion import models_typed
from archstat.cli.help import CHOOSE, OUTPUT
from archstat.cli.options import Rule, check_options, typed
from archstat.cli.output import Destination, check_plot, draw
from archstat.cli.progress import working
from archstat.cli.screen import View, arranged, axis, held, known_key, show
from archstat.cli.where import Condition, conditions, kept
from archstat.errors import MissingExtraError, OutputError, SpecError
from archstat.result import Column, Table, notes_of
from archstat.units import format_milliseconds

if TYPE_CHECKING:
    from archstat.tables.sweep import Candidate, Settings

_ALWAYS = ("model", "unknown_ops", "failed")
# The most needed first.
_SUMMARY_NEEDED = ("column", "median", "exponent", "exponent_low", "exponent_high", "least", "most",
                   "r2", "p10", "p90", "candidates")  # fmt: skip
_ON_SCREEN = 20  # rows, where nobody says how many
_CHEAPEST = 5
_OF_SWEEPS = ("--sample", "--seed", "--jobs", "--input", "--batch", "--fusion", "--predict",
              "--scheduler", "--yes")  # fmt: skip
_PARQUET, _PAGES = ".parquet", (".html", ".htm")

Specs = Annotated[
    list[str],
    typer.Argument(metavar="SPEC", help="A model whose options may be ranges LOW..HIGH:STEP and "
                   "lists A|B|C, a SPACE.toml or .json, or the RESULTS.csv of an earlier sweep.",
                   autocompletion=complete_model, callback=models_typed),
]  # fmt: skip
Sample = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Draw N candidates at random instead of taking all."),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Random seed of --sample.")]
Jobs = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Worker processes; by default one per core."),
]
Predict = Annotated[
    str | None,
    typer.Option(metavar="DEVICE", help="Add the time predicted on a device (`archstat predict`).",
                 autocompletion=complete_device),
]  # fmt: skip
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Work on a Dask cluster: tcp://HOST:PORT, or local for "
                 "one on this machine."),
]  # fmt: skip
Yes = Annotated[bool, typer.Option("--yes", help="Allow more than ten million candidates.")]
Summary = Annotated[
    bool,
    typer.Option("--summary", help="One row per figure instead: its distribution, and the power of "
                 "--against that it grows with."),
]  # fmt: skip
Against = Annotated[
    str,
    typer.Option(metavar="KEY", help="Column that the exponents refer to, and that makes a "
                                     "candidate cheap.",
                 autocompletion=complete_columns),
]  # fmt: skip
Pareto = Annotated[
    str | None,
    typer.Option(metavar="KEY,KEY", help="Only the Pareto front of two columns; +KEY where more "
                 "is better, -KEY where less is.", rich_help_panel=CHOOSE),
]  # fmt: skip
Want = Annotated[
    list[str] | None,
    typer.Option("--want", metavar="CONDITION", help="The cheapest candidates that meet a "
                 "condition, such as 'receptive_field >= 224': 5, or --top "
                 "N.", rich_help_panel=CHOOSE),
]  # fmt: skip
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write results as they come (.csv; the "
                 "same command resumes it) or at the end (.parquet); other suffixes hold what is "
                 "shown.",
                 rich_help_panel=OUTPUT),
]  # fmt: skip


def sweep(
    context: typer.Context,
    specs: Specs,
    sample: Sample = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    predict: Predict = None,
    scheduler: Scheduler = None,
    yes: Yes = False,
    summary: Summary = False,
    against: Against = "macs",
    input: options.Input = None,
    batch: options.Batch = None,
    fusion: options.FusionName = "none",
    where: Where = None,
    pareto: Pareto = None,
    want: Want = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    top: options.Top = None,
    plot: options.Plot = None,
    format: options.FormatName = None,
    output: Output = None,
    debug: options.Debug = False,
) -> None:
    """Analyze every candidate of a design space, one row each, without training any.

    Each row names its spec as `archstat compare` takes it. A candidate that fails has a row with
    the reason; the exit code is 2 if all fail.
    """
    from archstat.analyses.memory_access import checked_fusion
    from archstat.tables.predict import fit_named
    from archstat.tables.scale import SUMMARY_COLUMNS
    from archstat.tables.sweep import Settings, chosen_candidates, front
    from archstat.tables.sweep_files import read_results

    is_saved = len(specs) == 1 and specs[0].lower().endswith(".csv")
    check_options(context, *_rules(is_saved))
    saved = read_results(specs[0]) if is_saved else None
    fit = None if predict is None else fit_named(predict)
    settings = Settings(input or None, batch, checked_fusion(fusion), jobs, fit=fit,
                        scheduler=scheduler)  # fmt: skip
    known = settings.columns if saved is None else saved.columns
    page = _page(output)
    file = None if is_saved or page else _results_file(output)
    asked, needs = conditions(where or (), known), conditions(want or (), known)
    axes, cheap = _axes(pareto, known), known_key(against, known)
    if needs and sort is None:
        sort, top = cheap, top or _CHEAPEST
    view = View(Destination(format, None if file or page else output),
                SUMMARY_COLUMNS if summary else known, columns, sort, top=top)  # fmt: skip
    check_plot(plot)
    is_shown = bool(file is None or summary or axes or needs or plot or format)
    is_interrupted = False
    if saved is None:
        with working("reading the design space"):
            space = chosen_candidates(specs, sample, seed, any_number=yes)
        used = [cheap, *(key for key, _ in axes), *(one.key for one in (*asked, *needs))]
        kept_columns = [column for column in known if summary or page or view.chosen is None or
                        column.key in (*view.chosen, *view.added, *used, *_ALWAYS)]  # fmt: skip
        settings = replace(settings, keys=frozenset(column.key for column in kept_columns))
        saved, is_interrupted = _swept(space, settings, asked, file, kept_columns, is_shown)
    else:
        saved = kept(saved, asked)
    if is_shown:
        table = kept(saved, needs)
        table = front(table, *axes) if axes else table
        if plot is not None:
            draw(plot, partial(_draw, saved, table, axes, cheap))
        if page is not None:
            _write_page(page, saved, axes, cheap, context)
        else:
            _show(table, view, cheap if summary else None)
    if is_interrupted:
        raise KeyboardInterrupt


def _page(output: str | None) -> Destination | None:
    """Where a page goes, if the results are to be one."""
    is_page = output is not None and output.lower().endswith(_PAGES)
    return Destination("console", output) if is_page else None


def _write_page(
    page: Destination, table: Table, axes: Sequence[tuple[str, bool]], against: str,
    context: typer.Context,
) -> None:  # fmt: skip
    from archstat.tables.sweep_files import page as page_of

    page.write_text(page_of(table, axes, against, typed(context)))
    print(f"archstat: wrote {page.path}", file=sys.stderr)


def _rules(is_saved: bool) -> Iterator[Rule]:
    for option in ("--pareto", "--want", "--sort", "--top") if not is_saved else ():
        yield Rule(option, excludes=("--summary",), hint="a summary covers all candidates")
    if is_saved:
        for option in _OF_SWEEPS:
            yield Rule(option, needs="a SPEC", hint="the results of an earlier sweep are fixed")
    yield Rule("--seed", needs="--sample")
    yield Rule("--predict", excludes=("--fusion",), hint="a prediction has kernels of its own")
    yield Rule("--jobs", excludes=("--scheduler",), hint="a cluster has its own workers")


def _results_file(output: str | None) -> Path | None:
    """The file that the results go to, if they go to one; else what is shown may.

    Raises:
        OutputError, MissingExtraError: it cannot be written, or has no writer.
    """
    if output is None or not output.lower().endswith((".csv", _PARQUET)):
        return None
    if output.lower().endswith(_PARQUET) and find_spec("pyarrow") is None:
        raise MissingExtraError(f"{output} needs pyarrow, which is not installed: python -m pip "
                                "install pyarrow, or name a .csv file.")  # fmt: skip
    return Destination("csv", output).path


def _axes(pareto: str | None, known: Sequence[Column]) -> list[tuple[str, bool]]:
    """Two keys, and of each whether more is better.

    Raises:
        SpecError: not two, or nobody knows which way is better.
    """
    names = [] if pareto is None else [name.strip() for name in pareto.split(",")]
    if names and len(names) != 2:
        raise SpecError(f"--pareto {pareto}: a front needs two columns; give KEY,KEY.")
    axes = []
    for name in names:
        column, more = axis(name, known)
        key = column.key
        if more is None:
            raise SpecError(f"--pareto {pareto}: is more or less of {key} better? Write +{key} or "
                            f"-{key}.")  # fmt: skip
        axes.append((key, more))
    return axes


def _swept(
    space: Sequence[str], settings: Settings, asked: Sequence[Condition], file: Path | None,
    columns: Sequence[Column], is_shown: bool,
) -> tuple[Table, bool]:  # fmt: skip
    """The rows that meet the conditions, written to the file, and whether that was cut short.

    Rows that a csv has are kept nowhere else, and are in the table only if it is to be shown.

    Raises:
        FailedModelsError: every candidate failed.
        SpecError: no candidate meets the conditions.
        OutputError: the file is of another sweep, or cannot be written.
        SchedulerError: there is no such cluster.
    """
    from archstat.tables.sweep import measured, refuse_all_failed, table_of
    from archstat.tables.sweep_files import Results, read_results, write_parquet

    is_csv = file is not None and file.suffix.lower() == ".csv"
    results = Results(file, columns, space) if file is not None and is_csv else None
    done = results.done if results else 0
    found: list[Candidate] = []
    fitting = failed = 0
    begun, is_interrupted = time.monotonic(), False
    try:
        for one in _tracked(measured(space[done:], settings), len(space) - done):
            if not (one.failed or all(c.is_met(one.cells.get(c.key)) for c in asked)):
                continue
            fitting, failed = fitting + 1, failed + one.failed
            if results:
                results.append([one])
            if not results or failed == fitting == 1:
                found.append(one)
    except KeyboardInterrupt:
        is_interrupted = True
    if not done and failed == len(space):
        refuse_all_failed(found[:1], failed)
    if not (done or is_interrupted or failed < fitting):
        raise SpecError(f"--where leaves none of {len(space):,} candidates; loosen a condition.")
    table = table_of(found, settings.columns)
    if results and file is not None:
        fitting, failed = results.rows, results.failed
        if is_shown and fitting:
            table = read_results(file)
    elif file is not None:
        write_parquet(table.select([column.key for column in columns]), file)
    if file is not None:
        _tell(fitting, failed, file, time.monotonic() - begun, is_interrupted)
    return table, is_interrupted


def _tracked(found: Iterator[Candidate], total: int) -> Iterator[Candidate]:
    """The candidates as they come, with a bar that has their rate and the time left."""
    begun = time.monotonic()
    with working("sweeping", total) as tell:
        for number, one in enumerate(found, 1):
            yield one
            rate = number / (time.monotonic() - begun)
            left = format_milliseconds(1000 * (total - number) / rate)
            tell(number, f"{number:,} of {total:,}, {rate:.3g} a second, {left} left")


def _tell(count: int, failed: int, file: Path, seconds: float, is_interrupted: bool) -> None:
    aside = f", {failed} of them failed" if failed else ""
    took = f" ({format_milliseconds(1000 * seconds)})" if sys.stderr.isatty() else ""
    more = ""
    if is_interrupted:
        more = "; interrupted, go on by giving the same command again" if count else "; interrupted"
    print(f"archstat: {count:,} candidates in {file}{aside}{more}{took}", file=sys.stderr)


def _show(table: Table, view: View, against: str | None) -> None:
    """The candidates, on a screen those with figures, or the summary against a key."""
    from archstat.tables.scale import summary_table
    from archstat.tables.sweep import FAILED

    if against is not None:
        show(summary_table(table, against, view.is_raw), view, needed=_SUMMARY_NEEDED)
        return
    has_reasons = FAILED.key in table.keys()  # noqa: SIM118
    if not view.is_raw and has_reasons:
        reasons = table.column(FAILED.key)
        table = table.take([row for row, reason in enumerate(reasons) if reason is None])
    elif view.chosen is not None and has_reasons and any(table.column(FAILED.key)):
        view.chosen.append(FAILED.key)
    usual = list(table.for_reader().keys())
    if view.destination.is_screen and view.top is None and len(table) > _ON_SCREEN:
        note = (
            f"{_ON_SCREEN} of {len(table):,} candidates; --top N shows more, -o FILE.csv has all."
        )
        table = replace(arranged(table, view), notes=(*table.notes, *notes_of([note])))
        table = table.take(range(_ON_SCREEN))
    show(table, view, held(table, usual))


def _draw(
    table: Table, chosen: Table, axes: Sequence[tuple[str, bool]], cheap: str, path: str | Path
) -> None:
    """Every candidate between the two columns of the front, or how activations grow."""
    from archstat.reporters.plots import Scatter, plot_scatter
    from archstat.tables.scale import law_between, sentence
    from archstat.tables.sweep import points

    x, y = [key for key, _ in axes] or [cheap, "activations"]
    every, law = points(table, x, y), law_between(table, x, y)
    if not every:
        raise OutputError(f"no candidate has both {x} and {y} to draw.")
    ends = [f(point[0] for point in every) for f in (min, max)]
    line = () if law is None or axes else tuple((end, law.at(end)) for end in ends)
    name = sentence(y, x, law) if law and line else f"{len(every):,} candidates"
    steps = points(chosen, x, y) if axes else ()
    plot_scatter([Scatter(name, every, line, steps)], table.columns[table.index(x)],
                 table.columns[table.index(y)], path)  # fmt: skip
