"""What the ops of a common CNN's training step make, without asking torch.

On meta most ops run through Python code of torch's that takes 0.1 to 5 ms a call and imports 800
modules at the first. These rules give shape and dtype for contiguous tensors; whatever is not
plainly the common case returns None and is left to torch, and a test holds one against the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from archstat.analyses.workspaces import lstm_reserve
from archstat.frontends.shapes import layer_norm, onednn_lstm, recurrent_states

Made = tuple[tuple[int, ...], torch.dtype]
Ordered = tuple[tuple[int, ...], torch.dtype, tuple[int, ...]]
Rule = Callable[..., Sequence[Made | Ordered | list[Made] | None] | None]


def _plain(*given: Any) -> bool:
    """Whether the tensors are contiguous and of one floating-point dtype."""
    first = given[0]
    return first.is_floating_point() and all(
        t.is_contiguous() and t.dtype == first.dtype for t in given if t is not None
    )


def _like(x: Any) -> Made:
    return tuple(x.shape), x.dtype


def _same(grad: Any, x: Any, *_: Any, **__: Any) -> Sequence[Made] | None:
    """Element by element, of two tensors of one shape."""
    return (_like(x),) if grad.shape == x.shape and _plain(grad, x) else None


def _unary(
    x: Any, *_: Any, dtype: Any = None, memory_format: Any = None, **__: Any
) -> Sequence[Made] | None:
    """Element by element, of one tensor that may be an expanded one."""
    if dtype not in (None, x.dtype) or memory_format not in (None, torch.preserve_format):
        return None
    steps = [stride for stride in x.stride() if stride]
    dense = x.is_contiguous() or (len(steps) < x.dim() and steps == sorted(steps, reverse=True))
    return (_like(x),) if x.is_floating_point() and dense else None


def _unpooled(grad: Any, x: Any, *_: Any, **__: Any) -> Sequence[Made] | None:
    """The gradient of a pool's input."""
    return (_like(x),) if _plain(grad, x) else None


def _convolution_backward(*args: Any) -> Sequence[Made | None] | None:
    grad, x, weight, bias_sizes, mask = args[0], args[1], args[2], args[3], args[10]
    if not _plain(grad, x, weight):
        return None
    bias = (tuple(bias_sizes or ()), grad.dtype)
    return tuple(
        made if wanted else None
        for made, wanted in zip((_like(x), _like(weight), bias), mask, strict=True)
    )


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool,
                momentum: float, eps: float) -> Sequence[Made] | None:  # fmt: skip
    if not training or len(x.shape) < 2 or not _plain(x):
        return None
    own = [t for t in (weight, bias, mean, var) if t is not None]
    statistics = _statistics_dtype(x, own)
    channels = (x.shape[1],)
    if statistics is None or any(t.shape != channels for t in own):
        return None
    return (_like(x), (channels, statistics), (channels, statistics))


def _batch_norm_on_cpu(x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool,
                       momentum: float, eps: float) -> Sequence[Made] | None:  # fmt: skip
    if not training or len(x.shape) < 2 or not _plain(x, weight, bias, mean, var):
        return None
    channels = (x.shape[1],)
    if any(t is not None and t.shape != channels for t in (weight, bias, mean, var)):
        return None
    return (_like(x), (channels, x.dtype), (channels, x.dtype))


def _statistics_dtype(x: Any, own: Sequence[Any]) -> torch.dtype | None:
    """Single precision for half-precision activations; None where torch must be asked."""
    expected = torch.float64 if x.dtype is torch.float64 else torch.float32
    return expected if all(t.dtype is expected for t in own) and own else None


def _batch_norm_backward(*args: Any) -> Sequence[Made | None] | None:
    grad, x, weight, mask = args[0], args[1], args[2], args[9]
    if not _plain(grad, x) or weight is None or _statistics_dtype(x, (weight,)) is None:
        return None
    makes = zip((_like(x), _like(weight), _like(weight)), mask, strict=True)
    return tuple(made if wanted else None for made, wanted in makes)


def _layer_norm(x: Any, normalized: Sequence[int], weight: Any, bias: Any, eps: float) -> (
    Sequence[Made] | None
):  # fmt: skip
    axes = len(normalized)
    if not _plain(x, weight, bias) or not axes or tuple(x.shape[-axes:]) != tuple(normalized):
        return None
    if any(t is not None and t.shape != x.shape[-axes:] for t in (weight, bias)):
        return None
    groups = (*x.shape[:-axes], *([1] * axes))
    statistics = (groups, torch.float64 if x.dtype is torch.float64 else torch.float32)
    return (_like(x), statistics, statistics)


def _layer_norm_backward(*args: Any) -> Sequence[Made | None] | None:
    grad, x, normalized, weight, mask = args[0], args[1], args[2], args[5], args[7]
    if not _plain(grad, x, weight):
        return None
    affine = (tuple(normalized), x.dtype)
    makes = zip((_like(x), affine, affine), mask, strict=True)
    return tuple(made if wanted else None for made, wanted in makes)


def _log_softmax(x: Any, dim: int, half_to_float: bool) -> Sequence[Made] | None:
    dtype = torch.float32 if half_to_float else x.dtype
    return ((tuple(x.shape), dtype),) if _plain(x) and -x.dim() <= dim < x.dim() else None


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> (
    Sequence[Ordered]
):  # fmt: skip
    return tuple(_heads_inside(t) for t in (query, key, value))


def _lstm(x: Any, *arguments: Any) -> Any:
    """One layer and direction by oneDNN, with what it keeps for backward."""
    made = onednn_lstm(x, *arguments)
    if made is not None:
        return made
    hidden, cell = arguments[4:6]
    reserve = lstm_reserve(tuple(x.shape), hidden.shape[-1], x.element_size())
    return (*recurrent_states(x, hidden, cell), ((reserve,), torch.uint8))


def _lstm_backward(x: Any, of_input: Any, of_state: Any, _b: Any, _c: Any, hidden: Any, cell: Any,
                   *_: Any) -> Sequence[Made]:  # fmt: skip
    bias = (tuple(of_input.shape[:1]), x.dtype)
    return (_like(x), _like(of_input), _like(of_state), bias, bias, _like(hidden), _like(cell))


def _cudnn(x: Any, weights: Any, each: int, flat: Any, hidden: Any, cell: Any, *settings: Any) -> (
    Sequence[Made | None]
):  # fmt: skip
    """All layers by cuDNN; of its reserve, whose size it does not publish, gates and cells."""
    mode, size, projected, _, _, _, train, both = settings[:8]
    rows, width = x.shape[0] * x.shape[1], x.element_size()
    output = ((*x.shape[:2], (projected or size) * (1 + both)), x.dtype)
    last = _like(hidden), ((0,), x.dtype) if cell is None else _like(cell)
    kept = {0: 1, 1: 1, 2: 5, 3: 4}[mode] * size * rows * hidden.shape[0] * width
    graded = train and torch.is_grad_enabled()
    return (output, *last, ((kept if graded else 0,), torch.uint8), ((0,), x.dtype))


def _cudnn_backward(x: Any, weights: Any, each: int, flat: Any, hidden: Any, cell: Any,
                    *_: Any) -> Sequence[Made | list[Made] | None]:  # fmt: skip
    last = None if cell is None else _like(cell)
    return (_like(x), _like(hidden), last, [_like(weight) for weight in weights])


def _heads_inside(x: Any) -> Ordered:
    _, heads, length, size = x.shape
    return tuple(x.shape), x.dtype, (length * heads * size, size, heads * size, 1)


def _softmax_backward(grad: Any, output: Any, dim: int, dtype: torch.dtype) -> (
    Sequence[Made] | None
):  # fmt: skip
    return (_like(output),) if _plain(grad, output) and dtype == output.dtype else None


def _nll_loss(x: Any, target: Any, weight: Any, reduction: int, ignored: int) -> (
    Sequence[Made] | None
):  # fmt: skip
    return (((), x.dtype), ((), x.dtype)) if reduction and _plain(x) else None


def _nll_loss_backward(grad: Any, x: Any, *_: Any) -> Sequence[Made] | None:
    return (_like(x),) if _plain(x) else None


def _padded(grad: Any, sizes: Sequence[int], *_: Any) -> Sequence[Made] | None:
    """The gradient of what a slice or an index was taken from."""
    return ((tuple(sizes), grad.dtype),) if grad.is_floating_point() else None


def _total(x: Any, **keywords: Any) -> Sequence[Made] | None:
    return (((), x.dtype),) if x.is_floating_point() and not keywords else None


def _clone(x: Any, memory_format: Any = None) -> Sequence[Made] | None:
    ordered = memory_format in (None, torch.preserve_format)
    if memory_format is torch.contiguous_format or (ordered and x.is_contiguous()):
        return (_like(x),)
    return None


def _cast(x: Any, *, dtype: Any = None, **keywords: Any) -> Sequence[Made] | None:
    known = {"layout": None, "device": x.device, "pin_memory": False, "non_blocking": False}
    known["memory_format"] = torch.preserve_format
    odd = any(value not in (None, known[key]) for key, value in keywords.items())
    return None if odd or not x.is_contiguous() else ((tuple(x.shape), dtype or x.dtype),)


_BINARY = (
    "threshold_backward hardswish_backward hardsigmoid_backward sigmoid_backward tanh_backward "
    "silu_backward gelu_backward hardtanh_backward leaky_relu_backward"
)
_UNPOOLED = (
    "max_pool2d_with_indices_backward avg_pool2d_backward avg_pool3d_backward "
    "_adaptive_avg_pool2d_backward"
)
# Statistics of half-precision norms: of the weights' dtype on cpu, in single on meta and a GPU.
ON_CPU: Mapping[str, Rule] = MappingProxyType({
    "aten.native_batch_norm.default": _batch_norm_on_cpu,
    "aten.native_layer_norm.default": layer_norm,
})  # fmt: skip
RULES: Mapping[str, Rule] = MappingProxyType({
    **{f"aten.{name}.default": _same for name in _BINARY.split()},
    **{f"aten.{name}.default": _unpooled for name in _UNPOOLED.split()},
    **dict.fromkeys(("aten.div.Scalar", "aten.neg.default", "aten.sqrt.default",
                     "aten.ones_like.default", "aten.zeros_like.default",
                     "aten.empty_like.default"), _unary),
    **dict.fromkeys(("aten.slice_backward.default", "aten.select_backward.default"), _padded),
    **dict.fromkeys(("aten.sum.default", "aten.mean.default"), _total),
    **dict.fromkeys(("aten._softmax_backward_data.default",
                     "aten._log_softmax_backward_data.default"), _softmax_backward),
    "aten.convolution_backward.default": _convolution_backward,
    "aten.native_batch_norm.default": _batch_norm,
    "aten.native_batch_norm_backward.default": _batch_norm_backward,
    "aten.native_layer_norm.default": _layer_norm,
    "aten.native_layer_norm_backward.default": _layer_norm_backward,
    "aten.nll_loss_forward.default": _nll_loss,
    "aten.nll_loss_backward.default": _nll_loss_backward,
    **dict.fromkeys(("aten._log_softmax.default", "aten._softmax.default"), _log_softmax),
    "aten._scaled_dot_product_flash_attention_for_cpu_backward.default": _attention_backward,
    "aten.mkldnn_rnn_layer.default": _lstm,
    "aten.mkldnn_rnn_layer_backward.default": _lstm_backward,
    "aten._cudnn_rnn.default": _cudnn,
    "aten._cudnn_rnn_backward.default": _cudnn_backward,
    "aten.clone.default": _clone,
    "aten._to_copy.default": _cast,
})  # fmt: skip

# What these write into their first argument is nothing that a shape could show.
IN_PLACE = frozenset(
    f"{name}_"
    for name in (
        *("add", "sub", "mul", "div", "addcmul", "addcdiv", "lerp", "zero", "fill", "copy"),
        *("relu", "hardtanh", "leaky_relu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "silu"),
        *("bernoulli", "normal", "uniform", "sqrt", "clamp", "clamp_min", "elu", "neg", "pow"),
    )
)
