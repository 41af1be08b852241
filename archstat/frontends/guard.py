"""Leaving the user's module exactly as it was, whatever its forward does.

During a capture a module runs in inference mode (every `training` flag off), its calls are
intercepted and lazy parameters are stood in for. All of that lives in instance dictionaries, which
are put back entry by entry, together with every generator's state, also when forward raises.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

_CONTAINERS = frozenset({dict, OrderedDict, list, set})


@contextmanager
def untouched(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Run the block with all `modules` in inference mode; put everything back at the end."""
    snapshots = [_Snapshot(module) for module in modules]
    try:
        for module in modules:
            _enter_inference(module)
        yield
    finally:
        for snapshot in snapshots:
            snapshot.restore()


@contextmanager
def generators_kept() -> Iterator[None]:
    """Run the block, then put torch's, Python's and, where loaded, NumPy's generators back."""
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    numpy = sys.modules.get("numpy")
    numpy_state: Any = numpy.random.get_state() if numpy is not None else None
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        random.setstate(python_state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Run the block without cyclic garbage collection.

    A capture makes many small lasting records and no garbage cycles; collections that walk them
    again and again would make a long one quadratic.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Snapshot:
    """One module's class and instance dictionary, containers one level deep."""

    __slots__ = ("attributes", "empty", "filled", "module", "type")

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.type = type(module)
        self.attributes = module.__dict__.copy()
        self.empty: list[Any] = []
        self.filled: list[tuple[Any, Any]] = []
        for value in self.attributes.values():
            if type(value) in _CONTAINERS:
                # Most are hook tables with nothing in them, and need no copy.
                if value:
                    self.filled.append((value, value.copy()))
                else:
                    self.empty.append(value)

    def restore(self) -> None:
        if type(self.module) is not self.type:
            self.module.__class__ = self.type
        # The same container objects must stay: hook handles refer to them weakly.
        for container in self.empty:
            if container:
                container.clear()
        for container, content in self.filled:
            container.clear()
            container.extend(content) if type(container) is list else container.update(content)
        self.module.__dict__.clear()
        self.module.__dict__.update(self.attributes)
        if isinstance(self.module, torch.jit.ScriptModule):
            self.module.training = self.attributes.get("training", False)


def _enter_inference(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        module.training = False
    elif module.training:
        module.__dict__["training"] = False
    # A compiled module would hide its ops behind one compiled call.
    if module.__dict__.get("_compiled_call_impl") is not None:
        module.__dict__["_compiled_call_impl"] = None
    if isinstance(module, LazyModuleMixin):
        _stand_in_for_lazy(module)


def _stand_in_for_lazy(module: nn.Module) -> None:
    # Materialising changes the parameter object itself, so a lazy module is given others.
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer)):
                lazy: Any = type(tensor)
                tensors[name] = lazy(
                    requires_grad=tensor.requires_grad, device="meta", dtype=tensor.data.dtype
                )
