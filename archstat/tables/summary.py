"""`summary`: one model as a tree of modules, each with its own and its inherited cost.

Rows of the tree add up (see `module_tree`); `summary_groups` adds them up otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from archstat.analyses import COLUMNS, CONVENTION
from archstat.analyses.feature_maps import COLUMNS as MAP_COLUMNS
from archstat.analyses.feature_maps import with_feature_maps
from archstat.analyses.gemm import COLUMNS as GEMM_COLUMNS
from archstat.analyses.gemm import with_gemm
from archstat.analyses.memory import MODULE_COLUMNS as PEAK_COLUMNS
from archstat.analyses.memory import with_module_peaks
from archstat.errors import Option, SpecError
from archstat.graph import Graph, Value
from archstat.result import Cell, Column, Note, Number, Report, Table, notes_of
from archstat.tables import of_graphs
from archstat.tables.module_tree import Node, fitting_depth, folded, module_tree, walk
from archstat.units import format_bytes, format_count, format_share

# For a reader: csv and json have the first, and on request the others.
SHAPES = (
    Column("input", "text", "shape of its first input, batch first"),
    Column("kernel", "text", "window of its own operation, with its stride: 3x3/2"),
)
_TEXT = (
    Column("tree", "text", "the module under its parent"),
    Column("module", "text", "path of the module, empty for the root"),
    Column("type", "text", "class of the module, or the functional ops that its parent runs"),
    Column("level", "number", "how deep the module stands"),
    Column("calls", "number", "how often it is called"),
    Column("output", "text", "shape of its last output, batch first"),
    Column("shared_with", "text", "further paths of the same module"),
    *SHAPES,
)


def summary(report: Report, depth: int | None = None, top: int | None = None,
            by: str = "macs", *, fold: bool = False, rows: int | None = None) -> Table:  # fmt: skip
    """The tree of a Report's modules with totals, shares and own figures.

    Args:
        depth: levels below the root to show; figures of deeper modules are in their parents'.
        top: instead of the tree, the modules with the largest own figures.
        by: the column that `top` orders by.
        fold: one row for equal neighbours, with their sums.
        rows: without a `depth`, as deep as these rows allow, and at least one level.

    Raises:
        SpecError: `by` is not a column that adds up over modules, or there is nothing to show.
    """
    keys = additive(report)
    for option, given, least in (("depth", depth, 0), ("top", top, 1)):
        if given is not None and given < least:
            raise SpecError(f"{Option(option, given)} is impossible: give at least {least}.")
    if top is not None and by not in {c.key for c in keys}:
        names = ", ".join(c.key for c in keys)
        raise SpecError(f"{by!r} does not add up over modules; columns that add up: {names}.")
    root = module_tree(report, [c.key for c in keys])
    shown = folded(root) if fold else root
    notes: list[str] = []
    if depth is None and rows is not None and top is None:
        depth = fitting_depth(shown, rows)
        if depth < shown.height:
            deeper = f"{Option('depth')} N or {Option('full')}"
            notes = [f"Depth {depth} of {shown.height}; {deeper} shows more."]
    if top is None:
        nodes = list(walk(shown, depth))
    else:
        flat = [node for node, _ in walk(root, None) if not node.children or node.own]
        flat.sort(key=lambda node: -node.own.get(by, 0))
        nodes = [(node, node.path or report.model) for node in flat[:top]]
    cells = [
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
        cells,
        bounds=bounds,
        notes=(*report.findings, *notes_of((*remarks(report.graph), *notes))),
        convention={**CONVENTION, **report.conventions},
    )


def _closing(report: Report) -> tuple[Note, ...]:
    """The model's totals for a reader: with units, and what each of them counts."""
    totals = report.totals

    def said(key: str, format: Callable[[float], str]) -> str:
        number = totals.get(key)
        bound = ">= " if key in report.lower_bounds else ""
        return "unknown" if number is None else f"{bound}{format(number)}"

    trainable = totals.get("trainable_params") == totals.get("params")
    some = "all" if trainable else said("trainable_params", format_count)
    lines = (
        ("params", said("params", format_count),
         f"{some} trainable; {said('param_bytes', format_bytes)}"),
        ("macs", said("macs", format_count), "conv, linear, matmul, attention; no bias"),
        ("flops", said("flops", format_count), "2 x macs, plus bias, norm, activation, pool, add"),
        ("activations", said("activations", format_count), "outputs of conv, linear, matmul"),
        ("peak memory", said("peak_memory_bytes", format_bytes),
         "inference: weights, and activations alive at once"),
        ("input", report.input, ""),
    )  # fmt: skip
    width = max(len(number) for _, number, told in lines if told)
    texts = (f"{name:<12}{number:>{width}}  {told}".rstrip() if told else f"{name:<12}{number}"
             for name, number, told in lines)  # fmt: skip
    return notes_of(["", *texts])


_BAR = 6
_EIGHTHS = " ▏▎▍▌▋▊▉"


def for_screen(table: Table, report: Report) -> Table:
    """The table for a reader: shares with bars, a dot for zero, totals below, a named root.

    Attention goes by that name, whichever kernel torch has for it.
    """
    columns = tuple(replace(c, unit="text") if c.unit == "share" else c for c in table.columns)
    rows = (
        tuple(
            _shown(cell, column, report.model)
            for cell, column in zip(row, table.columns, strict=True)
        )
        for row in table.rows
    )
    notes = (*table.notes, *_closing(report))
    return replace(table, columns=columns, rows=tuple(rows), notes=notes)


def _shown(cell: Cell, column: Column, title: str) -> Cell:
    if column.key == "module" and not cell:
        return title
    if column.key in ("tree", "type"):
        return re.sub(r"_scaled_dot_product_\w+", "attention", str(cell))
    if column.unit == "share":
        return _bar(cell) if isinstance(cell, (int, float)) else cell
    return "·" if cell == 0 and column.unit in ("count", "bytes") else cell


def _bar(share: float) -> str:
    if share == 0:
        return f"{'·':>6}"
    eighths = round(share * _BAR * 8)
    bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    return f"{format_share(share):>6} {bar}".rstrip()


def module_totals(report: Report, key: str) -> dict[str, Number]:
    """A figure of each module with everything below it, by path, the root's first."""
    nodes = (node for node, _ in walk(module_tree(report, (key,)), None))
    return {node.path: node.total[key] for node in nodes if not node.is_functional}


def remarks(graph: Graph) -> Iterator[str]:
    """What is frozen, unused or shared among a Graph's parameters and modules."""
    read = {value for op in graph.ops for value in op.inputs}
    named = [(i in read, v) for i, v in enumerate(graph.values) if v.role == "parameter" and v.name]
    frozen = [v for _, v in named if not v.trainable]
    if frozen:
        yield f"frozen: {_counted(frozen)}."
    unused = [v for is_read, v in named if not is_read]
    if unused and graph.has_forward:
        yield f"unused: {_counted(unused)} take no part in forward."
    for _, value in named:
        if value.aliases:
            yield f"shared: {value.name} is also {', '.join(value.aliases)}, and counts once."
    never = _never_called(
        graph, {str(v.name).rpartition(".")[0] for is_read, v in named if is_read}
    )
    if never and graph.has_forward:
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


def additive(report: Report) -> tuple[Column, ...]:
    """The columns of a Report that add up over modules."""
    placed = _placed(report.columns)
    return tuple(c for c in report.columns if c.of == "all" and c not in placed)


def _placed(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns that do not add up: they hold at a module's last output, or are quotients."""
    return tuple(c for c in columns if c.of == "place" or c.unit in ("pixels", "text"))


def summary_columns(keys: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns of a summary: three for each that adds up, one for each that does not."""
    placed = _placed(keys)
    figures = []
    for column in (key for key in keys if key not in placed):
        figures.append(column)
        figures.append(share_of(column))
        figures.append(
            Column(f"own_{column.key}", column.unit, f"{column.key} without those of children")
        )
    return (*_TEXT, *figures, *placed)


def share_of(column: Column) -> Column:
    """The column of what a figure is of the model's."""
    return Column(f"{column.key}_share", "share", f"{column.key} over the model's")


_ON_REQUEST = (
    (GEMM_COLUMNS, with_gemm),
    (PEAK_COLUMNS, with_module_peaks),
    (MAP_COLUMNS, with_feature_maps),
)
_FIGURES = (
    *(column for column in COLUMNS if column.of != "model"),
    *(column for columns, _ in _ON_REQUEST for column in columns),
)
KNOWN_COLUMNS = summary_columns(_FIGURES)
KNOWN_ADDITIVE = tuple(column for column in _FIGURES if column not in _placed(_FIGURES))


def with_columns(report: Report, keys: Collection[str]) -> Report:
    """The Report with those analyses that are made only if one of their columns is asked for."""
    for columns, extended in _ON_REQUEST:
        # A figure that adds up has a share and an own part, too.
        asked = {key.removeprefix("own_").removesuffix("_share") for key in keys}
        if any(column.key in asked for column in columns):
            report = extended(report)
    return report


def with_share(figure: Number | None, whole: Number) -> tuple[Cell, Cell]:
    """A figure, unknown or not, and its share of the whole where there is one."""
    return figure, figure / whole if whole and figure is not None else None


def _row(
    node: Node, tree: str, keys: tuple[Column, ...], root: Node, report: Report, *, own: bool
) -> tuple[Cell, ...]:
    figures: list[Cell] = []
    for column in keys:
        alone = None if column.key in report.unknown else node.own.get(column.key, 0)
        shown = alone if own or alone is None else node.total[column.key]
        figures += [*with_share(shown, root.total[column.key]), alone]
    shared = ", ".join(node.aliases)
    texts = (tree, node.path, node.type, node.level, node.calls, node.output, shared,
             node.input, node.kernel)  # fmt: skip
    # Of several equal modules what holds at the last one's output.
    held = report.at_module.get(node.last or node.path, {})
    sums = node.own if own else node.total
    placed = (
        _quotient(column.quotient, sums) if column.quotient else held.get(column.key)
        for column in _placed(report.columns)
    )
    return (*texts, *figures, *placed)


def _quotient(keys: tuple[str, str], sums: Mapping[str, Number]) -> Cell:
    over, under = (sums.get(key, 0) for key in keys)
    return None if not under or sums.get("unknown_ops") else over / under
