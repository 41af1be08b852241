"""What a capture sees to at the functions that forward calls, where operations come too late.

A forward may ask for a device that is not here, as ``x.cuda()`` does, or make indices of lists,
which on meta lose their numbers on the way to an operation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from archstat.frontends.aten import Numbers


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


class NumbersKept(TorchFunctionMode):
    """Keeps the numbers of tensors on meta that forward makes of lists."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__()
        self._numbers = numbers

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and args[0].is_meta:
            args = (args[0], self._entries(args[1]), *args[2:])
        result = func(*args, **kwargs)
        if func in (torch.tensor, torch.as_tensor) and args and result.is_meta:
            self._note(result, args[0])
        return result

    def _entries(self, index: Any) -> Any:
        if isinstance(index, tuple):
            return tuple([self._entry(item) for item in index])
        return self._entry(index)

    def _entry(self, item: Any) -> Any:
        """A list of whole numbers as a tensor on meta; anything else as it is."""
        if not isinstance(item, (list, range)) or not all(type(n) is int for n in item):
            return item
        made = torch.empty(len(item), dtype=torch.int64, device="meta")
        self._note(made, list(item))
        return made

    def _note(self, tensor: torch.Tensor, data: Any) -> None:
        if not isinstance(data, torch.Tensor):
            self._numbers.note(tensor, torch.as_tensor(data, device="cpu"))
