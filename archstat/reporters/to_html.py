"""HTML for notebooks: the columns of the screen, bars in shares, conventions in the caption."""

from __future__ import annotations

from html import escape

from archstat.result import Cell, Column, Table

_SHADE = "rgba(0,114,178,.25)"  # to be seen on light and on dark ground


def to_html(table: Table) -> str:
    """A ``table`` element, the notes below it; no number is parted from its unit."""
    head = "".join(map(_head, table.columns))
    body = "".join(
        f"<tr>{''.join(map(_cell, table.columns, row, texts))}</tr>"
        for row, texts in zip(table.rows, table.formatted(), strict=True)
    )
    notes = "".join(f"<p>{escape(note.text)}</p>" for note in table.notes)
    parts = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<table>{_caption(table)}{parts}</table>{notes}"


def _head(column: Column) -> str:
    side = "left" if column.unit == "text" else "right"
    meaning, key = escape(column.meaning), escape(column.key)
    return f'<th style="text-align: {side}" title="{meaning}">{key}</th>'


def _caption(table: Table) -> str:
    said = [f"{column.key}: {table.convention[column.key]}" for column in table.columns
            if column.key in table.convention]  # fmt: skip
    mode = [table.convention["mode"]] if "mode" in table.convention else []
    text = "; ".join([*table.inputs, *said, *mode])
    style = "caption-side: bottom; text-align: left"
    return f'<caption style="{style}">{escape(text)}</caption>' if text else ""


def _cell(column: Column, cell: Cell, text: str) -> str:
    side = "left" if column.unit == "text" else "right"
    style = f"text-align: {side}; white-space: pre" if side == "left" else f"text-align: {side}"
    if column.unit == "share" and isinstance(cell, (int, float)):
        full = f"{100 * min(max(cell, 0), 1):.1f}%"
        style += f"; background: linear-gradient(to right, {_SHADE} {full}, transparent {full})"
    shown = escape(text) if side == "left" else escape(text).replace(" ", "&nbsp;")
    return f'<td style="{style}">{shown}</td>'
