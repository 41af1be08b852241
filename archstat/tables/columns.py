"""`columns`: the columns of every command, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from archstat.errors import SpecError
from archstat.hints import did_you_mean
from archstat.result import Column, Table

# Where the columns of each command are; imported when they are asked for.
HELD: Mapping[str, tuple[str, ...]] = {
    "compare": ("tables.compare:COMPARISON_COLUMNS", "tables.bench:COMPARED",
                "tables.sliding:SLIDING_COLUMNS", "tables.accuracy:ACCURACY_COLUMNS"),
    "sweep": ("tables.sweep:SWEEP_COLUMNS", "tables.sweep:PREDICTED",
              "tables.scale:SUMMARY_COLUMNS"),
    "scale": ("tables.scale:SCALE_COLUMNS",),
    "summary": ("tables.summary:KNOWN_COLUMNS",),
    "explain": ("tables.explain:COLUMNS", "tables.explain:KNOWN_FIGURES"),
    "rf": ("tables.rf:POSITION_COLUMNS", "tables.rf:NETWORK_COLUMNS", "tables.rf:ADVICE_COLUMNS",
           "tables.rf_measured:CHECK_COLUMNS", "tables.rf_measured:EFFECTIVE_COLUMNS"),
    "memory": ("tables.memory:MEMORY_COLUMNS", "tables.memory:MEASURED_COLUMNS",
               "tables.memory:FIT_COLUMNS", "tables.memory:CUDA_COLUMNS",
               "tables.memory:DEVICE_COLUMNS", "tables.memory:CHECKPOINT_COLUMNS",
               "tables.memory_devices:SHARED_COLUMNS",
               "tables.memory_timeline:PEAK_COLUMNS", "tables.memory_timeline:OP_COLUMNS"),
    "roofline": ("tables.roofline:MODEL_COLUMNS", "tables.roofline:OP_COLUMNS",
                 "tables.roofline:LAYER_COLUMNS"),
    "predict": ("tables.predict:COLUMNS",),
    "guidelines": ("tables.guidelines:COLUMNS",),
    "diff": ("tables.diff:FIGURES", "tables.diff:TEXT_COLUMNS", "tables.diff_shown:TOTAL_COLUMNS"),
    "reconcile": ("tables.reconcile:COLUMNS",),
    "audit": ("tables.audit:COLUMNS",),
    "crosscheck": ("tables.crosscheck:CROSSCHECK_COLUMNS",),
    "bench": ("tables.bench:LATENCY_COLUMNS", "tables.bench:HISTORY_COLUMNS",
              "tables.bench_layers:LAYER_COLUMNS", "tables.bench_layers:KIND_COLUMNS"),
    "experiment": ("tables.experiment:COLUMNS",),
    "list": ("tables.list:LIST_COLUMNS",),
}  # fmt: skip
COLUMNS = (
    Column("column", "text", "its key"),
    Column("unit", "text", "unit of its figures"),
    Column("meaning", "text", "what it holds"),
    Column("better", "text", "which way is better, where one is"),
)


def columns(command: str | None = None) -> Table:
    """The columns of a command's table: key, unit, meaning and which way is better.

    Args:
        command: by default, the figures of a model.

    Raises:
        SpecError: a command that shows no columns.
    """
    if command is not None and command not in HELD:
        hint = did_you_mean(command, HELD) or f" Commands with columns: {', '.join(HELD)}."
        raise SpecError(f"columns {command}: no command of this name has columns to choose.{hint}")
    places = ("analyses:COLUMNS",) if command is None else HELD[command]
    known = {column.key: column for place in places for column in _columns_at(place)}
    rows = tuple((c.key, c.unit, c.meaning, c.better) for c in known.values())
    return Table(COLUMNS, rows, shown=("column", "unit", "meaning"))


def _columns_at(place: str) -> tuple[Column, ...]:
    module, _, name = place.partition(":")
    found: tuple[Column, ...] = getattr(import_module(f"archstat.{module}"), name)
    return found
