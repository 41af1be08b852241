"""Reports: everything known of one model at one input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from archstat.graph import Graph, Op
from archstat.result.columns import Analysis, Cell, Column, Note, Number
from archstat.result.table import Table, Tabular

_LAYER = (
    Column("module", "text", "path of the module, empty for the root"),
    Column("type", "text", "class of the module"),
)
IDENTITY = (
    Column("model", "text", "the spec as typed"),
    Column("input", "text", "shape of each input, batch first"),
)


@dataclass(frozen=True)
class Report(Tabular):
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

    @property
    def unknown_ops(self) -> int:
        """Operations that nobody counts; without a forward pass that is one."""
        found: int | None = self.totals["unknown_ops"]
        return 1 if found is None else found

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
        for op in self.graph.ops:
            own.setdefault(op.module, {})
        for op, key, number in self._per_op():
            row = own[op.module]
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
            kind = split.setdefault(op.kind, {})
            kind[key] = kind.get(key, 0) + number
        return split

    def _per_op(self) -> Iterator[tuple[Op, str, Number]]:
        """The figures of ops but zeros, of which most are."""
        for analysis in self.analyses:
            for key, numbers in analysis.per_op.items():
                for op, number in zip(self.graph.ops, numbers, strict=True):
                    if number:
                        yield op, key, number

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
        bounds = self.lower_bounds
        rows = tuple((c.key, c.format(self.totals.get(c.key), c.key in bounds), c.meaning)
                     for c in self.columns)  # fmt: skip
        columns = (Column("column", "text", "key"), Column("total", "figure", "of the model"),
                   Column("meaning", "text", "what it is"))  # fmt: skip
        table = Table(columns, rows, notes=self.findings, inputs=(f"{self.model} ({self.input})",))
        # Tables stand above and import this file, so that a notebook asks for them.
        drawn: str = import_module("archstat.tables.report_data").in_notebook(self)
        return drawn + table._repr_html_()
