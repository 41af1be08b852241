"""The multiply-accumulates of each product of a training step, forward and backward.

A formula is given the arguments and the result of an op, as it runs. What may hold a product and
has no formula makes the step's count a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

import torch

from archstat.frontends.aten import KIND_OF

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
        a, b = args[first], args[first + 1]
        columns = int(b.shape[-1]) if b.dim() > 1 else 1
        if a.layout is not torch.strided:
            return _elements(a) * columns
        if b.layout is not torch.strided:
            return _elements(b) * int(a.shape[-2])
        return int(a.numel()) * columns

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


def _trilinear(args: _Args, result: Any) -> int:
    # three tensors, and for each the axes that it is spread over; each triple is multiplied once
    spread = []
    for tensor, axes in zip(args[:3], args[3:6], strict=True):
        shape = list(tensor.shape)
        for axis in sorted(axes):
            shape.insert(axis, 1)
        spread.append(tuple(shape))
    return prod(max(sizes) if 0 not in sizes else 0 for sizes in zip(*spread, strict=True))


def _grouped(args: _Args, result: Any) -> int:
    # rows or columns are dealt out to the groups, so that each meets the matrix of one group
    left, right = _shape(args[0]), _shape(args[1])
    if len(left) == 3 and len(right) == 2:
        return left[1] * prod(right)
    return prod(left) * right[-1]


def _recurrent(args: _Args, result: Any) -> int:
    # x (steps, batch, features) and the weights of input and state
    x, of_input, of_state = args[:3]
    return int(x.numel() // x.shape[-1] * (of_input.numel() + of_state.numel()))


def _all_layers(args: _Args, result: Any) -> int:
    # x and the weights of all layers and directions
    x, weights = args[:2]
    matrices = sum(int(weight.numel()) for weight in weights if weight.dim() > 1)
    return int(x.numel()) // int(x.shape[-1]) * matrices


def _all_layers_backward(args: _Args, result: Any) -> int:
    return 2 * _all_layers(args, result)


def _recurrent_backward(args: _Args, result: Any) -> int:
    # the gradients of what is multiplied on either side
    return 2 * _recurrent(args, result)


def _sparse_left(first: int) -> Formula:
    def macs(args: _Args, result: Any) -> int:
        return _elements(args[first]) * int(args[first + 1].shape[-1])

    return macs


def _elements(x: torch.Tensor) -> int:
    """Elements that are there, be the tensor sparse or not."""
    return int(x.numel() if x.layout is torch.strided else x._nnz())


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
    "_int_mm": _product(0),
    "_sparse_addmm": _sparse_left(1),
    "_sparse_sparse_matmul": _sparse_left(0),
    "_trilinear": _trilinear,
    "_grouped_mm": _grouped,
    "mkldnn_rnn_layer": _recurrent,
    "mkldnn_rnn_layer_backward": _recurrent_backward,
    "_cudnn_rnn": _all_layers,
    "_cudnn_rnn_backward": _all_layers_backward,
    **dict.fromkeys(_ATTENTION, _attention),
    **{f"{name}_backward": _attention_backward for name in _ATTENTION},
})  # fmt: skip


_PRODUCTS = frozenset({"conv", "linear", "matmul", "attention", "recurrent"})
# Gates of a cell, whose products were taken before.
_GATES = frozenset({"_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"})
_WITHOUT_KIND = frozenset({"cdist", "_cdist_forward", "_cdist", "_euclidean_dist"})


def may_hold_products(target: str) -> bool:
    """Whether an op without a formula may multiply and accumulate: one of a library, or a product.

    `target` is ``namespace.name.overload``.
    """
    namespace, name = target.split(".")[:2]
    if namespace not in ("aten", "prims", "prim"):
        return True
    name = name.rstrip("_").removesuffix("_backward").removesuffix("_impl")
    if name in _GATES:
        return False
    return name in _WITHOUT_KIND or KIND_OF.get(name) in _PRODUCTS or name.startswith("linalg_")
