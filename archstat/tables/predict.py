"""Predicted throughput on a device: a row a model, with an interval and what takes the time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from archstat.analyses.kernels import KINDS, kernels
from archstat.analyses.operations import operations
from archstat.analyses.prediction import (
    LEAST_MEASUREMENTS,
    Fit,
    Measured,
    Prediction,
    calibrated,
    left_out,
    predict,
)
from archstat.errors import ColumnError, Option
from archstat.graph import Graph
from archstat.models.pipeline import GraphOf
from archstat.result import IDENTITY, Cell, Column, Note, Table, notes_of
from archstat.tables import of_graphs
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
    Column("inside_fit", "text", "yes, or what the fit has seen nothing like"),
    Column("device", "text", "the device predicted"),
    Column("dtype", "text", "amp or fp32"),
    Column("layout", "text", "nchw or nhwc"),
    Column("engine", "text", "eager or compile"),
    Column("batch", "number", "samples a batch"),
    Column("table", "text", "the measurements that the rates were fitted to"),
    *_SHARES,
)
_NAMED = 3
_TIMES = ("latency_ms", "milliseconds", "ms")


@dataclass(frozen=True, slots=True)
class Predicted:
    """A model's Graph with one sample, and its prediction."""

    model: str
    graph: Graph
    prediction: Prediction
    unknown: int
    findings: tuple[Note, ...]


def predicted(model: str, graph: Graph, fit: Fit, batch: int | None = None) -> Predicted:
    """The prediction of a Graph that was captured with one sample.

    Raises:
        DeviceError: a batch that the fit's table does not support.
        CaptureError: the Graph has no forward pass.
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
    throughput = 1 / made.seconds if made.seconds else None
    limits = [throughput and throughput / by for by in (made.interval.high, made.interval.low)]
    shares = made.shares
    return (
        one.model, one.graph.input_text, throughput, *limits, 1000 * made.seconds,
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
    yield f"Rates: {fit.basis}; torch {fit.torch}, {fit.rows} networks."
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


# -- measurements of the user's -----------------------------------------------------------------


def adapted(path: str, fit: Fit, graphs: GraphOf, shapes: Any = None) -> tuple[Fit, list[float]]:
    """The fit adapted to a file of measurements, and how far each is from what the others say.

    The file has columns ``model``, ``latency_ms`` (or ``milliseconds`` or ``ms``, of a batch) and,
    unless they are of one sample, ``batch``; what ``archstat bench -o`` writes is one.

    Raises:
        ColumnError: a file that cannot be read, or with fewer than three measurements.
    """
    rows = [
        Measured(kernels(graphs(model, shapes, 1), fit.engine, fit.dtype), batch, seconds / batch)
        for model, batch, seconds in _measurements(path)
    ]
    return calibrated(fit, rows), left_out(fit, rows)


def _measurements(path: str) -> list[tuple[str, int, float]]:
    """Model, batch and seconds a batch of each row.

    Raises:
        ColumnError: see `adapted`.
    """
    asked = Option("calibrate", path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            keys = [key for key in _TIMES if key in (lines.fieldnames or ())]
            if "model" not in (lines.fieldnames or ()) or not keys:
                raise ColumnError(
                    f"{asked} has the columns {', '.join(lines.fieldnames or ())}: it "
                    f"needs `model` and `{keys[0] if keys else _TIMES[0]}`, and may have `batch`."
                )
            found = [_measurement(path, lines.line_num, line, keys[0]) for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ColumnError(f"{asked} cannot be read: {reason}.") from error
    if len({model for model, *_ in found}) < LEAST_MEASUREMENTS:
        raise ColumnError(
            f"{asked} has {len({model for model, *_ in found})} measured networks: give "
            f"{LEAST_MEASUREMENTS} or more."
        )
    return found


def _measurement(
    path: str, number: int, line: dict[str, str | None], key: str
) -> tuple[str, int, float]:
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
    return model, batch, seconds
