"""Rooflines as tables: what each op, layer or model takes at least on a device, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from archstat.analyses.devices import Device
from archstat.analyses.memory_access import FUSIONS
from archstat.analyses.roofline import Part, Roofline
from archstat.graph import Graph
from archstat.reporters.plots import RoofLines, RoofPoint, RoofSeries, plot_roofline
from archstat.result import IDENTITY, Cell, Column, Picture, Table, notes_of
from archstat.tables import of_graphs
from archstat.units import format_bytes, format_milliseconds, format_rate

_FIGURES = (
    Column("flops", "count", "2 x macs and all other operations", "lower"),
    Column("memory_access_bytes", "bytes", "bytes read and written", "lower"),
    Column("arithmetic_intensity", "number", "flops for each byte read or written", "higher"),
    Column("bound", "text", "what takes the most of the time: compute or memory"),
    Column("time_floor_ms", "ms", "the least time on the device", "lower"),
)
_SHARE = Column("time_share", "share", "part of the model's least time")
_RATE = Column("attainable_flops", "count", "flops a second in the least time", "higher")
_BOUND_SHARE = Column("compute_bound_share", "share", "part of the time in compute-bound ops")
LAYER_COLUMNS = (
    Column("layer", "text", "path of the module that runs the ops, empty for the model"),
    Column("type", "text", "class of the module"),
    *_FIGURES, _SHARE, _RATE,
)  # fmt: skip
OP_COLUMNS = (
    LAYER_COLUMNS[0],
    Column("op", "text", "name of the operation, and of those merged into it"),
    *_FIGURES, _SHARE, _RATE,
)  # fmt: skip
_COMPARED = (_FIGURES[0], _FIGURES[1], _FIGURES[4])
MODEL_COLUMNS = (
    *IDENTITY, *_FIGURES, _BOUND_SHARE, _RATE, *(column.ratio() for column in _COMPARED),
)  # fmt: skip


def layer_table(found: Roofline, every: bool = False) -> Table:
    """A row a layer, or with `every` a row an op, and the model's row behind them."""
    parts = found.kernels if every else found.layers
    total = found.total
    shown = [part for part in parts if part.work.flops or part.work.nbytes or part.incomplete]
    rows = [_row(part, total) for part in shown]
    rows.append(("", total.name, *_row(total, total)[2:]))
    columns = OP_COLUMNS if every else LAYER_COLUMNS
    return _table(columns, rows, (found,), _bounds((*shown, total)))


def named_total(table: Table) -> Table:
    """The layers for a reader: the model's row, which is the last, has its name in front."""
    *layers, (layer, name, *figures) = table.rows
    return replace(table, rows=(*layers, (name, layer, *figures)))


def roofline_table(found: Sequence[Roofline], every: bool, several: bool) -> Table:
    """A row a model or, of one, a row a layer or every operation; it draws the rooflines."""
    table = model_table(found) if several else layer_table(found[0], every)
    return replace(table, picture=picture(found))


def model_table(found: Sequence[Roofline]) -> Table:
    """A row a model, with ratios to the first."""
    base = found[0].total
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        total = one.total
        compared = zip(_compared(total), _compared(base), strict=True)
        ratios = (mine / theirs if theirs else None for mine, theirs in compared)
        share = total.compute_bound / total.seconds if total.seconds else None
        figures = tuple(_figures(total))
        rows.append((one.model, one.graph.input_text, *figures, share, total.rate, *ratios))
    bounds = _bounds([one.total for one in found])
    return _table(MODEL_COLUMNS, rows, found, bounds, reference=0)


def _bounds(parts: Sequence[Part]) -> frozenset[tuple[int, str]]:
    """The cells that are lower bounds, since an operation is unknown."""
    keys = [column.key for column in _COMPARED]
    return frozenset((row, key) for row, part in enumerate(parts) if part.incomplete
                     for key in keys)  # fmt: skip


def _compared(part: Part) -> tuple[float, ...]:
    return part.work.flops, part.work.nbytes, part.seconds


def _row(part: Part, total: Part) -> tuple[Cell, ...]:
    share = part.seconds / total.seconds if total.seconds else None
    return (part.name, part.type, *_figures(part), share, part.rate)


def _figures(part: Part) -> Iterator[Cell]:
    yield part.work.flops
    yield part.work.nbytes
    yield part.work.intensity
    yield part.bound or None
    yield 1000 * part.seconds


def _table(
    columns: tuple[Column, ...],
    rows: Sequence[tuple[Cell, ...]],
    found: Sequence[Roofline],
    bounds: frozenset[tuple[int, str]],
    reference: int | None = None,
) -> Table:
    first = found[0]
    findings = dict.fromkeys(f for one in found for f in one.findings)
    notes = dict.fromkeys(f"{one.model}: {note}" for one in found for note in one.graph.notes)
    return of_graphs(
        [one.graph for one in found],
        columns,
        rows,
        bounds=bounds,
        reference=reference,
        notes=(*findings, *notes_of([*notes, *remarks(first)])),
        convention={
            "flops": "2 x macs, plus bias, norm, activation, pooling and element-wise operations",
            "memory_access_bytes": FUSIONS[first.fusion],
            "time_floor_ms": "sum over kernels of the larger of arithmetic and memory access; "
            "no launches, no caches, peak rates",
            "device": first.device.title,
            "device_sources": "; ".join(dict.fromkeys(first.device.sources.values())),
            "dtype": first.dtype,
        },
    )


def remarks(found: Roofline) -> Iterator[str]:
    """What a reader must know of the device and of the floor."""
    roof, device = found.roof, found.device
    products, others = (format_rate(peak, "FLOP/s") for peak in (roof.products, roof.others))
    yield (
        f"{device.title}, {found.dtype}: products (2 x macs) at {products} on {roof.unit} units, "
        f"other flops at {others} on vector units, {format_rate(roof.bandwidth, 'B/s')}; "
        f"products are compute-bound above {roof.ridge:.4g} flops a byte."
    )
    folded = "; a folded norm has no flops" if found.fusion == "inference" else ""
    yield f"memory access: {FUSIONS[found.fusion]}{folded}."
    needed = _weights(found.graph)
    if device.memory is not None and needed > device.memory:
        yield f"its weights, {format_bytes(needed)}, exceed the memory of {device.title}."
    yield (
        f"{found.model}: {format_milliseconds(1000 * found.total.seconds)} is a lower bound; real "
        "runs are slower (launch overhead, unreached peaks)."
    )


def _weights(graph: Graph) -> int:
    used = {value.storage for value in (*graph.parameters(), *graph.buffers())}
    return sum(graph.storages[storage].nbytes for storage in used)


def device_table(devices: Sequence[Device]) -> Table:
    """The devices: peaks by dtype in operations a second, bandwidth, memory, sources."""
    units = [(unit, key) for unit in ("vector", "tensor")
             for key in _peaks(devices, unit)]  # fmt: skip
    columns = (
        Column("device", "text", "its name as a device"),
        Column("title", "text", "what it is"),
        Column("memory_bytes", "bytes", "memory"),
        Column("bandwidth", "count", "bytes a second"),
        *(Column(f"{unit}_{key}", "count", f"peak of {unit} units") for unit, key in units),
        Column("sources", "text", "the document of each figure"),
    )
    rows = tuple(
        (
            device.name,
            device.title,
            device.memory,
            device.bandwidth,
            *(getattr(device, unit).get(key) for unit, key in units),
            "; ".join(f"{figure}: {text}" for figure, text in device.sources.items()),
        )
        for device in devices
    )
    note = (
        "Peaks are dense operations per second, two for each multiply-accumulate; bandwidth is in "
        "bytes per second. csv and json hold the source of each figure."
    )
    return Table(columns, rows, notes=notes_of([note]))


def _peaks(devices: Sequence[Device], unit: str) -> list[str]:
    return list(dict.fromkeys(key for device in devices for key in getattr(device, unit)))


def picture(found: Sequence[Roofline]) -> Picture:
    """What draws the models, which share a device and a dtype."""
    device, roof = found[0].device, found[0].roof
    lines = RoofLines(device.title, found[0].dtype, roof.bandwidth, roof.products, roof.others)
    return partial(plot_roofline, lines, [_series(one) for one in found])


def _series(one: Roofline) -> RoofSeries:
    points = tuple(
        RoofPoint(part.name or part.type, part.work.intensity, part.rate,
                  part.seconds / one.total.seconds)
        for part in one.layers
        if part.work.intensity is not None and part.rate is not None
    )  # fmt: skip
    return RoofSeries(one.model, points)
