"""``archstat cache info|clear``: the Graphs that earlier runs kept."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.options import Debug, FormatName, Output

_ACTIONS = ("info", "clear")

Action = Annotated[
    str,
    typer.Argument(metavar="info|clear", help="Show what there is, or take it all out.",
                   autocompletion=lambda: list(_ACTIONS)),
]  # fmt: skip


def cache(
    action: Action, format: FormatName = None, output: Output = None, debug: Debug = False
) -> None:
    """Show or clear the cache of Graphs, from which a second run is answered without torch.

    It lies in the user's cache folder, or where ARCHSTAT_CACHE says; ARCHSTAT_CACHE=off does
    without it, and so does --no-cache in a command.
    """
    from archstat.cli.output import Destination
    from archstat.errors import SpecError
    from archstat.models.cache import default_store
    from archstat.result import Column, Table, notes_of

    destination = Destination(format, output)
    if action not in _ACTIONS:
        raise SpecError(f"cache {action}: there is no such action; give info or clear.")
    kept = default_store()
    entries = size = 0
    if kept is not None:
        entries, size = kept.clear() if action == "clear" else kept.usage()
    happened = " taken out" if action == "clear" else ""
    columns = (
        Column("folder", "text", "where the entries lie"),
        Column("entries", "number", f"Graphs{happened}"),
        Column("bytes", "bytes", f"their size{happened}"),
        Column("limit_bytes", "bytes", "the most that is kept; the oldest go first"),
    )
    folder, limit = (None, None) if kept is None else (str(kept.folder), kept.limit)
    off = "The cache is off: ARCHSTAT_CACHE says so, or there is no home folder."
    notes = (off,) if kept is None else ("Taken out.",) if action == "clear" else ()
    row = (folder, entries, size, limit)
    destination.write(Table(columns, (row,), notes=notes_of(notes)))
