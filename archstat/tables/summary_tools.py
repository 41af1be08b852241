"""`summary --as`: the tree with what a tool counts, and in which layers it differs from macs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from archstat.analyses.conventions.tools import Tool
from archstat.result import FUNCTIONAL, Analysis, Cell, Column, Report, Table, notes_of
from archstat.tables.summary import share_of

DIFFERENCE = Column(
    "difference", "count", "what the tool counts beyond macs; negative where it misses some"
)
WHY = Column("why", "text", "the layers in which the difference arises, the largest first")
_LAYERS = 3


def columns_of(tool: Tool) -> tuple[Column, ...]:
    """The columns that a tool adds to a summary."""
    own = Column(f"own_{tool.column.key}", "count", f"{tool.column.key} without those of children")
    return (tool.column, share_of(tool.column), own, DIFFERENCE, WHY)


def with_tool(report: Report, tool: Tool) -> Report:
    """The Report with a tool's figures, which stand at the first op of each module."""
    left = dict(tool.count(report.graph))
    key = tool.column.key
    per_op = [left.pop(op.module, 0) for op in report.graph.ops]
    per_module = {path: {key: figure} for path, figure in left.items()}
    found = Analysis({key: tool.total(report.graph)}, {key: per_op}, per_module)
    return replace(
        report, columns=(*report.columns, tool.column), analyses=(*report.analyses, found)
    )


def with_difference(table: Table, report: Report, tool: Tool) -> Table:
    """A summary with the difference of a tool's figure to macs in each row, and its layers."""
    key = tool.column.key
    below = _layers_below(report, key)
    rows = tuple(
        (*row, _less(record[key], record["macs"]), _said(below[str(record["module"])]))
        for row, record in zip(table.rows, table.records(), strict=True)
    )
    notes = notes_of([f"{key}: {tool.column.meaning}."])
    return replace(
        table, columns=(*table.columns, DIFFERENCE, WHY), rows=rows, notes=(*table.notes, *notes)
    )


def _less(figure: Cell, macs: Cell) -> int:
    return int(str(figure or 0)) - int(str(macs or 0))


def _layers_below(report: Report, key: str) -> dict[str, Counter[str]]:
    """By path, the differences of all layers below it, summed by the type of layer."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for record in report.layers.records():
        path, off = str(record["module"]), _less(record.get(key), record.get("macs"))
        if off:
            functional = f"{path}.{FUNCTIONAL}".lstrip(".")
            for place in (path, functional, *_above(path)):
                found[place][str(record["type"])] += off
    return found


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(len(parts))] if path else []


def _said(layers: Counter[str]) -> str:
    largest = sorted(layers, key=lambda name: -abs(layers[name]))
    more = ", ..." if len(largest) > _LAYERS else ""
    return ", ".join(largest[:_LAYERS]) + more
