"""Measured times as tables: a row a layer, or a row a kind of operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archstat.analyses.roofline import Roofline
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.layers import LayerTimes, TimedPart, measured_layers
from archstat.result import Cell, Column, Table, notes_of
from archstat.tables import of_graphs
from archstat.units import format_milliseconds, format_rate

_FIGURES = (
    Column("time_ms", "ms", "time of its operations: of kernels on a GPU, of calls on a cpu",
           "lower"),
    Column("time_share", "share", "part of the time of all operations"),
    Column("dispatch_ms", "ms", "on a GPU, the cpu's time in the calls that launch them", "lower"),
    Column("macs", "count", "multiply-accumulates", "lower"),
    Column("memory_access_bytes", "bytes", "bytes read and written", "lower"),
    Column("arithmetic_intensity", "number", "flops for each byte read or written", "higher"),
    Column("bound", "text", "what takes the most of the least time: compute or memory"),
    Column("time_floor_ms", "ms", "the least time on the device", "lower"),
    Column("floor_share", "share", "the least time over the time: 100% is the roofline", "higher"),
    Column("peak_share", "share", "flops a second over the device's peak", "higher"),
)  # fmt: skip
LAYER_COLUMNS = (
    Column("layer", "text", "path of the module that runs the operations, empty for the model"),
    Column("type", "text", "class of the module"),
    *_FIGURES,
)
KIND_COLUMNS = (
    Column("kind", "text", "what the operations do"),
    Column("ops", "number", "operations"),
    *_FIGURES,
)


def layer_time_table(timed: LayerTimes) -> Table:
    """A row a module that runs operations itself, and the model's row behind them."""
    rows = [(part.name, part.type, *_figures(part, timed)) for part in timed.layers]
    rows.append(("", timed.total.name, *_figures(timed.total, timed)))
    return _table(timed, LAYER_COLUMNS, rows)


def kind_time_table(timed: LayerTimes) -> Table:
    """A row a kind of operation, and the model's row behind them."""
    rows = [(part.name, part.ops, *_figures(part, timed)) for part in timed.kinds]
    rows.append(("all", timed.total.ops, *_figures(timed.total, timed)))
    return _table(timed, KIND_COLUMNS, rows)


def _figures(part: TimedPart, timed: LayerTimes) -> tuple[Cell, ...]:
    whole, work = timed.total.time_ms, part.work
    peak = timed.roofline.roof.products
    return (
        part.time_ms,
        part.time_ms / whole if whole else None,
        part.dispatch_ms,
        work.products // 2,
        work.nbytes,
        work.intensity,
        part.bound or None,
        part.floor_ms,
        part.floor_share,
        None if part.rate is None else part.rate / peak,
    )


def _table(
    timed: LayerTimes, columns: tuple[Column, ...], rows: Sequence[tuple[Cell, ...]]
) -> Table:
    roofline = timed.roofline
    return of_graphs(
        [roofline.graph],
        columns,
        rows,
        notes=(*timed.roofline.findings, *notes_of(_notes(timed))),
        convention={
            "time_ms": "medians over passes under torch's profiler, which slows what it watches",
            "time_floor_ms": "sum over operations of the larger of arithmetic and memory access",
            "device": roofline.device.title,
            "dtype": roofline.dtype,
        },
    )


def _notes(timed: LayerTimes) -> Iterator[str]:
    yield from timed.remarks
    yield _apart(timed)
    yield _roof(timed.roofline)
    if any((part.floor_share or 0) > 1 for part in timed.layers):
        yield (
            "A floor_share above 100%: the data came from a cache, which the roofline leaves out, "
            "or the peaks were measured on a busier machine (`archstat roofline --measure`)."
        )


def _apart(timed: LayerTimes) -> str:
    total, ms = timed.total, format_milliseconds
    head = f"{timed.roofline.model}, a pass: {ms(timed.wall_ms)} on the wall clock"
    if timed.dispatch_ms is None or total.dispatch_ms is None:
        return (
            f"{head}; under the profiler {ms(timed.watched_ms)}, of which operations take "
            f"{ms(total.time_ms)}, the rest is Python and the profiler."
        )
    return (
        f"{head}, {ms(timed.dispatch_ms)} until forward returned; under the profiler "
        f"{ms(timed.watched_ms)}, kernels {ms(total.time_ms)} and calls {ms(total.dispatch_ms)}."
    )


def _roof(roofline: Roofline) -> str:
    roof = roofline.roof
    return (
        f"roofline of {roofline.device.title}, {roofline.dtype}: products at "
        f"{format_rate(roof.products, 'FLOP/s')}, {format_rate(roof.bandwidth, 'B/s')}."
    )


def layer_table(
    spec: str, conditions: Conditions, input: Sequence[str] = (), by_kind: bool = False
) -> Table:
    """Where the time of a forward pass goes: a row a layer or, with `by_kind`, a kind.

    Raises:
        LatencyError, DeviceError, ArchstatError: see `measured_layers`.
    """
    timed = measured_layers(spec, conditions, input)
    return kind_time_table(timed) if by_kind else layer_time_table(timed)
