"""A Graph in the making from ONNX nodes: values, storages with lifetimes, ops and module calls.

`Node` is what a rule sees of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from operator import itemgetter
from typing import Any, Protocol

from archstat.graph import Graph, Kind, Module, ModuleCall, Op, Role, Storage, Value, bytes_of

Place = tuple[str, str]


@dataclass
class Builder:
    """Collects ops; every value lives in a storage, and a view in that of what it looks at."""

    title: str
    ops: list[Op] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    nbytes: list[int] = field(default_factory=list)
    born: list[int | None] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    stacks: list[tuple[Place, ...]] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)

    def add_value(
        self, shape: Sequence[int], dtype: str, role: Role, name: str | None = None,
        storage: int | None = None,
    ) -> int:  # fmt: skip
        """The number of a new value, in a storage of its own where none is given."""
        if storage is None:
            storage = len(self.nbytes)
            self.nbytes.append(bytes_of(prod(shape), dtype))
            self.born.append(len(self.ops) if role == "activation" else None)
        trained = role == "parameter" and dtype.startswith(("float", "bfloat"))
        self.values.append(Value(tuple(shape), dtype, role, storage, name, (), trained))
        return len(self.values) - 1

    def add_op(
        self, kind: Kind, target: str, inputs: Sequence[int], outputs: Sequence[int],
        attributes: Mapping[str, Any], stack: tuple[Place, ...],
    ) -> None:  # fmt: skip
        """Record an op in the innermost module of a stack."""
        module, module_type = stack[-1] if stack else ("", self.title)
        op = Op(kind, target, module, module_type, tuple(inputs), tuple(outputs), dict(attributes))
        self.ops.append(op)
        self.stacks.append(stack)

    def graph(self, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
        """Close the account: a storage is let go after the last op that reads it."""
        self._name_types()
        last: dict[int, int] = {}
        for index, op in enumerate(self.ops):
            for value in (*op.inputs, *op.outputs):
                last[self.values[value].storage] = index
        kept = {self.values[value].storage for value in outputs}
        storages = tuple(
            Storage(size, born, None if born is None or i in kept else last.get(i, born))
            for i, (size, born) in enumerate(zip(self.nbytes, self.born, strict=True))
        )
        calls, modules = _calls(self, inputs, outputs)
        return Graph(
            name=self.title, ops=tuple(self.ops), values=tuple(self.values), storages=storages,
            calls=calls, modules=modules, inputs=tuple(inputs), outputs=tuple(outputs),
            notes=tuple(self.notes),
        )  # fmt: skip

    def _name_types(self) -> None:
        """Give each module one type: without a class noted, its costliest operator's.

        One with modules inside it has none.
        """
        found: dict[str, tuple[int, str]] = {}
        for op, stack in zip(self.ops, self.stacks, strict=True):
            for place, (path, kind) in enumerate(stack, 1):
                rank = _RANKS.get(op.kind, 2) if place == len(stack) else -1
                found[path] = min(found.get(path, (rank, kind)), (rank, kind), key=itemgetter(0))
        for index, stack in enumerate(self.stacks):
            named = tuple((path, found[path][1]) for path, _ in stack)
            if named != stack:
                self.stacks[index] = named
                self.ops[index] = self.ops[index]._replace(module_type=named[-1][1])


# What a layer is called after, the first first; what only moves elements is the last.
_RANKS: Mapping[Kind, int] = {
    **dict.fromkeys(("conv", "linear", "matmul", "attention", "recurrent", "embedding"), 0),
    "norm": 1, **dict.fromkeys(("concat", "split", "reshape", "pad"), 3),
}  # fmt: skip


def _calls(
    made: Builder, inputs: Sequence[int], outputs: Sequence[int]
) -> tuple[tuple[ModuleCall, ...], tuple[Module, ...]]:
    """A call for each run of ops that stand in one module, and the tree of the modules."""
    spans: list[tuple[Place, int, int, int | None]] = [(("", made.title), 0, len(made.ops), None)]
    open_calls = [0]
    modules = {"": made.title}
    for index, stack in enumerate((*made.stacks, ())):
        depth = 0
        while (
            depth < min(len(stack), len(open_calls) - 1)
            and spans[open_calls[depth + 1]][0] == stack[depth]
        ):
            depth += 1
        for closed in open_calls[depth + 1 :]:
            spans[closed] = (*spans[closed][:2], index, spans[closed][3])
        del open_calls[depth + 1 :]
        for place in stack[depth:]:
            spans.append((place, index, index, open_calls[-1]))
            open_calls.append(len(spans) - 1)
            modules.setdefault(*place)
    ends = _ends(made, outputs)
    found = [
        ModuleCall(*place, first, last, parent, *_crossing(made, first, last, ends))
        for place, first, last, parent in spans
    ]
    found[0] = found[0]._replace(inputs=tuple(inputs), outputs=tuple(outputs))
    for value in made.values:
        if value.name and value.role in ("parameter", "buffer"):
            modules.setdefault(value.name.rpartition(".")[0], "")
    tree = tuple(Module(path, kind) for path, kind in modules.items())
    return tuple(found), tree


def _ends(made: Builder, outputs: Sequence[int]) -> dict[int, int]:
    last = {value: index for index, op in enumerate(made.ops) for value in op.inputs}
    return last | dict.fromkeys(outputs, len(made.ops) + 1)


def _crossing(
    made: Builder, first: int, last: int, ends: Mapping[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The activations that a run of ops reads from outside, and those that it leaves."""
    inside = {value for op in made.ops[first:last] for value in op.outputs}
    read = (v for op in made.ops[first:last] for v in op.inputs)
    taken = dict.fromkeys(
        v for v in read if v not in inside and made.values[v].role in ("activation", "input")
    )
    left = tuple(v for op in made.ops[first:last] for v in op.outputs if ends.get(v, -1) >= last)
    return tuple(taken), left


def stack_of(node: Any, weight: str | None, index: int) -> tuple[Place, ...]:
    """The modules around a node, outermost first: as the exporter noted them, or by names.

    torch's exporter writes the scopes down; else a weight is named after the layer that holds it,
    and older exporters name nodes by path. A node without any of these is a layer by itself.
    """
    noted = {entry.key: entry.value for entry in node.metadata_props}
    paths = _texts(noted.get("pkg.torch.onnx.name_scopes"))
    if paths:
        types = _texts(noted.get("pkg.torch.onnx.class_hierarchy"))
        pairs = zip(paths[1:-1], types[1:-1], strict=False)
        return tuple((path, kind.rpartition(".")[2]) for path, kind in pairs)
    if weight and "." in weight:
        return _nested_in(weight.rpartition(".")[0], node.op_type)
    if node.name.startswith("/"):
        path = ""
        for part in node.name.strip("/").split("/")[:-1]:
            inner = part.startswith(f"{path.rpartition('.')[2]}.") if path else False
            before = path.rpartition(".")[0] if inner else path
            path = f"{before}.{part}".lstrip(".")
        return _nested_in(path, node.op_type) if path else ()
    name = (node.name or f"{node.op_type}_{index}").replace("/", ".").strip(".")
    return ((name, node.op_type),) if weight else ()


def _nested_in(path: str, kind: str) -> tuple[Place, ...]:
    parts = path.split(".")
    outer = [(".".join(parts[:depth]), "") for depth in range(1, len(parts))]
    return (*outer, (path, kind))


def _texts(listed: str | None) -> list[str]:
    """The texts in what Python prints of a list of names."""
    return listed[2:-2].split("', '") if listed and listed.startswith("['") else []


class Node(Protocol):
    """A node with known shapes, and the way to record what it does.

    `inputs` holds the numbers of values, None for an input left out.
    """

    name: str
    inputs: list[int | None]
    attributes: Mapping[str, Any]
    opset: int

    def shape(self, position: int) -> tuple[int, ...]: ...
    def made(self, position: int = 0) -> tuple[int, ...]: ...
    def constant(self, position: int) -> list[Any] | None: ...
    def is_weight(self, position: int) -> bool: ...
    def is_scalar(self, position: int) -> bool: ...
    def last(self, kind: Kind, target: str, *inputs: int | None, **attributes: Any) -> None:
        """Record the op that makes the node's outputs."""

    def before(
        self, kind: Kind, target: str, shape: Sequence[int], *inputs: int | None,
        and_rest: bool = False, **attributes: Any,
    ) -> int:  # fmt: skip
        """Record an op on the way, which may make the node's further outputs; what it makes."""


Rule = Callable[[Node], None]
