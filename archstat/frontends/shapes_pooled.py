"""Output shapes of poolings, under the same terms as the other shape rules."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from archstat.frontends.shapes import (
    Output,
    Shape,
    channels_last,
    elementwise,
    is_channels_last,
)


def max_pool(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Output, ...] | None:
    """The pooled values and the indices they came from."""
    shape = _pooled(x, kernel_size, stride, padding, dilation, ceil_mode)
    return None if shape is None else ((shape, x.dtype), (shape, torch.int64))


def average_pool(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> tuple[Output, ...] | None:
    """The pooled values."""
    shape = _pooled(x, kernel_size, stride, padding, (1,), ceil_mode)
    return None if shape is None or divisor_override == 0 else ((shape, x.dtype),)


def adaptive_pool(x: torch.Tensor, output_size: Sequence[int]) -> tuple[Output, ...] | None:
    """The leading axes, then the two of the output size asked for."""
    if elementwise(x) is None or len(x.shape) not in (3, 4) or min(x.shape) < 1:
        return None
    if len(output_size) != 2 or min(output_size) < 1:
        return None
    return (((*x.shape[:-2], *output_size), x.dtype),)


def _pooled(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Shape | None:
    axes = len(kernel_size)
    if elementwise(x) is None or len(x.shape) not in (axes + 1, axes + 2) or min(x.shape) < 1:
        return None
    pads, gaps = _per_axis(padding, axes), _per_axis(dilation, axes)
    steps = _per_axis(stride, axes) if stride else tuple(kernel_size)
    spatial = []
    for size, k, s, p, d in zip(x.shape[-axes:], kernel_size, steps, pads, gaps, strict=True):
        if s < 1 or k < 1 or p < 0 or d < 1 or 2 * p > k:
            return None
        if axes == 3 and k > size:
            return None
        span = size + 2 * p - d * (k - 1) - 1
        out = -(-span // s) + 1 if ceil_mode else span // s + 1
        # The last window must start inside the input or its left padding.
        if ceil_mode and (out - 1) * s >= size + p:
            out -= 1
        if out < 1:
            return None
        spatial.append(out)
    return (*x.shape[:-axes], *spatial)


def _per_axis(sizes: Sequence[int], axes: int) -> tuple[int, ...]:
    return tuple(sizes) * axes if len(sizes) == 1 else tuple(sizes)


def over_axes(
    x: torch.Tensor, dims: Sequence[int] | None, keepdim: bool = False
) -> tuple[Output, ...] | None:
    """The shape without the reduced axes, or with size 1 there under `keepdim`."""
    rank = len(x.shape)
    if not dims or not all(-rank <= dim < rank for dim in dims):
        return None
    gone = {dim % rank for dim in dims}
    if len(gone) != len(dims):
        return None
    if keepdim and gone == {2, 3} and is_channels_last(x):
        pooled = (*x.shape[:2], 1, 1)
        return ((pooled, x.dtype, channels_last(pooled)),)
    if elementwise(x) is None:
        return None
    sizes = enumerate(x.shape)
    if keepdim:
        return ((tuple(1 if axis in gone else size for axis, size in sizes), x.dtype),)
    return ((tuple(size for axis, size in sizes if axis not in gone), x.dtype),)


def maximum(
    x: torch.Tensor, dims: Sequence[int] = (), keepdim: bool = False
) -> tuple[Output, ...] | None:
    """As the other reductions; nothing has no maximum."""
    return over_axes(x, dims, keepdim) if min(x.shape, default=0) > 0 else None


def adaptive_max_pool(x: torch.Tensor, output_size: Sequence[int]) -> tuple[Output, ...] | None:
    """The pooled values and the indices they came from."""
    pooled = adaptive_pool(x, output_size)
    return None if pooled is None else (*pooled, (pooled[0][0], torch.int64))
