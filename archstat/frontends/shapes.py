"""Output shapes of the ops of a common CNN, from their arguments.

Running an op on the meta device costs up to half a millisecond, and the first one imports hundreds
of modules; a rule costs microseconds. A rule answers None for whatever it is not sure of (another
memory format, mixed dtypes, arguments that do not fit): then torch runs the op and has the say.
Outputs are contiguous and of the first argument's dtype unless the rule names another, or strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch

Shape = tuple[int, ...]
Output = tuple[Shape, torch.dtype] | tuple[Shape, torch.dtype, Shape]
Rule = Callable[..., "tuple[Output, ...] | None"]


def convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> tuple[Output, ...] | None:
    """N, C_out and, per axis, floor((n + 2p - d(k-1) - 1) / s) + 1, or its transpose."""
    dtype = x.dtype
    if not (dtype.is_floating_point and weight.is_contiguous()):
        return None
    in_order = x.is_contiguous()
    if not (in_order or is_channels_last(x)):
        return None
    windows = (tuple(stride), tuple(padding), tuple(dilation), tuple(output_padding))
    shape = _convolved(x.shape, weight.shape, *windows, transposed, groups)
    if shape is None or weight.dtype != dtype:
        return None
    if bias is not None and (bias.shape != shape[1:2] or bias.dtype != dtype):
        return None
    # Every kernel of cpu and cuDNN's take the format over; torch's own rule for meta does not.
    return ((shape, dtype),) if in_order else ((shape, dtype, channels_last(shape)),)


@lru_cache(maxsize=4096)  # networks repeat their layers
def _convolved(
    size: Shape,
    kernel: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    output_padding: Shape,
    transposed: bool,
    groups: int,
) -> Shape | None:
    axes = len(kernel) - 2
    if len(size) != axes + 2 or axes < 1 or size[0] == 0 or groups < 1:
        return None
    if not len(stride) == len(padding) == len(dilation) == len(output_padding) == axes:
        return None
    if min(stride) < 1 or min(padding) < 0 or min(dilation) < 1 or min(output_padding) < 0:
        return None
    in_channels = kernel[0] if transposed else kernel[1] * groups
    out_channels = kernel[1] * groups if transposed else kernel[0]
    if size[1] != in_channels or out_channels % groups or in_channels % groups:
        return None
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel[2:], strict=True)]
    places = zip(size[2:], spans, stride, padding, strict=True)
    if not transposed:
        spatial = [(n + 2 * p - span) // s + 1 for n, span, s, p in places]
    elif any(output_padding):
        return None  # it has limits of its own; torch knows them
    else:
        spatial = [(n - 1) * s - 2 * p + span for n, span, s, p in places]
    return None if min(spatial) < 1 else (size[0], out_channels, *spatial)


def batch_norm(x: torch.Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool,
               momentum: float, eps: float) -> tuple[Output, ...] | None:  # fmt: skip
    """The input's shape; inference keeps no batch statistics, so the other outputs are empty."""
    made = _like(x) if _plain(x) or is_channels_last(x) else None
    if training or mean is None or var is None or made is None:
        return None
    shape, dtype = tuple(x.shape), x.dtype
    for own in (weight, bias, mean, var):
        if own is not None and (own.dtype != dtype or own.shape != shape[1:2]):
            return None
    return (*made, ((0,), dtype), ((0,), dtype)) if len(shape) > 1 else None


def layer_norm(x: torch.Tensor, normalized_shape: Sequence[int], weight: Any, bias: Any,
               eps: float) -> tuple[Output, ...] | None:  # fmt: skip
    """The input's shape, with mean and inverse deviation of every normalised group.

    They are of the input's dtype, as on cpu; on a GPU, and on meta, half-precision inputs have them
    in single precision.
    """
    shape, axes = tuple(x.shape), len(normalized_shape)
    given = [tensor for tensor in (weight, bias) if tensor is not None]
    if not x.dtype.is_floating_point or axes == 0 or shape[-axes:] != tuple(normalized_shape):
        return None
    if any(t.shape != shape[-axes:] or t.dtype != x.dtype for t in given):
        return None
    statistics = (*shape[:-axes], *([1] * axes))
    return ((shape, x.dtype), (statistics, x.dtype), (statistics, x.dtype))


def elementwise(x: torch.Tensor, *_: Any) -> tuple[Output, ...] | None:
    """The input's shape, for functions of one floating-point tensor."""
    return ((tuple(x.shape), x.dtype),) if _plain(x) else None


def softmax(x: torch.Tensor, dim: int, half_to_float: bool = False) -> tuple[Output, ...] | None:
    """The input's shape."""
    if half_to_float or not _plain(x) or not -len(x.shape) <= dim < len(x.shape):
        return None
    return ((tuple(x.shape), x.dtype),)


def attention(query: torch.Tensor, *_: Any, **__: Any) -> tuple[Output, ...]:
    """(b, h, l, e) of cpu's fused kernel in the query's order, and a logarithm for each query."""
    batch, heads, length, _size = query.shape
    single = torch.float64 if query.dtype is torch.float64 else torch.float32
    logarithm = ((batch, heads, length), single, (length * heads, 1, heads))
    return ((tuple(query.shape), query.dtype, torch.empty_like(query).stride()), logarithm)


def onednn_lstm(x: torch.Tensor, *arguments: Any) -> Any:
    """(t, b, h) of one layer and direction and its last states; inference has no workspace."""
    if torch.is_grad_enabled():
        return None
    return (*recurrent_states(x, *arguments[4:6]), None)


def recurrent_states(x: torch.Tensor, *states: torch.Tensor) -> tuple[Output, ...]:
    """The states of all steps of x (t, b, i), and the last of each sort."""
    every = ((*x.shape[:2], states[0].shape[-1]), x.dtype)
    return (every, *((tuple(state.shape), x.dtype) for state in states))


def broadcast(a: torch.Tensor, b: Any) -> tuple[Output, ...] | None:
    """The common shape of two tensors of one dtype, or of a tensor and a number."""
    if not isinstance(b, torch.Tensor):
        return _like(a) if type(b) in (int, float) and a.dtype.is_floating_point else None
    if a.dtype != b.dtype or not a.dtype.is_floating_point:
        return None
    if not (a.is_contiguous() and b.is_contiguous()):
        if a.shape == b.shape and a.stride() == b.stride():
            return _like(a)
        return _scaled(a, b) or _scaled(b, a)
    if a.shape == b.shape:
        return ((tuple(a.shape), a.dtype),)
    short, long = sorted((tuple(a.shape), tuple(b.shape)), key=len)
    padded = (1,) * (len(long) - len(short)) + short
    if any(p != q and 1 not in (p, q) for p, q in zip(padded, long, strict=True)):
        return None
    return ((tuple(q if p == 1 else p for p, q in zip(padded, long, strict=True)), a.dtype),)


def onto_first(a: torch.Tensor, b: Any) -> tuple[Output, ...] | None:
    """`broadcast` in place: the first tensor's own shape, whatever order either has in memory."""
    if isinstance(b, torch.Tensor) and a.shape == b.shape and a.dtype == b.dtype:
        return _like(a) if a.dtype.is_floating_point else None
    return broadcast(a, b)


def concatenate(tensors: Sequence[torch.Tensor], dim: int = 0) -> tuple[Output, ...] | None:
    """The shared shape, with the sizes along `dim` added."""
    first = tensors[0]
    rank = len(first.shape)
    if not -rank <= dim < rank or not first.dtype.is_floating_point:
        return None
    # Only images and volumes have a channels-last format that the output may take over.
    if any(t.dtype != first.dtype or (rank > 3 and not t.is_contiguous()) for t in tensors):
        return None
    axis = dim % rank
    rests = {(*t.shape[:axis], *t.shape[axis + 1 :]) for t in tensors}
    if len(rests) != 1 or any(len(t.shape) != rank for t in tensors):
        return None
    total = sum(t.shape[axis] for t in tensors)
    return (((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype),)


def matrix_product(a: torch.Tensor, b: torch.Tensor) -> tuple[Output, ...] | None:
    """(m, k) x (k, n) or, with a batch in front, (b, m, k) x (b, k, n)."""
    p, q = tuple(a.shape), tuple(b.shape)
    if a.dtype != b.dtype or len(p) != len(q) or len(p) not in (2, 3) or p[-1] != q[-2]:
        return None
    if p[:-2] != q[:-2] or not a.dtype.is_floating_point:
        return None
    return (((*p[:-1], q[-1]), a.dtype),)


def grouped_product(
    a: torch.Tensor, b: torch.Tensor, offs: torch.Tensor | None = None, *further: Any
) -> tuple[Output, ...] | None:
    """(m, k) x (g, k, n), (g, m, k) x (k, n), (m, k) x (k, n) cut along k, or a batch of products.

    Torch refuses all but bfloat16 on meta.
    """
    p, q = tuple(a.shape), tuple(b.shape)
    if a.dtype != b.dtype or not a.dtype.is_floating_point or p[-1] != q[-2]:
        return None
    if any(argument is not None for argument in further):
        return None
    if len(p) == len(q) == 2 and offs is not None:
        return (((offs.shape[0], p[0], q[1]), a.dtype),)
    batch = p[:1] if len(p) == len(q) == 3 else ()
    return (((*batch, p[-2], q[-1]), a.dtype),)


def biased_matrix_product(bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> (
    tuple[Output, ...] | None
):  # fmt: skip
    """(m, k) x (k, n) plus a bias that broadcasts to it."""
    product = matrix_product(a, b)
    if product is None or bias.dtype != a.dtype or tuple(bias.shape) != (b.shape[-1],):
        return None
    return product


def constant_pad(x: torch.Tensor, pad: Sequence[int], value: float = 0) -> (
    tuple[Output, ...] | None
):  # fmt: skip
    """Pairs of sizes added before and after, from the last axis backwards."""
    shape = list(x.shape)
    # Negative pads crop, with limits of their own.
    if not _plain(x) or len(pad) % 2 or len(pad) > 2 * len(shape) or min(pad, default=0) < 0:
        return None
    for axis in range(len(pad) // 2):
        shape[-1 - axis] += pad[2 * axis] + pad[2 * axis + 1]
    return ((tuple(shape), x.dtype),) if min(shape) > 0 else None


def power(x: torch.Tensor, exponent: float) -> tuple[Output, ...] | None:
    """The input's shape, for a numeric exponent."""
    return elementwise(x) if isinstance(exponent, (int, float)) else None


def _plain(x: torch.Tensor) -> bool:
    return x.is_contiguous() and x.dtype.is_floating_point


def is_channels_last(x: torch.Tensor) -> bool:
    """Whether images have their channels next to one another in memory, beyond any doubt."""
    if len(x.shape) != 4 or min(x.shape[1:]) < 2:
        return False  # of an axis of one place the strides tell nothing
    return x.is_contiguous(memory_format=torch.channels_last) and x.dtype.is_floating_point


def channels_last(shape: Shape) -> Shape:
    """The strides of images in that format."""
    _, channels, height, width = shape
    return (height * width * channels, 1, width * channels, channels)


def _like(x: torch.Tensor) -> tuple[Output, ...] | None:
    """The tensor's own shape, without gaps, its axes in the order they have in memory."""
    shape = tuple(x.shape)
    if x.is_contiguous():
        return ((shape, x.dtype),)
    given, strides, expected = x.stride(), list(x.stride()), 1
    for stride, axis in sorted((given[i], i) for i in range(len(shape)) if shape[i] != 1):
        if shape[axis] == 0 or stride < expected:
            return None  # overlapping, as an expanded tensor is
        strides[axis] = expected
        expected *= shape[axis]
    return ((shape, x.dtype, tuple(strides)),)


def _scaled(x: torch.Tensor, factors: torch.Tensor) -> tuple[Output, ...] | None:
    """`_like` of a permuted map met by a number for each channel, whichever axis that is."""
    shape, missing = x.shape, len(x.shape) - len(factors.shape)
    named = [(axis, n) for axis, n in enumerate(factors.shape, missing) if n != 1]
    if missing < 0 or len(named) != 1 or not factors.is_contiguous():
        return None
    ((channels, places),) = named
    # Strides decide the order of the axes; only where an axis has one place, those of the
    # factors, too, and an axis outside of all others stays there.
    for axis, n in enumerate(shape):
        if n < 2 and (axis >= missing or x.stride(axis) != x.numel()):
            return None
    return _like(x) if shape[channels] == places else None
