"""Convolutions and linear layers by the few numbers that their macs and access follow from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod, sqrt
from typing import NamedTuple

from archstat.graph import Graph, ModuleCall, Op
from archstat.units import format_shape

_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
_FRAGMENTS = frozenset({"conv", "pool", "linear", "matmul", "attention"})
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
    return graph.once("blocks", lambda: _found(graph))


def _found(graph: Graph) -> list[Block]:
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


_IMAGE_CHANNELS = 4  # no more in a picture; its channels are given, not chosen


class LayerShape(NamedTuple):
    """A layer of c1 into c2 channels in g groups, with a kernel of `window` positions.

    `before` and `after` are the positions of its input and output map, the batch included; `side`
    is the one of them at which each weight is used once (before, where it is transposed). `access`
    counts elements read and written, before c1 + after c2 + weights, without bias.
    """

    op: int
    module: str
    module_type: str
    reads_image: bool
    c1: int
    c2: int
    groups: int
    kernel: tuple[int, ...]
    window: int
    sizes: tuple[int, ...]
    before: int
    after: int
    side: int
    weights: int
    access: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.side * self.weights

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel is a group of its own."""
        return self.groups == self.c1 > 1

    def bound(self, macs: int | None = None) -> float:
        """The least access of any widths at its macs: 2 sqrt(before after c1 c2) + weights.

        The product c1 c2 follows from the macs; for a 1x1 convolution of stride 1 without groups
        the bound is 2 sqrt(hwB) + B/(hw). The derivation is in docs/memory_access.md.

        Args:
            macs: those of another layer of the same kernel and maps, without groups.
        """
        if macs is None:
            return 2 * sqrt(self.before * self.after * self.c1 * self.c2) + self.weights
        product = macs / self.side / self.window  # c1 c2 of one group
        return 2 * sqrt(self.before * self.after * product) + macs / self.side

    @property
    def ungrouped_access(self) -> int:
        """The access of the layer of one group with the same input and the same macs."""
        return self.before * self.c1 + self.after * self.c2 // self.groups + self.weights

    @property
    def ratio(self) -> float:
        """The larger of its input and output map over the smaller: c2/c1 where stride is 1."""
        ratio = self.before * self.c1 / (self.after * self.c2)
        return max(ratio, 1 / ratio)

    @property
    def text(self) -> str:
        """The layer in a few words: ``24->144, 1x1 on 56x56``."""
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        return (
            f"{self.c1}->{self.c2}, {format_shape(self.kernel)} on {format_shape(self.sizes)}"
            f"{groups}"
        )


def layer_shapes(graph: Graph) -> Iterator[LayerShape]:
    """Every convolution of a Graph, and every linear layer over more positions than images."""
    batch = graph.values[graph.inputs[0]].shape[:1] if graph.inputs else ()
    images = batch[0] if batch else 1
    given = {graph.values[value].storage for value in graph.inputs}
    for index, op in enumerate(graph.ops):
        if op.kind == "conv" and op.name != "conv_tbc":
            yield _convolution(graph, index, op, given)
        elif op.kind == "linear":
            found = _linear(graph, index, op, images)
            if found is not None:
                yield found


def _convolution(graph: Graph, index: int, op: Op, given: set[int]) -> LayerShape:
    values = graph.values
    x, weight = values[op.inputs[0]], values[op.inputs[1]]
    groups = op.attributes.get("groups", 1)
    transposed = op.attributes.get("transposed", False)
    numbers = _numbers(x.shape, weight.shape, values[op.outputs[0]].shape, groups, transposed)
    image = numbers[0] <= _IMAGE_CHANNELS and x.storage in given
    return LayerShape(index, op.module, op.module_type, image, *numbers)


@lru_cache(maxsize=4096)  # networks repeat their layers
def _numbers(
    before_shape: tuple[int, ...],
    weight: tuple[int, ...],
    after_shape: tuple[int, ...],
    groups: int,
    transposed: bool,
) -> tuple[int, int, int, tuple[int, ...], int, tuple[int, ...], int, int, int, int, int]:
    """The fields of a convolution's LayerShape from `c1` on."""
    kernel = weight[2:]
    c1 = weight[0] if transposed else weight[1] * groups
    c2 = weight[1] * groups if transposed else weight[0]
    before, after, weights = prod(before_shape) // c1, prod(after_shape) // c2, prod(weight)
    side = before if transposed else after
    access = before * c1 + after * c2 + weights
    sizes = before_shape[-len(kernel) :]
    return c1, c2, groups, kernel, prod(kernel), sizes, before, after, side, weights, access


def _linear(graph: Graph, index: int, op: Op, images: int) -> LayerShape | None:
    """A linear layer over N positions is a 1x1 convolution; a classifier's has one an image."""
    out = graph.values[op.outputs[0]]
    if op.name == "_trilinear" or len(out.shape) < 2:
        return None
    x = graph.values[op.inputs[1 if op.name.startswith(("add", "badd", "_addmm")) else 0]]
    positions = x.numel // x.shape[-1]
    if positions <= images or out.numel // out.shape[-1] != positions:
        return None
    c1, c2 = x.shape[-1], out.shape[-1]
    return LayerShape(
        index, op.module, op.module_type, False, c1, c2, 1, (1,), 1, (positions,),
        positions, positions, positions, c1 * c2, positions * (c1 + c2) + c1 * c2,
    )  # fmt: skip
