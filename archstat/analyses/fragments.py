"""Building blocks and the fragments, convolutions and poolings, that each of them runs.

A building block is the outermost called module below the root that is neither a container nor a
stage. A stage runs several modules of one class: blocks, where these join branches (add, multiply
or concatenate two maps) or where it joins nothing itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from archstat.graph import Graph, ModuleCall

_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
_FRAGMENTS = frozenset({"conv", "pool", "linear", "matmul"})
_JOINS = frozenset({"add", "mul", "concat"})


@dataclass(frozen=True, slots=True)
class Block:
    """A building block: how many fragments it runs, on how long a path, how many side by side."""

    call: ModuleCall
    fragments: int
    longest_path: int
    width: int


def blocks(graph: Graph) -> list[Block]:
    """The building blocks of a Graph that run at least one fragment, in order."""
    children: dict[int, list[int]] = {}
    for index, call in enumerate(graph.calls):
        if call.parent is not None:
            children.setdefault(call.parent, []).append(index)
    joining = {op.module_type for op in graph.ops if op.kind in _JOINS and len(set(op.inputs)) > 1}
    outermost = _outermost(graph, children, joining)
    several = [b for b in (_block(graph, graph.calls[i]) for i in outermost) if b.fragments]
    roots = [call for call in graph.calls if call.parent is None]
    is_lone = len(roots) == 1 and all(block.fragments < 2 for block in several)
    if is_lone and roots[0].module_type in joining:
        return [_block(graph, roots[0])]  # it joins branches that are no blocks
    return several


def _outermost(graph: Graph, children: dict[int, list[int]], joining: set[str]) -> Iterator[int]:
    waiting = [index for index, call in enumerate(graph.calls) if call.parent is None][::-1]
    while waiting:
        index = waiting.pop()
        call = graph.calls[index]
        below = children.get(index, [])
        if not below:
            continue
        is_block = call.parent is not None and call.module_type not in _CONTAINERS
        if is_block and not _is_stage(graph, children, index, joining):
            yield index
        else:
            waiting.extend(reversed(below))


def _is_stage(graph: Graph, children: dict[int, list[int]], index: int, joining: set[str]) -> bool:
    types: Counter[str] = Counter()
    waiting = list(children[index])
    while waiting:
        child = waiting.pop()
        below = children.get(child)
        if below and graph.calls[child].module_type in _CONTAINERS:
            waiting.extend(below)
        elif below:
            types[graph.calls[child].module_type] += 1
    joins = graph.calls[index].module_type in joining
    return any(count > 1 and (name in joining or not joins) for name, count in types.items())


def _block(graph: Graph, call: ModuleCall) -> Block:
    level: dict[int, int] = {}
    beside: Counter[int] = Counter()
    for kind, _, _, _, inputs, outputs, _ in graph.ops[call.first : call.last]:
        path = 0
        for value in inputs:
            if value in level and level[value] > path:
                path = level[value]
        if kind in _FRAGMENTS:
            path += 1
            beside[path] += 1
        if path:
            for value in outputs:
                level[value] = path
    return Block(
        call,
        fragments=sum(beside.values()),
        longest_path=max(beside, default=0),
        width=max(beside.values(), default=0),
    )
