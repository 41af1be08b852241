"""Layers of torch.nn whose one op is known before torch is asked.

Half of a capture's time would go into torch finding its way from a layer's call to its only op.
Where a layer is exactly torch's own, and nothing around it can change what it does, its call is
recorded at once. Op, values and lifetimes are the same as by dispatch; whatever is not plainly the
common case takes the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn

from archstat.frontends.aten import Signature, signature
from archstat.frontends.building import is_torchs_own
from archstat.frontends.exported.program import CalledModule
from archstat.frontends.mode import CaptureMode, contiguous, made
from archstat.frontends.shapes import Shape
from archstat.frontends.torch_private import (
    EVERY_CALL,
    SEES_ALL_AROUND_A_CALL,
    NoDispatch,
    any_autocast_enabled,
    functorch_level,
    mode_at,
    number_of_modes,
)

_ATEN = torch.ops.aten
_is_grad_enabled = torch.is_grad_enabled
_Weights = tuple[torch.Tensor, ...]
_Kinds = tuple[tuple[Shape, str], ...]  # shapes and dtypes of tensors


class Shortcut(NamedTuple):
    """The one op of a `kind` of layer and the one in place of it, and how it is called.

    `weights` gives the tensors it reads beside the map, or None where torch must run the layer;
    `settings` all else that it depends on, and `call` its arguments and its attributes as a
    dispatch would record them, from the map, the weights and the settings.
    """

    kind: Any
    op: Signature
    in_place: Signature | None
    weights: Callable[[Any], _Weights | None]
    settings: Callable[[Any], tuple[Any, ...]]
    call: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]


def shortcut_of(module: nn.Module, mode: CaptureMode) -> Shortcut | None:
    """What may stand for a module's calls while a capture lasts, if anything may."""
    if not (mode.on_meta and SEES_ALL_AROUND_A_CALL):
        return None
    if isinstance(module, CalledModule):  # of a program, and nobody's
        return None if module.layer is None else _SHORTCUTS.get(module.layer)
    shortcut = _SHORTCUTS.get(type(module))
    # A forward that somebody put in the place of torch's own does what nobody knows; one on the
    # module itself is looked for at every call.
    return shortcut if shortcut is not None and _is_torchs(type(module).forward) else None


_is_torchs = lru_cache(maxsize=256)(is_torchs_own)


def at_once(
    shortcut: Shortcut, mode: CaptureMode, module: Any, name: tuple[str, str], x: Any
) -> torch.Tensor | None:
    """The output of a layer's call on `x`, already recorded; None where torch must run it.

    `name` is the module's path and type.
    """
    recorder = mode.recorder
    if type(x) is not torch.Tensor or not x.is_meta or not x.is_contiguous():
        return None
    given, weights = recorder.known(x), shortcut.weights(module)
    if given is None or weights is None or not _undisturbed(module, mode):
        return None
    values = recorder.values
    read = [recorder.known(weight) or recorder.value_of(weight) for weight in weights]
    shape, dtype = values[given][:2]
    kinds = tuple([values[index][:2] for index in read])
    # As inside a dispatch: the mode must not see what is made here.
    guard = NoDispatch()
    try:
        planned = _plan(shortcut.kind, shape, dtype, kinds, shortcut.settings(module))
        if planned is None:
            return None
        shape, strides, attributes = planned
        op = shortcut.op
        if shortcut.in_place is not None and module.inplace:
            op = shortcut.in_place
        output = x if op.in_place else made(shape, x.dtype, strides)
    except TypeError:
        return None  # settings of other types than torch's own
    finally:
        del guard
    recorder.add_layer(op, name, (given, *read), attributes.copy(), output, shape)
    return output


@lru_cache(maxsize=4096)  # networks repeat their layers
def _plan(
    kind: type[Any], shape: Shape, dtype: str, weights: _Kinds, settings: tuple[Any, ...]
) -> tuple[Shape, Shape, dict[str, Any]] | None:
    """Shape and strides of a layer's output, and its op's attributes; None where torch must tell.

    The rule of the op decides, on tensors like those that the layer has.
    """
    shortcut = _SHORTCUTS[kind]
    tensors = [made(size, getattr(torch, name)) for size, name in ((shape, dtype), *weights)]
    arguments, attributes = shortcut.call(*tensors, settings=settings)
    outputs = shortcut.op.rule(*arguments) if shortcut.op.rule is not None else None
    if outputs is None:
        return None
    return outputs[0][0], contiguous(outputs[0][0]), attributes


def _undisturbed(module: Any, mode: CaptureMode) -> bool:
    """Whether torch would do nothing on the way but run the layer's op under this mode alone."""
    own = module.__dict__
    return not (
        # Hooks run around the forward,
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or "forward" in own
        or any(EVERY_CALL)
        # autograd wants a history, autocast casts, vmap and its like wrap tensors of their own,
        or _is_grad_enabled()
        or any_autocast_enabled()
        or functorch_level() is not None
        # and a mode that forward entered sees the op first.
        or mode_at(number_of_modes() - 1) is not mode
    )


def _weights_of_convolution(module: nn.Conv2d) -> _Weights | None:
    parameters = module._parameters
    weight, bias = parameters.get("weight"), parameters.get("bias")
    if weight is None or not weight.is_contiguous():
        return None
    return (weight,) if bias is None else (weight, bias)


def _settings_of_convolution(module: nn.Conv2d) -> tuple[Any, ...]:
    return module.stride, module.padding, module.dilation, module.groups, module.padding_mode


def _convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    settings: tuple[Any, ...],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    stride, padding, dilation, groups, mode = settings
    if mode != "zeros" or not type(stride) is type(padding) is type(dilation) is tuple:
        raise TypeError("padded in words, or numbers that somebody set later")
    none = (0,) * len(stride)
    attributes = {
        **({"bias": None} if bias is None else {}),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "transposed": False,
        "output_padding": none,
        "groups": groups,
        "kernel": tuple(weight.shape[2:]),
    }
    return (x, weight, bias, stride, padding, dilation, False, none, groups), attributes


def _weights_of_norm(module: nn.BatchNorm2d) -> _Weights | None:
    parameters, buffers = module._parameters, module._buffers
    weight, bias = parameters.get("weight"), parameters.get("bias")
    mean, variance = buffers.get("running_mean"), buffers.get("running_var")
    if weight is None or bias is None or mean is None or variance is None or module.training:
        return None
    return weight, bias, mean, variance


def _settings_of_norm(module: nn.BatchNorm2d) -> tuple[Any, ...]:
    return module.momentum, module.eps


def _batch_norm(
    rank: int, x: torch.Tensor, *weights: torch.Tensor, settings: tuple[Any, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    momentum, eps = settings
    if x.dim() != rank:
        raise TypeError("torch refuses a map of other axes")
    momentum, eps = 0.0 if momentum is None else float(momentum), float(eps)
    attributes = {"training": False, "momentum": momentum, "eps": eps}
    return (x, *weights, False, momentum, eps), attributes


def _none(module: nn.Module) -> tuple[()]:
    return ()


def _alone(x: torch.Tensor, *, settings: tuple[()]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x,), {}


def _to_six(x: torch.Tensor, *, settings: tuple[()]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x, 0.0, 6.0), {"min_val": 0.0, "max_val": 6.0}


def _of_activation(kind: type[nn.Module], op: Any, in_place: Any, call: Any = _alone) -> Shortcut:
    other = None if in_place is None else signature(in_place.default)
    return Shortcut(kind, signature(op.default), other, _none, _none, call)


def _of_convolution(kind: type[nn.Module]) -> Shortcut:
    return Shortcut(
        kind, signature(_ATEN.convolution.default), None, _weights_of_convolution,
        _settings_of_convolution, _convolution,
    )  # fmt: skip


def _of_norm(kind: type[nn.Module], rank: int) -> Shortcut:
    return Shortcut(
        kind, signature(_ATEN.native_batch_norm.default), None, _weights_of_norm,
        _settings_of_norm, partial(_batch_norm, rank),
    )  # fmt: skip


_SHORTCUTS: Mapping[type, Shortcut] = MappingProxyType({
    shortcut.kind: shortcut for shortcut in (
        *map(_of_convolution, (nn.Conv1d, nn.Conv2d, nn.Conv3d)),
        _of_norm(nn.BatchNorm2d, 4),
        _of_norm(nn.BatchNorm3d, 5),
        _of_activation(nn.ReLU, _ATEN.relu, _ATEN.relu_),
        _of_activation(nn.ReLU6, _ATEN.hardtanh, _ATEN.hardtanh_, _to_six),
        _of_activation(nn.SiLU, _ATEN.silu, _ATEN.silu_),
        _of_activation(nn.Sigmoid, _ATEN.sigmoid, None),
    )
})  # fmt: skip
