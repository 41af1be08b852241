"""Where a network turns maps into classes: its pooling, its flatten, its dense layers.

Read backwards from the output: dense layers with what acts on each element between them, then the
flatten (or a mean over both axes), then the pooling before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from archstat.errors import SpecError
from archstat.graph import Graph, Op

_ELEMENT_WISE = frozenset({"dropout", "native_dropout", "clone", "contiguous", "alias", "mul"})
_MEANS = frozenset({"mean"})
_MAPS = 4  # batch, channels and two axes


class Dense(NamedTuple):
    """A dense layer as a convolution: the module, and its kernel over the maps it flattens."""

    module: str
    kernel: tuple[int, int]
    dilation: tuple[int, int]


class Pooling(NamedTuple):
    """The pooling before the flatten: the module that calls it, its window, and of which kind."""

    module: str
    window: tuple[int, int]
    maximum: bool


@dataclass(frozen=True, slots=True)
class DenseHead:
    """The last part of a classifier; `flatten` is the path of the module that flattens.

    It is None where a mean over both axes does so, `pooling` where the maps are flattened as they
    come; `dense` is empty where nothing but a pooling follows the last convolution.
    """

    dense: tuple[Dense, ...]
    flatten: str | None
    pooling: Pooling | None


def dense_head(graph: Graph) -> DenseHead:
    """The dense layers at the end of a Graph, with the flatten and the pooling before them.

    Raises:
        SpecError: it does not end this way; the message names the op that is in the way.
    """
    reader = _Reader(graph)
    linear, flatten = reader.back_to_flatten()
    pooled, spread = reader.pooling(flatten)
    op = graph.ops[flatten]
    shape = graph.values[op.inputs[0]].shape
    if op.name in _MEANS:
        shape = (*shape[:2], 1, 1)
    dense = tuple(
        Dense(module, (shape[2], shape[3]) if not number else (1, 1),
              spread if not number else (1, 1))
        for number, module in enumerate(linear)
    )  # fmt: skip
    if not dense and shape[2:] != (1, 1):
        raise reader.refusal("it flattens maps, and no dense layer follows")
    return DenseHead(dense, None if op.name in _MEANS else op.module, pooled)


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def refusal(self, reason: str) -> SpecError:
        return SpecError(f"{self.graph.name} cannot be made fully convolutional: {reason}.")

    def back_to_flatten(self) -> tuple[list[str], int]:
        """The dense layers in order, and the op that flattens before them."""
        graph = self.graph
        if len(graph.outputs) != 1 or len(graph.values[graph.outputs[0]].shape) != 2:
            raise self.refusal("its output is not one vector of classes per image")
        dense: list[str] = []
        value = graph.outputs[0]
        while True:
            index = self._producer(value)
            op = graph.ops[index]
            if self._flattens(op):
                return dense[::-1], index
            if op.kind == "linear":
                dense.append(self._dense(op))
                value = op.inputs[1] if op.name.startswith("add") else op.inputs[0]
            elif self._keeps_places(op):
                value = op.inputs[0]
            else:
                raise self.refusal(f"{self._named(op)} stands between its maps and its classes")

    def pooling(self, flatten: int) -> tuple[Pooling | None, tuple[int, int]]:
        """The pooling that the flatten reads, and the distance of its results in places."""
        op = self.graph.ops[flatten]
        if op.name in _MEANS:
            high, wide = self.graph.values[op.inputs[0]].shape[2:]
            return Pooling(op.module, (high, wide), False), (1, 1)
        value = op.inputs[0]
        single = self.graph.values[value].shape[2:] == (1, 1)
        while True:
            made = self.graph.producers[value]
            if made is None:
                return None, (1, 1)
            op = self.graph.ops[made]
            if self._pools(op):
                return self._pooling(op)
            # Behind a global pooling 1x1 convolutions are dense layers already.
            pointwise = op.kind == "conv" and set(op.attributes["kernel"]) == {1} and single
            if not (pointwise or op.kind in ("activation", "norm") or self._keeps_places(op)):
                return None, (1, 1)
            value = op.inputs[0]

    def _pooling(self, op: Op) -> tuple[Pooling | None, tuple[int, int]]:
        before, after = (self.graph.values[v].shape[2:] for v in (op.inputs[0], op.outputs[0]))
        adapts = "Adaptive" in op.module_type or "adaptive" in op.name or op.name in _MEANS
        if not adapts and after != (1, 1):
            return None, (1, 1)  # a pooling like any other
        if any(size % cells for size, cells in zip(before, after, strict=True)):
            raise self.refusal(
                f"{self._named(op)} pools {before[0]}x{before[1]} into {after[0]}x{after[1]} "
                "cells of unequal size"
            )
        high, wide = (size // cells for size, cells in zip(before, after, strict=True))
        pooled = Pooling(op.module, (high, wide), "max" in op.name)
        return pooled, (high if after[0] > 1 else 1, wide if after[1] > 1 else 1)

    def _pools(self, op: Op) -> bool:
        if op.name in _MEANS:
            value = self.graph.values[op.inputs[0]]
            dims = {dim % len(value.shape) for dim in op.attributes.get("dim") or ()}
            return len(value.shape) == _MAPS and dims == {2, 3}
        return op.kind == "pool"

    def _flattens(self, op: Op) -> bool:
        if not op.inputs or not op.outputs:
            return False
        before, after = (self.graph.values[v].shape for v in (op.inputs[0], op.outputs[0]))
        if len(before) != _MAPS or len(after) != 2 or before[0] != after[0]:
            return False
        return op.kind == "reshape" or self._pools(op)

    def _dense(self, op: Op) -> str:
        if op.module_type != "Linear":
            raise self.refusal(f"{self._named(op)} is a product that no nn.Linear makes")
        return op.module

    def _keeps_places(self, op: Op) -> bool:
        """Whether the op acts on each element, or on each place over its channels."""
        if op.kind == "softmax":
            return bool(op.attributes.get("dim") == 1)
        alone = op.kind == "activation" or op.name in _ELEMENT_WISE
        operands = [v for v in op.inputs if self.graph.values[v].role in ("activation", "input")]
        return alone and len(operands) == 1

    def _producer(self, value: int) -> int:
        made = self.graph.producers[value]
        if made is None:
            raise self.refusal("it has no maps to flatten")
        return made

    def _named(self, op: Op) -> str:
        return f"{op.name} in {op.module or 'the model'} ({op.module_type})"
