"""The Graph in the making: values, storages with their lifetimes, ops and module calls.

Tensors are known by identity, and Python reuses the identity of what has died: every entry holds
a weak reference and is believed only while that still points to the tensor asked about. No tensor
is kept alive here, so the death of a storage is the moment eager Python let go of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import repeat
from typing import Any, Literal

import torch

from archstat.errors import CaptureError
from archstat.frontends.aten import PLAIN_TYPES, Numbers, Signature, plain
from archstat.frontends.packed import Contents, contents, opened, settings_of
from archstat.frontends.registered import registered
from archstat.frontends.storages import Storages
from archstat.frontends.trees import tensors
from archstat.graph import (
    UNSEEN,
    Graph,
    Kind,
    Module,
    ModuleCall,
    Op,
    Role,
    Value,
    record,
)

# A hundred times what the longest forwards take.
MOST_OPS = 1_000_000
_LINEAR_WITH_A_PARAMETER = frozenset({"mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv"})


@cache
def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class Recorder:
    """Collects what a forward pass does; `graph` closes the account."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.values: list[Value] = []
        self.calls: list[ModuleCall | None] = []
        self._tensors: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self._storages = Storages(self.ops)
        self._stack: list[tuple[int, str, str, int, tuple[int, ...]]] = []
        self._weights: set[int] = set()
        self._before: dict[int, int] = {}
        self.numbers = Numbers()
        self._packed: dict[Contents, list[tuple[str, list[int], Sequence[torch.Tensor]]]] = {}

    def known(self, tensor: torch.Tensor) -> int | None:
        """The value that this very tensor holds now, if the capture has seen it.

        One whose `data` was replaced by another shape holds another value, which nobody has seen.
        """
        entry = self._tensors.get(id(tensor))
        if entry is None or entry[0]() is not tensor:
            return None
        return entry[1] if tensor.shape == self.values[entry[1]][0] else None

    def value_of(self, tensor: torch.Tensor) -> int:
        """The value of a tensor; one never seen is a constant, or a view of a parameter."""
        value = self.known(tensor)
        if value is None:
            value = self._before.get(id(tensor))
        if value is None:
            value = self._under_another_name(tensor)
        if value is not None:
            return value
        unnamed: Role = "parameter" if isinstance(tensor, torch.nn.Parameter) else "constant"
        return self.add_value(tensor, unnamed)

    def remember(self, written: Iterable[torch.Tensor]) -> None:
        """Note the values of tensors before an op that may change their shapes."""
        self._before = {id(tensor): self.value_of(tensor) for tensor in written}

    def _under_another_name(self, tensor: torch.Tensor) -> int | None:
        """The latest value of this shape in an activation's memory, where a tensor has that.

        ``x.data`` is another tensor in the memory of x, and ``x.data = y`` gives x that of y.
        """
        storage = self._storages.known(tensor)
        if storage is None or storage in self._storages.owners:
            return None
        for index in range(len(self.values) - 1, -1, -1):
            value = self.values[index]
            if value.storage == storage and value.shape == tensor.shape:
                self._tensors[id(tensor)] = (weakref.ref(tensor), index)
                return index
        return None

    def is_named(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is one that a module held before the first op."""
        value = self.known(tensor)
        return value is not None and self.values[value].name is not None

    def hold(self, named: Sequence[tuple[torch.Tensor, list[str]]]) -> None:
        """Let these be the parameters that the modules hold, whatever they held before."""
        held = {self.value_of(tensor): (tensor, paths) for tensor, paths in named}
        for index, (tensor, paths) in held.items():
            self._storages.owners[self.values[index].storage] = index
            self.values[index] = self.values[index]._replace(
                role="parameter", name=paths[0], aliases=tuple(paths[1:]),
                trainable=tensor.requires_grad,
            )  # fmt: skip
        for index, value in enumerate(self.values):
            if value.role == "parameter" and index not in held:
                self.values[index] = value._replace(name=None, aliases=())

    def _values_of(self, tree: Any) -> tuple[int, ...]:
        if type(tree) is torch.Tensor:
            return (self.value_of(tree),)
        return tuple([self.value_of(tensor) for tensor in tensors(tree)])

    def add_value(self, tensor: torch.Tensor, role: Role, name: str | None = None) -> int:
        """A new value for a tensor; on a parameter's storage it is a parameter, too."""
        born = len(self.ops) if role == "activation" else None
        storage = self._storages.index_of(tensor, born)
        index = len(self.values)
        owner = self._storages.owners.get(storage)
        if owner is not None:
            if role in ("constant", "activation"):
                role = self.values[owner].role
        elif role in ("parameter", "buffer", "constant"):
            self._storages.owners[storage] = index
        trainable = role == "parameter" and tensor.requires_grad
        dtype = _dtype_name(tensor.dtype)
        value = (tuple(tensor.shape), dtype, role, storage, name, (), trainable)
        self.values.append(record(Value, value))
        self._tensors[id(tensor)] = (weakref.ref(tensor), index)
        return index

    def add_own(
        self, role: Literal["parameter", "buffer"], named: Sequence[tuple[torch.Tensor, list[str]]]
    ) -> None:
        """New values for tensors that modules own, each with all its paths."""
        # Column by column: there are more of them than there are ops.
        first, tensors = len(self.values), [tensor for tensor, _ in named]
        storages = [self._storages.index_of(tensor, None) for tensor in tensors]
        columns = (
            [tuple(tensor.shape) for tensor in tensors],
            [_dtype_name(tensor.dtype) for tensor in tensors],
            repeat(role),
            storages,
            [paths[0] for _, paths in named],
            [tuple(paths[1:]) for _, paths in named],
            [role == "parameter" and tensor.requires_grad for tensor in tensors],
        )
        self.values.extend(map(record, repeat(Value), zip(*columns, strict=False)))
        for index, (tensor, storage) in enumerate(zip(tensors, storages, strict=True), first):
            self._tensors[id(tensor)] = (weakref.ref(tensor), index)
            self._storages.owners.setdefault(storage, index)

    def add_packed(self, tensors: Sequence[torch.Tensor], paths: Sequence[str]) -> list[int]:
        """New parameters for the tensors packed into an object that stands at these paths."""
        values = []
        for place, tensor in enumerate(tensors):
            end = "weight" if tensor.dim() > 1 else "bias"
            end = end if len(tensors) < 3 else f"{end}_{place}"
            names = [f"{path}.{end}" if path else end for path in paths]
            values.append(self.add_value(tensor, "parameter", names[0]))
            self.values[values[-1]] = self.values[values[-1]]._replace(aliases=tuple(names[1:]))
        # The tensors are kept: others must not take over their identity.
        self._packed.setdefault(contents(tensors), []).append((paths[0], values, tensors))
        return values

    def _packed_values(self, tensors: Sequence[torch.Tensor]) -> list[int]:
        """The parameters packed into an object, of which each call of an op gives another copy."""
        path = self._stack[-1][1] if self._stack else ""
        known = self._packed.get(contents(tensors))
        if known is None:
            return self.add_packed(tensors, (path,))
        return max(known, key=lambda entry: entry[0].startswith(path))[1]

    def _add_packed_argument(
        self, packed: torch.ScriptObject, inputs: list[int], attributes: dict[str, Any]
    ) -> None:
        inside = opened(packed)
        if inside is None:
            attributes["sealed"] = True
        else:
            inputs.extend(self._packed_values(inside))
            attributes.update(settings_of(packed))

    def _renewed(self, tensor: torch.Tensor) -> int:
        """The value that a tensor holds after an op in place: a new one on the same storage."""
        entry = self._tensors.get(id(tensor))
        if entry is None or self.values[entry[1]].role != "activation":
            return self.add_value(tensor, "activation")
        index = len(self.values)
        self.values.append(self.values[entry[1]])
        self._tensors[id(tensor)] = (entry[0], index)
        return index

    def given(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor's memory was there before the first op: the user's own."""
        storage = self.values[self.value_of(tensor)].storage
        return self._storages.born[storage] is None

    def link(self, tensor: torch.Tensor, value: int) -> None:
        """Let a stand-in for a tensor be known as the tensor's own value and storage."""
        self._tensors[id(tensor)] = (weakref.ref(tensor), value)
        self._storages.link(tensor, self.values[value].storage)

    def add_op(
        self, signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        """Record one op with the tensors it read and made."""
        inputs: list[int] = []
        attributes: dict[str, Any] = {}
        for name, argument in zip(signature.names, args, strict=False):
            # The commonest sorts are settled here; this loop is much of a capture.
            sort = type(argument)
            if sort in PLAIN_TYPES:
                attributes[name] = argument
            elif sort is torch.Tensor or sort is torch.nn.Parameter:
                inputs.append(self.value_of(argument))
            elif sort is list and argument and type(argument[0]) is int:
                attributes[name] = tuple(argument)
            else:
                self._add_argument(name, argument, inputs, attributes)
        for name, argument in kwargs.items():
            self._add_argument(name, argument, inputs, attributes)
        given = len(args)
        for position, name, default in signature.defaults:
            if position >= given and name not in kwargs:
                attributes[name] = default
        if signature.indexed is not None:
            at = signature.names.index(signature.indexed)
            index = args[at] if at < given else kwargs.get(signature.indexed)
            attributes[signature.indexed] = self.numbers.plain(index)
        if signature.packet is not None:
            attributes.update(registered(signature.packet, args, kwargs, result))
        kind = self._kind(signature, inputs, attributes)
        if self._storages.nonzeros:
            numbers = tuple([self._storages.nonzeros.get(self.values[i].storage) for i in inputs])
            if any(number is not None for number in numbers):
                attributes["nnz"] = numbers
        if signature.in_place:
            outputs: tuple[int, ...] = (self._renewed(result),)
        elif type(result) is torch.Tensor:
            outputs = (self.add_value(result, "activation"),)
        else:
            outputs = tuple([self.add_value(tensor, "activation") for tensor in tensors(result)])
        if signature.writes:
            self._before.clear()
        place = self._stack[-1][1:3] if self._stack else ("", "")
        self._append(kind, signature.target, place, tuple(inputs), outputs, attributes)

    def add_layer(
        self,
        signature: Signature,
        name: tuple[str, str],
        inputs: tuple[int, ...],
        attributes: dict[str, Any],
        result: torch.Tensor,
        shape: tuple[int, ...],
    ) -> None:
        """The call of a module, on the first of the inputs, that is one op with one output.

        `name` is the module's path and type. Unless the op is in place, the output's memory was
        made just now, for it alone, and it has the dtype of the first input.
        """
        given, first = inputs[0], len(self.ops)
        if signature.in_place:
            output = self._renewed(result)
        else:
            output, dtype = len(self.values), self.values[given].dtype
            storage = self._storages.add(result.untyped_storage(), first)
            value = (shape, dtype, "activation", storage, None, (), False)
            self.values.append(record(Value, value))
            self._tensors[id(result)] = (weakref.ref(result), output)
        parent = self._stack[-1][0] if self._stack else None
        call = (*name, first, first + 1, parent, (given,), (output,))
        self.calls.append(record(ModuleCall, call))
        self._append(signature.kind, signature.target, name, inputs, (output,), attributes)

    def _append(
        self,
        kind: Kind,
        target: str,
        name: tuple[str, str],
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        attributes: dict[str, Any],
    ) -> None:
        # Few ops read weights alone; mostly the first input tells.
        if inputs and self.is_weight(inputs[0]) and all(map(self.is_weight, inputs)):
            self._weights.update(outputs)
        op = (kind, target, *name, inputs, outputs, attributes)
        self.ops.append(record(Op, op))
        if len(self.ops) > MOST_OPS:
            raise CaptureError(
                f"forward takes more than {MOST_OPS:,} operations, the last in "
                f"{name[0] or 'the model itself'}, and does not end: a loop that waits for the "
                "model needs a maximum number of rounds, since weights and inputs are random."
            )

    def add_unseen(self, module_type: str) -> None:
        """Record that other threads did what nobody saw, so that no total is exact."""
        self._append("other", UNSEEN, ("", module_type), (), (), {})

    def _add_argument(
        self, name: str, argument: Any, inputs: list[int], attributes: dict[str, Any]
    ) -> None:
        if isinstance(argument, torch.Tensor):
            inputs.append(self.value_of(argument))
            return
        if isinstance(argument, (list, tuple)):
            found = [item for item in argument if isinstance(item, torch.Tensor)]
            if found:
                inputs.extend([self.value_of(tensor) for tensor in found])
                return
        attributes[name] = plain(argument)
        for item in argument if isinstance(argument, (list, tuple)) else (argument,):
            if isinstance(item, torch.ScriptObject):
                self._add_packed_argument(item, inputs, attributes)

    def _kind(self, signature: Signature, inputs: list[int], attributes: dict[str, Any]) -> Kind:
        if "sealed" in attributes:
            return "other"
        if signature.kind == "conv":
            attributes["kernel"] = self.values[inputs[1]].shape[2:]
        elif signature.window_axes is not None:
            sizes = attributes["kernel_size"]
            attributes["kernel"] = sizes * signature.window_axes if len(sizes) == 1 else sizes
        elif signature.kind == "matmul":
            # A product with a weight is a layer; between activations it is a bare product.
            name = signature.target.split(".")[1].rstrip("_")
            if name in _LINEAR_WITH_A_PARAMETER and any(map(self.is_weight, inputs[-2:])):
                return "linear"
        return signature.kind

    def is_weight(self, value: int) -> bool:
        """Whether a value is a parameter, or made of nothing but parameters and buffers."""
        return self.values[value].role in ("parameter", "buffer") or value in self._weights

    def enter(self, path: str, module_type: str, arguments: Any) -> None:
        """A module call begins."""
        inputs = self._values_of(arguments)
        self._stack.append((len(self.calls), path, module_type, len(self.ops), inputs))
        self.calls.append(None)

    def leave(self, output: Any) -> None:
        """The innermost module call ends, with its output or, where it raised, None."""
        outputs = self._values_of(output)
        index, *place, first, inputs = self._stack.pop()
        parent = self._stack[-1][0] if self._stack else None
        call = (*place, first, len(self.ops), parent, inputs, outputs)
        self.calls[index] = record(ModuleCall, call)

    def graph(
        self,
        name: str,
        modules: tuple[Module, ...],
        inputs: tuple[int, ...],
        output: Any,
        device: str,
        notes: tuple[str, ...],
    ) -> Graph:
        """Close the account: what is alive now was still alive when forward returned."""
        outputs = self._values_of(output)
        return Graph(
            name=name, ops=tuple(self.ops), values=tuple(self.values),
            storages=self._storages.close(), modules=modules, inputs=inputs, outputs=outputs,
            calls=tuple(call for call in self.calls if call is not None),
            device=device, torch_version=str(torch.__version__), notes=notes,
        )  # fmt: skip
