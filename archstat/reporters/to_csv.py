"""CSV: one header line of keys, raw numbers, one row a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from archstat.result import Cell, Table
from archstat.units import format_axes

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(table: Table) -> str:
    """The table as CSV; no text cell starts a spreadsheet formula."""
    rows = ([_safe(cell) for cell in row] for row in table.rows)
    return "".join(_line(cells) for cells in (table.keys(), *rows))


def _line(cells: Iterable[Cell]) -> str:
    text = io.StringIO()
    # With this terminator the writer quotes a lone carriage return, too.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _safe(cell: Cell) -> Cell:
    if isinstance(cell, tuple):
        return format_axes(cell) if any(size is not None for size in cell) else ""
    # A leading quote is what spreadsheets themselves use to say "this is text".
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
