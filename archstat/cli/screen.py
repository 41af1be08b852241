"""Columns that stand side by side on the screen at hand, the most needed first."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from archstat.cli.output import Destination
from archstat.errors import IncompleteCountError
from archstat.result import RATIO_SUFFIX, Column, Note, Table, notes_of, unknown_column


def chosen_columns(
    text: str | None, known: Sequence[Column], first: str = "model"
) -> list[str] | None:
    """The keys of ``a,b,c``, with `first` in front; None where nothing was chosen.

    Raises:
        ColumnError: a key that no column has.
    """
    if text is None:
        return None
    keys = [key.strip() for key in text.split(",") if key.strip()]
    names = [column.key for column in known]
    for key in keys:
        if key not in names:
            raise unknown_column(key, names)
    return list(dict.fromkeys([first, *keys]))


def sort_key(text: str | None, known: Sequence[Column]) -> tuple[str, bool] | None:
    """The key of ``[-]key`` and whether the largest comes first.

    Raises:
        ColumnError: a key that no column has.
    """
    if text is None:
        return None
    key = text.removeprefix("-")
    names = [column.key for column in known]
    if key not in names:
        raise unknown_column(key, names)
    return key, text.startswith("-")


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
    return replace(shown, notes=(*shown.notes, *notes_of([note]))) if left else shown


def on_screen_with_ratio(
    table: Table, needs: Sequence[str], width: int | None, is_screen: bool
) -> Table:
    """The needed columns that fit the width, with the ratio of latencies below its figure."""
    if not is_screen:
        return table.select(needs)
    shown = on_screen(table.select(needs), needs, width)
    return replace(table.select(with_ratio(shown.keys(), table, True)), notes=shown.notes)


def with_ratio(keys: Sequence[str], table: Table, is_screen: bool) -> list[str]:
    """The keys, on a screen with the ratio of latencies that it shows below its figure."""
    ratio = f"latency_ms{RATIO_SUFFIX}"
    shows = is_screen and "latency_ms" in keys and ratio not in keys and any(table.column(ratio))
    return [*keys, ratio] if shows else list(keys)


# The convention that a column goes by; csv has none, json holds all of them.
_CONVENTION_OF = {
    "memory_access": "memory_access",
    "memory_access_bytes": "memory_access",
    "arithmetic_intensity": "memory_access",
    "peak_memory_bytes": "peak_memory_bytes",
    "ideal_peak_bytes": "peak_memory_bytes",
}


def with_footers(table: Table, raw: bool = False) -> Table:
    """The table with a sentence below for each convention that its columns go by.

    Args:
        raw: for csv and json, which hold the conventions elsewhere: as it is.
    """
    shown = (_CONVENTION_OF.get(_plain(column.key)) for column in table.columns)
    told = dict.fromkeys(key for key in shown if key is not None)
    notes = [f"{key}: {table.convention[key]}." for key in told if key in table.convention]
    return table if raw or not notes else replace(table, notes=(*table.notes, *notes_of(notes)))


def _plain(key: str) -> str:
    return key.removeprefix("own_").removesuffix("_share").removesuffix(RATIO_SUFFIX)


def refuse_incomplete(unknown: int, strict: bool, notes: Sequence[Note]) -> None:
    """Raise where operations are unknown and ``--strict`` was given.

    Raises:
        IncompleteCountError: exit code 3.
    """
    if strict and unknown:
        raise IncompleteCountError(
            f"the count is incomplete and --strict was given: {unknown} "
            f"operation{'s'[: unknown != 1]} neither counted nor known to be free. "
            + " ".join(note.text for note in notes if note.topic == "unknown_ops")
        )
