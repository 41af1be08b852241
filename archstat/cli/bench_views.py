"""What ``archstat bench`` measures and shows: a row a model and condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archstat.cli.bench_request import Request, check_named
from archstat.cli.output import Destination
from archstat.cli.progress import budget_bar
from archstat.cli.screen import (
    chosen_columns,
    on_screen_with_ratio,
    screen_width,
    sort_key,
    with_ratio,
)
from archstat.errors import SpecError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.figures import INTERRUPTED
from archstat.measure.latency.measurement import LatencyRun
from archstat.measure.latency.sampling import WallClock
from archstat.measure.latency.store import LatencyStore, store_path
from archstat.result import Table, notes_of
from archstat.tables.bench import LATENCY_COLUMNS, latency_table, varying
from archstat.tables.compare import reference_row

# The most needed first; what no row has, or every row has alike, is left out.
_NEEDS = ("model", "phase", "latency_ms", "latency_ms_low", "latency_ms_high", "verdict",
          "throughput", "wall_ms", "dispatch_ms", "cuda_graph_ms", "latency_ms_p5",
          "latency_ms_p95", "samples", "first_call_ms", "input")  # fmt: skip
_LEAST_S = 0.1  # of a budget that is used up: a minimum of samples is taken in any case


@dataclass(slots=True)
class Series:
    """The runs of a sweep, and whether it was cut short."""

    runs: list[LatencyRun]
    interrupted: bool = False


def view(request: Request, destination: Destination) -> None:
    """Measure, keep and write.

    Raises:
        ArchstatError: whatever cannot be carried out.
        KeyboardInterrupt: interrupted; what was finished is written and kept.
    """
    if not request.models:
        raise SpecError("bench needs a MODEL, or --history.")
    check_named(request.models)
    grid, budget_s = request.grid(), request.budget_s()
    reference = reference_row(request.models, request.reference or 0)
    chosen = chosen_columns(request.columns, LATENCY_COLUMNS)
    order = sort_key(request.sort, LATENCY_COLUMNS)
    store = None if request.no_store else LatencyStore(store_path())
    if store is not None:
        store.check()
    series = measured(request, grid, budget_s, reference, store)
    if series.runs:
        table = latency_table(series.runs, reference)
        if len(series.runs) < len(grid):
            note = f"Interrupted: measured at {len(series.runs)} of {len(grid)} conditions."
            table = replace(table, notes=(*table.notes, *notes_of([note])))
        if order is not None:
            table = table.sort(*order)
        if chosen is not None:
            table = table.select(with_ratio(chosen, table, destination.format.name == "console"))
        elif not destination.is_raw:
            table = fitted(table, destination)
        destination.write(table)
    if series.interrupted:
        raise KeyboardInterrupt


def measured(
    request: Request,
    grid: Sequence[Conditions],
    budget_s: float,
    reference: int,
    store: LatencyStore | None,
) -> Series:
    """One run a condition, each kept as soon as it is finished.

    What is left of the budget is shared evenly among the conditions that are left.
    """
    from archstat.measure.latency.runs import measure

    clock, series, left = WallClock(), Series([]), budget_s
    start = clock.now_ns()
    with budget_bar(request.models, len(grid)) as teller:
        for number, conditions in enumerate(grid):
            try:
                run = measure(
                    request.models,
                    conditions,
                    budget_s=max(left, _LEAST_S) / (len(grid) - number),
                    input=request.input,
                    reference=reference,
                    progress=teller(number),
                )
            except KeyboardInterrupt:
                series.interrupted = True
                return series
            if store is not None:
                store.append(run.measurements)
            series.runs.append(run)
            left = round(budget_s - (clock.now_ns() - start) / 1e9, 1)
            if any(one.rule == INTERRUPTED for one in run.measurements):
                series.interrupted = True
                return series
    return series


def fitted(table: Table, destination: Destination) -> Table:
    """What a reader needs most, as wide as the screen at hand."""
    empty = {column.key for column in table.columns if not any(table.column(column.key))}
    if set(table.column("phase")) == {"forward"}:
        empty.add("phase")
    swept = varying(table, ("threads", "batch"))
    if table.column("asked_batch") != table.column("batch"):
        swept = ["threads", "batch", "asked_batch"]
    needs = [key for key in (_NEEDS[0], *swept, *_NEEDS[1:]) if key not in empty]
    width = screen_width(destination.path)
    return on_screen_with_ratio(table, needs, width, destination.format.name == "console")
