"""Depth: the convolutions and linear layers on the longest path from an input to an output."""

from __future__ import annotations

from archstat.analyses.field.axes import steps_of
from archstat.graph import Graph, Op
from archstat.result import Analysis, Analyzer, Column

COLUMNS = (
    Column("depth", "number", "conv and linear layers on the longest path", "lower", of="model"),
)

_LAYERS = frozenset({"conv", "linear"})
# Layers inside the ops that torch fuses on cpu: projections in and out, then the two dense layers.
_FUSED_LAYERS = {"_native_multi_head_attention": 2, "_transformer_encoder_layer_fwd": 4}
# What squashes into a fixed range makes a gate when it multiplies something else. ReLU6 and its
# like come second: they also end ordinary layers, which a true gate may multiply.
_GATES = {"sigmoid": 2, "hardsigmoid": 2, "_softmax": 2, "_safe_softmax": 2, "tanh": 1,
          "hardtanh": 1, "clamp": 1}  # fmt: skip
_KEEPS_GATE = frozenset({"reshape", "split", "add", "mul", "resize"})


def depth(graph: Graph) -> Analysis:
    """The number of conv and linear layers on the longest path.

    The branch that computes a multiplicative gate (squeeze-and-excite, CBAM, a highway's
    transform gate) is not on the path: a product continues the path of what is gated.
    """
    layers = [0] * len(graph.values)
    gate = [0] * len(graph.values)
    for op in graph.ops:
        kind, inputs = op.kind, op.inputs
        if kind == "mul":
            path = _gated(op, layers, gate)
        else:
            path = max([layers[value] for value in inputs], default=0)
        own = _own_layers(graph, op)
        rank = _GATES.get(op.name, 0)
        if not rank and kind in _KEEPS_GATE:
            rank = max([gate[value] for value in inputs], default=0)
            if rank and len(_activations(graph, op)) != 1:
                rank = 0
        for output in op.outputs:
            layers[output] = path + own
            gate[output] = rank
    return Analysis(totals={"depth": max((layers[v] for v in graph.outputs), default=0)})


def _own_layers(graph: Graph, op: Op) -> int:
    if op.kind in _LAYERS:
        return 1
    if op.kind == "recurrent":
        # One product with the hidden state a step, as the steps unrolled.
        return graph.values[op.inputs[0]].shape[steps_of(op)]
    return _FUSED_LAYERS.get(op.name, 0)


def _gated(op: Op, layers: list[int], gate: list[int]) -> int:
    lowest = min((gate[value] for value in op.inputs), default=0)
    return max((layers[value] for value in op.inputs if gate[value] == lowest), default=0)


def _activations(graph: Graph, op: Op) -> list[int]:
    return [value for value in op.inputs if graph.values[value].role in ("activation", "input")]


ANALYZER = Analyzer("depth", COLUMNS, depth)
