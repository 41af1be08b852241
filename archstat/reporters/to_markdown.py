"""Markdown: a pipe table with the numbers as a screen shows them."""

from __future__ import annotations

import re

from archstat.result import Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#])")


def to_markdown(table: Table) -> str:
    """The table as a Markdown pipe table, notes below."""
    head = [escaped(column.key) for column in table.columns]
    rule = ["---" if column.unit == "text" else "--:" for column in table.columns]
    rows = [[escaped(cell) for cell in row] for row in table.formatted()]
    lines = ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]
    notes = [f"\n{escaped(note.text)}" for note in table.notes]
    return "\n".join([*lines, *notes]) + "\n"


def escaped(text: str) -> str:
    """A text in which no sign means anything to Markdown, on one line."""
    return _SPECIAL.sub(r"\\\1", text).replace("\n", " ")
