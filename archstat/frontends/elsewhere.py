"""What a capture sees to at the functions that forward calls, where operations come too late.

A forward may ask for a device that is not here, as ``x.cuda()`` does, or make indices of lists,
which on meta lose their numbers on the way to an operation.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from archstat.frontends.aten import Numbers
from archstat.frontends.made_up import made_up
from archstat.frontends.torch_private import without_modes
from archstat.frontends.trees import replaced, tensors


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
        if func in _ALONG_DIM:
            args, kwargs = replaced((args, kwargs), lambda t: t.to(self._device))
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


# What they make has the numbers that they are told, whatever tensors give its shape.
_MAKERS = frozenset({
    *(torch.arange, torch.zeros, torch.ones, torch.full, torch.eye, torch.linspace, torch.tensor),
    *(torch.as_tensor, torch.tril_indices, torch.triu_indices, torch.scalar_tensor),
    *(torch.zeros_like, torch.ones_like, torch.full_like),
    *(torch.Tensor.new_zeros, torch.Tensor.new_ones, torch.Tensor.new_full),
})  # fmt: skip
_WRITING = ("__setitem__", "__iadd__", "__isub__", "__imul__", "__iand__", "__ior__", "__ixor__")


_RANDOM = ("rand", "normal", "uniform", "bernoulli", "multinomial", "exponential", "geometric",
           "cauchy", "log_normal", "poisson", "binomial", "dropout", "empty", "resize")  # fmt: skip
_ALONG_DIM = (torch.take_along_dim, torch.Tensor.take_along_dim)


def _along_dim(x: torch.Tensor, indices: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """torch's own `take_along_dim`, by functions that a mode sees."""
    if dim is None:
        return x.reshape(-1).gather(0, indices.reshape(-1))
    dim %= x.dim()

    def wide(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        pairs = enumerate(zip(tensor.shape, other.shape, strict=True))
        return tensor.expand([n if d == dim or n > 1 else m for d, (n, m) in pairs])

    return wide(x, indices).gather(dim, wide(indices, x).remainder(x.shape[dim]))


LOOKED = (
    "forward looks at the numbers of its inputs: the counts hold for those given, else for masks "
    "of ones and ids spread over the vocabulary"
)


def is_whole(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds whole numbers or booleans."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def of_inputs(numbers: Numbers, given: Any, stand_ins: Any, vocabulary: int) -> None:
    """Let whole numbers and booleans of inputs be known, behind their stand-ins on meta.

    They are the user's own, where real ones were given; else ids and masks of ones.
    """
    args, kwargs = given
    named = [("", tensor) for tensor in tensors(args)]
    named += [(key, tensor) for key, item in kwargs.items() for tensor in tensors(item)]
    for (name, tensor), stand_in in zip(named, tensors(stand_ins), strict=True):
        if not (is_whole(tensor) and numbers.fits(tensor)):
            continue
        with without_modes():
            if tensor.is_meta:
                ids = 0 if "mask" in name else vocabulary
                kept = made_up(tensor.shape, tensor.dtype, ids)
            else:
                kept = tensor.detach().cpu().clone()
        numbers.note(stand_in, kept, of_input=True)


# They return no tensor, and tell it by operations on what they make themselves.
_TELLING = (torch.Tensor.tolist, torch.Tensor.__contains__, torch.allclose, torch.Tensor.allclose)


class NumbersKept(TorchFunctionMode):
    """Keeps the numbers of tensors on meta that forward makes of numbers that are known."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__()
        self._numbers = numbers

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and args[0].is_meta:
            index = args[1]
            if isinstance(index, tuple):
                index = tuple(map(self._entry, index))
            elif not (type(index) is list and any(type(item) is list for item in index)):
                index = self._entry(index)  # of lists torch makes a tuple
            args = (args[0], index, *args[2:])
        if func in _ALONG_DIM:
            with self:
                return _along_dim(*args, **kwargs)
        if func in _TELLING and (known := self._known(func, args, kwargs, True)) is not None:
            with without_modes():
                return func(*known[0], **known[1])
        name = getattr(func, "__name__", "")
        if name.lstrip("_").startswith(_RANDOM):
            return func(*args, **kwargs)
        writes = name in _WRITING or (name[-1:] == "_" and name[-2:] != "__")
        known = self._known(func, args, kwargs) if writes else None
        result = func(*args, **kwargs)
        given = args[0] if name == "__setitem__" else result
        if type(given) in (torch.Tensor, tuple, list):
            small = [t for t in tensors(given) if t.is_meta and self._numbers.fits(t)]
            if small and not writes:
                known = self._known(func, args, kwargs)
            if small and known is not None:
                self._follow(func, known, writes, given)
        return result

    def _known(self, func: Any, args: Any, kwargs: Any, asked: bool = False) -> Any:
        """The arguments with numbers for their tensors, on cpu; None where some are not known.

        The third says whether numbers of an input are among them.
        """
        given, numbers_of = (args, kwargs), self._numbers.asked if asked else self._numbers.of
        held, of_input = list(tensors(given)), False
        if func in _MAKERS:
            kept = {id(t): torch.empty(t.shape, dtype=t.dtype) for t in held if t.is_meta}
        elif any(self._numbers.of(t) is None for t in held) or not any(t.is_meta for t in held):
            return None
        else:
            kept = {id(t): n for t in held if (n := numbers_of(t)) is not None}
            of_input = any(map(self._numbers.come_from_input, held))
        args, kwargs = replaced(given, lambda t: kept.get(id(t), t))
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": "cpu"}
        args = tuple(["cpu" if isinstance(a, torch.device) else a for a in args])
        return args, kwargs, of_input

    def _follow(self, func: Any, known: Any, writes: bool, result: Any) -> None:
        """Do with numbers what a function did on meta, and keep what it makes of them."""
        args, kwargs, of_input = known
        with without_modes(), suppress(Exception):
            if writes:  # the numbers may be the user's own
                args = (args[0].clone(), *args[1:])
            made = func(*args, **kwargs)
            made = args[0] if made is None else made
            for tensor, numbers in zip(tensors(result), tensors(made), strict=True):
                self._numbers.note(tensor, numbers, of_input=of_input)

    def _entry(self, item: Any) -> Any:
        """A list of numbers as a tensor on meta; anything else as it is."""
        if not hasattr(item, "__len__") or isinstance(item, (torch.Tensor, tuple, str)):
            return item
        with without_modes():
            try:
                numbers = torch.as_tensor(list(item) if type(item) is range else item)
            except (TypeError, ValueError, RuntimeError, NotImplementedError):
                return item  # tensors and slices are among them
            made = torch.empty(numbers.shape, dtype=numbers.dtype, device="meta")
        self._numbers.note(made, numbers)
        return made
