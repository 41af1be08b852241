"""`explain`: every figure of a module, or of a model, with its formula and the numbers in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from archstat.analyses import COLUMNS as FIGURES
from archstat.analyses import CONVENTION
from archstat.analyses.explained import (
    OF_OPS,
    OF_PARAMETERS,
    Line,
    field_lines,
    op_lines,
    parameter_lines,
    shape_lines,
)
from archstat.analyses.feature_maps import COLUMNS as MAP_COLUMNS
from archstat.analyses.feature_maps import with_feature_maps
from archstat.analyses.field import Fields, receptive_field
from archstat.analyses.gemm import COLUMNS as GEMM_COLUMNS
from archstat.analyses.memory import live_bytes
from archstat.errors import LookupFailedError, SpatialAxesError, SpecError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.result import FUNCTIONAL, Cell, Column, Note, Report, Table, Topic, notes_of
from archstat.tables import of_graphs
from archstat.tables.module_tree import Node, folded, module_tree, walk

COLUMNS = (
    Column("module", "text", "path of the module, empty for the whole model"),
    Column("op", "text", "the operation, if the module runs several; x2 for two alike"),
    Column("figure", "text", "key of the figure"),
    Column("formula", "text", "its formula in names, or why there is nothing to compute"),
    Column("arithmetic", "text", "the same with the numbers filled in"),
    Column("value", "figure", "what comes out"),
    Column("unit", "text", "what is counted"),
    Column("share", "share", "over the model's"),
    Column("convention", "text", "the convention of the figure"),
    Column("source", "text", "where it is described"),
)
_UNITS = {
    **dict.fromkeys(("params", "trainable_params", "buffers", "activations", "feature_maps",
                     "memory_access", "im2col"), "elements"),
    **dict.fromkeys(("param_bytes", "memory_access_bytes", "peak_memory_bytes"), "bytes"),
    **dict.fromkeys(("receptive_field", "effective_stride"), "pixels"),
    "macs": "multiply-accumulates", "flops": "operations", "im2col_copy_factor": "times",
}  # fmt: skip
# What a row may be of.
KNOWN_FIGURES = (
    *FIGURES, *MAP_COLUMNS, *GEMM_COLUMNS, Column("output", "text", "shape of its output")
)  # fmt: skip
_MEANINGS = {c.key: c.meaning for c in KNOWN_FIGURES}
_ACCESS, _SIZES = "arXiv:1807.11164; docs/memory_access.md", "arXiv:1603.07285"
_SOURCES = {
    "memory_access": _ACCESS, "memory_access_bytes": _ACCESS, "im2col": "docs/memory_access.md",
    "im2col_copy_factor": "docs/memory_access.md", "peak_memory_bytes": "docs/memory.md",
    "receptive_field": f"{_SIZES}; docs/receptive_field.md",
    "effective_stride": f"{_SIZES}; docs/receptive_field.md",
    "feature_maps": "cs231n.github.io/convolutional-networks",
}  # fmt: skip
_LEGEND: Topic = "legend"
_IMAGES = 4  # axes of an input that has pixels
# In this order; a letter goes with what stands behind its underscore, too.
_LETTERS = {
    "N": "batch", "C": "channels", "H": "height", "W": "width", "L": "length", "T": "keys",
    "E": "width of a token", "V": "vocabulary", "K": "window", "S": "stride", "P": "padding",
    "d": "dilation", "D": "depth", "g": "groups", "r": "field of what enters",
    "j": "its stride", "b": "products", "m": "rows", "k": "length of the sums", "n": "columns",
}  # fmt: skip


class Explained(NamedTuple):
    """A module's lines, what it is in one line, and whether operations in it are unknown."""

    module: str
    heading: str
    table: Table


def explain(
    report: Report, module: str = "", *, sized: bool = True, costed: bool = True
) -> Explained:
    """Every figure of a module, by default of the whole model, written out.

    Args:
        sized: whether the input's size was given; figures that hang on an assumed one are left out.
        costed: whether its channels were given.

    Raises:
        LookupFailedError: the model has no such module; the message holds the nearest.
    """
    report, sized = with_feature_maps(report), sized and report.graph.has_forward
    root = module_tree(report, (*OF_PARAMETERS, *OF_OPS, "unknown_ops"))
    node = _found(root, module)
    rows = list(_of_node(report, node, whole=node is root))
    hidden: tuple[str, ...] = () if sized and costed else (*OF_OPS, "im2col", "peak_memory_bytes")
    hidden += () if sized else ("output",)
    hidden += () if costed else OF_PARAMETERS
    rows = [(op, line) for op, line in rows if not _plain(line.figure).startswith(hidden)]
    cells = [_row(report, node, op, line) for op, line in rows]
    bounded = {number for number, (_, line) in enumerate(rows)
               if node.total["unknown_ops"] and line.figure in report.lower_bounds}  # fmt: skip
    letters = _letters(line.formula for _, line in rows if line.arithmetic)
    table = of_graphs(
        [report.graph],
        COLUMNS,
        cells,
        bounds=frozenset((number, "value") for number in bounded),
        notes=(*notes_of(_remarks(report, node)), *letters),
        convention={**CONVENTION, **report.conventions},
    )
    return Explained(node.path, _heading(report, node, sized), table)


def only(explained: Explained, figures: Sequence[str]) -> Explained:
    """The lines of these figures.

    Raises:
        SpecError: there is none.
    """
    names = [_plain(str(name)) for name in explained.table.column("figure")]
    rows = [number for number, name in enumerate(names)
            if {name, name.partition("_")[0]} & {*figures}]  # fmt: skip
    if not rows:
        known = ", ".join(dict.fromkeys(names))
        raise SpecError(
            f"{explained.module or 'the model'} has no {' or '.join(figures)}; it has {known}."
        )
    left = explained.table.take(rows)
    formulas = (str(row["formula"]) for row in left.records() if row["arithmetic"])
    others = [note for note in left.notes if note.topic != _LEGEND]
    return explained._replace(table=replace(left, notes=(*others, *_letters(formulas))))


def _found(root: Node, module: str) -> Node:
    nodes = {path: node for node, _ in walk(root, None) for path in (node.path, *node.aliases)}
    if module in nodes:
        return nodes[module]
    outer = ", ".join(child.path for child in root.children[:8])
    more = " and more" if len(root.children) > 8 else ""
    hint = did_you_mean(module, nodes) or f" It has {outer}{more}."
    raise LookupFailedError(f"explain {module}: the model has no such module.{hint}")


def _of_node(report: Report, node: Node, whole: bool) -> Iterator[tuple[str, Line]]:
    graph, path = report.graph, node.path
    if node.children:
        yield from (("", line) for line in _sums(folded(node)))
        if whole:
            yield "", _peak(graph)
        return
    if node.is_functional:
        path = path.removesuffix(FUNCTIONAL).removesuffix(".")
    else:
        yield from (("", line) for line in parameter_lines(graph, path))
    groups = list(_alike(graph, path))
    single = len(groups) == 1 and len(groups[0]) == 1
    fields = _fields(graph)
    counted: list[tuple[str, int, Sequence[Line]]] = []
    for group in groups:
        op = graph.ops[group[0]]
        name = "" if single else f"{op.name} x{len(group)}" if len(group) > 1 else op.name
        of_op = list(op_lines(graph, group[0]))
        counted.append((op.name, len(group), of_op))
        yield from ((name, line) for line in shape_lines(graph, group[0]))
        if fields is not None:
            yield from ((name, line) for line in field_lines(fields, group[0]))
        yield from ((name, line) for line in of_op)
    if not single:
        yield from (("", line) for line in _over_ops(counted))


def _alike(graph: Graph, module: str) -> Iterable[list[int]]:
    """The ops that a module runs itself, those of equal shapes and attributes together."""
    groups: dict[object, list[int]] = {}
    for index, op in enumerate(graph.ops):
        if op.module == module:
            shapes = tuple(graph.values[v][:2] for v in (*op.inputs, *op.outputs))
            held = tuple(graph.storages[graph.values[v].storage].nbytes for v in op.inputs)
            same = tuple(op.inputs.index(value) for value in op.inputs)
            key = (op.target, shapes, held, same, repr(sorted(op.attributes.items(), key=str)))
            groups.setdefault((key, _is_view(graph, index)), []).append(index)
    return groups.values()


def _is_view(graph: Graph, index: int) -> bool:
    op = graph.ops[index]
    storages = {graph.values[value].storage for value in op.inputs}
    return any(graph.values[value].storage in storages for value in op.outputs)


def _fields(graph: Graph) -> Fields | None:
    try:
        return receptive_field(graph)
    except SpatialAxesError:
        return None


def _over_ops(counted: Sequence[tuple[str, int, Sequence[Line]]]) -> Iterator[Line]:
    """The figures of several ops added up, each as often as it runs."""
    for figure in OF_OPS:
        parts = [
            (name, times, line.value)
            for name, times, lines in counted
            for line in lines
            if line.figure == figure and isinstance(line.value, int) and line.value
        ]
        if parts:
            yield Line(
                figure,
                " + ".join(f"{times} * {name}" if times > 1 else name for name, times, _ in parts),
                " + ".join(f"{times} * {value}" if times > 1 else str(value)
                           for _, times, value in parts),
                sum(times * value for _, times, value in parts),
            )  # fmt: skip


def _sums(node: Node) -> Iterator[Line]:
    """The figures of a module with children, over these; equal neighbours as one product."""
    for figure in (*OF_PARAMETERS, *OF_OPS):
        parts = [(_named(child), child.count, int(child.total[figure]))
                 for child in node.children if child.total[figure]]  # fmt: skip
        if node.own.get(figure):
            name = "input" if figure == "feature_maps" else "own"
            parts.insert(0, (name, 1, int(node.own[figure])))
        if parts:
            yield Line(
                figure,
                " + ".join(name for name, _, _ in parts),
                " + ".join(f"{times} * {total // times}" if times > 1 else str(total)
                           for _, times, total in parts),
                sum(total for _, _, total in parts),
            )  # fmt: skip
        elif figure in ("params", "macs", "flops"):
            yield Line(figure, "none of its modules has any", "", 0)


def _named(child: Node) -> str:
    return f"[{child.name}]" if child.name[0].isdigit() else child.name


def _peak(graph: Graph) -> Line:
    alive = live_bytes(graph)
    peak = max(alive)
    index = alive.index(peak) - 1
    held = {v.storage for v in graph.values if v.role in ("parameter", "buffer", "constant")}
    weights = sum(graph.storages[storage].nbytes for storage in held)
    op = graph.ops[index] if index >= 0 else None
    where = f"during {op.name} in {op.module or 'the model'}" if op else "before the first op"
    return Line("peak_memory_bytes", f"weights and buffers + activations alive {where}",
                f"{weights} + {peak - weights}", peak)  # fmt: skip


def _row(report: Report, node: Node, op: str, line: Line) -> tuple[Cell, ...]:
    key = _plain(line.figure)
    whole = report.totals.get(key) if key in (*OF_PARAMETERS, *OF_OPS) else None
    share = line.value / whole if whole and isinstance(line.value, int) else None
    convention = report.conventions.get(key) or CONVENTION.get(key) or _MEANINGS.get(key, "")
    source = _SOURCES.get(key, _SIZES if key.startswith("output") else "docs/conventions.md")
    unit = _UNITS.get(key, "positions" if key.startswith("output_") else "")
    if unit == "pixels" and len(report.graph.values[report.graph.inputs[0]].shape) < _IMAGES:
        unit = "positions"
    return (node.path, op, line.figure, line.formula, line.arithmetic, line.value, unit, share,
            convention, source)  # fmt: skip


def _plain(figure: str) -> str:
    return figure.partition("[")[0]


def _heading(report: Report, node: Node, sized: bool) -> str:
    shapes = " -> ".join(filter(None, (node.input, node.output))) if sized else ""
    title = f"{node.path or report.model}  {node.type}"
    # A layer of a list has its window as its type.
    kernel = "" if node.type.startswith(node.kernel) else node.kernel
    return "  ".join(filter(None, (title, shapes, kernel)))


def _remarks(report: Report, node: Node) -> Iterator[str]:
    if node.calls > 1:
        yield (f"Called {node.calls} times: operations count at each call, parameters once.")
    if node.aliases:
        yield f"The same module is also {', '.join(node.aliases)}."
    shared: Mapping[str, str] = {
        alias: value.name
        for value in report.graph.parameters()
        for alias in value.aliases
        if value.name and alias.rpartition(".")[0] == node.path
    }
    yield from (f"{alias} is {name}, and counts there." for alias, name in shared.items()
                if name.rpartition(".")[0] != node.path)  # fmt: skip
    if not node.calls and not node.is_functional and not node.children:
        yield "Forward never calls it."
    yield from (
        note.text for note in report.findings
        if note.topic == "unknown_ops" and f"{note.module}.".startswith(f"{node.path}.".lstrip("."))
    )  # fmt: skip


def _letters(formulas: Iterable[str]) -> Iterator[Note]:
    """What the letters of the formulas stand for."""
    used = {word for formula in formulas for word in re.findall(r"[A-Za-z]+", formula)}
    known = [f"{letter} {meaning}" for letter, meaning in _LETTERS.items() if letter in used]
    if known:
        yield Note(_LEGEND, "", f"{', '.join(known)}.")
