"""Feature maps: the numbers that a forward pass makes, layer by layer, and those of its input.

The table of VGG-16 in Stanford's CS231n counts so: the input, and the output of every convolution,
pooling and linear layer, with ReLU in place. Here a norm, a sum, a product and a concatenation
make maps of their own, too.
"""

from __future__ import annotations

from dataclasses import replace

from archstat.graph import Graph, Op
from archstat.result import Analysis, Column, Report

COLUMNS = (
    Column("feature_maps", "count", "elements of the input and of every map that a layer makes; "
           "activations in place", "lower"),
)  # fmt: skip
CONVENTION = (
    "the input, and the output of every layer, norm, pooling, sum, product and concatenation; "
    "activations and what is written in place take the place of what they read"
)
_MAKES = frozenset({
    "conv", "linear", "matmul", "attention", "norm", "pool", "add", "mul", "concat", "resize",
    "pad", "reduce", "embedding", "recurrent",
})  # fmt: skip


def elements_made(op: Op, graph: Graph) -> int:
    """Elements of the map that an op makes; 0 for a view, an activation or one in place."""
    if op.kind not in _MAKES or not op.outputs:
        return 0
    made = graph.values[op.outputs[0]]
    taken = {graph.values[value].storage for value in op.inputs}
    return 0 if made.storage in taken else made.numel


def feature_maps(graph: Graph) -> Analysis:
    """The elements of every map: those that ops make, and at the root those of the inputs."""
    made = [elements_made(op, graph) for op in graph.ops]
    given = sum(graph.values[value].numel for value in graph.inputs)
    return Analysis(
        totals={"feature_maps": given + sum(made)},
        per_op={"feature_maps": made},
        per_module={"": {"feature_maps": given}},
        conventions={"feature_maps": CONVENTION},
    )


def with_feature_maps(report: Report) -> Report:
    """The Report with the column of this analysis, which is run on request only."""
    return replace(
        report,
        columns=(*report.columns, *COLUMNS),
        analyses=(*report.analyses, feature_maps(report.graph)),
    )
