"""Building a model without memory: on the meta device, with every initialiser skipped.

A model that cannot be built so (its constructor looks at the numbers it makes) is built on cpu, as
it would be anywhere else; capture stands meta twins in for its weights all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from archstat.collection import collection_paused
from archstat.frontends.guard import generators_kept


def build_on_meta(factory: Callable[[], Any]) -> Any:
    """What `factory` returns, its tensors on the meta device and uninitialised."""
    with collection_paused(), generators_kept(), _OnMeta():
        return factory()


def build_for_real(factory: Callable[[], Any]) -> Any:
    """What `factory` returns, initialised on its own devices; no generator advances."""
    with generators_kept():
        return factory()


class _OnMeta(TorchFunctionMode):
    """Sends every tensor constructor to meta; initialisers return their tensor at once."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        # Most calls are neither, and there are a thousand of them in a ResNet-50: one look.
        constructor = _INSTEAD.get(func)
        if constructor is not None:
            if constructor is _LEFT_OUT:
                tensor = args[0] if args else (kwargs or {}).get("tensor")
                if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                    return tensor
            elif kwargs is None or kwargs.get("device") is None:
                return constructor(*args, **{**(kwargs or {}), "device": _META})
        return func(*args) if kwargs is None else func(*args, **kwargs)


_META = torch.device("meta")
_LEFT_OUT = object()
_CONSTRUCTORS = (
    *("empty", "empty_strided", "full", "arange", "linspace", "logspace", "eye", "rand", "randn"),
    *("randint", "randperm", "tensor", "as_tensor", "scalar_tensor", "tril_indices", "normal"),
    *("triu_indices", "hann_window", "hamming_window", "range"),
)
_INITIALISERS = (
    *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and name[0] != "_"),
    *(getattr(torch.Tensor, name) for name in ("uniform_", "normal_", "fill_", "zero_")),
    *(getattr(torch.Tensor, name) for name in ("random_", "bernoulli_", "exponential_")),
)
# What to call in place of a function: a constructor, or nothing where it fills a meta tensor.
_INSTEAD: Mapping[Any, Any] = MappingProxyType(
    {
        **{getattr(torch, name): getattr(torch, name) for name in _CONSTRUCTORS},
        # Nobody can read a number on meta, and torch makes these by a detour through Python.
        **{torch.zeros: torch.empty, torch.ones: torch.empty},
        **dict.fromkeys(_INITIALISERS, _LEFT_OUT),
    }
)
