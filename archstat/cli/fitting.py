"""Columns that stand side by side on the screen at hand, the most needed first."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archstat.result import Table

if TYPE_CHECKING:
    from archstat.cli.output import Destination

_GAP = 2


def screen_width(path: Path | None) -> int | None:
    """The columns of the terminal that a table goes to; None for a file or a pipe."""
    to_terminal = path is None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if to_terminal else None


def fitted(table: Table, needed: Sequence[str], destination: Destination) -> Table:
    """Those of the needed columns that hold something and, on a screen, that fit there."""
    filled = [key for key in needed if any(cell is not None for cell in table.column(key))]
    table = table.select(filled)
    if destination.format.name != "console":
        return table
    return on_screen(table, filled, screen_width(destination.path))


def on_screen(table: Table, needed: Sequence[str], width: int | None) -> Table:
    """The columns among `needed` that stand side by side in `width`; a note names the others.

    Where a name leaves no room for a second column, all of them: the console folds the name then,
    and goes on below.
    """
    lines = [table.keys(), *table.formatted()]
    taken, left = -_GAP, []
    kept = set()
    for key in needed:
        index = table.index(key)
        taken += _GAP + max(len(line[index]) for line in lines)
        if width is None or taken <= width:
            kept.add(key)
        else:
            left.append(key)
            width = 0 if width is None else min(width, taken - 1)
    if len(kept) < min(2, len(needed)):
        return table.select([column.key for column in table.columns if column.key in needed])
    shown = table.select([column.key for column in table.columns if column.key in kept])
    note = f"A wider screen or --columns shows {', '.join(left)}, too."
    return replace(shown, notes=(*shown.notes, note)) if left else shown
