"""Building a model without memory: on the meta device, with every initialiser skipped.

A model that cannot be built so (its constructor looks at the numbers it makes) is built on cpu, as
it would be anywhere else; capture stands meta twins in for its weights all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from archstat.frontends.guard import collection_paused, generators_kept


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
        kwargs = kwargs or {}
        if func in _CONSTRUCTORS:
            if kwargs.get("device") is None:
                kwargs = {**kwargs, "device": "meta"}
        elif func in _INITIALISERS:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


_CONSTRUCTORS = frozenset(
    getattr(torch, name)
    for name in (
        *("empty", "empty_strided", "zeros", "ones", "full", "arange", "linspace", "logspace"),
        *("eye", "rand", "randn", "randint", "randperm", "tensor", "as_tensor", "scalar_tensor"),
        *("tril_indices", "triu_indices", "normal", "hann_window", "hamming_window", "range"),
    )
    if hasattr(torch, name)
)
_INITIALISERS = frozenset(
    [
        *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and name[0] != "_"),
        *(getattr(torch.Tensor, name) for name in ("uniform_", "normal_", "fill_", "zero_")),
        *(getattr(torch.Tensor, name) for name in ("random_", "bernoulli_", "exponential_")),
    ]
)
