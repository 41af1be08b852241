"""The architecture strip of a report: a network as a row of blocks, equal neighbours folded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from archstat.analyses.field import Fields
from archstat.analyses.field.steps import positions_of
from archstat.analyses.layer_shapes import Block as BuildingBlock
from archstat.analyses.layer_shapes import blocks
from archstat.graph import Graph, Op
from archstat.reporters.page.strip import Block
from archstat.result import Cell, Column, Number, Report, Table
from archstat.tables import of_graphs
from archstat.tables.module_tree import Node, walk

# What begins a block; the rest (norms, activations, views) belongs to the one before it.
_BEGINS = frozenset({"conv", "linear", "matmul", "attention", "pool", "recurrent", "embedding",
                     "concat", "resize", "reduce"})  # fmt: skip
_MOST_BLOCKS = 44
_MOST_TARGETS = 4  # what more blocks read is no shortcut, but a table for all
_MOST_BRANCHES = 6
_FIGURES = ("macs", "flops", "memory_access_bytes")
_COLUMNS = (
    Column("block", "text", "path of the module, the first of several"),
    Column("type", "text", "class of the module, or the operation"),
    Column("count", "number", "how many equal ones"),
    Column("kind", "text", "kind of the operation with the most macs"),
    Column("output", "text", "shape of its output, batch first"),
    Column("params", "count", "parameters of all together"),
    Column("macs", "count", "multiply-accumulates of all together"),
    Column("flops", "count", "2 x macs and all other operations"),
    Column("memory_access_bytes", "bytes", "bytes read and written"),
)


@dataclass
class _Unit:
    """Ops that stand in one block of the strip; `path` is the module's, `end` its last value.

    A `whole` module has ops of its own, and those `behind` it that begin no block.
    """

    path: str
    type: str
    whole: bool
    branches: int = 1
    ops: list[int] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """The blocks, the connections over others, and a row a block."""

    blocks: tuple[Block, ...]
    jumps: tuple[tuple[int, int], ...]
    table: Table


def strip_of(report: Report, root: Node, fields: Fields | None) -> Strip:
    """The strip of a Report; `root` is its tree of modules with params, not folded."""
    graph = report.graph
    units = list(_units(graph))
    numbers = {key: per_op for one in report.analyses for key, per_op in one.per_op.items()}
    nodes = {node.path: node for node, _ in walk(root, None)}
    map_of = _maps(graph, fields)
    drawn = [_block(unit, graph, numbers["macs"], map_of) for unit in units]
    inside = [_figures(unit, unit.ops, graph, numbers, nodes) for unit in units]
    behind = [_figures(None, unit.behind, graph, numbers, nodes) for unit in units]
    figures = [{key: one[key] + other[key] for key in one}
               for one, other in zip(inside, behind, strict=True)]  # fmt: skip
    groups = _grouped(drawn, inside)
    place = {op: n for n, group in enumerate(groups) for i in group
             for op in (*units[i].ops, *units[i].behind)}  # fmt: skip
    shown = tuple(_together([drawn[i] for i in group]) for group in groups)
    rows = [_row(block, [units[i] for i in group], [figures[i] for i in group], graph)
            for block, group in zip(shown, groups, strict=True)]  # fmt: skip
    return Strip(shown, tuple(_jumps(graph, place)), of_graphs([graph], _COLUMNS, rows))


def _units(graph: Graph) -> Iterator[_Unit]:
    inside = {op: block for block in blocks(graph) if block.call.parent is not None
              for op in range(block.call.first, block.call.last)}  # fmt: skip
    parents = {module.path.rpartition(".")[0] for module in graph.modules}
    current, within = None, None
    waiting: list[int] = []  # what reads weights alone stands in front of what uses it
    for index, op in enumerate(graph.ops):
        block = inside.get(index)
        if block is None and not _reads_map(op, graph):
            waiting.append(index)
            continue
        if block is not None:
            begins = block is not within
        else:
            same = current is not None and not current.whole and op.module == current.path
            leaf = op.module != "" and op.module not in parents
            begins = _begins(op, graph) and not (same and leaf)
        if begins or current is None:
            if current is not None:
                yield current
            current = _unit(op, block, named=op.module not in parents)
        within = block
        behind = current.whole and block is None
        (current.behind if behind else current.ops).extend([*waiting, index])
        waiting.clear()
        own = op.module == current.path and op.kind not in ("reshape", "split")
        if not current.whole and (current.end is None or own):
            current.end = op.outputs[0] if op.outputs else None
    if current is not None:
        current.behind += waiting
        yield current


def _unit(op: Op, block: BuildingBlock | None, *, named: bool) -> _Unit:
    """The block that begins with an op: a whole module, a layer, or the op itself."""
    if block is None:
        return _Unit(op.module, op.module_type if named else op.name, whole=False)
    call = block.call
    end = call.outputs[0] if call.outputs else None
    return _Unit(call.module, call.module_type, whole=True, branches=block.width, end=end)


def _reads_map(op: Op, graph: Graph) -> bool:
    """Whether an op reads more than weights."""
    return any(graph.values[value].role in ("activation", "input") for value in op.inputs)


def _begins(op: Op, graph: Graph) -> bool:
    return op.kind in _BEGINS or _joins(op, graph)


def _joins(op: Op, graph: Graph) -> bool:
    """Whether two maps are added here."""
    maps = {value for value in op.inputs if graph.values[value].role == "activation"}
    return op.kind == "add" and len(maps) > 1


_Map = tuple[tuple[int, ...], int]


def _maps(graph: Graph, fields: Fields | None) -> Callable[[int | None], _Map]:
    """How to find the positions and the channels of a value."""

    def found(value: int | None) -> _Map:
        shape = () if value is None else graph.values[value].shape
        row = fields.of_value(value) if fields is not None and value is not None else None
        if row is not None and len(shape) > 1:
            positions = positions_of(graph, row)
            return positions, max(1, prod(shape[1:]) // max(1, prod(positions)))
        if len(shape) == 3:
            return shape[1:2], shape[2]
        return shape[2:], shape[1] if len(shape) > 1 else 1

    return found


def _block(unit: _Unit, graph: Graph, macs: Sequence[Number],
           map_of: Callable[[int | None], _Map]) -> Block:  # fmt: skip
    ops = [graph.ops[i] for i in unit.ops]
    kinds = [op.kind for op in ops]
    main = graph.ops[max(unit.ops, key=lambda i: macs[i])]
    kind = _shade("attention" if "attention" in kinds else main.kind, main, graph)
    positions, channels = map_of(unit.end)
    branches = unit.branches if "concat" in kinds else 1
    shortcut = unit.whole and any(_joins(op, graph) for op in ops)
    return Block(unit.path or unit.type, unit.type, kind, positions,
                 channels, 1, shortcut, max(1, min(branches, _MOST_BRANCHES)))  # fmt: skip


def _shade(kind: str, op: Op, graph: Graph) -> str:
    """The kind by which a block is coloured."""
    if kind == "conv" and _is_depthwise(op, graph):
        return "depthwise"
    return "pool" if kind == "reduce" else kind


def _is_depthwise(op: Op, graph: Graph) -> bool:
    weight = graph.values[op.inputs[1]].shape if len(op.inputs) > 1 else ()
    groups = op.attributes.get("groups") or 1
    return groups > 1 and len(weight) > 1 and weight[1] == 1


def _figures(unit: _Unit | None, ops: Sequence[int], graph: Graph,
             numbers: Mapping[str, Sequence[Number]], nodes: Mapping[str, Node]) -> (
    dict[str, Number]
):  # fmt: skip
    found = {key: sum(numbers[key][i] for i in ops) for key in _FIGURES if key in numbers}
    if unit is not None and unit.whole:
        return {"params": nodes[unit.path].total.get("params", 0), **found}
    paths = {graph.ops[i].module for i in ops}
    own = sum(nodes[path].own.get("params", 0) for path in paths if path in nodes)
    return {"params": own, **found}


def _grouped(drawn: Sequence[Block], figures: Sequence[Mapping[str, Number]]) -> list[list[int]]:
    """The numbers of equal neighbours; where there are many, alike ones go together, too."""
    exact = [(block.type, block.positions, block.channels, block.shortcut, *figure.values())
             for block, figure in zip(drawn, figures, strict=True)]  # fmt: skip
    groups: list[list[int]] = []
    for keys in (exact, [(b.type, b.positions) for b in drawn], [b.positions for b in drawn]):
        groups = _runs(keys)
        if len(groups) <= _MOST_BLOCKS:
            break
    return groups


def _runs(keys: Sequence[object]) -> list[list[int]]:
    groups: list[list[int]] = []
    for number, key in enumerate(keys):
        if groups and keys[groups[-1][-1]] == key:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _together(members: Sequence[Block]) -> Block:
    first, last = members[0], members[-1]
    types = {member.type for member in members}
    return Block(first.name, first.type if len(types) == 1 else f"{first.type} and others",
                 first.kind, last.positions, last.channels, len(members),
                 any(m.shortcut for m in members), max(m.branches for m in members))  # fmt: skip


def _row(block: Block, units: Sequence[_Unit], figures: Sequence[Mapping[str, Number]],
         graph: Graph) -> tuple[Cell, ...]:  # fmt: skip
    end = units[-1].end
    shape = "" if end is None else "x".join(map(str, graph.values[end].shape))
    sums = [sum(f.get(column.key, 0) for f in figures) for column in _COLUMNS[5:]]
    return (block.name, block.type, block.count, block.kind, shape, *sums)


def _jumps(graph: Graph, place: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """The pairs of blocks of which the later reads what the earlier made, others between."""
    targets: dict[int, dict[int, None]] = {}
    for index, op in enumerate(graph.ops):
        for value in op.inputs:
            source = graph.producers[value]
            start = None if source is None else place[source]
            if start is not None and place[index] > start + 1:
                targets.setdefault(start, {})[place[index]] = None
    for start, ends in targets.items():
        if len(ends) <= _MOST_TARGETS:
            yield from ((start, end) for end in ends)
