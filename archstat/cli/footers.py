"""What a reader of the shown columns must be told of how they were counted."""

from __future__ import annotations

from dataclasses import replace

from archstat.result import RATIO_SUFFIX, Table

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
    return table if raw or not notes else replace(table, notes=(*table.notes, *notes))


def _plain(key: str) -> str:
    return key.removeprefix("own_").removesuffix("_share").removesuffix(RATIO_SUFFIX)
