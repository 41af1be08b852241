"""What ``archstat bench`` measures and shows: a row a model and condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archstat.cli.bench_progress import budget_bar
from archstat.cli.bench_request import Request, check_named
from archstat.cli.columns import chosen_columns, sort_key
from archstat.cli.fitting import on_screen, screen_width
from archstat.cli.output import Destination
from archstat.comparison import reference_row
from archstat.errors import SpecError
from archstat.latency.clock import WallClock
from archstat.latency.conditions import Conditions
from archstat.latency.measurement import LatencyRun
from archstat.latency_columns import LATENCY_COLUMNS
from archstat.latency_figures import INTERRUPTED
from archstat.latency_store import LatencyStore, store_path
from archstat.latency_tables import latency_table, varying
from archstat.result import RATIO_SUFFIX, Table

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
            table = replace(table, notes=(*table.notes, note))
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
    from archstat.measured_latency import measure

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


def on_screen_with_ratio(
    table: Table, needs: Sequence[str], width: int | None, is_screen: bool
) -> Table:
    """The needed columns that fit the width, with the ratio of latencies below its figure."""
    if not is_screen:
        return table.select(needs)
    shown = on_screen(table.select(needs), needs, width)
    return replace(table.select(with_ratio(shown.keys(), table, True)), notes=shown.notes)


def with_ratio(keys: Sequence[str], table: Table, is_screen: bool) -> list[str]:
    """The keys, on a screen with the ratio of latencies that it shows below its figure."""
    ratio = f"latency_ms{RATIO_SUFFIX}"
    shows = is_screen and "latency_ms" in keys and ratio not in keys and any(table.column(ratio))
    return [*keys, ratio] if shows else list(keys)
