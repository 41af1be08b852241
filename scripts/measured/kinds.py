"""Rows of reports/time_by_kind.csv: where the time goes, with the machine's record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.layers import measured_layers
from archstat.measure.latency.machine import this_machine
from archstat.tables.bench_layers import KIND_COLUMNS, kind_time_table
from measured.rows import Row

_MACHINE = ("device_name", "driver", "torch", "python", "platform", "cores", "identity")
HEADER = (
    *("model", "input", *(column.key for column in KIND_COLUMNS)),
    *("wall_ms", "dispatch_wall_ms", "watched_ms", "device", "dtype", "batch", "threads"),
    *(*_MACHINE, "roofline", "date"),
)


def kind_rows(spec: str, conditions: Conditions) -> list[Row]:
    """A row a kind of one model, and one of all."""
    import torch

    asked = replace(conditions, threads=conditions.threads or torch.get_num_threads())
    timed = measured_layers(spec, asked)
    machine = this_machine(asked)
    common: dict[str, object] = {
        "model": spec,
        "input": timed.roofline.graph.input_text,
        "wall_ms": timed.wall_ms,
        "dispatch_wall_ms": timed.dispatch_ms,
        "watched_ms": timed.watched_ms,
        **{key: getattr(asked, key) for key in ("device", "dtype", "batch", "threads")},
        **{key: getattr(machine, key) for key in _MACHINE},
        "roofline": timed.roofline.device.title,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    rows: list[dict[str, object]] = [
        {**common, **record} for record in kind_time_table(timed).records()
    ]
    return [{key: "" if row.get(key) is None else str(row[key]) for key in HEADER} for row in rows]
