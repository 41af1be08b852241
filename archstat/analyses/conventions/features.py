"""What convnet-burden calls the memory of the features: all layer outputs, in single precision."""

from __future__ import annotations

from collections.abc import Iterator

from archstat.graph import Graph, Op
from archstat.result import Report

_BYTES = 4
# MatConvNet's autonn runs these in place, on the output of the layer before.
_IN_PLACE = frozenset({"relu", "hardtanh"})
_RESPONSE_NORM = "LocalResponseNorm"


def layer_outputs(report: Report) -> int:
    """Bytes of the outputs of all layers, a softmax behind the last one included.

    A ReLU works in place, a view is none, a response norm is one layer whatever it is made of, and
    a product that feeds a sum is one layer with it (a gated residual, MatConvNet's Axpy).
    """
    graph = report.graph
    return _BYTES * (sum(_outputs(graph)) + graph.values[graph.outputs[0]].numel)


def layer_outputs_without_response_norm(report: Report) -> int:
    """The same of a network whose response norms were replaced by batch norms, then folded."""
    graph = report.graph
    norms = sum(graph.values[v].numel for v in _norm_outputs(graph))
    return layer_outputs(report) - _BYTES * norms


def _outputs(graph: Graph) -> Iterator[int]:
    ends = set(_norm_outputs(graph))
    added = {value for op in graph.ops if op.kind == "add" for value in op.inputs}
    for op in graph.ops:
        if op.kind == "mul" and op.outputs[0] in added:
            continue
        if _is_layer(op, ends) and not _resizes_nothing(graph, op):
            yield graph.values[op.outputs[0]].numel


def _is_layer(op: Op, ends: set[int]) -> bool:
    if op.module_type == _RESPONSE_NORM:
        return op.outputs[0] in ends
    return op.kind not in ("reshape", "split") and op.name not in _IN_PLACE


def _resizes_nothing(graph: Graph, op: Op) -> bool:
    """Whether an op is an adaptive pooling at the size for which it does nothing."""
    before, after = (graph.values[v].shape for v in (op.inputs[0], op.outputs[0]))
    return "adaptive" in op.name and before == after


def _norm_outputs(graph: Graph) -> Iterator[int]:
    for call in graph.calls:
        if call.module_type == _RESPONSE_NORM:
            yield call.outputs[0]
