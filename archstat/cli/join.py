"""``--join FILE.csv``: columns of the user's own, accuracy say, beside archstat's."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from archstat.errors import ColumnError
from archstat.result import Cell, Column, Table


@dataclass(frozen=True, slots=True)
class Joined:
    """The columns of a file, and its cells by model."""

    columns: tuple[Column, ...] = ()
    cells: dict[str, tuple[Cell, ...]] = field(default_factory=dict)


def read_joined(path: str | None, taken: Collection[str]) -> Joined:
    """The columns of a CSV file with a `model` column; none without a file.

    Raises:
        ColumnError: unreadable, no `model` column, a model twice, or a key that archstat has.
    """
    if path is None:
        return Joined()
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            head, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ColumnError(f"--join {path} cannot be read: {error}.") from error
    keys = [key.strip() for key in head]
    if "model" not in keys:
        raise ColumnError(f"--join {path} has no column `model`; its first line must name one.")
    own = [key for key in keys if key != "model"]
    clashes = [key for key in own if key in taken or own.count(key) > 1]
    if clashes:
        raise ColumnError(f"--join {path}: the column {clashes[0]!r} exists already; rename it.")
    cells: dict[str, tuple[Cell, ...]] = {}
    place = keys.index("model")
    for row in rows:
        if len(row) != len(keys):
            raise ColumnError(f"--join {path}: {','.join(row)!r} does not have {len(keys)} cells.")
        if row[place] in cells:
            raise ColumnError(f"--join {path} has the model {row[place]!r} twice.")
        cells[row[place]] = tuple(_read(text) for i, text in enumerate(row) if i != place)
    numeric = [all(not isinstance(row[i], str) for row in cells.values()) for i in range(len(own))]
    columns = [
        Column(key, "number" if number else "text", f"from {path}")
        for key, number in zip(own, numeric, strict=True)
    ]
    return Joined(tuple(columns), cells)


def joined(table: Table, extra: Joined) -> Table:
    """The table with the file's columns behind its own; a model it does not name has none."""
    nothing: tuple[Cell, ...] = (None,) * len(extra.columns)
    names = table.column("model")
    rows = tuple(
        (*row, *extra.cells.get(str(name), nothing))
        for row, name in zip(table.rows, names, strict=True)
    )
    return replace(table, columns=(*table.columns, *extra.columns), rows=rows)


def _read(text: str) -> Cell:
    text = text.strip()
    if not text:
        return None
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
