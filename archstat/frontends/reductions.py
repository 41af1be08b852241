"""Output shapes of reductions, under the same terms as the other shape rules."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from archstat.frontends.poolings import adaptive_pool
from archstat.frontends.shapes import (
    Output,
    channels_last,
    elementwise,
    is_channels_last,
)


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
    """As the other reductions; of nothing there is no maximum."""
    return over_axes(x, dims, keepdim) if min(x.shape, default=0) > 0 else None


def adaptive_max_pool(x: torch.Tensor, output_size: Sequence[int]) -> tuple[Output, ...] | None:
    """The pooled values and the indices they came from."""
    pooled = adaptive_pool(x, output_size)
    return None if pooled is None else (*pooled, (pooled[0][0], torch.int64))
