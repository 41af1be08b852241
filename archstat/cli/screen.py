"""The end of a command: its table sorted, chosen, fitted to the screen at hand, and written."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from archstat.cli.help import RUNNING
from archstat.cli.output import Destination
from archstat.errors import ColumnError, IncompleteCountError
from archstat.hints import as_known, did_you_mean
from archstat.reporters.to_console import heading
from archstat.result import RATIO_SUFFIX, Cell, Column, Note, Table, notes_of


def chosen_columns(
    text: str | None, known: Sequence[Column], first: str = "model"
) -> tuple[list[str] | None, list[str]]:
    """The keys of ``a,b,c``, with `first` in front, None where none was chosen; those of ``+a,+b``.

    ``all`` chooses every column.

    Raises:
        ColumnError: a key that no column has.
    """
    keys = [key.strip() for key in (text or "").split(",") if key.strip()]
    plain = [known_key(key.removeprefix("+"), known) for key in keys if key != _ALL]
    if text is not None and all(key.startswith("+") for key in keys):
        return None, plain
    if _ALL in keys:
        return [column.key for column in known], []
    return (None if text is None else list(dict.fromkeys([first, *plain]))), []


_ALL = "all"


def sort_key(text: str | None, known: Sequence[Column]) -> tuple[str, bool] | None:
    """The key of ``[-]key`` and whether the largest comes first.

    Raises:
        ColumnError: a key that no column has.
    """
    return (
        None if text is None else (known_key(text.removeprefix("-"), known), text.startswith("-"))
    )


def known_key(name: str, known: Sequence[Column]) -> str:
    """The key of the column that goes by a name: its key or, on a screen, its heading.

    Raises:
        ColumnError: no column does; the message has the nearest, and the command that lists them.
    """
    keys = [column.key for column in known]
    headings = {heading(column): column.key for column in reversed(known)}
    for names in (dict(zip(keys, keys, strict=True)), headings):
        if (found := as_known(name, names)) in names:
            return names[found]
    raise ColumnError(
        f"There is no column {name!r}.{did_you_mean(name, keys)} "
        f"`archstat columns {RUNNING.get()}` lists all of them."
    )


def axis(given: str, known: Sequence[Column]) -> tuple[Column, bool | None]:
    """The column of KEY, +KEY or -KEY, and whether more of it is better; None where nobody says.

    Raises:
        ColumnError: no such column.
    """
    key = known_key(given.lstrip("+-"), known)
    column = next(column for column in known if column.key == key)
    better = {"higher": True, "lower": False}.get(column.better)
    return column, {"+": True, "-": False}.get(given[:1], better)


class View:
    """What of a table is shown, and where: checked before the work, so that a typo costs no time.

    Args:
        destination: the checked format and file.
        known: the columns that the table will have.
        columns, sort, top: the options of these names.
        largest: the key that `top` goes by without `sort`, where the table has it.
        first: the key that stands in front of chosen ones; by default the first column's.

    Raises:
        ColumnError: a key that no column has.
    """

    def __init__(
        self,
        destination: Destination,
        known: Sequence[Column],
        columns: str | None = None,
        sort: str | None = None,
        first: str | None = None,
        top: int | None = None,
        largest: str = "",
    ) -> None:
        self.destination = destination
        if top is not None and sort is None and any(one.key == largest for one in known):
            sort = f"-{largest}"
        first = known[0].key if first is None else first
        self.chosen, self.added = chosen_columns(columns, known, first)
        self.order, self.top = sort_key(sort, known), top

    @property
    def is_raw(self) -> bool:
        """Whether numbers go out exact and complete, not for a reader."""
        return self.destination.is_raw

    @property
    def leaves_choice(self) -> bool:
        """Whether it is for the command to say what a reader needs."""
        return self.chosen is None and not self.is_raw


def show(
    table: Table,
    view: View,
    shown: Sequence[str] | None = None,
    needed: Sequence[str] = (),
    *,
    totals: int = 0,
    conventions: bool = False,
    transpose: bool = False,
) -> None:
    """Sort a table, take its first rows, select its columns and write it.

    Args:
        shown: the columns that a reader gets who chose none, in this order; by default all.
        needed: those that a narrow screen keeps, the most needed first; by default in the order in
            which they are shown.
        totals: how many rows at the end stay there.
        conventions: whether a sentence below says which conventions the columns go by.
        transpose: one column a row.

    Raises:
        OutputError: the file cannot be written.
    """
    table = arranged(table, view, totals)
    if not view.leaves_choice:
        shown, needed = view.chosen, ()
    keys = table.keys() if shown is None else shown
    keys = [*keys, *(key for key in view.added if key not in keys)]
    selected = replace(table.select(keys), needed=(*needed, *view.added))
    if view.destination.is_screen:
        selected = _with_ratios(selected, table)
    if conventions and not view.is_raw:
        selected = with_conventions(selected)
    view.destination.write(transposed(selected, raw=view.is_raw) if transpose else selected)


def arranged(table: Table, view: View, totals: int = 0) -> Table:
    """The table sorted and cut to its first rows as a view says, which is then done."""
    if view.order is None and view.top is None:
        return table
    end = len(table) - totals
    order = table.order(*view.order) if view.order else range(len(table))
    body = [row for row in order if row < end][: view.top]
    view.order = view.top = None
    return table.take([*body, *range(end, len(table))])


def _with_ratios(shown: Table, whole: Table) -> Table:
    """On a screen a figure's ratio stands below it, in no column of its own."""
    if len(whole) < 2 and whole.reference is not None:
        return shown
    keys, known = shown.keys(), whole.keys()
    ratios = [ratio for key in keys if (ratio := key + RATIO_SUFFIX) in known and ratio not in keys]
    if not ratios:
        return shown
    if len(whole) > _MOST_WITH_RATIOS and whole.reference is None:
        return shown  # not of models, and its command says itself what it needs
    if len(whole) > _MOST_WITH_RATIOS:
        note = f"No ratios above {_MOST_WITH_RATIOS} models; --columns +{ratios[0]} shows one."
        return replace(shown, notes=(*shown.notes, *notes_of([note])))
    return replace(whole.select([*keys, *ratios]), notes=shown.notes, needed=shown.needed)


_MOST_WITH_RATIOS = 8


def filled(table: Table, keys: Sequence[str]) -> list[str]:
    """Those of the keys whose column holds something."""
    return [key for key in keys if any(cell is not None for cell in table.column(key))]


def held(table: Table, keys: Sequence[str]) -> list[str]:
    """Those of the keys that the table has."""
    known = table.keys()
    return [key for key in keys if key in known]


def screen_width(path: Path | None) -> int | None:
    """The columns of the terminal that a table goes to; None for a file or a pipe."""
    to_terminal = path is None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if to_terminal else None


# The convention that a column goes by; csv has none, json holds all of them.
_CONVENTION_OF = {
    "memory_access": "memory_access",
    "memory_access_bytes": "memory_access",
    "arithmetic_intensity": "memory_access",
    "peak_memory_bytes": "peak_memory_bytes",
    "ideal_peak_bytes": "peak_memory_bytes",
}


def with_conventions(table: Table) -> Table:
    """The table with a sentence below for each convention that its columns go by."""
    shown = (_CONVENTION_OF.get(_plain(column.key)) for column in table.columns)
    told = dict.fromkeys(key for key in shown if key in table.convention)
    said = notes_of(f"{key}: {table.convention[key]}." for key in told if key is not None)
    return replace(table, notes=(*table.notes, *said))


def _plain(key: str) -> str:
    return key.removeprefix("own_").removesuffix("_share").removesuffix(RATIO_SUFFIX)


def transposed(table: Table, *, raw: bool = False) -> Table:
    """One row a column and one column a row, named by its first cell; `raw` keeps numbers."""
    names = [str(row[0]) for row in table.rows]
    heads = [
        name if names.index(name) == number else f"{name} #{names[:number].count(name) + 1}"
        for number, name in enumerate(names)
    ]
    grid = [list(row) for row in table.rows] if raw else table.formatted()
    rows: list[tuple[Cell, ...]] = [
        (column.key, *(row[number] for row in grid))
        for number, column in enumerate(table.columns)
        if number
    ]
    first = Column("column", "text", "key of the column")
    columns = (first, *(Column(head, "text", "one row of the table") for head in heads))
    return replace(table, columns=columns, rows=tuple(rows), bounds=frozenset(), reference=None)


def refuse_incomplete(
    unknown: int, strict: bool, destination: Destination, notes: Sequence[Note]
) -> None:
    """Raise where operations are unknown and ``--strict`` was given.

    A reader has their names below the table; otherwise the message holds them.

    Raises:
        IncompleteCountError: exit code 3.
    """
    if strict and unknown:
        told = [note.text for note in notes if note.topic == "unknown_ops" and destination.is_raw]
        said = (
            f"the count is incomplete and --strict was given: {unknown} "
            f"operation{'s'[: unknown != 1]} neither counted nor known to be free."
        )
        raise IncompleteCountError(" ".join([said, *told]))
