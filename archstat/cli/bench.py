"""``archstat bench MODEL...``: how long models take on this machine, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.completion import complete_measured_dtype
from archstat.cli.options import Rule, check_options
from archstat.cli.output import Destination
from archstat.cli.progress import working
from archstat.cli.screen import View, filled, show
from archstat.errors import LatencyStoreError, SpecError
from archstat.result import Column, Table, notes_of
from archstat.units import short_dtype

if TYPE_CHECKING:
    from archstat.cli.bench_grid import Series
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.store import Stored

# The most needed first; what no row has, or every row has alike, is left out.
_NEEDS = ("latency_ms", "latency_ms_low", "latency_ms_high", "verdict", "throughput", "wall_ms",
          "dispatch_ms", "cuda_graph_ms", "latency_ms_p5", "latency_ms_p95", "samples",
          "first_call_ms", "input")  # fmt: skip
_HISTORY_NEEDS = ("latency_ms", "latency_ms_before", "verdict", "day", "runs_before",
                  "latency_ms_ratio_low", "latency_ms_ratio_high", "runs", "input")  # fmt: skip
_LAYER_NEEDS = ("time_ms", "time_share", "floor_share", "macs", "memory_access_bytes", "bound",
                "arithmetic_intensity", "time_floor_ms", "peak_share", "dispatch_ms")  # fmt: skip
_CONDITIONS = ("batch", "threads", "dtype", "layout", "mode", "execution", "cache")
_FLAGS = ("channels_last", "compile", "backward", "cuda_graph", "cold")
_WHOLE = ("--budget", "--reference", "--no-store")
_RULES = (
    Rule("--history", excludes=("--per-layer", "--by-kind", *_WHOLE, "--input"),
         hint="it measures nothing"),
    Rule("--per-layer", excludes=("--by-kind", *_WHOLE), takes_one_model=True),
    Rule("--by-kind", excludes=_WHOLE, takes_one_model=True),
)  # fmt: skip

Batches = Annotated[
    list[str] | None,
    typer.Option("--batch", metavar="N,N...", help="Batch sizes, one run for each (default: the "
                 "model's own, else 1)."),
]  # fmt: skip
DType = Annotated[
    str | None,
    typer.Option("--dtype", metavar="NAME", help="fp32 (the default), fp16, bf16 or amp: fp32 "
                 "weights under autocast.", autocompletion=complete_measured_dtype),
]  # fmt: skip
ChannelsLast = Annotated[
    bool, typer.Option("--channels-last", help="Use the channels-last layout.")
]
Compile = Annotated[bool, typer.Option("--compile", help="Run through torch.compile.")]
Threads = Annotated[
    list[str] | None,
    typer.Option("--threads", metavar="N,N...", help="Torch's threads on the cpu, one run for each "
                 "number (default: torch's own)."),
]  # fmt: skip
Backward = Annotated[
    bool,
    typer.Option(
        "--backward", help="Measure a training step: forward, backward, optimizer and all of it."
    ),
]
CudaGraph = Annotated[
    bool,
    typer.Option("--cuda-graph", help="On cuda, also time the replay of a captured graph, without "
                 "launches from Python."),
]  # fmt: skip
Cold = Annotated[bool, typer.Option("--cold", help="On cuda: flush the cache before each call.")]
History = Annotated[
    bool,
    typer.Option("--history", help="Measure nothing: compare this machine's newest day of runs "
                 "with the month before it; other options filter."),
]  # fmt: skip
NoStore = Annotated[bool, typer.Option("--no-store", help="Add nothing to the store.")]
PerLayer = Annotated[
    bool,
    typer.Option("--per-layer", help="For one model, a row per layer from a profiler pass: time "
                 "beside macs, memory access and the roofline floor."),
]  # fmt: skip
ByKind = Annotated[
    bool, typer.Option("--by-kind", help="As --per-layer, with a row per kind of operation.")
]


def bench(
    context: typer.Context,
    models: options.ModelsIfAny = None,
    device: options.MeasuredDevice = None,
    batch: Batches = None,
    dtype: DType = None,
    channels_last: ChannelsLast = False,
    compile: Compile = False,
    threads: Threads = None,
    backward: Backward = False,
    budget: options.Budget = None,
    cuda_graph: CudaGraph = False,
    cold: Cold = False,
    reference: options.Reference = None,
    history: History = False,
    no_store: NoStore = False,
    per_layer: PerLayer = False,
    by_kind: ByKind = False,
    input: options.Input = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Measure latency on this machine: median, 95 % interval, and a verdict (or can't tell).

    Models take turns in at least three fresh processes; intervals are over processes. Results are
    stored on this machine, for --history. Ctrl-C prints what is finished.
    """
    from archstat.cli.attempts import Attempts
    from archstat.cli.bench_grid import Series, Sweep, check_model, grid_of

    check_options(context, *_RULES)
    dtype = dtype and short_dtype(dtype)
    grid = grid_of(device, dtype, batch, threads, channels_last=channels_last, compile=compile,
                   backward=backward, cuda_graph=cuda_graph, cold=cold)  # fmt: skip
    with working("importing torch"):
        known = _known(history, per_layer, by_kind)
    view = View(Destination(format, output), known, columns, sort)
    series, attempts = Series(), Attempts(models or (), "checking")
    if history:
        table, needs = _past(models or (), grid, dtype)
    elif per_layer or by_kind:
        table, needs = _layers(models or (), grid, input, by_kind)
    else:
        sweep = Sweep(models or (), grid, budget, reference, input, not no_store)
        alone = len(attempts.models) == 1
        attempts(lambda model: check_model(model, input, alone=alone))
        series = sweep.run(attempts)
        table, needs = _now(series, len(grid))
        table, needs = attempts.told(table, view), attempts.keys(needs)
    show(table, view, needs)
    if series.is_interrupted:
        raise KeyboardInterrupt
    attempts.refuse()


def _known(history: bool, per_layer: bool, by_kind: bool) -> tuple[Column, ...]:
    if history:
        from archstat.tables.bench import HISTORY_COLUMNS

        return HISTORY_COLUMNS
    if per_layer or by_kind:
        from archstat.tables.bench_layers import KIND_COLUMNS, LAYER_COLUMNS

        return KIND_COLUMNS if by_kind else LAYER_COLUMNS
    from archstat.tables.bench import LATENCY_COLUMNS

    return LATENCY_COLUMNS


def _now(series: Series, asked: int) -> tuple[Table, list[str]]:
    """What was measured now at so many conditions, and the columns that a reader needs."""
    from archstat.tables.bench import latency_table, varying

    table = latency_table(series.runs)
    if len(series.runs) < asked:
        note = f"Interrupted: measured at {len(series.runs)} of {asked} conditions."
        table = replace(table, notes=(*table.notes, *notes_of([note])))
    swept = varying(table, ("threads", "batch"))
    if table.column("asked_batch") != table.column("batch"):
        swept = ["threads", "batch", "asked_batch"]
    phase = ["phase"] if set(table.column("phase")) != {"forward"} else []
    return table, [key for key in ("model", *phase, *swept, *_NEEDS) if any(table.column(key))]


def _layers(
    models: Sequence[str], grid: Sequence[Conditions], input: Sequence[str] | None, by_kind: bool
) -> tuple[Table, list[str]]:
    """Where the time of one model goes, and the columns that a reader needs."""
    from archstat.tables.bench_layers import layer_table

    if len(grid) > 1:
        option = "--by-kind" if by_kind else "--per-layer"
        raise SpecError(f"{option} takes one condition: give one batch and one number of threads.")
    with working(f"measuring the layers of {models[0]}"):
        table = layer_table(models[0], grid[0], input or (), by_kind)
    ends = (("kind", "ops"), ()) if by_kind else (("layer",), ("type",))
    return table, filled(table, (*ends[0], *_LAYER_NEEDS, *ends[1]))


def _past(
    models: Sequence[str], grid: Sequence[Conditions], dtype: str | None
) -> tuple[Table, list[str]]:
    """What this machine measured before, and the columns that a reader needs.

    Raises:
        LatencyStoreError: it measured nothing of the kind, or the store cannot be read.
    """
    from archstat.measure.latency.history import changes
    from archstat.measure.latency.machine import this_machine
    from archstat.measure.latency.store import LatencyStore, store_path
    from archstat.measure.latency.subject import check_here
    from archstat.tables.bench import history_table, varying

    if grid[0].on_cuda:
        check_here(grid[0])
    machine = this_machine(grid[0])
    store = LatencyStore(store_path())
    stored = store.of_machine(machine.identity)
    if not stored:
        raise LatencyStoreError(
            f"{store.path} holds nothing measured on this machine's {grid[0].device}: "
            "measure with `archstat bench MODEL` first."
        )
    wanted = _wanted(stored, models, grid, dtype)
    if not wanted:
        known = dict.fromkeys(one.measurement.model for one in stored)
        raise LatencyStoreError(
            f"No run of {', '.join(models) or 'any model'} with these options is in "
            f"{store.path}; measured on this machine: {', '.join(known)}."
        )
    table = history_table(changes(wanted), machine)
    return table, ["model", *varying(table, _CONDITIONS), *_HISTORY_NEEDS]


def _wanted(
    stored: Sequence[Stored], models: Sequence[str], grid: Sequence[Conditions], dtype: str | None
) -> list[Stored]:
    """The runs of these models under the conditions that were named; others do not count."""
    from archstat.measure.latency.store import subject_of

    subjects = {subject_of(model) for model in models}
    batches, threads = ({getattr(one, key) for one in grid} for key in ("batch", "threads"))
    return [
        one
        for one in stored
        if (not subjects or one.subject in subjects)
        and dtype in (None, one.measurement.conditions.dtype)
        and not batches.isdisjoint((None, one.measurement.conditions.batch))
        and not threads.isdisjoint((None, one.measurement.threads))
        and all(getattr(one.measurement.conditions, f) or not getattr(grid[0], f) for f in _FLAGS)
    ]
