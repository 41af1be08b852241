"""Tables: rows of plain cells, which every reporter gets and every command gives."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archstat.hints import unknown_column
from archstat.result.columns import COLUMNS_OF_TOPIC, Cell, Column, Note, Picture
from archstat.version import __version__

UnitName = str | Sequence[str] | None


class Tabular:
    """What shows itself as a table, in a notebook, a file or a picture."""

    __slots__ = ()

    def table(self) -> Table:
        """The table that it is shown as."""
        raise NotImplementedError

    def to_dataframe(self) -> Any:
        """The raw cells as a pandas DataFrame, one column a key."""
        import pandas

        table = self.table()
        return pandas.DataFrame(list(table.rows), columns=list(table.keys()))

    def to_latex(
        self,
        *,
        digits: int | None = None,
        unit: UnitName = None,
        caption: str | None = None,
        label: str | None = None,
    ) -> str:
        """The columns of the screen for a paper that uses booktabs and array.

        Args:
            digits: the least number of significant digits in a cell.
            unit: of whole columns, such as ``"M"``, ``"MiB"``, ``"M,MiB"`` or a list of them.
            caption, label: of the table.

        Raises:
            OutputError: a style that cannot be.
        """
        return _text(self, "latex", digits=digits, unit=unit, caption=caption, label=label)

    def to_markdown(self, *, digits: int | None = None, unit: UnitName = None) -> str:
        """The columns of the screen as a pipe table; see `to_latex`."""
        return _text(self, "markdown", digits=digits, unit=unit)

    def save(self, path: str | Path, *, format: str | None = None, **style: Any) -> None:
        """Write a .csv, .json, .md, .tex or .txt file; csv and json hold every column, exactly.

        Args:
            format: console, csv, json, markdown or latex; by default the suffix chooses.
            style: as `to_latex` and `to_markdown` take it, for files of theirs.

        Raises:
            OutputError: another suffix, a style that cannot be, or a file that cannot be written.
        """
        _reporters().save(self.table(), Path(path), format, style)

    def plot(self, path: str | Path) -> None:
        """Draw the table into a .pdf, .svg or .png file: its own picture, or bars.

        ``fig.pdf:3.3in`` makes it 3.3 inches wide (also cm, mm, pt), as a column of a page asks.
        Bars are of the first column of the screen that has numbers; matplotlib is the extra
        `plots`.

        Raises:
            OutputError, MissingExtraError: another suffix, no such folder, or no matplotlib.
        """
        table = self.table()
        if table.picture is None:
            _reporters(".plots").plot_bars(table.for_reader(), path)
        else:
            table.picture(path)


@dataclass(frozen=True, slots=True)
class Table(Tabular):
    """Rows of plain cells under columns; all that a reporter ever gets.

    `bounds` holds (row, key) of the cells that are lower bounds; `reference` is the row that
    ratios refer to; `notes` are the sentences printed below, and `inputs` are the models' inputs,
    for a footnote where no column shows them. `shown` are the columns that a reader gets who chose
    none (empty: all), `needed` the keys that a narrow page keeps, the most needed first (empty: in
    their order), and `picture` draws what the rows say.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    bounds: frozenset[tuple[int, str]] = frozenset()
    reference: int | None = None
    notes: tuple[Note, ...] = ()
    convention: Mapping[str, str] = field(default_factory=dict)
    torch_version: str = ""
    archstat_version: str = __version__
    inputs: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    picture: Picture | None = field(default=None, repr=False, compare=False)

    def keys(self) -> tuple[str, ...]:
        """The column keys, in order."""
        return tuple(column.key for column in self.columns)

    def column(self, key: str) -> tuple[Cell, ...]:
        """All cells of one column; see `index`."""
        index = self.index(key)
        return tuple(row[index] for row in self.rows)

    def index(self, key: str) -> int:
        """The position of a column.

        Raises:
            ColumnError: no such column.
        """
        if key not in self.keys():
            raise unknown_column(key, self.keys())
        return self.keys().index(key)

    def select(self, *chosen: str | Sequence[str]) -> Table:
        """The table with just these columns, in this order: ``select("model", "params")``.

        Raises:
            ColumnError: no such column.
        """
        keys = [k for one in chosen for k in ((one,) if isinstance(one, str) else one)]
        places = [self.index(key) for key in keys]
        rows = tuple(tuple(row[i] for i in places) for row in self.rows)
        columns = tuple(self.columns[i] for i in places)
        absent = {topic for topic, owned in COLUMNS_OF_TOPIC.items() if owned.isdisjoint(keys)}
        notes = tuple(note for note in self.notes if note.topic not in absent)
        return replace(self, columns=columns, rows=rows, notes=notes, shown=())

    def sort(self, key: str, descending: bool = False) -> Table:
        """The rows ordered by one column; rows without a value last.

        Raises:
            ColumnError: no such column.
        """
        return self.take(self.order(key, descending))

    def order(self, key: str, descending: bool = False) -> list[int]:
        """The numbers of the rows in the order that `sort` gives them."""
        index = self.index(key)
        cells: dict[int, Any] = {n: _sortable(row[index]) for n, row in enumerate(self.rows)}
        filled = [n for n, cell in cells.items() if cell is not None]
        empty = [n for n, cell in cells.items() if cell is None]
        # A stable order: equal cells stay as they stood, either way.
        # Joined columns may hold texts among numbers.
        key_of = {n: (isinstance(cells[n], str), cells[n]) for n in filled}
        return sorted(filled, key=key_of.__getitem__, reverse=descending) + empty

    def take(self, order: Sequence[int]) -> Table:
        """The rows of these numbers, in this order."""
        place = {old: new for new, old in enumerate(order)}
        bounds = frozenset((place[row], name) for row, name in self.bounds if row in place)
        reference = None if self.reference is None else place.get(self.reference)
        rows = tuple(self.rows[old] for old in order)
        return replace(self, rows=rows, bounds=bounds, reference=reference)

    def records(self) -> Iterator[dict[str, Cell]]:
        """One dict a row, column key to raw cell."""
        keys = self.keys()
        return (dict(zip(keys, row, strict=True)) for row in self.rows)

    def formatted(self) -> list[list[str]]:
        """Every cell as a screen shows it."""
        return [
            [
                column.format(cell, (number, column.key) in self.bounds)
                for column, cell in zip(self.columns, row, strict=True)
            ]
            for number, row in enumerate(self.rows)
        ]

    def table(self) -> Table:
        """Itself, as whatever shows itself as a table gives one."""
        return self

    def for_reader(self) -> Table:
        """The table with the columns of `shown`."""
        return self.select(self.shown) if self.shown else self

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        table = self.for_reader()
        grid = [list(table.keys()), *table.formatted()]
        widths = [max(len(row[i]) for row in grid) for i in range(len(table.columns))]
        lines = (
            "  ".join(
                cell.ljust(width) if column.unit == "text" else cell.rjust(width)
                for cell, width, column in zip(row, widths, table.columns, strict=True)
            ).rstrip()
            for row in grid
        )
        return "\n".join([*lines, *map(str, table.notes)])

    def _repr_html_(self) -> str:
        text: str = _reporters().to_html(self.for_reader())
        return text


def _text(shown: Tabular, form: str, **style: Any) -> str:
    reporters = _reporters()
    text: str = reporters.text_of(shown.table().for_reader(), reporters.format_named(form), style)
    return text


def _reporters(part: str = "") -> Any:
    # Reporters stand above and import this file, so that a table asks for them when it is told to.
    return importlib.import_module(f"archstat.reporters{part}")


def _sortable(cell: Cell) -> Any:
    """A cell that compares with others of its column; an axis that sees everything is largest."""
    if isinstance(cell, tuple):
        return tuple(float("inf") if number is None else number for number in cell)
    return cell
