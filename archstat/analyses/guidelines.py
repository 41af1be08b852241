"""The four guidelines of ShuffleNet V2 (arXiv:1807.11164), each kept or broken, and by whom.

G1 equal channel widths minimise memory access, G2 group convolution raises it, G3 fragmentation
reduces parallelism, G4 element-wise operations cost. A model's figure for G1 and G2 is the quotient
of two sums over its layers, so that a layer weighs what it moves. docs/memory_access.md derives the
bounds and argues for the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import inf
from typing import NamedTuple

from archstat.analyses.accesses import Access
from archstat.analyses.fusion import ELEMENT_WISE, FOLDED, MOVES, Fusion, is_affine
from archstat.analyses.layer_shapes import Block, LayerShape, blocks, layer_shapes
from archstat.analyses.memory_access import accesses
from archstat.errors import Option, SpecError
from archstat.graph import Graph, Op
from archstat.result import Number
from archstat.units import format_share

_RATIO = "ratio"  # to be written when somebody reads it
_OF_WEIGHTS = ("parameter", "buffer")
RULES = {
    "G1": "equal channel widths",
    "G2": "few groups",
    "G3": "little fragmentation",
    "G4": "few element-wise operations",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a figure must not exceed.

    `widths`: access over the least at the same macs, minus 1; `groups`: access over that of one
    group; `fragments`: convolutions and poolings a building block; `element_wise`: share of the
    access to feature maps, weights left out.

    Raises:
        SpecError: a limit that is negative or no number.
    """

    widths: float = 0.05
    groups: float = 1.1
    fragments: float = 3.5
    element_wise: float = 0.40

    def __post_init__(self) -> None:
        for number, limit in enumerate(astuple(self), 1):
            if not (isinstance(limit, (int, float)) and 0 <= limit < inf):
                given = Option(f"g{number}", limit)
                raise SpecError(f"{given}: a limit is a number of at least 0.")


class Breach(NamedTuple):
    """One module against one guideline: its figure, its access and that at the optimum, elements.

    `is_broken` is None where the limit is one of the whole model only; `layer` is the layer that
    breaks it, where it is one.
    """

    module: str
    module_type: str
    layer: LayerShape | None
    said: str
    figure: Number
    is_broken: bool | None
    access: Number
    optimum: Number

    @property
    def found(self) -> str:
        """What the figure comes from, in words."""
        if self.layer is None:
            return self.said
        said = f"ratio {self.layer.ratio:.3g}" if self.said == _RATIO else self.said
        return f"{self.layer.text}, {said}" if said else self.layer.text


@dataclass(frozen=True, slots=True)
class Guideline:
    """A model against one guideline, with the modules behind it, the worst first."""

    name: str
    found: str
    figure: float | None
    limit: float
    access: Number
    optimum: Number
    modules: tuple[Breach, ...]

    @property
    def is_broken(self) -> bool:
        """Whether the figure is above the limit; nothing to judge keeps it."""
        return self.figure is not None and self.figure > self.limit


def guidelines(
    graph: Graph, limits: Limits | None = None, fusion: Fusion = "inference"
) -> tuple[Guideline, ...]:
    """G1 to G4 for a Graph.

    Args:
        limits: the limits of the figures; by default those of `Limits`.
        fusion: how access is counted for G3 and G4; the paper measured with fusion.
    """
    limits = limits or Limits()
    layers = list(layer_shapes(graph))
    dense = [layer for layer in layers if not layer.is_depthwise]
    found = accesses(graph, fusion)
    return (
        _equal_widths([layer for layer in dense if not layer.reads_image], limits.widths),
        _few_groups(dense, limits.groups),
        _fragmentation(graph, dense, found, limits.fragments),
        _element_wise(graph, layers, found, limits.element_wise),
    )


def _equal_widths(layers: Sequence[LayerShape], limit: float) -> Guideline:
    rows = []
    for layer in layers:
        bound = layer.bound()
        excess = layer.access / bound - 1
        rows.append(_breach(layer, _RATIO, excess, excess > limit, bound))
    access, least = _sums(rows)
    figure = access / least - 1 if least else None
    count = f"{_counted(rows)} of {len(rows)} layers unequal" if rows else "no layer"
    return Guideline("G1", count, figure, limit, access, least, _worst_first(rows))


def _few_groups(layers: Sequence[LayerShape], limit: float) -> Guideline:
    rows = []
    for layer in (layer for layer in layers if layer.groups > 1):
        alone = layer.ungrouped_access
        factor = layer.access / alone
        rows.append(_breach(layer, "", factor, factor > limit, alone))
    access = sum(layer.access for layer in layers)
    alone = sum(layer.ungrouped_access for layer in layers)
    count = f"{len(rows)} of {len(layers)} layers grouped" if layers else "no layer"
    figure = access / alone if alone else None
    return Guideline("G2", count, figure, limit, access, alone, _worst_first(rows))


def _fragmentation(
    graph: Graph, layers: Sequence[LayerShape], found: Sequence[Access], limit: float
) -> Guideline:
    by_op = {layer.op: layer for layer in layers}
    rows = [_block_breach(block, by_op, found, limit) for block in blocks(graph)]
    rows.sort(key=lambda row: (-row.figure, row.optimum - row.access))
    access, least = _sums(rows)
    figure = sum(row.figure for row in rows) / len(rows) if rows else None
    ops = sum(access.state == "counted" for access in found)
    text = f"{len(rows)} building blocks, {ops} ops" if rows else "no building block"
    return Guideline("G3", text, figure, limit, access, least, tuple(rows))


def _block_breach(
    block: Block, by_op: dict[int, LayerShape], found: Sequence[Access], limit: float
) -> Breach:
    call = block.call
    span = range(call.first, call.last)
    access = sum(found[index].elements for index in span)
    small = sum(found[index].state == "counted" for index in span)
    layers = [by_op[index] for index in span if index in by_op]
    # One layer like the heaviest, but with all the macs.
    heaviest = max(layers, key=lambda layer: layer.macs, default=None)
    macs = sum(layer.macs for layer in layers)
    optimum = access if heaviest is None else min(access, heaviest.bound(macs))
    text = f"path {block.longest_path}, width {block.width}, {small} ops"
    broken = block.fragments > limit
    return Breach(
        call.module, call.module_type, None, text, block.fragments, broken, access, optimum
    )


def _element_wise(
    graph: Graph, layers: Sequence[LayerShape], found: Sequence[Access], limit: float
) -> Guideline:
    """Over feature maps alone: the weights' part of all access shrinks with every image more."""
    depthwise = {layer.op: layer for layer in layers if layer.is_depthwise}
    rows: dict[str, Breach] = {}
    whole = moved = 0
    for index, (op, access) in enumerate(zip(graph.ops, found, strict=True)):
        if not access.elements:
            continue
        elements = _of_maps(graph, op, access)
        whole += elements
        if index in depthwise or _is_element_wise(op, access):
            if elements:
                before = rows.get(op.module)
                rows[op.module] = _with_op(before, op, depthwise.get(index), elements)
        elif op.name in MOVES:
            moved += elements
    shares = [row._replace(figure=row.access / whole) for row in rows.values()]
    own, least = _sums(shares)
    text = f"pure data movement: {format_share(moved / whole) if moved else 'none'}"
    figure = own / whole if whole else None
    return Guideline("G4", text, figure, limit, own, least, _worst_first(shares))


def _of_maps(graph: Graph, op: Op, access: Access) -> int:
    """The elements that an op moves without those of parameters and buffers."""
    if op.kind == "norm" and access.reason:
        return 0  # what a merged norm reads are its scales and shifts
    elements = access.elements
    values, held = graph.values, graph.held[0]
    for index in op.inputs if len(op.inputs) == 1 else set(op.inputs):
        if values[index][2] in _OF_WEIGHTS:
            elements -= held[index]
    return max(0, elements)


def _is_element_wise(op: Op, access: Access) -> bool:
    if op.kind == "conv":
        return False
    if op.kind == "norm":
        return access.reason != FOLDED and is_affine(op)
    return op.name in ELEMENT_WISE


def _with_op(before: Breach | None, op: Op, layer: LayerShape | None, elements: int) -> Breach:
    said = "" if layer else op.name
    if before is None:
        return Breach(op.module, op.module_type, layer, said, 0, None, elements, 0)
    names = dict.fromkeys(filter(None, [*before.said.split(", "), said]))
    return before._replace(
        layer=before.layer or layer, said=", ".join(names), access=before.access + elements
    )


def _breach(layer: LayerShape, text: str, figure: float, broken: bool, optimum: Number) -> Breach:
    return Breach(
        layer.module, layer.module_type, layer, text, figure, broken, layer.access, optimum
    )


def _worst_first(rows: Sequence[Breach]) -> tuple[Breach, ...]:
    """Those that waste most elements first."""
    return tuple(sorted(rows, key=lambda row: row.optimum - row.access))


def _sums(rows: Sequence[Breach]) -> tuple[Number, Number]:
    return sum(row.access for row in rows), sum(row.optimum for row in rows)


def _counted(rows: Sequence[Breach]) -> int:
    return sum(bool(row.is_broken) for row in rows)
