"""A bar a row: the picture of a table that has none of its own."""

from __future__ import annotations

from pathlib import Path

from archstat.errors import OutputError
from archstat.reporters.plots.figures import COLOURS, drawing
from archstat.result import Column, Table
from archstat.units import format_bytes, format_count

_DRAWN = ("count", "bytes", "number", "ms", "share")


def plot_bars(table: Table, path: str | Path) -> None:
    """Draw the first column of numbers, named by the first column, into a file.

    Raises:
        OutputError, MissingExtraError: a table without numbers; see also `check_plot_path`.
    """
    column = next((c for c in table.columns[1:] if c.unit in _DRAWN), None)
    if column is None or not table.rows:
        raise OutputError("this table has no numbers to draw.")
    cells = table.column(column.key)
    sizes = [cell if isinstance(cell, (int, float)) else 0 for cell in cells]
    names = [str(row[0]) for row in table.rows]
    with drawing(path, 6.4, 0.9 + 0.3 * len(names)) as figure:
        axes = figure.subplots()
        places = range(len(names))
        bars = axes.barh(places, sizes, color=COLOURS[0])
        axes.bar_label(bars, [column.format(cell) for cell in cells], padding=3, fontsize=8)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlabel(_unit(column))
        axes.margins(x=0.15)
        if column.unit in ("count", "bytes"):
            shown = format_count if column.unit == "count" else format_bytes
            axes.xaxis.set_major_formatter(lambda value, _: shown(value).replace(".00", ""))
        figure.suptitle(column.meaning, x=0.02, ha="left", fontweight="bold")


def _unit(column: Column) -> str:
    return column.key if column.unit in ("count", "number") else f"{column.key} ({column.unit})"
