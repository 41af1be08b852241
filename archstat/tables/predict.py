"""Predicted throughput on a device: a row a model, with an interval and what takes the time."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from archstat.analyses.boards import BOARD, boards, like
from archstat.analyses.device_files import find_device
from archstat.analyses.kernels import KINDS, kernels
from archstat.analyses.operations import operations
from archstat.analyses.prediction import (
    LEAST_MEASUREMENTS,
    Fit,
    Measured,
    Prediction,
    calibrated,
    fit_for,
    is_of,
    left_out,
    predict,
)
from archstat.errors import ArchstatError, ColumnError, DeviceError, Option
from archstat.graph import Graph
from archstat.models.pipeline import GraphOf
from archstat.result import IDENTITY, Cell, Column, Note, Report, Table, notes_of
from archstat.tables import of_graphs
from archstat.tables.roofs import needs_device
from archstat.units import format_share

_SHARES = tuple(
    Column(f"{kind}_time_share", "share", f"part of the predicted time in {kind}")
    for kind in (*KINDS, "launch")
)
COLUMNS = (
    *IDENTITY,
    Column("predicted_throughput", "count", "predicted samples a second", "higher"),
    Column("predicted_throughput_low", "count", "lower limit of its 80 % interval", "higher"),
    Column("predicted_throughput_high", "count", "upper limit of its 80 % interval", "higher"),
    Column("predicted_ms", "ms", "predicted time a sample, in a batch of this size", "lower"),
    Column("slowest", "text", "the kinds of kernel that take most of the predicted time"),
    Column("inside_fit", "text", "yes, or where the fit has seen nothing like it"),
    Column("device", "text", "the device predicted"),
    Column("dtype", "text", "amp or fp32"),
    Column("layout", "text", "nchw or nhwc"),
    Column("engine", "text", "eager or compile"),
    Column("batch", "number", "samples a batch"),
    Column("table", "text", "the measurements that the rates were fitted to"),
    *_SHARES,
)
ON_SCREEN = ("model", "predicted_throughput", "predicted_throughput_low",
             "predicted_throughput_high", "predicted_ms", "slowest", "inside_fit")  # fmt: skip
_NAMED = 3
_SHAPE = re.compile(r"\d+((?:x\d+)+)")
_TIMES = ("latency_ms", "milliseconds", "ms")


@dataclass(frozen=True, slots=True)
class Predicted:
    """A model's Graph, and the prediction of one sample."""

    model: str
    graph: Graph
    prediction: Prediction
    unknown: int
    findings: tuple[Note, ...]


def predicted(model: str, graph: Graph, fit: Fit, batch: int | None = None) -> Predicted:
    """The prediction of one sample of a Graph.

    Raises:
        DeviceError: a batch that the fit's table does not support.
        CaptureError, InputError: the Graph has no forward pass, or nothing tells its batch.
    """
    found = predict(kernels(graph, fit.engine, fit.dtype), fit, batch)
    counted = operations(graph)
    return Predicted(model, graph, found, int(counted.totals["unknown_ops"] or 0), counted.findings)  # type: ignore[arg-type]


def predict_table(found: Sequence[Predicted], fit: Fit, errors: Sequence[float] = ()) -> Table:
    """A row a model; `errors` are predicted over measured times that calibration left out."""
    bounds = frozenset((row, "predicted_ms") for row, one in enumerate(found) if one.unknown)
    findings = dict.fromkeys(note for one in found for note in one.findings)
    return of_graphs(
        [one.graph for one in found],
        COLUMNS,
        [_row(one, fit) for one in found],
        bounds=bounds,
        notes=(*findings, *notes_of(_remarks(found, fit, errors))),
        convention={
            "predicted_ms": "sum over kernels of ((macs / P)^4 + (bytes / B)^4)^(1/4) and a launch "
            "each, a sample; P and B by kind of kernel",
            "table": fit.basis,
        },
    )


def _row(one: Predicted, fit: Fit) -> tuple[Cell, ...]:
    made = one.prediction
    shares = made.shares
    return (
        one.model, one.graph.input_text, *_throughputs(made), 1000 * made.seconds,
        ", ".join(f"{kind} {format_share(shares[kind])}" for kind in list(shares)[:_NAMED]),
        ", ".join(made.outside) or "yes", fit.device, fit.dtype, fit.layout, fit.engine,
        made.batch, fit.basis, *(shares.get(kind, 0.0) for kind in (*KINDS, "launch")),
    )  # fmt: skip


def _remarks(found: Sequence[Predicted], fit: Fit, errors: Sequence[float]) -> Iterator[str]:
    batches = ", ".join(dict.fromkeys(str(one.prediction.batch) for one in found))
    yield (
        f"Predicted, not measured: {fit.device}, {fit.dtype}, {fit.layout}, {fit.engine}, batch "
        f"{batches}; {fit.assurance}."
    )
    with_torch = f"torch {fit.torch}, " if fit.torch else ""
    yield f"Rates: {fit.basis}; {with_torch}{fit.rows} measurements."
    for one in found:
        if one.prediction.outside:
            yield (
                f"{one.model}: the fit has seen nothing like it in "
                f"{', '.join(one.prediction.outside)}; its interval is wider and may not hold."
            )
    if errors:
        size = median(abs(error - 1) for error in errors)
        yield (
            f"Each of your {len(errors)} measurements, predicted from the others, is off by "
            f"{100 * size:.1f} % (median)."
        )


# -- beside other figures ------------------------------------------------------------------------


def forecasts(devices: str | None) -> tuple[Fit, ...]:
    """The fits of devices that are named with commas between.

    Raises:
        DeviceError: see `fit_named`.
    """
    names = [] if devices is None else [name.strip() for name in devices.split(",")]
    return tuple(fit_named(name) for name in dict.fromkeys(names))


def forecast_columns(fits: Sequence[Fit]) -> tuple[Column, ...]:
    """Predicted throughput on each device, with its interval."""
    found = []
    for fit in fits:
        key = f"{fit.device.replace('-', '_')}_throughput"
        where = f"on {fit.device}, {fit.dtype}, {fit.engine}, batch {fit.batches[1]}"
        for end, meaning in (
            ("", f"predicted samples a second {where}"),
            ("_low", "lower limit of its 80 % interval"),
            ("_high", "upper limit of its 80 % interval"),
        ):
            found.append(Column(key + end, "count", meaning, "higher"))
    return tuple(found)


def with_forecasts(table: Table, reports: Sequence[Report], fits: Sequence[Fit]) -> Table:
    """A comparison with the columns of `forecast_columns`."""
    if not fits:
        return table
    found = [[predicted(report.model, report.graph, fit) for fit in fits] for report in reports]
    remarks = [remark for number, fit in enumerate(fits)
               for remark in _remarks([row[number] for row in found], fit, ())]  # fmt: skip
    return replace(
        table,
        columns=(*table.columns, *forecast_columns(fits)),
        rows=tuple(
            (*cells, *(limit for one in row for limit in _throughputs(one.prediction)))
            for cells, row in zip(table.rows, found, strict=True)
        ),
        notes=(*table.notes, *notes_of(remarks)),
    )


def _throughputs(made: Prediction) -> tuple[float | None, ...]:
    """Samples a second, and the limits of the interval."""
    if not made.seconds:
        return None, None, None
    return tuple(1 / made.seconds / by for by in (1.0, made.interval.high, made.interval.low))


# -- devices and measurements of the user's ------------------------------------------------------


def fit_named(
    device: str | None, engine: str | None = None, dtype: str | None = None,
    layout: str | None = None, calibrate: str | None = None,
) -> Fit:  # fmt: skip
    """The fit of a device by its name or file, before any measurements adapt it.

    Raises:
        SpecError: no device.
        DeviceError: no such device, nothing measured like it, or a board without measurements.
    """
    if device is None:
        raise needs_device("predict", "rtx-4090")
    if device != BOARD:
        return fit_for(find_device(device), engine, dtype, layout)
    typical, _ = boards()
    if calibrate is None or not is_of(typical, engine, dtype, layout):
        raise DeviceError(
            f"The device {BOARD} is any board that runs {typical.engine} in {typical.dtype}, "
            f"{typical.layout}, known by {LEAST_MEASUREMENTS} measured networks or more: predict "
            f"with {Option('calibrate', 'FILE.csv')} and no other engine, dtype or layout."
        )
    return typical


def adapted(path: str, fit: Fit, graphs: GraphOf) -> tuple[Fit, list[float]]:
    """The fit adapted to a file of measurements, and how far each is from what the others say.

    The file has columns ``model``, ``latency_ms`` (or ``milliseconds`` or ``ms``, of a batch) and,
    where they differ from one sample of the model's own size, ``batch`` and ``input``; what
    ``archstat bench -o`` writes is one.

    Raises:
        ColumnError: a file that cannot be read, a model in it that cannot, or too few of them.
    """
    rows = []
    for line, model, shape, batch, seconds in _measurements(path):
        try:
            graph = graphs(model, shape, batch)
        except ArchstatError as error:
            raise ColumnError(f"{Option('calibrate', path)}, line {line}: {error}") from error
        rows.append(Measured(kernels(graph, fit.engine, fit.dtype), batch, seconds / batch))
    adapt = like if fit.device == BOARD else partial(calibrated, fit)
    return adapt(rows), left_out(adapt, rows)


_Measurement = tuple[int, str, str | None, int, float]


def _measurements(path: str) -> list[_Measurement]:
    """Line, model, shape, batch and seconds a batch of each row.

    Raises:
        ColumnError: see `adapted`.
    """
    asked = Option("calibrate", path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            columns = lines.fieldnames or ()
            keys = [key for key in _TIMES if key in columns]
            if "model" not in columns or not keys:
                has = f"has the columns {', '.join(columns)}" if columns else "is empty"
                raise ColumnError(
                    f"{asked} {has}: it needs `model` and a time, `{'` or `'.join(_TIMES)}`, and "
                    "may have `batch`."
                )
            found = [_measurement(path, lines.line_num, line, keys[0])
                     for line in lines if not line.get("failed")]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ColumnError(f"{asked} cannot be read: {reason}.") from error
    models = {model for _, model, *_ in found}
    if len(models) < LEAST_MEASUREMENTS:
        measured = "1 measured network" if len(models) == 1 else f"{len(models)} measured networks"
        raise ColumnError(f"{asked} has {measured}: give {LEAST_MEASUREMENTS} or more.")
    return found


def _measurement(path: str, number: int, line: dict[str, str | None], key: str) -> _Measurement:
    try:
        model, batch = line["model"] or "", int(line.get("batch") or 1)
        seconds = float(line[key] or "") / 1000
    except ValueError:
        model, batch, seconds = "", 0, math.nan
    if not (math.isfinite(seconds) and seconds > 0 and batch > 0 and model):
        raise ColumnError(
            f"{Option('calibrate', path)}, line {number}: a row needs a model, a positive `{key}` "
            "in milliseconds and, where there is one, a whole batch of 1 or more."
        )
    shape = _SHAPE.fullmatch(line.get("input") or "")
    return number, model, shape and shape[1].removeprefix("x"), batch, seconds
