"""The screen: rounded numbers with units, ratios below them, no number lost when it is narrow."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archstat.result import RATIO_SUFFIX, Cell, Column, Table

_GAP = 2
_NARROWEST_NAME = 12


def to_console(table: Table, width: int | None = None, colour: bool | None = None) -> str:
    """The table as text; by default as wide, and as colourful, as standard output allows.

    A table too wide for the screen goes on below, its first column repeated.
    """
    from rich.console import Console

    terminal = sys.stdout.isatty()
    if width is None and terminal:
        width = shutil.get_terminal_size().columns
    if colour is None:
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    text = io.StringIO()
    console = Console(
        file=text,
        width=width or 100_000,
        force_terminal=colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    columns = _shown(table)
    cells = {column.key: _lines(table, column) for column in columns}
    room = _room(columns, cells, width)
    for number, part in enumerate(_parts(columns, cells, room)):
        if number:
            console.print()
        console.print(_rich_table(table, part, cells, room.text))
    for note in table.notes:
        console.print(note.text)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _shown(table: Table) -> list[Column]:
    """The columns without those ratios that stand below the value they belong to."""
    keys = set(table.keys())
    return [c for c in table.columns if c.key.removesuffix(RATIO_SUFFIX) not in keys - {c.key}]


# A cell, the ratio below it, and whether that is better than the reference.
_Lines = tuple[str, str, bool]
_APART = 1.005  # less is said to be about the same


def _lines(table: Table, column: Column) -> list[_Lines]:
    """Each row's cell, and the ratio to print below it."""
    values = [
        column.format(cell, (row, column.key) in table.bounds)
        for row, cell in enumerate(table.column(column.key))
    ]
    key = column.key + RATIO_SUFFIX
    known = table.keys()
    if key not in known:
        return [(value, "", False) for value in values]
    ratio = table.columns[table.index(key)]
    silent = {row for row, bounded in table.bounds if bounded == column.key}
    if table.reference in silent:
        silent = set(range(len(table)))
    elif table.reference is not None:
        silent.add(table.reference)
    return [
        # What is only a lower bound has no ratio to speak of.
        (value, "", False)
        if cell is None or row in silent
        else (value, ratio.format(cell), _is_better(column, cell))
        for row, (value, cell) in enumerate(zip(values, table.column(key), strict=True))
    ]


def _is_better(column: Column, ratio: Cell) -> bool:
    if not isinstance(ratio, (int, float)):
        return False
    return ratio * _APART <= 1 if column.better == "lower" else (
        column.better == "higher" and ratio >= _APART)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Room:
    """The width of the screen (None: endless) and the most that a text column may take of it."""

    width: int | None
    text: int | None

    def of(self, column: Column, cells: dict[str, list[_Lines]]) -> int:
        natural = _width(column, cells)
        return min(natural, self.text) if self.text and column.unit == "text" else natural


def _room(columns: Sequence[Column], cells: dict[str, list[_Lines]], width: int | None) -> _Room:
    natural = sum(_width(column, cells) + _GAP for column in columns) - _GAP
    if width is None or natural <= width:
        return _Room(width, None)
    return _Room(width, max(_NARROWEST_NAME, width // 3))


def _parts(
    columns: Sequence[Column], cells: dict[str, list[_Lines]], room: _Room
) -> Iterator[list[Column]]:
    """The columns in groups that fit the width, the first column in each of them."""
    first, *rest = columns
    if room.width is None:
        yield list(columns)
        return
    part, used = [first], room.of(first, cells)
    for column in rest:
        needed = _GAP + room.of(column, cells)
        if len(part) > 1 and used + needed > room.width:
            yield part
            part, used = [first], room.of(first, cells)
        part.append(column)
        used += needed
    yield part


def _broken(text: str, width: int | None) -> str:
    """A spec too long for its column, broken after commas."""
    if width is None or len(text) <= width:
        return text
    lines = [""]
    for piece in text.replace(",", ",\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def _width(column: Column, cells: dict[str, list[_Lines]]) -> int:
    lines = (line for *texts, _ in cells[column.key] for line in texts)
    return max([len(column.key), *(len(line) for line in lines)])


def _rich_table(
    table: Table, part: Sequence[Column], cells: dict[str, list[_Lines]], room: int | None
) -> object:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    # The box draws one column of the gap itself.
    padding = (0, _GAP - 1, 0, 0)
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=padding)
    for column in part:
        text = column.unit == "text"
        grid.add_column(
            column.key,
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=not text,
            max_width=room if text else None,
            header_style="bold",
        )
    for row in range(len(table)):
        line = []
        for column in part:
            value, below, is_better = cells[column.key][row]
            shown = _broken(value, room) if column.unit == "text" else value
            cell = Text(shown, style="bold" if column is part[0] else "")
            if below:
                cell.append(f"\n{below}", style="green" if is_better else "")
            line.append(cell)
        grid.add_row(*line)
    return grid
