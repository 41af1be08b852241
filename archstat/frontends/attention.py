"""Which kernel scaled dot product attention runs by, and that kernel on meta.

On meta torch always decomposes attention and stores its scores; a device does so only where none
of its fused kernels takes the arguments. The conditions are those that torch documents and checks
(sdp_utils.cpp): cpu has a flash kernel; a GPU of Ampere or newer tries flash, then memory-efficient
attention (its cuDNN kernel, preferred by some, keeps as little as flash).
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode

from archstat.frontends.recurrent import MODES, recurrence_on_meta

Kernels = Literal["cpu", "cuda"]
Kernel = Literal["flash", "memory-efficient", "math"]

_HALVES = (torch.float16, torch.bfloat16)
_FLASH_SIZE = 256  # largest head of the flash kernel on a GPU
_BIAS_ALIGNMENT = 16  # elements of a row of the mask in the memory-efficient kernel
_ASKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
_PYTHON = ("torch.nn.functional", "torch.functional")


def kernel_of(
    kernels: Kernels,
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    dropout: float = 0.0,
    causal: bool = False,
    grouped: bool = False,
) -> Kernel:
    """The kernel that a device takes for query (b, h, l, e), key (b, g, s, e), value (b, g, s, v).

    `grouped` queries share the keys of h / g heads (``enable_gqa``).
    """
    if any(t.dim() != 4 or not t.dtype.is_floating_point for t in (query, key, value)):
        return "math"
    if 0 in (query.shape[2], key.shape[2]) or len({t.dtype for t in (query, key, value)}) > 1:
        return "math"
    if kernels == "cpu":
        fits = not dropout and _one_size(query, key, value) and _heads(query, key, value, grouped)
        steps = all(t.stride(-1) == 1 for t in (query, key, value))
        return "flash" if fits and steps and _mask_fits(mask, query, key) else "math"
    if any(t.stride(-1) != 1 and t.shape[-1] != 1 for t in (query, key, value)):
        return "math"
    if _flash_on_cuda(query, key, value, mask, causal, grouped):
        return "flash"
    return "memory-efficient" if _efficient(query, key, value, mask) else "math"


def _one_size(query: Any, key: Any, value: Any) -> bool:
    return bool(query.shape[3] == key.shape[3] == value.shape[3])


def _heads(query: Any, key: Any, value: Any, grouped: bool) -> bool:
    if not query.shape[0] == key.shape[0] == value.shape[0]:
        return False
    heads, groups = query.shape[1], key.shape[1]
    if groups != value.shape[1]:
        return False
    return bool(heads % groups == 0) if grouped and groups else bool(heads == groups)


def _mask_fits(mask: Any, query: Any, key: Any) -> bool:
    """Whether a mask spreads over (b, h, l, s) from two or four dimensions, without a gradient."""
    if mask is None:
        return True
    if mask.requires_grad or mask.dim() not in (2, 4):
        return False
    whole = (*query.shape[:3], key.shape[2])[-mask.dim() :]
    return all(n in (1, most) for n, most in zip(mask.shape, whole, strict=True))


def _flash_on_cuda(
    query: Any, key: Any, value: Any, mask: Any, causal: bool, grouped: bool
) -> bool:
    square = not causal or query.shape[2] == key.shape[2]
    return (
        query.dtype in _HALVES
        and mask is None
        and square
        and _one_size(query, key, value)
        and query.shape[3] <= _FLASH_SIZE
        and _heads(query, key, value, grouped)
    )


def _efficient(query: Any, key: Any, value: Any, mask: Any) -> bool:
    if query.dtype not in (*_HALVES, torch.float32) or not _heads(query, key, value, False):
        return False
    step = 8 if query.dtype in _HALVES else 4
    sizes = query.shape[3], value.shape[3]
    aligned = query.shape[3] == key.shape[3] and all(n and n % step == 0 for n in sizes)
    return aligned and (mask is None or mask.dim() in (2, 4))


def attention_on_meta(
    kernels: Kernels,
    kernel: Kernel,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    dropout: float,
    causal: bool,
    scale: float | None,
) -> Any:
    """The output of a fused kernel, of meta tensors."""
    aten = torch.ops.aten
    if mask is not None and mask.dtype is torch.bool:
        # Torch makes a bias of a mask of booleans before it calls a fused kernel.
        named = {"dtype": query.dtype, "device": query.device}
        mask = torch.where(mask, 0.0, torch.scalar_tensor(-torch.inf, **named))
    if kernels == "cpu":
        return aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask, scale=scale
        )[0]
    if kernel == "memory-efficient":
        graded = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
        return aten._scaled_dot_product_efficient_attention(
            query, key, value, _bias(mask, query, key), graded, dropout, causal, scale=scale
        )[0]
    size, odd = query.shape[-1], -query.shape[-1] % 8
    if odd:
        query, key, value = (torch.nn.functional.pad(t, (0, odd)) for t in (query, key, value))
        scale = size**-0.5 if scale is None else scale
    made = aten._scaled_dot_product_flash_attention(
        query, key, value, dropout, causal, False, scale=scale
    )[0]
    return made[..., :size] if odd else made


def _bias(mask: Any, query: Any, key: Any) -> Any:
    """A mask as the memory-efficient kernel takes it: spread, its rows in aligned memory."""
    if mask is None:
        return None
    length = mask.shape[-1]
    if odd := -length % _BIAS_ALIGNMENT:
        mask = torch.nn.functional.pad(mask, (0, odd))[..., :length]
    return mask.expand(*query.shape[:3], key.shape[2])


class AttentionKernels(TorchFunctionMode):
    """Lets attention and recurrent layers of meta tensors run by the kernels of a device.

    `chosen` names the kernels that ran, each once, and `recurrent` those of recurrent layers.
    With `explicit` attention it is the math kernel, whatever a fused one would take.
    """

    def __init__(self, kernels: Kernels = "cpu", explicit: bool = False) -> None:
        super().__init__()
        self.kernels: Kernels = kernels
        self.explicit = explicit
        self.chosen: dict[Kernel, None] = {}
        self.recurrent: dict[str, None] = {}
        self._inner: dict[Any, Callable[..., Any]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name, result = getattr(func, "__name__", ""), None
        if name == "scaled_dot_product_attention":
            result = self._attention(*args, **kwargs)
        elif name in MODES and func.__module__ == "torch":
            result, kernel = recurrence_on_meta(self.kernels, name, args)
            self.recurrent[kernel] = None
        if result is not None:
            return result
        return self.seen_through(func, args, kwargs)

    def seen_through(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function; what a Python function of torch's calls is seen as well."""
        if type(func) is not FunctionType or func.__module__ not in _PYTHON:
            return func(*args, **kwargs)
        inner = self._inner.get(func)
        if inner is None:
            inner = self._inner[func] = _without_asking(func)
        if inner is func:
            return func(*args, **kwargs)
        with self:
            return inner(*args, **kwargs)

    def _attention(self, query: Any, key: Any, value: Any, attn_mask: Any = None,
                   dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
                   enable_gqa: bool = False) -> Any:  # fmt: skip
        """What a fused kernel makes; None where the device has none for the arguments."""
        if not query.is_meta or (attn_mask is not None and is_causal):
            return None
        kernel: Kernel = "math"
        if not self.explicit:
            kernel = kernel_of(
                self.kernels, query, key, value, attn_mask, dropout_p, is_causal, enable_gqa
            )
        self.chosen[kernel] = None
        if kernel == "math":
            return None
        return attention_on_meta(
            self.kernels, kernel, query, key, value, attn_mask, dropout_p, is_causal, scale
        )


def _without_asking(func: FunctionType) -> Callable[..., Any]:
    """A copy of a Python function that does not hand itself to the mode, so that it runs."""
    if not set(_ASKS) & set(func.__code__.co_names):
        return func
    names = {**func.__globals__, **dict.fromkeys(_ASKS, _no)}
    copy = FunctionType(func.__code__, names, func.__name__, func.__defaults__, func.__closure__)
    copy.__kwdefaults__ = func.__kwdefaults__
    return copy


def _no(*_: Any) -> bool:
    return False
