"""`summary --by`: a model's figures by size of map, by type of layer, or by building block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, cast, get_args

from archstat.analyses import CONVENTION
from archstat.analyses.field import receptive_field
from archstat.analyses.field.steps import positions_of
from archstat.analyses.layer_shapes import blocks
from archstat.errors import Option, SpatialAxesError, SpecError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.result import Column, Number, Report, Table, notes_of
from archstat.tables import of_graphs
from archstat.tables.module_tree import Node, module_tree, walk
from archstat.tables.summary import KNOWN_ADDITIVE, additive, remarks, share_of, with_share
from archstat.units import format_shape

Group = Literal["stage", "type", "block"]


def checked_group(name: str) -> Group:
    """The group of a name.

    Raises:
        SpecError: no such group.
    """
    for known in get_args(Group):
        if known == name:
            return cast(Group, known)
    hint = did_you_mean(name, get_args(Group))
    raise SpecError(
        f"{Option('by', name)}: there is no such group.{hint} Known: stage, type, block."
    )


def grouped(report: Report, by: Group) -> Table:
    """A row for each stage (size of the map), type of layer, or building block.

    Figures of all rows make the model's; equal blocks have one row, and what stands outside any
    block has one at the end.
    """
    keys = additive(report)
    root = module_tree(report, [c.key for c in keys])
    groups: dict[object, list[tuple[Node, Mapping[str, Number]]]] = {}
    names: dict[object, str] = {}
    for key, name, node, figures in _GROUPERS[by](report, root):
        groups.setdefault(key, []).append((node, figures))
        names[key] = name
    cells, bounds = [], set()
    for number, (key, members) in enumerate(groups.items()):
        sums = {
            c.key: None if c.key in report.unknown else sum(own.get(c.key, 0) for _, own in members)
            for c in keys
        }
        first = members[0][0]
        last = {node.output for node, _ in members}
        texts = (names[key], len(members), first.path or report.model,
                 last.pop() if len(last) == 1 else None)  # fmt: skip
        cells.append(
            (*texts, *(cell for c in keys for cell in with_share(sums[c.key], root.total[c.key])))
        )
        bounds |= {(number, bound) for bound in report.lower_bounds if sums.get("unknown_ops")}
    notes = (*report.findings, *notes_of(remarks(report.graph)))
    return of_graphs([report.graph], group_columns(by, keys), cells, bounds=frozenset(bounds),
                     notes=notes, convention={**CONVENTION, **report.conventions})  # fmt: skip


_Member = tuple[object, str, Node, Mapping[str, Number]]


def _by_type(report: Report, root: Node) -> Iterator[_Member]:
    for node in _computing(root):
        yield node.type, node.type, node, node.own


def _by_stage(report: Report, root: Node) -> Iterator[_Member]:
    stage = _stages(report.graph)
    for node in _computing(root):
        name = "not called" if node.value is None else stage(node.value)
        yield name, name, node, node.own


def _by_block(report: Report, root: Node) -> Iterator[_Member]:
    found = {block.call.module for block in blocks(report.graph)}
    outside: list[Node] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.path in found and node is not root:
            yield node.signature, node.type, node, node.total
        else:
            outside += [node] if node.own else []
            waiting.extend(reversed(node.children))
    yield from ((None, "outside blocks", node, node.own) for node in outside)


_GROUPERS: Mapping[Group, Callable[[Report, Node], Iterator[_Member]]] = {
    "stage": _by_stage,
    "type": _by_type,
    "block": _by_block,
}


def _computing(root: Node) -> list[Node]:
    """The nodes with figures of their own, or without children; the root, which ends last, last."""
    first, *others = (node for node, _ in walk(root, None))
    return [node for node in (*others, first) if node.own or not node.children]


def _stages(graph: Graph) -> Callable[[int], str]:
    """How to name the map size of a value: its positions, or its tokens where all see all."""
    try:
        fields = receptive_field(graph)
    except SpatialAxesError:
        fields = None

    def stage(value: int) -> str:
        row = fields.of_value(value) if fields else None
        if row is not None:
            return format_shape(positions_of(graph, row))
        shape = graph.values[value].shape
        return str(shape[1]) if len(shape) == 3 and shape[1] > 1 else "1x1"

    return stage


def group_columns(by: Group, keys: Sequence[Column]) -> tuple[Column, ...]:
    """The columns of `grouped`: the group, and two for each figure that adds up."""
    meaning = {"stage": "positions of the map", "type": "class of the module, or functional ops",
               "block": "class of the building block"}[by]  # fmt: skip
    figures = (c for key in keys for c in (key, share_of(key)))
    return (
        Column(by, "text", meaning),
        Column("modules", "number", "how many modules or blocks"),
        Column("first", "text", "path of the first"),
        Column("output", "text", "shape of their output, where it is the same"),
        *figures,
    )


def known_columns(by: Group) -> tuple[Column, ...]:
    """Every column that groups can have."""
    return group_columns(by, KNOWN_ADDITIVE)
