"""Multiply-accumulates of the products in a training step, forward and backward, by shape.

A convolution's backward makes a gradient of its input and one of its weight, each at the macs of
its forward, whatever the groups; the first layer makes only the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

Formula = Callable[[tuple[Any, ...], Any], int]


def _convolution(args: tuple[Any, ...], result: Any) -> int:
    # x (n, c, ...), weight (out, c / groups, kernel ...); transposed (c, out / groups, kernel ...)
    x, weight, transposed = args[0], args[1], args[6]
    return _of_convolution(x.shape, weight.shape, result.shape, transposed)


def _convolution_backward(args: tuple[Any, ...], result: Any) -> int:
    # grad (n, out, ...), x (n, c, ...), weight; then bias sizes, stride, padding, dilation
    grad, x, weight, transposed, mask = args[0], args[1], args[2], args[7], args[10]
    once = _of_convolution(x.shape, weight.shape, grad.shape, transposed)
    return once * (bool(mask[0]) + bool(mask[1]))


def _of_convolution(x: Any, weight: Any, output: Any, transposed: bool) -> int:
    # Each output element is a sum over a kernel; transposed, each input element is spread over one.
    return prod(x if transposed else output) * prod(weight[1:])


def _product(first: int) -> Formula:
    """(..., m, k) x (..., k, n), the left factor being argument number `first`."""

    def macs(args: tuple[Any, ...], result: Any) -> int:
        columns = args[first + 1].shape[-1] if args[first + 1].dim() > 1 else 1
        return prod(args[first].shape) * columns

    return macs


def _attention(args: tuple[Any, ...], result: Any) -> int:
    # q (..., l, e), k (..., s, e), v (..., s, v): q k^T, then the weights times v
    query, key, value = args[:3]
    return _scores(query, key) * (query.shape[-1] + value.shape[-1])


def _attention_backward(args: tuple[Any, ...], result: Any) -> int:
    # q k^T once more, then the gradients of v, of the weights, of q and of k
    _, query, key, value = args[:4]
    return _scores(query, key) * (3 * query.shape[-1] + 2 * value.shape[-1])


def _scores(query: Any, key: Any) -> int:
    return prod(query.shape[:-1]) * key.shape[-2]


_ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)
FORMULAS: Mapping[str, Formula] = MappingProxyType({
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot"), _product(0)),
    **dict.fromkeys(("addmm", "addmv", "baddbmm", "addbmm", "_addmm_activation"), _product(1)),
    **dict.fromkeys(_ATTENTION, _attention),
    **{f"{name.removesuffix('_for_cpu')}_backward{'_for_cpu' * name.endswith('_cpu')}":
        _attention_backward for name in _ATTENTION},
})  # fmt: skip
