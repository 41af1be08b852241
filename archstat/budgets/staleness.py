"""What a lock file says that is no longer so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from archstat.budgets.lock import Entry, LockFile
from archstat.budgets.rules import RULE_COLUMNS
from archstat.budgets.verdicts import exact
from archstat.result import Cell
from archstat.units import format_axes


def staleness(lock: LockFile | None, entries: Mapping[str, Entry | None]) -> Iterator[str]:
    """A sentence for each budget that a lock file lacks, has no use for, or has other figures of.

    Versions alone make nothing stale. A budget whose model failed (None) is not asked.
    """
    locked = lock.entries if lock is not None else {}
    for name, entry in entries.items():
        if name not in locked:
            yield f"{name} is not in it"
        elif entry is not None and entry != locked[name]:
            yield f"{name}: {', '.join(_differences(locked[name], entry))}"
    for name in sorted(locked.keys() - entries.keys()):
        yield f"{name} is in it, and no budget has that name"


def _differences(old: Entry, new: Entry) -> Iterator[str]:
    if old.model != new.model:
        yield f"model {old.model} -> {new.model}"
    if old.input != new.input:
        yield f"input {old.input} -> {new.input}"
    figures = False
    for key in (*new.totals, *(key for key in old.totals if key not in new.totals)):
        if key not in new.totals or key not in old.totals:
            yield f"{key} is {'no longer' if key not in new.totals else 'now'} asked"
        elif old.totals[key] != new.totals[key]:
            figures = True
            yield f"{key} {shown(key, old.totals[key])} -> {shown(key, new.totals[key])}"
    if old.lower_bounds != new.lower_bounds:
        yield "other counts are incomplete"
    if old.layers != new.layers and not figures:
        yield "the same totals from other layers"


def shown(key: str, cell: Cell) -> str:
    """A total in full, with the unit of its column."""
    if isinstance(cell, tuple):
        return format_axes(cell)
    if cell is None or isinstance(cell, str):
        return cell or "nothing"
    column = next((column for column in RULE_COLUMNS if column.key == key), None)
    return exact(column, cell) if column else f"{cell:,}"
