"""What is known of the names in an ONNX model, and its nodes as their rules see them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from archstat.errors import LookupFailedError
from archstat.frontends.onnx_file.building import Builder, stack_of
from archstat.frontends.onnx_file.contrib import CONTRIB
from archstat.frontends.onnx_file.inference import Inference, is_whole
from archstat.frontends.onnx_file.ops import DOMAINS, RULES, VIEWS
from archstat.frontends.onnx_file.reading import ZEROS, dtype_of, roles_told
from archstat.graph import Kind, Role
from archstat.units import format_shape

_FLOATS = ("float", "bfloat")
_STATISTICS = ("BatchNormalization", (3, 4))


class Names:
    """The values of a model by name; a Graph in the making gets those that are read."""

    def __init__(self, title: str, model: Any) -> None:
        self.made = Builder(title)
        self.shapes = Inference(model.opset_import, model.ir_version)
        self.opset = self.shapes.versions.get("", 1)
        self.types: dict[str, tuple[str, tuple[int, ...] | None]] = {}
        self.plain: dict[int, tuple[str, tuple[int, ...] | None]] = {}
        self.held: dict[str, Any] = {}
        # Values that hang on shapes alone.
        self.known: set[str] = set()
        self.roles: Mapping[str, Role] = roles_told(model.graph)
        # Tensors of Constant nodes, which hold weights only where a file has no place for these.
        self.written: set[str] = set()
        self.has_weights = any(prod(t.dims) > 1 and dtype_of(t.data_type).startswith(_FLOATS)
                               for t in model.graph.initializer)  # fmt: skip

    def hold(self, graph: Any) -> None:
        """Take note of the tensors that a graph keeps."""
        for tensor in graph.initializer:
            self.keep(tensor)
        for sparse in graph.sparse_initializer:
            self.held[sparse.values.name] = sparse.values
            self.types[sparse.values.name] = (dtype_of(sparse.values.data_type), tuple(sparse.dims))

    def keep(self, tensor: Any) -> None:
        """Take note of a tensor that the model keeps."""
        self.held[tensor.name] = tensor
        self.shapes.keep(tensor)
        self.take_note(tensor.name)

    def take_note(self, name: str) -> None:
        """Dtype and shape of a value, as onnx knows them."""
        kind = self.shapes.types.get(name)
        if kind is None:
            self.types[name] = ("unknown", None)
            return
        # Equal types are one object.
        if id(kind) not in self.plain:
            self.plain[id(kind)] = _dtype_and_shape(self.made.title, kind)
        self.types[name] = self.plain[id(kind)]

    def is_known(self, node: Any) -> bool:
        """Whether a node computes with shapes and constants alone, of which codes are none."""
        if node.op_type == "DequantizeLinear" and node.input[0] in self.held:
            return False
        names = node.input[:1] if node.op_type == "CastLike" else node.input
        return all(not name or name in self.known or self.is_number(name) for name in names)

    def is_number(self, name: str) -> bool:
        """Whether a tensor that the model keeps is a constant of its text, not a weight."""
        if name not in self.held:
            return False
        read = self.made.known.get(name)
        if read is not None and self.made.values[read].role != "constant":
            return False
        dtype, shape = self.types[name]
        codes = dtype.startswith(("int", "uint")) and dtype not in ("int64", "int32")
        return self.role_of(name) == "constant" and not (codes and len(shape or ()) > 1)

    def unpack(self, node: Any, told: Mapping[str, Any]) -> None:
        """Let codes and zero points of a few bits, packed into bytes, have a type of their bits."""
        bits, rows, columns = told.get("bits", 4), told["N"], told["K"]
        blocks = -(-columns // told["block_size"])
        for name, shape in zip(node.input[1:4:2], ((rows, columns), (rows, blocks)), strict=False):
            dtype, packed = self.types.get(name, ("", None))
            bytes_alone = dtype in ("uint8", "int8") and name in self.held
            if bytes_alone and bits in (2, 4, 8) and 8 * prod(packed or ()) >= bits * prod(shape):
                self.types[name] = (f"uint{bits}", shape)

    def value(self, name: str, role: Role | None = None) -> int:
        """The number of a value; a tensor that the model keeps gets one when it is first read."""
        if name in self.made.known:
            return self.made.known[name]
        dtype, shape = self.types.get(name, ("unknown", None))
        if name in self.held:
            role = self.roles.get(name) or role or self.role_of(name)
            named = name if role in ("parameter", "buffer") else None
            self.made.known[name] = self.made.add_value(shape or (), dtype, role, named)
        else:
            self.made.known[name] = self.made.add_value(shape or (), dtype, "constant")
        return self.made.known[name]

    def role_of(self, name: str) -> Role:
        """As torch's exporter says; else floats of several elements, or by a module's path."""
        if name in self.roles:
            return self.roles[name]
        if name in self.written and self.has_weights:
            return "constant"
        # Initial states that an exporter computed, such as torch.zeros(...) of forward.
        computed = _NUMBERED.fullmatch(name) or (self.roles and "." not in name)
        if computed and self.is_zero(name):
            return "constant"
        dtype, shape = self.types[name]
        several = prod(shape or ()) > 1 or "." in name
        return "parameter" if dtype.startswith(_FLOATS) and several else "constant"

    def is_zero(self, name: str) -> bool:
        """Whether a tensor that the model keeps holds zeros alone."""
        from onnx import numpy_helper

        tensor = self.held.get(name)
        if tensor and tensor.doc_string == ZEROS:
            return True
        return is_whole(tensor) and not numpy_helper.to_array(tensor).any() if tensor else False

    def is_filler(self, name: str) -> bool:
        """Whether zeros stand in the place of a weight, in a file that keeps weights elsewhere."""
        return name in self.written and self.has_weights and self.is_zero(name)

    def constant(self, name: str) -> list[Any] | None:
        """The numbers of a short tensor, flat; None where nobody knows them."""
        if name not in self.shapes.numbers:
            return None
        from onnx import numpy_helper

        return list(numpy_helper.to_array(self.shapes.numbers[name]).reshape(-1).tolist())


def _dtype_and_shape(title: str, kind: Any) -> tuple[str, tuple[int, ...] | None]:
    tensor = kind.tensor_type
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return dtype_of(tensor.elem_type), None
    shape = tuple(d.dim_value for d in tensor.shape.dim)
    if min(shape, default=0) < 0 or prod(shape) >= 1 << 63:
        raise LookupFailedError(
            f"{title} has a tensor of {format_shape(shape)}, larger than any can be."
        )
    return dtype_of(tensor.elem_type), shape


class NamedNode:
    """A node of which all that it reads has a name."""

    def __init__(self, names: Names, node: Any, index: int) -> None:
        self.names, self.node = names, node
        self.opset, self.name = names.opset, node.op_type
        self.outputs = len(node.output)
        self.left: Sequence[str] = node.output
        self.attributes: Mapping[str, Any] = {a.name: _plain(a) for a in node.attribute}
        if self.name == "MatMulNBits":
            names.unpack(node, self.attributes)
        weights = _WEIGHTS.get(node.op_type, ())
        named = None
        for place, name in enumerate(node.input):
            if place in weights and name in names.held and not names.is_filler(name):
                statistic = node.op_type == _STATISTICS[0] and place in _STATISTICS[1]
                names.value(name, "buffer" if statistic else "parameter")
                named = named or (None if statistic else name)
            elif (place in _SETTINGS.get(node.op_type, ()) and name in names.held) or (
                place in _STATES.get(node.op_type, ()) and names.is_zero(name)
            ):
                names.value(name, "constant")
        # What is computed of numbers alone in the place of a weight is a bias of zeros.
        self.inputs = [
            None
            if not name or (place > 1 and place in weights and name in names.known)
            else names.value(name)
            for place, name in enumerate(node.input)
        ]
        self.stack = stack_of(node, named, index)
        for read in self.inputs if self.stack else ():
            if read is None:
                continue
            value = names.made.values[read]
            if value.role in _KEPT and _NUMBERED.fullmatch(value.name or ""):
                named = f"{self.stack[-1][0]}.{value.name}"
                names.made.values[read] = value._replace(name=named)

    def record(self) -> None:
        """Record the node by its rule; as unknown, where there is none or a shape is unknown."""
        own = CONTRIB.get(self.name) if self.node.domain == "com.microsoft" else None
        rule = own or (RULES.get(self.name) if self.node.domain in DOMAINS else None)
        names = [name for name in self.node.input if name not in self.names.known]
        names += self.node.output[:1]
        shapes = [self.names.types.get(name, ("", None))[1] for name in names if name]
        if rule is None or None in shapes:
            self.last("other", f"onnx.{self.name}", *self.inputs)
            return
        before = len(self.names.made.ops)
        try:
            rule(self)
        except (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError):
            del self.names.made.ops[before:], self.names.made.stacks[before:]
            self.last("other", f"onnx.{self.name}", *self.inputs)

    def shape(self, position: int) -> tuple[int, ...]:
        """The shape of an input."""
        return self.names.types[self.node.input[position]][1] or ()

    def made(self, position: int = 0) -> tuple[int, ...]:
        """The shape of an output."""
        return self.names.types[self.node.output[position]][1] or ()

    def constant(self, position: int) -> list[Any] | None:
        """The numbers of an input that the model keeps; None where nobody knows them."""
        if position >= len(self.node.input) or not self.node.input[position]:
            return None
        return self.names.constant(self.node.input[position])

    def is_weight(self, position: int) -> bool:
        """Whether an input is a tensor that the model keeps, or a view of one."""
        value = self.inputs[position]
        return value is not None and self.names.made.values[value].role in _KEPT

    def is_scalar(self, position: int) -> bool:
        """Whether an input is one number that the model keeps, or that it computes of shapes."""
        index = self.inputs[position]
        if index is None:
            return False
        value = self.names.made.values[index]
        return value.shape == () and value.role == "constant"

    def last(self, kind: Kind, target: str, *inputs: int | None, **attributes: Any) -> None:
        """Record the op that makes the node's outputs."""
        read = [value for value in inputs if value is not None]
        views = self.name in VIEWS or kind == "split" or target in _VIEWS
        found = self._made(self.left, read[0] if views and read else None)
        self.names.made.add_op(kind, target, read, found, attributes, self.stack)

    def _made(self, names: Sequence[str], source: int | None = None) -> list[int]:
        """New values of these names, which look at a source where there is one."""
        made, found = self.names.made, []
        for name in filter(None, names):
            dtype, shape = self.names.types.get(name, ("unknown", None))
            storage = None if source is None else made.values[source].storage
            role: Role = "activation"
            if storage is not None and source is not None and made.born[storage] is None:
                role = made.values[source].role if made.values[source].role != "input" else role
            made.known[name] = made.add_value(
                (0,) if shape is None else shape, dtype, role, None, storage
            )
            found.append(made.known[name])
        return found

    def before(
        self, kind: Kind, target: str, shape: Sequence[int], *inputs: int | None,
        and_rest: bool = False, **attributes: Any,
    ) -> int:  # fmt: skip
        """Record an op on the way, which may make the node's further outputs; what it makes."""
        made = self.names.made
        read = [value for value in inputs if value is not None]
        views = kind in ("reshape", "split") and bool(read)
        source = made.values[read[0]] if read else None
        storage = source.storage if views and source is not None else None
        dtype = source.dtype if source is not None else "float32"
        role: Role = source.role if views and source is not None and source.role in (
            "parameter", "buffer") else "activation"  # fmt: skip
        outputs = [made.add_value(shape, dtype, role, None, storage)]
        if and_rest:
            outputs += self._made(self.left[1:])
            self.left = self.left[:1]
        made.add_op(kind, target, read, outputs, attributes, self.stack)
        return outputs[0]


_KEPT = ("parameter", "buffer")
# What torch's exporters call a weight that they made of others: it is its reader's.
_NUMBERED = re.compile(r"(onnx::\w+|val)_\d+")
# Targets that look at what they are given, whichever operator they are a part of.
_VIEWS = frozenset({"aten.view.default", "aten.transpose.int"})
# Where operators take weights, whatever a tensor that the model keeps may be elsewhere.
_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "ConvInteger": (1,), "QLinearConv": (3, 8),
    "FusedConv": (1, 2), "DeformConv": (1, 3), "Gemm": (1, 2), "MatMul": (0, 1),
    "MatMulInteger": (1,),
    "QLinearMatMul": (3,), "MatMulNBits": (1, 2, 3, 5), "BatchNormalization": (1, 2, 3, 4),
    "InstanceNormalization": (1, 2), "LayerNormalization": (1, 2), "GroupNormalization": (1, 2),
    "RMSNormalization": (1,), "SimplifiedLayerNormalization": (1,), "PRelu": (1,),
    "SkipLayerNormalization": (2, 3, 4), "SkipSimplifiedLayerNormalization": (2, 3),
    "LSTM": (1, 2, 3), "GRU": (1, 2, 3), "RNN": (1, 2, 3), "DequantizeLinear": (0,),
    "FusedMatMul": (0, 1), "FusedGemm": (1, 2), "DynamicQuantizeMatMul": (1, 4),
    "MatMulIntegerToFloat": (1, 6), "Attention": (1, 2), "BiasGelu": (1,), "FastGelu": (1,),
    "GroupNorm": (1, 2), "EmbedLayerNormalization": (2, 3, 4, 5, 6), "GatherBlockQuantized": (0,),
}  # fmt: skip

# Where operators take numbers of several elements that are no weights.
_SETTINGS: Mapping[str, tuple[int, ...]] = {
    "Resize": (1, 2, 3), "Upsample": (1,), "OneHot": (1, 2), "Pad": (1, 2), "Tile": (1,),
    "RotaryEmbedding": (1, 2, 3),
}  # fmt: skip
# Initial states: of zeros, as torch begins, they are no parameters.
_STATES: Mapping[str, tuple[int, ...]] = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}


def _plain(attribute: Any) -> Any:
    """An attribute's number, text or list; a graph or tensor as it is."""
    kinds = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints", 8: "strings"}
    name = kinds.get(attribute.type)
    if name is None:
        return attribute
    value = getattr(attribute, name)
    if name == "s":
        return value.decode("utf-8", "replace")
    return list(value) if name.endswith("s") and name != "s" else value
