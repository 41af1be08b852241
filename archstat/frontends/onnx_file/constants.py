"""Numbers that an ONNX model computes of constants alone: axes and shapes, where exporters do not.

onnx infers shapes from tensors that a graph keeps, not from nodes that make them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# None makes more elements than it is given.
_FOLDED = frozenset({
    "Reshape", "Concat", "Unsqueeze", "Squeeze", "Gather", "Slice", "Cast", "Add", "Sub", "Mul",
    "Div", "Neg", "Min", "Max", "Mod", "Identity", "Flatten", "Transpose", "ReduceProd", "Floor",
    "Ceil", "Abs",
})  # fmt: skip
_SHORT = 1024


def fold(graph: Any, opset: int) -> None:
    """Put tensors in the place of nodes that compute with short constants alone."""
    from onnx import numpy_helper

    kept: dict[str, Any] = {t.name: t for t in graph.initializer}
    arrays: dict[str, Any] = {}

    def array(name: str) -> Any:
        if name not in arrays and name in kept:
            tensor = kept[name]
            size = 1
            for dim in tensor.dims:
                size *= dim
            short = size <= _SHORT and tensor.data_location == 0
            arrays[name] = numpy_helper.to_array(tensor) if short else None
        return arrays.get(name)

    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                keep_constants(inner)
        made = _made(node, array, kept, opset)
        if made is None:
            graph.node.append(node)
        else:
            arrays[node.output[0]] = made
            graph.initializer.append(numpy_helper.from_array(made, node.output[0]))


def _made(node: Any, array: Any, kept: Mapping[str, Any], opset: int) -> Any:
    if node.op_type == "Constant":
        return _constant(node)
    if node.op_type == "Shape" and node.input[0] in kept:
        import numpy as np

        told = {a.name: int(a.i) for a in node.attribute}
        every = [int(dim) for dim in kept[node.input[0]].dims]
        dims = every[told.get("start", 0) : told.get("end")]
        return np.array(dims, dtype=np.int64)
    if node.op_type not in _FOLDED or node.domain not in ("", "ai.onnx"):
        return None
    feeds = {name: array(name) for name in node.input if name}
    if not feeds or any(item is None for item in feeds.values()):
        return None
    from onnx.reference import ReferenceEvaluator

    try:
        made: Any = ReferenceEvaluator(node, opsets={"": opset}).run(None, feeds)
        return made[0]
    except Exception:  # what onnx's own reference does not know stays a node
        return None


def keep_constants(graph: Any) -> None:
    """Keep the constants of an inner graph, whose nodes are not folded."""
    from onnx import numpy_helper

    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        made = _constant(node) if node.op_type == "Constant" else None
        if made is None:
            graph.node.append(node)
        else:
            graph.initializer.append(numpy_helper.from_array(made, node.output[0]))


def _constant(node: Any) -> Any:
    """The numbers of a Constant node; None where it holds a text, a sparse or a long tensor."""
    import numpy as np
    from onnx import numpy_helper

    for attribute in node.attribute:
        if attribute.name == "value" and attribute.t.data_location == 0:
            return numpy_helper.to_array(attribute.t)
        if attribute.name in _NUMBERS:
            field, dtype = _NUMBERS[attribute.name]
            number = getattr(attribute, field)
            return np.array(list(number) if field.endswith("s") else number, dtype=dtype)
    return None


_NUMBERS = {
    "value_int": ("i", "int64"), "value_ints": ("ints", "int64"),
    "value_float": ("f", "float32"), "value_floats": ("floats", "float32"),
}  # fmt: skip
