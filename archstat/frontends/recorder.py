"""The Graph in the making: values, storages with their lifetimes, ops and module calls.

Tensors are known by identity, and Python reuses the identity of what has died: every entry holds
a weak reference and is believed only while that still points to the tensor asked about. No tensor
is kept alive here, so the death of a storage is the moment eager Python let go of it.
"""

from __future__ import annotations

import weakref
from functools import cache
from typing import Any

import torch

from archstat.frontends.aten import PLAIN_TYPES, Signature, plain
from archstat.frontends.storages import Storages
from archstat.frontends.trees import tensors
from archstat.graph import Graph, Kind, Module, ModuleCall, Op, Role, Value

_LINEAR_WITH_A_PARAMETER = frozenset({"mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv"})


@cache
def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


_OUTSIDE = (0, "", "", 0, ())


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

    def known(self, tensor: torch.Tensor) -> int | None:
        """The value that this very tensor holds now, if the capture has seen it."""
        entry = self._tensors.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def value_of(self, tensor: torch.Tensor) -> int:
        """The value of a tensor; one never seen is a constant, or a view of a parameter."""
        entry = self._tensors.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            return entry[1]
        unnamed: Role = "parameter" if isinstance(tensor, torch.nn.Parameter) else "constant"
        return self.add_value(tensor, unnamed)

    def _values_of(self, tree: Any) -> tuple[int, ...]:
        if type(tree) is torch.Tensor:
            return (self.value_of(tree),)
        return tuple([self.value_of(tensor) for tensor in tensors(tree)])

    def add_value(
        self,
        tensor: torch.Tensor,
        role: Role,
        name: str | None = None,
        aliases: tuple[str, ...] = (),
    ) -> int:
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
        self.values.append(
            Value(tuple(tensor.shape), dtype, role, storage, name, aliases, trainable)
        )
        self._tensors[id(tensor)] = (weakref.ref(tensor), index)
        return index

    def add_aliases(self, value: int, names: tuple[str, ...]) -> None:
        """Further paths of a parameter or buffer."""
        known = self.values[value]
        self.values[value] = known._replace(aliases=(*known.aliases, *names))

    def _add_new(self, tensor: torch.Tensor) -> int:
        """`add_value` of an activation whose memory was made just now, for it alone."""
        storage = self._storages.index_of_new(tensor)
        index = len(self.values)
        dtype = _dtype_name(tensor.dtype)
        self.values.append(Value(tuple(tensor.shape), dtype, "activation", storage))
        self._tensors[id(tensor)] = (weakref.ref(tensor), index)
        return index

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
        kind = self._kind(signature, inputs, attributes)
        if signature.in_place:
            outputs: tuple[int, ...] = (self._renewed(result),)
        elif type(result) is torch.Tensor:
            outputs = (self.add_value(result, "activation"),)
        else:
            outputs = tuple([self.add_value(tensor, "activation") for tensor in tensors(result)])
        self._append(kind, signature.target, tuple(inputs), outputs, attributes)

    def add_layer(
        self,
        signature: Signature,
        read: tuple[torch.Tensor, ...],
        attributes: dict[str, Any],
        result: torch.Tensor,
    ) -> None:
        """`add_op` of a layer with one output, from the tensors it read and its attributes.

        Unless the op is in place, the output's memory was made just now, for it alone.
        """
        inputs = tuple([self.value_of(tensor) for tensor in read])
        output = self._renewed(result) if signature.in_place else self._add_new(result)
        self._append(signature.kind, signature.target, inputs, (output,), attributes)

    def _append(
        self,
        kind: Kind,
        target: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        attributes: dict[str, Any],
    ) -> None:
        if inputs and self._is_weight(inputs[0]) and all(map(self._is_weight, inputs)):
            self._weights.update(outputs)
        _, module, module_type, _, _ = self._stack[-1] if self._stack else _OUTSIDE
        self.ops.append(Op(kind, target, module, module_type, inputs, outputs, attributes))

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

    def _kind(self, signature: Signature, inputs: list[int], attributes: dict[str, Any]) -> Kind:
        if signature.kind == "conv":
            attributes["kernel"] = self.values[inputs[1]].shape[2:]
        elif signature.window_axes is not None:
            sizes = attributes["kernel_size"]
            attributes["kernel"] = sizes * signature.window_axes if len(sizes) == 1 else sizes
        elif signature.kind == "matmul":
            # A product with a weight is a layer; between activations it is a bare product.
            name = signature.target.split(".")[1].rstrip("_")
            if name in _LINEAR_WITH_A_PARAMETER and any(map(self._is_weight, inputs[-2:])):
                return "linear"
        return signature.kind

    def _is_weight(self, value: int) -> bool:
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
        index, path, module_type, first, inputs = self._stack.pop()
        parent = self._stack[-1][0] if self._stack else None
        self.calls[index] = ModuleCall(
            path, module_type, first, len(self.ops), parent, inputs, outputs
        )

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
            name=name,
            ops=tuple(self.ops),
            values=tuple(self.values),
            storages=self._storages.close(),
            calls=tuple(call for call in self.calls if call is not None),
            modules=modules,
            inputs=inputs,
            outputs=outputs,
            device=device,
            torch_version=str(torch.__version__),
            notes=notes,
        )
