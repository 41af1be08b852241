"""`cache`: the Graphs that earlier runs kept."""

from __future__ import annotations

from archstat.errors import SpecError
from archstat.result import Column, Table, notes_of
from archstat.units import format_bytes

ACTIONS = ("info", "clear")


def cache(action: str = "info") -> Table:
    """What the cache of earlier commands holds, or, with ``"clear"``, what was removed from it.

    Commands read and write it; functions capture afresh.

    Raises:
        SpecError: another action.
    """
    from archstat.models.cache import default_store

    if action not in ACTIONS:
        raise SpecError(f"cache {action}: there is no such action; give info or clear.")
    kept = default_store()
    entries = size = 0
    if kept is not None:
        entries, size = kept.clear() if action == "clear" else kept.usage()
    happened = " taken out" if action == "clear" else ""
    columns = (
        Column("folder", "text", "where the entries are"),
        Column("entries", "number", f"Graphs{happened}"),
        Column("bytes", "bytes", f"their size{happened}"),
        Column("limit_bytes", "bytes", "the limit of the cache; the oldest entries go first"),
    )
    folder, limit = (None, None) if kept is None else (str(kept.folder), kept.limit)
    off = "The cache is off: ARCHSTAT_CACHE says so, or there is no home folder."
    removed = f"Removed {entries} entr{'y' if entries == 1 else 'ies'} ({format_bytes(size)})."
    notes = (off,) if kept is None else (removed,) if action == "clear" else ()
    row = (folder, entries, size, limit)
    return Table(columns, (row,), notes=notes_of(notes))
