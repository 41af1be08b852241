"""Shapes of an ONNX graph, node by node, and the numbers that hang on shapes and constants alone.

onnx infers shapes from tensors that a graph keeps, not from nodes that make them; so what computes
with short constants is computed on the way, wherever its result is short as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from archstat.errors import LookupFailedError
from archstat.frontends.onnx_file.contrib import types_made
from archstat.hints import shortened

_LONGEST = 4096
# Types of whole numbers, and how many others a shape can hang on: the factors of a resize.
_WHOLE, _FEW = frozenset({6, 7, 9}), 8
_COMPUTED = frozenset({
    "Reshape", "Concat", "Unsqueeze", "Squeeze", "Gather", "Slice", "Cast", "Add", "Sub", "Mul",
    "Div", "Neg", "Min", "Max", "Mod", "Identity", "Flatten", "Transpose", "ReduceProd", "Floor",
    "Ceil", "Abs", "Range", "Expand", "ConstantOfShape", "Tile", "Where", "Equal", "Less", "And",
    "Greater", "Not", "Sqrt", "Pow", "CumSum", "Sign", "LessOrEqual", "GreaterOrEqual", "CastLike",
})  # fmt: skip
LISTS = frozenset({"SplitToSequence", "SequenceConstruct", "SequenceAt", "ConcatFromSequence"})
# Operators of onnxruntime by the standard one that makes the same shape of the inputs at these
# places.
_ALIKE: Mapping[str, tuple[str, slice]] = {
    "FusedConv": ("Conv", slice(2)), "FusedGemm": ("Gemm", slice(3)),
    "QLinearAdd": ("Add", slice(0, 4, 3)), "QLinearMul": ("Mul", slice(0, 4, 3)),
    # That of codes has no schema of the average.
    "QLinearAveragePool": ("MaxPool", slice(1)), "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QuantizeLinear": ("QuantizeLinear", slice(3)),
    "DequantizeLinear": ("DequantizeLinear", slice(3)),
    **dict.fromkeys((
        "QLinearSoftmax", "QLinearSigmoid", "QLinearLeakyRelu", "FastGelu", "QuickGelu",
        "BiasGelu", "Gelu",
        "RotaryEmbedding", "SimplifiedLayerNormalization", "LayerNormalization", "GroupNorm",
    ), ("Identity", slice(1))),
}  # fmt: skip


class Inference:
    """What is known of the values of a graph: types by name, and numbers where they are few."""

    def __init__(self, imports: Iterable[Any], ir_version: int) -> None:
        self.imports = list(imports)
        self.versions = {e.domain if e.domain != "ai.onnx" else "": e.version for e in self.imports}
        self.ir_version = ir_version
        self.types: dict[str, Any] = {}
        self.numbers: dict[str, Any] = {}
        # Networks repeat themselves: types that are equal are one object, and found out once.
        self.kinds: dict[Any, Any] = {}
        self.found: dict[Any, list[Any]] = {}
        self.computed: dict[Any, Any] = {}

    def keep(self, tensor: Any) -> None:
        """Take note of a tensor that the graph keeps."""
        from onnx.helper import make_tensor_type_proto

        key = (tensor.data_type, *tensor.dims)
        if key not in self.kinds:
            self.kinds[key] = make_tensor_type_proto(key[0], key[1:])
        self.types[tensor.name] = self.kinds[key]
        if is_whole(tensor) and (tensor.data_type in _WHOLE or sum(tensor.dims) <= _FEW):
            self.numbers[tensor.name] = self.shared(_nameless(tensor))

    def infer(self, node: Any) -> tuple[Any, ...]:
        """Take note of the types of what a node makes; what it has in common with its like.

        Raises:
            LookupFailedError: onnx finds that its inputs do not fit together.
        """
        for name in node.output:
            self.types.pop(name, None)
            self.numbers.pop(name, None)
        node = _alike(node)
        key = self._key(node)
        if key not in self.found:
            made = self._inferred(node)
            self.found[key] = [self.shared(made[n]) if n in made else None for n in node.output]
        for name, kind in zip(node.output, self.found[key], strict=True):
            if kind is not None:
                self.types[name] = kind
        return key

    def _key(self, node: Any) -> tuple[Any, ...]:
        """What nodes have in common that make the same of the same."""
        told = tuple([a.SerializeToString() for a in node.attribute])
        ends = tuple(map(bool, node.output))
        kinds = [id(self.types.get(name)) for name in node.input]
        numbers = [id(self.numbers.get(name)) for name in node.input]
        return node.domain, node.op_type, told, ends, *kinds, *numbers

    def shared(self, one: Any) -> Any:
        """The type, or the tensor, that is kept of all that are equal."""
        return self.kinds.setdefault((type(one), one.SerializeToString()), one)

    def _inferred(self, node: Any) -> Any:
        from onnx.defs import SchemaError, get_schema
        from onnx.shape_inference import InferenceError, infer_node_outputs

        known = {name: self.types[name] for name in node.input if name in self.types}
        numbers = {name: self.numbers[name] for name in known if name in self.numbers}
        if node.domain == "com.microsoft":
            return types_made(node, known)
        domain = "" if node.domain == "ai.onnx" else node.domain
        try:
            schema = get_schema(node.op_type, self.versions.get(domain, 1), domain)
        except SchemaError:
            return {}
        try:
            return infer_node_outputs(
                schema, node, known, numbers, opset_imports=self.imports, ir_version=self.ir_version
            )
        except Exception as error:
            sized = all(_is_sized(self.types.get(name)) for name in node.input if name)
            if sized and isinstance(error, InferenceError):
                raise LookupFailedError(
                    f"The inputs of {node.op_type} {node.name} do not fit: {shortened(error)}."
                ) from error
            return {}

    def compute(self, node: Any, names: Iterable[str], key: tuple[Any, ...]) -> None:
        """Compute the numbers of what a node makes of those under `names`, where they are known.

        `key` is what `infer` said of the node.
        """
        made = node.output[0] if node.output else ""
        size = _elements(self.types.get(made))
        if size is None or size > _LONGEST:
            return
        if size > _FEW and self.types[made].tensor_type.elem_type not in _WHOLE:
            return
        feeds = {name: self.numbers.get(name) for name in names}
        shapely = node.op_type in ("Shape", "Size")
        if not shapely and (node.op_type not in _COMPUTED or None in feeds.values()):
            return
        if key not in self.computed:
            array = self._of_shape(node) if shapely else self._evaluated(node, feeds)
            self.computed[key] = None if array is None else self.shared(_as_tensor(array))
        if self.computed[key] is not None:
            self.numbers[made] = self.computed[key]

    def _evaluated(self, node: Any, feeds: Mapping[str, Any]) -> Any:
        import numpy as np
        from onnx import numpy_helper
        from onnx.reference import ReferenceEvaluator

        arrays = {name: numpy_helper.to_array(tensor) for name, tensor in feeds.items()}
        try:
            opsets = {"": self.versions.get("", 1)}
            with np.errstate(all="ignore"):
                made: Any = ReferenceEvaluator(node, opsets=opsets).run(None, arrays)
            return made[0]
        except Exception:  # what onnx's own reference does not know stays unknown
            return None

    def _of_shape(self, node: Any) -> Any:
        import numpy as np

        kind = self.types.get(node.input[0])
        size = _elements(kind)
        if kind is None or size is None:
            return None
        if node.op_type == "Size":
            return np.array(size, dtype=np.int64)
        told = {a.name: int(a.i) for a in node.attribute}
        dims = [dim.dim_value for dim in kind.tensor_type.shape.dim]
        return np.array(dims[told.get("start", 0) : told.get("end")], dtype=np.int64)


def _as_tensor(array: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(array)


def _nameless(tensor: Any) -> Any:
    kept = type(tensor)()
    kept.CopyFrom(tensor)
    kept.ClearField("name")
    return kept


def is_whole(tensor: Any) -> bool:
    """Whether a tensor is short, and its numbers are here."""
    size = 1
    for dim in tensor.dims:
        size *= dim
    here = tensor.raw_data or tensor.int64_data or tensor.float_data or tensor.int32_data
    return size <= _LONGEST and tensor.data_location == 0 and bool(here or not size)


def _alike(node: Any) -> Any:
    """The node, or the standard one that stands for it."""
    if node.domain != "com.microsoft" or node.op_type not in _ALIKE:
        return node
    from onnx import NodeProto
    from onnx.defs import get_schema

    kind, places = _ALIKE[node.op_type]
    inputs = node.input[places]
    told = {} if kind == "Identity" else get_schema(kind).attributes
    taken = [attribute for attribute in node.attribute if attribute.name in told]
    outputs = node.output[:1]
    return NodeProto(op_type=kind, input=inputs, output=outputs, attribute=taken, name=node.name)


def _is_sized(kind: Any) -> bool:
    return kind is not None and all(d.HasField("dim_value") for d in kind.tensor_type.shape.dim)


def _elements(kind: Any) -> int | None:
    """How many elements a type has; None for one without a shape."""
    if kind is None or not kind.tensor_type.HasField("shape") or not _is_sized(kind):
        return None
    size = 1
    for dim in kind.tensor_type.shape.dim:
        size *= dim.dim_value
    return size


def constant(node: Any) -> Any:
    """The tensor of a Constant node; None where it holds a text or a sparse tensor."""
    from onnx import TensorProto, helper

    for attribute in node.attribute:
        if attribute.name == "value":
            kept = TensorProto()
            kept.CopyFrom(attribute.t)
            kept.name = node.output[0]
            return kept
        if attribute.name in _NUMBERS:
            field, dtype = _NUMBERS[attribute.name]
            number = getattr(attribute, field)
            many = field.endswith("s")
            numbers = list(number) if many else [number]
            dims = [len(numbers)] if many else []
            return helper.make_tensor(node.output[0], dtype, dims, numbers)
    return None


_NUMBERS = {"value_int": ("i", 7), "value_ints": ("ints", 7), "value_float": ("f", 1),
            "value_floats": ("floats", 1)}  # fmt: skip


def as_tensors(
    node: Any, lists: dict[str, Sequence[str]], shape: tuple[int, ...] | None,
    constant: Callable[[str], list[Any] | None],
) -> list[Any] | None:  # fmt: skip
    """The nodes that do the same to single tensors; None where the list's length is not known.

    `shape` is that of the first input. A node that makes a list notes the names of its tensors.
    """
    told = {a.name: a.i for a in node.attribute}
    if node.op_type == "SequenceConstruct":
        lists[node.output[0]] = tuple(node.input)
        return []
    if node.op_type == "SplitToSequence":
        return _split(node, lists, told, shape, constant)
    parts = lists.get(node.input[0])
    if parts is None:
        return None
    if node.op_type == "SequenceAt":
        at = constant(node.input[1])
        if not at or not -len(parts) <= at[0] < len(parts):
            return None
        return [_like(node, "Identity", [parts[at[0]]], node.output)]
    if told.get("new_axis"):
        return None
    return [_like(node, "Concat", parts, node.output, axis=told["axis"])]


def _split(
    node: Any, lists: dict[str, Sequence[str]], told: Mapping[str, int],
    shape: tuple[int, ...] | None, constant: Callable[[str], list[Any] | None],
) -> list[Any] | None:  # fmt: skip
    if not shape:
        return None
    axis = told.get("axis", 0) % len(shape)
    given = constant(node.input[1]) if len(node.input) > 1 else [1]
    if not given or min(given) < 1 or shape[axis] > _LONGEST * max(given):
        return None
    whole, rest = divmod(shape[axis], given[0])
    sizes = given if len(given) > 1 else [given[0]] * whole + [rest] * bool(rest)
    name = node.output[0]
    lists[name] = [f"{name}:{place}" for place in range(len(sizes))]
    squeezes = len(node.input) < 2 and not told.get("keepdims", 1)
    parts = [f"{part}:1" for part in lists[name]] if squeezes else lists[name]
    number, axes = f"{name}:sizes", f"{name}:axes"
    made = [_like(node, "Constant", [], [number], value_ints=sizes),
            _like(node, "Split", [node.input[0], number], parts, axis=axis)]  # fmt: skip
    if squeezes:
        made.append(_like(node, "Constant", [], [axes], value_ints=[axis]))
        made += [_like(node, "Squeeze", [part, axes], [out])
                 for part, out in zip(parts, lists[name], strict=True)]  # fmt: skip
    return made


def _like(
    node: Any, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
) -> Any:
    """A node of another kind in the place of one."""
    from onnx import helper

    made = helper.make_node(kind, inputs, outputs, node.name, **attributes)
    made.metadata_props.extend(node.metadata_props)
    return made
