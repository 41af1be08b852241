"""Multiply-accumulates of the products in a training step, forward and backward, by shape.

A convolution's backward makes a gradient of its input and one of its weight, each at the macs of
its forward, whatever the groups; the first layer makes only the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

_Args = tuple[Any, ...]
Formula = Callable[[_Args, Any], int]


def _convolution(args: _Args, result: Any) -> int:
    # x (n, c, ...), weight (out, c / groups, kernel ...); transposed (c, out / groups, kernel ...)
    x, weight, transposed = args[0], args[1], args[6]
    return _of_convolution(_shape(x), _shape(weight), _shape(result), transposed)


def _convolution_backward(args: _Args, result: Any) -> int:
    # grad (n, out, ...), x (n, c, ...), weight; then bias sizes, stride, padding, dilation
    grad, x, weight, transposed, mask = args[0], args[1], args[2], args[7], args[10]
    once = _of_convolution(_shape(x), _shape(weight), _shape(grad), transposed)
    return once * (bool(mask[0]) + bool(mask[1]))


def _of_convolution(
    x: tuple[int, ...], weight: tuple[int, ...], output: tuple[int, ...], transposed: bool
) -> int:
    # Each output element is a sum over a kernel; transposed, each input element is spread over one.
    return prod(x if transposed else output) * prod(weight[1:])


def _product(first: int) -> Formula:
    """(..., m, k) x (..., k, n), the left factor being argument number `first`."""

    def macs(args: _Args, result: Any) -> int:
        left, right = _shape(args[first]), _shape(args[first + 1])
        return prod(left) * (right[-1] if len(right) > 1 else 1)

    return macs


def _attention(args: _Args, result: Any) -> int:
    # q (..., l, e), k (..., s, e), v (..., s, v): q k^T, then the weights times v
    query, key, value = map(_shape, args[:3])
    return _scores(query, key) * (query[-1] + value[-1])


def _attention_backward(args: _Args, result: Any) -> int:
    # q k^T once more, then the gradients of v, of the weights, of q and of k
    query, key, value = map(_shape, args[1:4])
    return _scores(query, key) * (3 * query[-1] + 2 * value[-1])


def _scores(query: tuple[int, ...], key: tuple[int, ...]) -> int:
    return prod(query[:-1]) * key[-2]


def _shape(x: Any) -> tuple[int, ...]:
    return tuple(x.shape)


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
    **{f"{name}_backward": _attention_backward for name in _ATTENTION},
})  # fmt: skip
