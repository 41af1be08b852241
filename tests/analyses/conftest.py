"""Graphs built by hand, without torch: what the tests of analyses work on."""

from __future__ import annotations

from typing import Any

import pytest

from archstat.graph import Graph, Module, Op, Storage, Value, bytes_of


class Sketch:
    """A Graph in the making: `value` and `op` return the index of the value they add."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.values: list[Value] = []
        self.storages: list[Storage] = []

    def value(
        self, *shape: int, role: Any = "activation", dtype: str = "float32", **known: Any
    ) -> int:
        """Add a value, on a storage of its own unless `storage` names one."""
        if "storage" not in known:
            numel = Value(shape, dtype, role, 0).numel
            self.storages.append(Storage(bytes_of(numel, dtype)))
            known["storage"] = len(self.storages) - 1
        self.values.append(Value(shape, dtype, role, **known))
        return len(self.values) - 1

    def input(self, *shape: int) -> int:
        """Add an input."""
        return self.value(*shape, role="input")

    def weight(self, *shape: int, name: str = "layer.weight") -> int:
        """Add a trainable parameter."""
        return self.value(*shape, role="parameter", name=name, trainable=True)

    def op(
        self,
        kind: Any,
        target: str,
        inputs: tuple[int, ...],
        *shapes: tuple[int, ...],
        module: str = "layer",
        module_type: str = "Layer",
        **attributes: Any,
    ) -> int:
        """Add an op with one new value a shape; return the first of them."""
        outputs = tuple(self.value(*shape) for shape in shapes)
        self.ops.append(Op(kind, target, module, module_type, inputs, outputs, attributes))
        return outputs[0] if outputs else -1

    def conv(self, x: int, channels: int, module: str = "conv") -> int:
        """Add a 1x1 convolution."""
        batch, before, *sizes = self.values[x].shape
        weight = self.weight(channels, before, 1, 1, name=f"{module}.weight")
        shape = (batch, channels, *sizes)
        return self.op(
            "conv", "aten.convolution.default", (x, weight), shape,
            module=module, module_type="Conv2d", transposed=False, groups=1, kernel=(1, 1),
        )  # fmt: skip

    def unary(self, kind: Any, name: str, x: int, *shape: int) -> int:
        """Add an op of one tensor; the shape stays unless given."""
        return self.op(kind, f"aten.{name}.default", (x,), shape or self.values[x].shape)

    def binary(self, kind: Any, a: int, b: int) -> int:
        """Add the sum or product of two values, of the larger one's shape."""
        larger = max((a, b), key=lambda index: self.values[index].numel)
        return self.op(kind, f"aten.{kind}.Tensor", (a, b), self.values[larger].shape)

    def graph(self, *outputs: int, name: str = "Net") -> Graph:
        """The Graph so far, with these outputs."""
        inputs = tuple(i for i, value in enumerate(self.values) if value.role == "input")
        paths = dict.fromkeys(op.module for op in self.ops)
        graph = Graph(
            name, tuple(self.ops), tuple(self.values), tuple(self.storages),
            modules=(Module("", "Net"), *(Module(path, "Layer") for path in paths if path)),
            inputs=inputs, outputs=outputs,
        )  # fmt: skip
        graph.check()
        return graph


@pytest.fixture
def sketch() -> Sketch:
    """An empty Graph to draw on."""
    return Sketch()
