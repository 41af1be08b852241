"""``archstat columns [COMMAND]``: the keys that --columns and --sort take, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.output import Destination
from archstat.cli.screen import View, show
from archstat.errors import SpecError
from archstat.hints import did_you_mean
from archstat.result import Column, Table, notes_of

# Where the columns of each command are; imported when they are asked for.
HELD: Mapping[str, tuple[str, ...]] = {
    "compare": ("tables.compare:COMPARISON_COLUMNS", "tables.bench:COMPARED",
                "tables.sliding:SLIDING_COLUMNS"),
    "summary": ("tables.summary:KNOWN_COLUMNS",),
    "explain": ("tables.explain:COLUMNS", "tables.explain:KNOWN_FIGURES"),
    "rf": ("tables.rf:POSITION_COLUMNS", "tables.rf:NETWORK_COLUMNS", "tables.rf:ADVICE_COLUMNS",
           "tables.rf_measured:CHECK_COLUMNS", "tables.rf_measured:EFFECTIVE_COLUMNS"),
    "memory": ("tables.memory:MEMORY_COLUMNS", "tables.memory:MEASURED_COLUMNS",
               "tables.memory:FIT_COLUMNS"),
    "roofline": ("tables.roofline:MODEL_COLUMNS", "tables.roofline:OP_COLUMNS",
                 "tables.roofline:LAYER_COLUMNS"),
    "guidelines": ("tables.guidelines:COLUMNS",),
    "diff": ("tables.diff:FIGURES", "tables.diff:TEXT_COLUMNS", "tables.diff_shown:TOTAL_COLUMNS"),
    "reconcile": ("tables.reconcile:COLUMNS",),
    "audit": ("tables.audit:COLUMNS",),
    "crosscheck": ("tables.crosscheck:CROSSCHECK_COLUMNS",),
    "bench": ("tables.bench:LATENCY_COLUMNS", "tables.bench:HISTORY_COLUMNS",
              "tables.bench_layers:LAYER_COLUMNS", "tables.bench_layers:KIND_COLUMNS"),
    "experiment": ("tables.experiment:COLUMNS",),
    "list": ("cli.list:LIST_COLUMNS",),
}  # fmt: skip
COLUMNS = (
    Column("column", "text", "its key"),
    Column("unit", "text", "unit of its figures"),
    Column("meaning", "text", "what it holds"),
    Column("better", "text", "which way is better, where one is"),
)

Command = Annotated[
    str | None,
    typer.Argument(metavar="COMMAND", help="The command whose columns to list; without one, the "
                   "figures of a model.", autocompletion=lambda: list(HELD)),
]  # fmt: skip


def columns(
    command: Command = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """List the columns of a command: key, unit and meaning.

    The keys are what --columns and --sort take, and the names in csv and json.
    """
    view = View(Destination(format, output), COLUMNS)
    show(columns_table(command), view, ("column", "unit", "meaning"))


def columns_table(command: str | None = None) -> Table:
    """A row a column; of the figures that a model has where no command is named.

    Raises:
        SpecError: a command that shows no columns.
    """
    if command is not None and command not in HELD:
        hint = did_you_mean(command, HELD) or f" Commands with columns: {', '.join(HELD)}."
        raise SpecError(f"columns {command}: there is no such command.{hint}")
    places = ("analyses:COLUMNS",) if command is None else HELD[command]
    known = {column.key: column for place in places for column in _columns_at(place)}
    rows = tuple((c.key, c.unit, c.meaning, c.better) for c in known.values())
    note = "--columns KEY,KEY shows just these, --columns +KEY one more; --sort orders by one."
    return Table(COLUMNS, rows, notes=notes_of([note]))


def _columns_at(place: str) -> tuple[Column, ...]:
    module, _, name = place.partition(":")
    found: tuple[Column, ...] = getattr(import_module(f"archstat.{module}"), name)
    return found
