"""Convolutions and linear layers by the few numbers that their macs and access follow from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod, sqrt
from typing import NamedTuple

from archstat.graph import Graph, Op
from archstat.units import format_shape

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
