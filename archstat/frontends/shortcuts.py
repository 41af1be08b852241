"""Layers of torch.nn whose one op is known before torch is asked.

Half of a capture's time would go into torch finding its way from a layer's forward to its only op.
Where a layer is exactly torch's own, and nothing around it can change what it does, its forward
hands that op to the mode at once. Op, values and lifetimes are the same as by dispatch; whatever
is not plainly the common case takes the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from archstat.frontends.mode import CaptureMode

_ATEN = torch.ops.aten
# What the op is given, and its attributes as a dispatch would record them.
_Given = tuple[tuple[Any, ...], dict[str, Any]]
_Arguments = Callable[[Any, torch.Tensor], _Given | None]


def take_shortcuts(module: nn.Module, mode: CaptureMode) -> None:
    """Let a layer's forward, on the instance, go straight to the mode while a capture lasts."""
    layer = _LAYERS.get(type(module))
    if layer is None or not mode.on_meta or "forward" in module.__dict__:
        return
    usual: Callable[..., Any] = module.forward
    if not usual.__module__.startswith("torch.nn.modules."):
        return  # somebody's own, in place of torch's
    overload, in_place, arguments = layer
    known = mode.recorder.known

    def forward(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs:
            x = args[0]
            if type(x) is torch.Tensor and known(x) is not None and _undisturbed():
                given = arguments(module, x)
                if given is not None:
                    func = in_place if in_place is not None and module.inplace else overload
                    output = mode.at_once(func, *given)
                    if output is not None:
                        return output
        return usual(*args, **kwargs)

    module.__dict__["forward"] = forward


def _undisturbed() -> bool:
    # Autograd wants a history, autocast casts, and vmap and its like wrap tensors of their own.
    return not (
        torch.is_grad_enabled()
        or torch._C._is_any_autocast_enabled()
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def _convolution(module: nn.Conv2d, x: torch.Tensor) -> _Given | None:
    weight, bias = module._parameters.get("weight"), module._parameters.get("bias")
    stride, padding, dilation = module.stride, module.padding, module.dilation
    if module.padding_mode != "zeros" or weight is None:
        return None
    if not type(stride) is type(padding) is type(dilation) is tuple:
        return None  # padding in words, or numbers that somebody set later
    none = (0,) * len(stride)
    attributes: dict[str, Any] = {} if bias is not None else {"bias": None}
    attributes |= {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "transposed": False,
        "output_padding": none,
        "groups": module.groups,
        "kernel": tuple(weight.shape[2:]),
    }
    return (x, weight, bias, stride, padding, dilation, False, none, module.groups), attributes


def _batch_norm(module: nn.BatchNorm2d, x: torch.Tensor) -> _Given | None:
    weight, bias = module._parameters.get("weight"), module._parameters.get("bias")
    mean, variance = module._buffers.get("running_mean"), module._buffers.get("running_var")
    if weight is None or bias is None or mean is None or variance is None or module.training:
        return None
    if x.dim() != _RANKS[type(module)]:
        return None
    momentum, eps = 0.0 if module.momentum is None else module.momentum, module.eps
    attributes = {"training": False, "momentum": momentum, "eps": eps}
    return (x, weight, bias, mean, variance, False, momentum, eps), attributes


def _alone(module: nn.Module, x: torch.Tensor) -> _Given:
    return (x,), {}


def _to_six(module: nn.Module, x: torch.Tensor) -> _Given:
    return (x, 0.0, 6.0), {"min_val": 0.0, "max_val": 6.0}


_RANKS: Mapping[type, int] = MappingProxyType({nn.BatchNorm2d: 4, nn.BatchNorm3d: 5})
_LAYERS: Mapping[type, tuple[Any, Any, _Arguments]] = MappingProxyType({
    nn.Conv1d: (_ATEN.convolution.default, None, _convolution),
    nn.Conv2d: (_ATEN.convolution.default, None, _convolution),
    nn.Conv3d: (_ATEN.convolution.default, None, _convolution),
    nn.BatchNorm2d: (_ATEN.native_batch_norm.default, None, _batch_norm),
    nn.BatchNorm3d: (_ATEN.native_batch_norm.default, None, _batch_norm),
    nn.ReLU: (_ATEN.relu.default, _ATEN.relu_.default, _alone),
    nn.ReLU6: (_ATEN.hardtanh.default, _ATEN.hardtanh_.default, _to_six),
    nn.SiLU: (_ATEN.silu.default, _ATEN.silu_.default, _alone),
    nn.Sigmoid: (_ATEN.sigmoid.default, None, _alone),
})  # fmt: skip
