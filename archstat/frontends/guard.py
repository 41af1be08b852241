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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_CONTAINERS = (dict, OrderedDict, list, set)


@contextmanager
def untouched(root: nn.Module) -> Iterator[None]:
    """Run the block with every module of `root` in inference mode; put all back at the end."""
    modules = list(root.modules())
    snapshots = [_Snapshot(module) for module in modules]
    generators = _GeneratorStates()
    try:
        for module in modules:
            _enter_inference(module)
        yield
    finally:
        for snapshot in snapshots:
            snapshot.restore()
        generators.restore()


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

    __slots__ = ("attributes", "containers", "module", "type")

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.type = type(module)
        self.attributes = dict(module.__dict__)
        self.containers = [
            (value, value.copy())
            for value in self.attributes.values()
            if type(value) in _CONTAINERS
        ]

    def restore(self) -> None:
        if type(self.module) is not self.type:
            self.module.__class__ = self.type
        # The same container objects must stay: hook handles refer to them weakly.
        for container, content in self.containers:
            container.clear()
            if isinstance(container, list):
                container.extend(content)
            else:
                container.update(content)
        self.module.__dict__.clear()
        self.module.__dict__.update(self.attributes)
        if isinstance(self.module, torch.jit.ScriptModule):
            self.module.training = self.attributes.get("training", False)


class _GeneratorStates:
    """The states of torch's, Python's and, where it is loaded, NumPy's random generators."""

    __slots__ = ("numpy", "python", "torch")

    def __init__(self) -> None:
        self.torch = torch.get_rng_state()
        self.python = random.getstate()
        numpy = sys.modules.get("numpy")
        self.numpy: Any = numpy.random.get_state() if numpy is not None else None

    def restore(self) -> None:
        torch.set_rng_state(self.torch)
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)


def _enter_inference(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        module.training = False
    elif module.training:
        module.__dict__["training"] = False
    # A compiled module would hide its ops behind one compiled call.
    if module.__dict__.get("_compiled_call_impl") is not None:
        module.__dict__["_compiled_call_impl"] = None
    if any(isinstance(p, nn.UninitializedParameter) for p in module._parameters.values()):
        _stand_in_for_lazy(module)


def _stand_in_for_lazy(module: nn.Module) -> None:
    # Materialising changes the parameter object itself, so a lazy module is given others.
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer)):
                tensors[name] = type(tensor)(  # type: ignore[assignment]
                    requires_grad=tensor.requires_grad, device="meta", dtype=tensor.data.dtype
                )
