"""Markdown: a pipe table with the numbers as a screen shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from archstat.reporters.numbers import PLAIN, Style, scale_of
from archstat.result import Cell, Column, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#])")


def to_markdown(table: Table, style: Style = PLAIN) -> str:
    """The table as a Markdown pipe table, notes below.

    A number has its own unit, unless the style gives one for its column.
    """
    head = [escaped(column.key) for column in table.columns]
    rule = ["---" if column.unit == "text" else "--:" for column in table.columns]
    cells = table.formatted() if style == PLAIN else _styled(table, style)
    rows = [[escaped(cell) for cell in row] for row in cells]
    lines = ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]
    notes = [f"\n{escaped(note.text)}" for note in table.notes]
    return "\n".join([*lines, *notes]) + "\n"


def escaped(text: str) -> str:
    """A text in which no sign means anything to Markdown, on one line."""
    return _SPECIAL.sub(r"\\\1", text).replace("\n", " ")


def _styled(table: Table, style: Style) -> Iterable[list[str]]:
    for number, row in enumerate(table.rows):
        yield [
            (">= " if (number, column.key) in table.bounds else "") + _cell(column, cell, style)
            for column, cell in zip(table.columns, row, strict=True)
        ]


def _cell(column: Column, cell: Cell, style: Style) -> str:
    if not isinstance(cell, (int, float)) or column.unit == "ratio":
        return column.format(cell)
    scale = scale_of(column, (cell,), style)
    gap = "" if scale.unit in ("", "%") else " "
    return f"{scale.text(cell)}{gap}{scale.unit}"
