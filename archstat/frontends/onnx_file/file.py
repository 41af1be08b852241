"""From an ONNX file to a Graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from archstat.errors import InputError
from archstat.frontends.onnx_file.building import Builder, shapes_in, stack_of
from archstat.frontends.onnx_file.ops import OF_SHAPES, RULES, VIEWS
from archstat.frontends.onnx_file.reading import dtype_of, given_of, model_of, own_inputs, sized
from archstat.graph import Graph, Kind, Role
from archstat.units import InputSpec

_LONGEST = 4096
_STATISTICS = ("BatchNormalization", (3, 4))


def onnx_file(path: Path, specs: Sequence[InputSpec] = (), batch: int = 1) -> Graph:
    """The Graph of an ONNX model at the inputs given, by default those that the file tells.

    Raises:
        LookupFailedError: no whole ONNX model.
        MissingExtraError: onnx is not installed.
        InputError: an input does not fit, or has sizes that nobody said.
    """
    model = model_of(path)
    given = given_of(model)
    specs = tuple(specs) or own_inputs(path, given)
    if len(specs) != len(given):
        names = ", ".join(one.name for one in given) or "none"
        raise InputError(f"{path} takes {len(given)} inputs ({names}); {len(specs)} were given.")
    taken = [one.name for one in given]
    unknown = [spec.name for spec in specs if spec.name is not None and spec.name not in taken]
    if unknown:
        raise InputError(f"{path} has no input {unknown[0]!r}; it takes {', '.join(taken)}.")
    shapes = {spec.name or one.name: spec.with_batch(batch)
              for spec, one in zip(specs, given, strict=True)}  # fmt: skip
    return _Reader(path.name, sized(path, model, shapes)).graph()


class _Reader:
    """Walks the nodes of a model whose shapes are known."""

    def __init__(self, title: str, model: Any) -> None:
        self.model, self.made = model, Builder(title)
        self.opset = max(
            (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
            default=1,
        )
        self.types: dict[str, tuple[str, tuple[int, ...] | None]] = {}
        self.held: dict[str, Any] = {}
        # Values that hang on shapes alone.
        self.known: set[str] = set()

    def graph(self) -> Graph:
        """The whole model."""
        graph = self.model.graph
        held = {tensor.name for tensor in graph.initializer}
        inputs = []
        self.types.update(shapes_in(graph))
        for entry in graph.input:
            if entry.name not in held:
                dtype, shape = self.types[entry.name]
                inputs.append(self.made.add_value(shape or (), dtype, "input", entry.name))
                self.made.known[entry.name] = inputs[-1]
        self.hold(graph)
        self.walk(graph.node)
        outputs = [self.value(entry.name) for entry in graph.output]
        return self.made.graph(inputs, outputs)

    def hold(self, graph: Any) -> None:
        """Take note of the tensors that a graph keeps."""
        for tensor in graph.initializer:
            self.held[tensor.name] = tensor
            self.types[tensor.name] = (dtype_of(tensor.data_type), tuple(tensor.dims))
        for sparse in graph.sparse_initializer:
            self.held[sparse.values.name] = sparse.values
            self.types[sparse.values.name] = (dtype_of(sparse.values.data_type), tuple(sparse.dims))

    def walk(self, nodes: Iterable[Any]) -> None:
        """Record what nodes do, one after the other."""
        for index, node in enumerate(nodes):
            if node.op_type in OF_SHAPES or (node.op_type not in _CONTROL and self.is_known(node)):
                self.known.update(node.output)
            elif node.op_type in _CONTROL:
                self.step_into(node)
            else:
                _Node(self, node, index).record()

    def is_known(self, node: Any) -> bool:
        """Whether a node computes with shapes and constants alone."""
        names = node.input[:1] if node.op_type == "CastLike" else node.input
        return all(not name or name in self.known or self.is_number(name) for name in names)

    def is_number(self, name: str) -> bool:
        """Whether a tensor that the model keeps is a constant of its text, not a weight."""
        if name not in self.held or name in self.made.known:
            return False
        floats = self.types[name][0].startswith(("float", "bfloat"))
        return self.role_of(name) == "constant" and (floats or len(self.types[name][1] or ()) < 2)

    def step_into(self, node: Any) -> None:
        """The body of a branch or a loop, once."""
        bodies = [a.g for a in node.attribute if a.HasField("g")]
        body = bodies[0]
        times = {"If": "one branch counts", "Loop": "its body counts once",
                 "Scan": "its body counts once"}[node.op_type]  # fmt: skip
        self.made.notes[f"{node.op_type} ({node.name or 'without a name'}): {times}"] = None
        types, known = dict(self.types), dict(self.made.known)
        self.types.update(shapes_in(body))
        self.hold(body)
        for entry, outer in zip(body.input, node.input[-len(body.input) :], strict=False):
            if outer in self.made.known:
                self.made.known[entry.name] = self.made.known[outer]
        self.walk(body.node)
        inside = {name.name: self.value(name.name) for name in body.output}
        found = list(inside.values())[-len(node.output) :]
        self.types, self.made.known = types, known
        for name, value in zip(node.output, found, strict=False):
            self.made.known[name] = value

    def value(self, name: str, role: Role | None = None) -> int:
        """The number of a value; a tensor that the model keeps gets one when it is first read."""
        if name in self.made.known:
            return self.made.known[name]
        dtype, shape = self.types.get(name, ("unknown", None))
        if name in self.held:
            role = role or self.role_of(name)
            named = name if role in ("parameter", "buffer") else None
            self.made.known[name] = self.made.add_value(shape or (), dtype, role, named)
        else:
            self.made.known[name] = self.made.add_value(shape or (), dtype, "constant")
        return self.made.known[name]

    def role_of(self, name: str) -> Role:
        """ONNX does not say what is trained: floats of several elements, or by a module's path."""
        dtype, shape = self.types[name]
        several = prod(shape or ()) > 1 or "." in name
        return "parameter" if dtype.startswith(("float", "bfloat")) and several else "constant"

    def constant(self, name: str) -> list[Any] | None:
        """The numbers of a short tensor that the model keeps, flat."""
        tensor = self.held.get(name)
        if tensor is None or tensor.data_location == 1:
            return None
        shape = self.types[name][1] or ()
        if any(size > _LONGEST for size in shape):
            return None
        from onnx import numpy_helper

        try:
            return list(numpy_helper.to_array(tensor).reshape(-1).tolist())
        except (ValueError, TypeError):
            return None


class _Node:
    """A node as the rules of `ops` see it."""

    def __init__(self, reader: _Reader, node: Any, index: int) -> None:
        self.reader, self.node = reader, node
        self.opset, self.name = reader.opset, node.op_type
        self.outputs = len(node.output)
        self.attributes: Mapping[str, Any] = {a.name: _plain(a) for a in node.attribute}
        weights = _WEIGHTS.get(node.op_type, ())
        named = None
        for place, name in enumerate(node.input):
            if place in weights and name in reader.held:
                statistic = node.op_type == _STATISTICS[0] and place in _STATISTICS[1]
                reader.value(name, "buffer" if statistic else "parameter")
                named = named or (None if statistic else name)
        # What is computed of numbers alone in the place of a weight is a bias of zeros.
        self.inputs = [
            None if not name or (place in weights and name in reader.known) else reader.value(name)
            for place, name in enumerate(node.input)
        ]
        self.stack = stack_of(node, named, index)

    def record(self) -> None:
        """Record the node by its rule; as unknown, where there is none or a shape is unknown."""
        rule = RULES.get(self.name)
        names = [name for name in self.node.input if name not in self.reader.known]
        names += self.node.output[:1]
        shapes = [self.reader.types.get(name, ("", None))[1] for name in names if name]
        if rule is None or None in shapes:
            self.last("other", f"onnx.{self.name}", *self.inputs)
            return
        before = len(self.reader.made.ops)
        try:
            rule(self)
        except (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError):
            del self.reader.made.ops[before:], self.reader.made.stacks[before:]
            self.last("other", f"onnx.{self.name}", *self.inputs)

    def shape(self, position: int) -> tuple[int, ...]:
        """The shape of an input."""
        return self.reader.types[self.node.input[position]][1] or ()

    def made(self, position: int = 0) -> tuple[int, ...]:
        """The shape of an output."""
        return self.reader.types[self.node.output[position]][1] or ()

    def constant(self, position: int) -> list[Any] | None:
        """The numbers of an input that the model keeps; None where nobody knows them."""
        if position >= len(self.node.input) or not self.node.input[position]:
            return None
        return self.reader.constant(self.node.input[position])

    def is_weight(self, position: int) -> bool:
        """Whether an input is a tensor that the model keeps, or a view of one."""
        value = self.inputs[position]
        return value is not None and self.reader.made.values[value].role in _KEPT

    def last(self, kind: Kind, target: str, *inputs: int | None, **attributes: Any) -> None:
        """Record the op that makes the node's outputs."""
        made, found = self.reader.made, []
        source = next((value for value in inputs if value is not None), None)
        for name in self.node.output:
            if not name:
                continue
            dtype, shape = self.reader.types.get(name, ("unknown", None))
            views = self.name in VIEWS or kind == "split"
            storage = made.values[source].storage if views and source is not None else None
            role: Role = "activation"
            if storage is not None and source is not None and made.born[storage] is None:
                role = made.values[source].role if made.values[source].role != "input" else role
            made.known[name] = made.add_value(shape or (0,), dtype, role, None, storage)
            found.append(made.known[name])
        read = [value for value in inputs if value is not None]
        made.add_op(kind, target, read, found, attributes, self.stack)

    def before(
        self, kind: Kind, target: str, shape: Sequence[int], *inputs: int | None, **attributes: Any
    ) -> int:
        """Record an op on the way; the number of what it makes."""
        made = self.reader.made
        read = [value for value in inputs if value is not None]
        views = kind in ("reshape", "split") and bool(read)
        source = made.values[read[0]] if read else None
        storage = source.storage if views and source is not None else None
        dtype = source.dtype if source is not None else "float32"
        role: Role = source.role if views and source is not None and source.role in (
            "parameter", "buffer") else "activation"  # fmt: skip
        out = made.add_value(shape, dtype, role, None, storage)
        made.add_op(kind, target, read, [out], attributes, self.stack)
        return out


_KEPT = ("parameter", "buffer")
_CONTROL = frozenset({"If", "Loop", "Scan"})
# Where operators take weights, whatever a tensor that the model keeps may be elsewhere.
_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "ConvInteger": (1,), "QLinearConv": (3, 8),
    "FusedConv": (1, 2), "Gemm": (1, 2), "MatMul": (0, 1), "MatMulInteger": (1,),
    "QLinearMatMul": (3,), "MatMulNBits": (1,), "BatchNormalization": (1, 2, 3, 4),
    "InstanceNormalization": (1, 2), "LayerNormalization": (1, 2), "GroupNormalization": (1, 2),
    "RMSNormalization": (1,), "SimplifiedLayerNormalization": (1,), "PRelu": (1,),
    "SkipLayerNormalization": (2, 3), "LSTM": (1, 2, 3), "GRU": (1, 2, 3), "RNN": (1, 2, 3),
    "DequantizeLinear": (0,), "FusedMatMul": (0, 1),
}  # fmt: skip


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
