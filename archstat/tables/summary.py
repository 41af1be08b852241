"""`summary`: one model as a tree of modules, each with its own and its inherited cost.

A module's total is its own figures and those of everything below its path, so that children and
own add up to the parent. Ops that a module with children runs itself (a residual add, a flatten)
stand in a row of their own under it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from archstat.analyses import COLUMNS, CONVENTION
from archstat.analyses.gemm import COLUMNS as GEMM_COLUMNS
from archstat.analyses.gemm import with_gemm
from archstat.analyses.memory import MODULE_COLUMNS as PEAK_COLUMNS
from archstat.analyses.memory import with_module_peaks
from archstat.errors import SpecError
from archstat.graph import Graph, Op, Value
from archstat.result import FUNCTIONAL, Cell, Column, Number, Report, Table, notes_of
from archstat.tables import of_graphs
from archstat.units import format_shape

_TEXT = (
    Column("tree", "text", "the module under its parent"),
    Column("module", "text", "path of the module, empty for the root"),
    Column("type", "text", "class of the module, or the functional ops that its parent runs"),
    Column("level", "number", "how deep the module stands"),
    Column("calls", "number", "how often it is called"),
    Column("output", "text", "shape of its last output, batch first"),
    Column("shared_with", "text", "further paths of the same module"),
)


@dataclass(slots=True)
class _Node:
    """A module, or the functional ops of one, while the tree is made."""

    path: str
    type: str
    level: int
    is_functional: bool = False
    aliases: tuple[str, ...] = ()
    calls: int = 0
    output: str = ""
    own: dict[str, Number] = field(default_factory=dict)
    total: dict[str, Number] = field(default_factory=dict)
    children: list[_Node] = field(default_factory=list)


def summary(report: Report, depth: int | None = None, top: int | None = None,
            by: str = "macs") -> Table:  # fmt: skip
    """The tree of a Report's modules with totals, shares and own figures.

    Args:
        depth: levels below the root to show; figures of deeper modules are in their parents'.
        top: instead of the tree, the modules with the largest own figures.
        by: the column that `top` orders by.

    Raises:
        SpecError: `by` is not a column that adds up over modules.
    """
    keys = tuple(c for c in report.columns if c.key in _additive(report))
    if top is not None and by not in {c.key for c in keys}:
        names = ", ".join(c.key for c in keys)
        raise SpecError(f"--top cannot order by {by!r}; columns that add up: {names}.")
    root = _tree(report, tuple(c.key for c in keys))
    if top is None:
        nodes = list(_walk(root, depth, "", ""))
    else:
        flat = [node for node, _ in _walk(root, None, "", "") if not node.children or node.own]
        flat.sort(key=lambda node: -node.own.get(by, 0))
        nodes = [(node, node.path or report.model) for node in flat[:top]]
    rows = [
        _row(node, tree or report.model, keys, root, report, own=top is not None)
        for node, tree in nodes
    ]
    bounds = frozenset(
        (number, key)
        for number, (node, _) in enumerate(nodes)
        for key in report.lower_bounds
        if (node.total if top is None else node.own).get("unknown_ops")
    )
    return of_graphs(
        [report.graph],
        summary_columns((*keys, *_placed(report.columns))),
        rows,
        bounds=bounds,
        notes=(*report.findings, *notes_of(remarks(report.graph))),
        convention={**CONVENTION, **report.conventions},
    )


def module_totals(report: Report, key: str) -> dict[str, Number]:
    """A figure of each module with everything below it, by path, the root's first."""
    nodes = (node for node, _ in _walk(_tree(report, (key,)), None, "", ""))
    return {node.path: node.total[key] for node in nodes if not node.is_functional}


def remarks(graph: Graph) -> Iterator[str]:
    """What is frozen, unused or shared among a Graph's parameters and modules."""
    read = {value for op in graph.ops for value in op.inputs}
    named = [(i in read, v) for i, v in enumerate(graph.values) if v.role == "parameter" and v.name]
    frozen = [v for _, v in named if not v.trainable]
    if frozen:
        yield f"frozen: {_counted(frozen)}."
    unused = [v for is_read, v in named if not is_read]
    if unused:
        yield f"unused: {_counted(unused)} take no part in forward."
    for _, value in named:
        if value.aliases:
            yield f"shared: {value.name} is also {', '.join(value.aliases)}, and counts once."
    never = _never_called(
        graph, {str(v.name).rpartition(".")[0] for is_read, v in named if is_read}
    )
    if never:
        yield f"never called: {_some(never)}."


def _counted(parameters: list[Value]) -> str:
    elements = sum(value.numel for value in parameters)
    return f"{elements:,} parameters ({_some([str(value.name) for value in parameters])})"


def _never_called(graph: Graph, used: set[str]) -> list[str]:
    called = {call.module for call in graph.calls}
    parents = {module.path.rpartition(".")[0] for module in graph.modules}
    return [
        module.path
        for module in graph.modules
        if module.path not in called and module.path not in parents and module.path not in used
    ]


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _additive(report: Report) -> set[str]:
    return {column.key for column in report.layers.columns if column.unit != "text"}


def _tree(report: Report, keys: tuple[str, ...]) -> _Node:
    graph = report.graph
    nodes: dict[str, _Node] = {}
    for module in graph.modules:
        level = module.path.count(".") + 1 if module.path else 0
        nodes[module.path] = _Node(module.path, module.type, level, aliases=module.aliases)
    for record in report.layers.records():
        node = nodes.setdefault(str(record["module"]), _Node(str(record["module"]), "", 0))
        node.own = {k: n for k in keys if isinstance(n := record.get(k), (int, float)) and n}
    for call in graph.calls:
        node = nodes[call.module]
        node.calls += 1
        shapes = [format_shape(graph.values[value].shape) for value in call.outputs]
        node.output = ", ".join(shapes[:1]) + (", ..." if len(shapes) > 1 else "")
    root = nodes[""]
    for path, node in nodes.items():
        if path:
            _parent(nodes, path).children.append(node)
    _split_functional(nodes, graph, keys)
    _add_up(root, keys)
    return root


def _parent(nodes: Mapping[str, _Node], path: str) -> _Node:
    above = path.rpartition(".")[0]
    while above not in nodes:
        above = above.rpartition(".")[0]
    return nodes[above]


def _split_functional(nodes: Mapping[str, _Node], graph: Graph, keys: tuple[str, ...]) -> None:
    """Give what a module with children computes itself a row below it."""
    ops: dict[str, list[Op]] = {}
    for op in graph.ops:
        if op.module in nodes and nodes[op.module].children:
            ops.setdefault(op.module, []).append(op)
    for path, found in ops.items():
        parent = nodes[path]
        computed = {k: n for k, n in parent.own.items() if k not in _OF_PARAMETERS}
        if not computed:
            continue
        counts = Counter(op.name for op in found if op.kind not in ("reshape", "split"))
        names = ", ".join(f"{n} x{c}" if c > 1 else n for n, c in counts.items())
        path = f"{path}.{FUNCTIONAL}".lstrip(".")
        child = _Node(path, names, parent.level + 1, is_functional=True, own=computed)
        shape = graph.values[found[-1].outputs[0]].shape if found[-1].outputs else ()
        child.output = format_shape(shape) if shape else ""
        parent.own = {k: n for k, n in parent.own.items() if k in _OF_PARAMETERS}
        parent.children.append(child)


_OF_PARAMETERS = frozenset({"params", "trainable_params", "buffers", "param_bytes"})


def _add_up(node: _Node, keys: tuple[str, ...]) -> None:
    for child in node.children:
        _add_up(child, keys)
    node.total = {
        key: node.own.get(key, 0) + sum(child.total[key] for child in node.children) for key in keys
    }


def _walk(node: _Node, depth: int | None, prefix: str, branch: str) -> Iterator[tuple[_Node, str]]:
    name = node.path.rpartition(".")[2] if node.path else ""
    label = node.type if node.is_functional else f"{name} {node.type}"
    yield node, f"{branch}{label}" if node.path else ""
    if depth is not None and node.level >= depth:
        return
    for number, child in enumerate(node.children):
        last = number == len(node.children) - 1
        stem, turn = ("   ", "└─ ") if last else ("│  ", "├─ ")
        yield from _walk(child, depth, prefix + stem, prefix + turn)


def _placed(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns that do not add up: they hold at a module's last output, or are quotients."""
    return tuple(c for c in columns if c.of == "place" or c.unit in ("pixels", "text"))


def summary_columns(keys: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns of a summary: three for each that adds up, one for each that does not."""
    placed = _placed(keys)
    figures = []
    for column in (key for key in keys if key not in placed):
        figures.append(column)
        figures.append(Column(f"{column.key}_share", "share", f"{column.key} over the model's"))
        figures.append(
            Column(f"own_{column.key}", column.unit, f"{column.key} without those of children")
        )
    return (*_TEXT, *figures, *placed)


KNOWN_COLUMNS = summary_columns(
    (*(column for column in COLUMNS if column.of != "model"), *GEMM_COLUMNS, *PEAK_COLUMNS)
)


def with_columns(report: Report, keys: Collection[str]) -> Report:
    """The Report with those analyses that are made only if one of their columns is asked for."""
    for columns, extended in ((GEMM_COLUMNS, with_gemm), (PEAK_COLUMNS, with_module_peaks)):
        if any(column.key in keys for column in columns):
            report = extended(report)
    return report


def _row(
    node: _Node, tree: str, keys: tuple[Column, ...], root: _Node, report: Report, *, own: bool
) -> tuple[Cell, ...]:
    figures: list[Cell] = []
    for column in keys:
        whole = root.total[column.key]
        shown = node.own.get(column.key, 0) if own else node.total[column.key]
        figures += [shown, shown / whole if whole else None, node.own.get(column.key, 0)]
    shared = ", ".join(node.aliases)
    texts = (tree, node.path, node.type, node.level, node.calls, node.output, shared)
    held = report.at_module.get(node.path, {}) if node.calls else {}
    sums = node.own if own else node.total
    placed = (
        _quotient(column.quotient, sums) if column.quotient else held.get(column.key)
        for column in _placed(report.columns)
    )
    return (*texts, *figures, *placed)


def _quotient(keys: tuple[str, str], sums: Mapping[str, Number]) -> Cell:
    over, under = (sums.get(key, 0) for key in keys)
    return None if not under or sums.get("unknown_ops") else over / under
