"""What analyses give and reporters get: columns, analyses, findings, reports and tables."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from archstat.graph import Graph, Op
from archstat.hints import unknown_column
from archstat.units import format_cell
from archstat.version import __version__

Number = int | float
PerAxis = tuple[Number | None, ...]
Cell = Number | str | PerAxis | None
Tone = Literal["good", "bad", "open"]
Unit = Literal["count", "bytes", "ratio", "share", "text", "number", "pixels", "ms", "figure"]

RATIO_SUFFIX = "_ratio"
# The last part of the path of what a module with children runs itself.
FUNCTIONAL = "(functional)"


class Mark(str):
    """A verdict as a cell: its text, and whether that is good news, bad news or neither."""

    __slots__ = ("tone",)
    tone: Tone

    def __new__(cls, text: str, tone: Tone) -> Mark:
        """The text with its tone."""
        mark = super().__new__(cls, text)
        mark.tone = tone
        return mark


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key (one word everywhere), its unit, which way is better, what it means.

    `of` says what it is a figure of: ``"all"`` adds up over modules, ``"model"`` is of the whole
    model only, ``"place"`` holds at a module's last output. `quotient` names the two columns that
    a ratio of totals is made of.
    """

    key: str
    unit: Unit
    meaning: str
    better: Literal["lower", "higher", ""] = ""
    of: Literal["all", "model", "place"] = "all"
    quotient: tuple[str, str] | None = None

    def format(self, cell: Cell, lower_bound: bool = False) -> str:
        """A cell for a screen: rounded, with its unit, ``>=`` before a lower bound."""
        if isinstance(cell, tuple) and not any(number is not None for number in cell):
            # what sees everything has no size and no stride
            return "global" if self.key == "receptive_field" else "-"
        text = format_cell(cell, self.unit)
        return f">= {text}" if lower_bound and isinstance(cell, Number) else text

    def ratio(self) -> Column:
        """The column of this one over its reference."""
        return Column(self.key + RATIO_SUFFIX, "ratio", f"{self.key} over the reference's")


# What a note is about; some go with a few columns alone.
Topic = Literal["note", "unknown_ops", "packed_weights", "failed", "receptive_field", "latency_ms"]
_COLUMNS_OF: Mapping[Topic, frozenset[str]] = {
    "packed_weights": frozenset({"params", "trainable_params", "param_bytes"}),
    "receptive_field": frozenset({"receptive_field", "effective_stride", "effective_padding",
                                  "global_from"}),
    "latency_ms": frozenset({"latency_ms"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader must be told: what it is about, the module it concerns, one sentence."""

    topic: Topic
    module: str
    text: str

    def __str__(self) -> str:
        return self.text


def notes_of(texts: Iterable[str], topic: Topic = "note") -> tuple[Note, ...]:
    """The notes that say these sentences of no module in particular."""
    return tuple(Note(topic, "", text) for text in texts)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one analysis says of a Graph.

    `totals` is the model's; `per_op` is aligned with the Graph's ops and `per_module` maps a
    module path to its own figures, for keys that add up; `at_module` maps it to what holds at its
    last output. Keys in `lower_bounds` may be too small, and of those in `unknown` nobody can tell
    a figure, for want of a rule; `conventions` says what was chosen in counting a key.
    """

    totals: Mapping[str, Cell]
    per_op: Mapping[str, Sequence[Number]] = field(default_factory=dict)
    per_module: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    lower_bounds: frozenset[str] = frozenset()
    findings: tuple[Note, ...] = ()
    at_module: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)
    conventions: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Analyzer:
    """An analysis with its name and the columns it fills."""

    name: str
    columns: tuple[Column, ...]
    run: Callable[[Graph], Analysis]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain cells under columns; all that a reporter ever gets.

    `bounds` holds (row, key) of the cells that are lower bounds; `reference` is the row that
    ratios refer to; `notes` are the sentences printed below, and `inputs` are the models' inputs,
    for a footnote where no column shows them. `needed` are the keys that a narrow page keeps, the
    most needed first; by default the columns in their order.
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

    def select(self, keys: Sequence[str]) -> Table:
        """The table with just these columns, in this order.

        Raises:
            ColumnError: no such column.
        """
        chosen = [self.index(key) for key in keys]
        rows = tuple(tuple(row[i] for i in chosen) for row in self.rows)
        columns = tuple(self.columns[i] for i in chosen)
        absent = {topic for topic, owned in _COLUMNS_OF.items() if owned.isdisjoint(keys)}
        notes = tuple(note for note in self.notes if note.topic not in absent)
        return replace(self, columns=columns, rows=rows, notes=notes)

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
        return sorted(filled, key=cells.__getitem__, reverse=descending) + empty

    def take(self, order: Sequence[int]) -> Table:
        """The rows of these numbers, in this order."""
        place = {old: new for new, old in enumerate(order)}
        bounds = frozenset((place[row], name) for row, name in self.bounds if row in place)
        reference = None if self.reference is None else place.get(self.reference)
        rows = tuple(self.rows[old] for old in order)
        return replace(self, rows=rows, bounds=bounds, reference=reference)

    def records(self) -> Iterator[dict[str, Cell]]:
        """One dict a row, column key to raw cell."""
        return (dict(zip(self.keys(), row, strict=True)) for row in self.rows)

    def formatted(self) -> list[list[str]]:
        """Every cell as a screen shows it."""
        return [
            [
                column.format(cell, (number, column.key) in self.bounds)
                for column, cell in zip(self.columns, row, strict=True)
            ]
            for number, row in enumerate(self.rows)
        ]

    def to_dataframe(self) -> Any:
        """The raw cells as a pandas DataFrame, one column a key."""
        import pandas

        return pandas.DataFrame(list(self.rows), columns=list(self.keys()))

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        grid = [list(self.keys()), *self.formatted()]
        widths = [max(len(row[i]) for row in grid) for i in range(len(self.columns))]
        lines = (
            "  ".join(
                cell.ljust(width) if column.unit == "text" else cell.rjust(width)
                for cell, width, column in zip(row, widths, self.columns, strict=True)
            ).rstrip()
            for row in grid
        )
        return "\n".join([*lines, *map(str, self.notes)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(key)}</th>" for key in self.keys())
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.formatted()
        )
        notes = "".join(f"<p>{html.escape(note.text)}</p>" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


@dataclass(frozen=True)
class Report:
    """Everything known of one model at one input.

    `totals` maps column keys to plain numbers; keys in `lower_bounds` are at least what is
    printed, since an unknown operation may add to them.
    """

    model: str
    input: str
    columns: tuple[Column, ...]
    analyses: tuple[Analysis, ...]
    findings: tuple[Note, ...]
    graph: Graph

    @cached_property
    def totals(self) -> dict[str, Any]:
        """The whole model's figures by column key: numbers, one an axis in a tuple, or a text."""
        known = {key: total for analysis in self.analyses for key, total in analysis.totals.items()}
        quotients = {c.key: self._quotient(*c.quotient, known) for c in self.columns if c.quotient}
        return {**known, **quotients}

    def _quotient(self, over: str, under: str, known: Mapping[str, Any]) -> float | None:
        # Of what is only a lower bound there is no quotient to speak of.
        if not known.get(under) or {over, under} & self.lower_bounds:
            return None
        return float(known[over] / known[under])

    @cached_property
    def conventions(self) -> dict[str, str]:
        """What was chosen in counting, by column key."""
        return {k: text for analysis in self.analyses for k, text in analysis.conventions.items()}

    @cached_property
    def at_module(self) -> dict[str, dict[str, Cell]]:
        """What holds at the last output of each module that was called, by path and key."""
        places: dict[str, dict[str, Cell]] = {}
        for analysis in self.analyses:
            for path, cells in analysis.at_module.items():
                places.setdefault(path, {}).update(cells)
        return places

    @cached_property
    def lower_bounds(self) -> frozenset[str]:
        """The keys whose totals are lower bounds."""
        return frozenset[str]().union(*(analysis.lower_bounds for analysis in self.analyses))

    @cached_property
    def unknown(self) -> frozenset[str]:
        """The keys whose totals are unknown, not merely absent."""
        return frozenset[str]().union(*(analysis.unknown for analysis in self.analyses))

    @cached_property
    def layers(self) -> Table:
        """A row for each module with its own figures: what stands directly under its path."""
        own: dict[str, dict[str, Number]] = {module.path: {} for module in self.graph.modules}
        types = {module.path: module.type for module in self.graph.modules}
        for op in self.graph.ops:
            types.setdefault(op.module, op.module_type)
        for analysis in self.analyses:
            for path, figures in analysis.per_module.items():
                own.setdefault(path, {}).update(figures)
        for op, key, number in self._per_op():
            row = own.setdefault(op.module, {})
            row[key] = row.get(key, 0) + number
        columns = self._additive()
        rows: list[tuple[Cell, ...]] = [
            (path, types.get(path, ""), *(row.get(column.key, 0) for column in columns))
            for path, row in own.items()
        ]
        return Table((*_LAYER, *columns), tuple(rows))

    @cached_property
    def by_kind(self) -> dict[str, dict[str, Number]]:
        """The figures that add up over ops, split by the kind of op."""
        split: dict[str, dict[str, Number]] = {}
        for op, key, number in self._per_op():
            if number:
                kind = split.setdefault(op.kind, {})
                kind[key] = kind.get(key, 0) + number
        return split

    def _per_op(self) -> Iterator[tuple[Op, str, Number]]:
        for analysis in self.analyses:
            for key, numbers in analysis.per_op.items():
                yield from ((op, key, n) for op, n in zip(self.graph.ops, numbers, strict=True))

    def _additive(self) -> tuple[Column, ...]:
        keys = {key for analysis in self.analyses for key in analysis.per_op}
        keys |= {k for a in self.analyses for figures in a.per_module.values() for k in figures}
        return tuple(column for column in self.columns if column.key in keys)

    def table(self) -> Table:
        """The totals as one row, with `model` and `input` before them."""
        cells = tuple(self.totals.get(column.key) for column in self.columns)
        bounds = frozenset((0, key) for key in self.lower_bounds)
        return Table((*IDENTITY, *self.columns), ((self.model, self.input, *cells),), bounds,
                     notes=self.findings)  # fmt: skip

    def __repr__(self) -> str:
        width = max(len(column.key) for column in self.columns)
        lines = [f"{self.model} ({self.input})"]
        for column in self.columns:
            bound = column.key in self.lower_bounds
            text = column.format(self.totals.get(column.key), bound)
            lines.append(f"  {column.key.ljust(width)}  {text}")
        return "\n".join([*lines, *(f"  {finding}" for finding in self.findings)])

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _sortable(cell: Cell) -> Any:
    """A cell that compares with others of its column; an axis that sees everything is largest."""
    if isinstance(cell, tuple):
        return tuple(float("inf") if number is None else number for number in cell)
    return cell


_LAYER = (
    Column("module", "text", "path of the module, empty for the root"),
    Column("type", "text", "class of the module"),
)
IDENTITY = (
    Column("model", "text", "the spec as typed"),
    Column("input", "text", "shape of each input, batch first"),
)
