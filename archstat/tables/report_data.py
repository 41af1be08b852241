"""What a report shows of one model: its figures, and the tables behind the drawings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from archstat.analyses import COLUMNS
from archstat.analyses.field import Fields, receptive_field
from archstat.analyses.field.steps import row_label
from archstat.analyses.guidelines import Limits
from archstat.analyses.memory import live_bytes
from archstat.analyses.roofline import Roofline
from archstat.errors import Option, OutputError, SpatialAxesError
from archstat.graph import Graph
from archstat.models.pipeline import report as report_of
from archstat.reporters.page.document import asset
from archstat.reporters.page.strip import strip
from archstat.reporters.page.svg import tag
from archstat.reporters.page.treemap import Area, treemap
from archstat.result import FUNCTIONAL, Analysis, Cell, Column, Note, Report, Table, notes_of
from archstat.tables import of_graphs
from archstat.tables.guidelines import Judged, judged
from archstat.tables.module_tree import Node, folded, module_tree, walk
from archstat.tables.report_strip import Strip, strip_of
from archstat.tables.roofline import layer_table
from archstat.tables.summary import remarks

if TYPE_CHECKING:
    from archstat.measure.training.rows import MemoryRow

MEASURES = ("macs", "params", "memory_access_bytes", "activations")
FLOOR = Column("time_floor_ms", "ms", "least time on the device", "lower")
_BY_KEY = {column.key: column for column in (*COLUMNS, FLOOR)}
_MODULE = (
    Column("module", "text", "path of the module, the first of equal neighbours"),
    Column("tree", "text", "the module under its parent, and how many equal ones"),
    Column("calls", "number", "how often it is called"),
    Column("input", "text", "shape of its first input, batch first"),
    Column("output", "text", "shape of its last output, batch first"),
    Column("kernel", "text", "window of its own operation, with its stride"),
)
_LAYER = (
    Column("layer", "text", "path of the module, or the operation"),
    Column("type", "text", "class of the module"),
    Column("kernel", "pixels", "its own window"),
    Column("stride", "pixels", "its own stride"),
    Column("receptive_field", "pixels", "input pixels seen, the most over positions"),
    Column("effective_stride", "pixels", "input pixels from one position to the next"),
)
_LIVE = (
    Column("operation", "text", "name of the operation"),
    Column("module", "text", "path of the module that runs it"),
    Column("live_bytes", "bytes", "alive while it runs: weights, buffers, activations"),
)
_PHASE = Column("phase", "text", "part of the training step")


@dataclass(frozen=True)
class Portrait:
    """One model, with what its page needs; each part is made when it is asked for."""

    report: Report
    roofline: Roofline | None = None
    training: MemoryRow | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The figures that a module has; a device adds the least time on it."""
        return (*MEASURES, FLOOR.key) if self.roofline else MEASURES

    @cached_property
    def fields(self) -> Fields | None:
        """The receptive fields; None without spatial axes."""
        key = "receptive_field"
        if self.report.totals[key] is None and key not in self.report.unknown:
            return None  # as the analysis has found
        try:
            return receptive_field(self.report.graph)
        except SpatialAxesError:
            return None

    @cached_property
    def tree(self) -> Node:
        """The modules, not folded."""
        report = self.report if self.roofline is None else _with_floor(self.report, self.roofline)
        return module_tree(report, (*self.keys, "unknown_ops"))

    @cached_property
    def rows(self) -> list[Node]:
        """The modules as the page has them, equal neighbours folded, top down."""
        return [node for node, _ in walk(folded(self.tree), None)]

    @cached_property
    def modules(self) -> Table:
        """A row for each of `rows`."""
        bounds = {(n, key) for n, node in enumerate(self.rows) if node.total["unknown_ops"]
                  for key in self.report.lower_bounds}  # fmt: skip
        cells = [self._module_row(node) for node in self.rows]
        columns = (*_MODULE, *(_BY_KEY[key] for key in self.keys))
        return of_graphs([self.report.graph], columns, cells, bounds=frozenset(bounds))

    def _module_row(self, node: Node) -> tuple[Cell, ...]:
        told = re.sub(r"_scaled_dot_product_\w+", "attention", node.label if node.path else
                      node.type or self.report.model)  # fmt: skip
        figures = (node.total[key] for key in self.keys)
        return (node.path, told, node.calls, node.input, node.output, node.kernel, *figures)

    @cached_property
    def measures(self) -> list[Column]:
        """The figures that a treemap can go by: those of which the model has some."""
        return [_BY_KEY[key] for key in self.keys if self.tree.total[key]]

    @cached_property
    def areas(self) -> Area:
        """The tree for a treemap; its rows are those of `modules`."""
        numbers = {id(node): n for n, node in enumerate(self.rows)}
        kinds = _kinds(self.report)

        def area(node: Node) -> Area:
            own = node.path.removesuffix(f".{FUNCTIONAL}") if node.is_functional else node.path
            parts = tuple(area(child) for child in node.children)
            name = str(self.modules.rows[numbers[id(node)]][1])
            # What a module with parts has itself, a parameter say, needs a place of its own.
            if parts and any(node.own.values()):
                figures = {k: float(node.own.get(k, 0)) for k in self.keys}
                parts = (*parts, Area(numbers[id(node)], "own", "other", figures))
            figures = {key: float(node.total[key]) for key in self.keys}
            return Area(numbers[id(node)], name, kinds.get(own, "other"), figures, parts)

        return area(self.rows[0])

    @cached_property
    def strip(self) -> Strip:
        """The network as a row of blocks."""
        return strip_of(self.report, self.tree, self.fields)

    @cached_property
    def layers(self) -> Table:
        """A row for each layer with a geometry: what it sees."""
        found = () if self.fields is None else self.fields.layers
        cells = [(row_label(row), row.module_type, row.kernel, row.stride,
                  row.receptive_field if row.known else None,
                  row.effective_stride if row.known else None) for row in found]  # fmt: skip
        return of_graphs([self.report.graph], _LAYER, cells)

    @cached_property
    def reach(self) -> tuple[float | None, ...]:
        """The largest field so far in pixels, an entry a layer; None for what sees everything."""
        most, found = 0.0, []
        for sizes in self.layers.column("receptive_field"):
            local = [n for n in sizes if n is not None] if isinstance(sizes, tuple) else []
            is_local = isinstance(sizes, tuple) and 0 < len(local) == len(sizes)
            most = float(max(most, *local)) if is_local else most
            found.append(most if is_local else None)
        return tuple(found)

    @cached_property
    def resident(self) -> int:
        """Bytes of weights, buffers and constants, which are there throughout."""
        graph = self.report.graph
        own = {v.storage for v in graph.values if v.role in ("parameter", "buffer", "constant")}
        return sum(graph.storages[storage].nbytes for storage in own)

    @cached_property
    def live(self) -> Table:
        """The bytes alive before the first operation, and during each."""
        graph = self.report.graph
        named = [("before the first", ""), *((op.name, op.module) for op in graph.ops)]
        held = live_bytes(graph)
        cells = [(*name, alive) for name, alive in zip(named, held, strict=True)]
        return of_graphs([graph], _LIVE, cells)

    @cached_property
    def step(self) -> Table | None:
        """The bytes alive when each operation of a training step ended; None without one."""
        if self.training is None:
            return None
        cells = [(one.target, one.module, one.live_bytes, one.phase)
                 for one in self.training.step.moments]  # fmt: skip
        return of_graphs([self.report.graph], (*_LIVE, _PHASE), cells)

    @cached_property
    def floors(self) -> Table | None:
        """A row a layer on the device, the model's last; None without a device."""
        return None if self.roofline is None else layer_table(self.roofline)

    @cached_property
    def judged(self) -> Judged:
        """The model held against the guidelines."""
        return judged(self.report.model, self.report.graph, Limits(), "inference")

    def figure(self, key: str) -> str:
        """A figure of the model that a treemap goes by."""
        return _BY_KEY[key].format(self.tree.total[key], key in self.report.lower_bounds)

    def treemap(self, key: str, table: str, shape: tuple[float, float]) -> str:
        """The areas of the modules by a figure, as SVG; `table` has their rows."""
        title = f"{self.report.model}: {key} by module, {self.figure(key)} in all"
        return treemap(title, self.areas, key, table, shape)

    def drawn_strip(self, table: str, least: float = 1100.0) -> str:
        """The blocks from input to output, as SVG; `table` has their rows."""
        title = f"{self.report.model}: its blocks from input to output"
        return strip(title, self.strip.blocks, self.strip.jumps, table, least)

    def draw(self, key: str, path: str | Path) -> None:
        """Draw the strip into a file whose name begins with it, or else the treemap.

        Raises:
            OutputError: neither can be drawn; see also `check_plot_path`.
        """
        from archstat.reporters.plots import plot_from_page

        if Path(path).name.startswith("strip"):
            if not self.strip.blocks:
                raise OutputError(f"{path}: this model has no blocks to draw.")
            return plot_from_page(partial(self.drawn_strip, ""), path)
        if key not in (column.key for column in self.measures):
            drawn = ", ".join(column.key for column in self.measures) or "none"
            raise OutputError(f"{path}: no treemap goes by {key} here; {Option('sort')} takes "
                              f"{drawn}.")  # fmt: skip
        return plot_from_page(lambda wide: self.treemap(key, "", (wide, 0.45 * wide)), path)

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What a reader must be told: unknown operations, what is frozen, unused, shared."""
        return (*self.report.findings, *notes_of(remarks(self.report.graph)))


def portrait(model: str, graph: Graph, held: Roofline | None = None,
             training: MemoryRow | None = None) -> Portrait:  # fmt: skip
    """A model at its input, held against a device, and with a training step.

    Raises:
        CaptureError: the Graph has no forward pass.
    """
    graph.need_forward()
    return Portrait(report_of(graph, model), held, training)


def in_notebook(report: Report) -> str:
    """The strip and the treemap of a Report, small, in elements that bring their own style."""
    one = Portrait(report)
    if not (report.graph.ops and one.measures):
        return ""
    drawn = one.drawn_strip("", 700.0) if one.strip.blocks else ""
    drawn += one.treemap(one.measures[0].key, "", (700.0, 240.0))
    return tag("div", tag("style", f".archstat-drawn{{{asset('notebook.css')}}}"), drawn,
               class_="archstat-drawn")  # fmt: skip


def _with_floor(report: Report, held: Roofline) -> Report:
    """The Report with the least time of each op."""
    times = [1000 * floor.seconds for floor in held.floors]
    floor = Analysis({FLOOR.key: sum(times)}, {FLOOR.key: times})
    return replace(report, columns=(*report.columns, FLOOR), analyses=(*report.analyses, floor))


def _kinds(report: Report) -> Mapping[str, str]:
    """The kind of each module's own operations: that of the one with the most macs."""
    best: dict[str, tuple[float, str]] = {}
    numbers: Mapping[str, Sequence[float]] = {
        key: per_op for one in report.analyses for key, per_op in one.per_op.items()
    }
    flops = numbers["flops"]
    for index, op in enumerate(report.graph.ops):
        if flops[index] > best.get(op.module, (-1.0, ""))[0]:
            best[op.module] = (flops[index], _kind(op.kind))
    return {path: kind for path, (_, kind) in best.items()}


def _kind(kind: str) -> str:
    return "pool" if kind == "reduce" else kind


def peak_of(table: Table) -> tuple[int, str]:
    """The place of the most bytes, and the module or operation there."""
    alive = [int(str(cell)) for cell in table.column("live_bytes")]
    place = alive.index(max(alive))
    operation, module, *_ = table.rows[place]
    return place, str(module or operation)


def numbered(tables: Sequence[tuple[str, Table]], place: int, count: int) -> Iterator[
    tuple[str, Table]
]:  # fmt: skip
    """The tables of one model by names; of several models each has its number in the name."""
    for name, table in tables:
        yield (name if count == 1 else f"{name}-{place + 1}"), table
