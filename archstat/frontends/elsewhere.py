"""A forward that asks for a device that is not here, as ``x.cuda()`` does."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class OnOneDevice(TorchFunctionMode):
    """Makes every function work on one device, whatever device it is asked for."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.cuda, torch.Tensor.xpu):
            return args[0]
        if func is torch.Tensor.to:
            args = tuple([self._here(one) for one in args])
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": self._here(kwargs["device"])}
        return func(*args, **kwargs)

    def _here(self, given: Any) -> Any:
        """The one device in the place of another that computes."""
        if type(given) is int:
            return self._device
        if isinstance(given, (str, torch.device)):
            named = torch.device(given)
            return given if named.type in ("cpu", "meta") else self._device
        return given
