"""A network with its convolutions made cheaper or its pooling learned, from its module tree.

The network given is not touched: its tree is copied, and what stays shares its parameters. Only
plain `nn.Conv2d` with a square window and one group change; a subclass has a forward of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from archstat.graph import Graph

# as many as block `grouped_conv` has by default
GROUPS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module stands: the channels it is given, if always as many, and the model's kind."""

    channels: int | None
    device: torch.device
    dtype: torch.dtype


# makes another module of one, or None of one that stays
Swap = Callable[[nn.Module, Place], nn.Module | None]


@dataclass(frozen=True, slots=True)
class Variant:
    """One change of a network: its name, what it changes, and how."""

    name: str
    changes: str
    swap: Swap


class Variation:
    """A variant of one network, whose Graph tells what its pooling layers are given.

    Called with the network, it gives the changed copy; `changed` then counts what changed.
    """

    def __init__(self, variant: Variant, graph: Graph) -> None:
        self.variant = variant
        self.changed = 0
        self._channels = _channels_by_path(graph)

    def __call__(self, root: nn.Module) -> nn.Module:
        self.changed = 0
        tensors = [tensor for tensor in root.parameters() if tensor.is_floating_point()]
        self._model = tensors[0] if tensors else torch.empty(0)
        return self._copy(root, "", {})

    def _copy(self, module: nn.Module, path: str, copies: dict[int, nn.Module]) -> nn.Module:
        if id(module) in copies:
            return copies[id(module)]
        if isinstance(module, torch.jit.ScriptModule):
            return module
        place = Place(self._channels.get(path), self._model.device, self._model.dtype)
        swapped = self.variant.swap(module, place)
        if swapped is not None:
            self.changed += 1
            copies[id(module)] = swapped.train(module.training)
            return swapped
        copy = copies[id(module)] = shallow(module)
        prefix = f"{path}." if path else ""
        for name, child in module._modules.items():
            if child is not None:
                copy._modules[name] = self._copy(child, prefix + name, copies)
        return copy


def shallow(module: nn.Module) -> nn.Module:
    """The same module once more: its own containers, the same tensors in them."""
    copy: nn.Module = module.__class__.__new__(module.__class__)
    for name, value in module.__dict__.items():
        copy.__dict__[name] = value.copy() if isinstance(value, dict) else value
    return copy


def _channels_by_path(graph: Graph) -> dict[str, int]:
    """The channels that each module is given, where that is one number."""
    seen: dict[str, set[int]] = {}
    for call in graph.calls:
        shape = graph.values[call.inputs[0]].shape if call.inputs else ()
        if len(shape) >= 3:
            seen.setdefault(call.module, set()).add(shape[-3])
    return {path: channels.pop() for path, channels in seen.items() if len(channels) == 1}


def _standard(module: nn.Module) -> nn.Conv2d | None:
    """The module, if it is a convolution that mixes all channels in a square window above 1x1."""
    if type(module) is not nn.Conv2d or not isinstance(module._parameters.get("weight"), Tensor):
        return None
    high, wide = module.kernel_size
    return module if module.groups == 1 and high == wide > 1 else None


def _like(conv: nn.Conv2d, in_channels: int, kernel: tuple[int, ...], **changed: Any) -> nn.Conv2d:
    """A convolution with the settings of another, but for those given."""
    return nn.Conv2d(
        in_channels,
        changed.get("out_channels", conv.out_channels),
        _pair(kernel),
        stride=changed.get("stride", conv.stride),
        padding=changed.get("padding", conv.padding),
        dilation=_pair(conv.dilation),
        groups=changed.get("groups", 1),
        bias=changed.get("bias", conv.bias is not None),
        padding_mode=conv.padding_mode,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )


def _separable(module: nn.Module, _: Place) -> nn.Module | None:
    conv = _standard(module)
    if conv is None:
        return None
    channels = conv.in_channels
    depthwise = _like(
        conv, channels, conv.kernel_size, out_channels=channels, groups=channels, bias=False
    )
    pointwise = nn.Conv2d(
        channels,
        conv.out_channels,
        kernel_size=1,
        bias=conv.bias is not None,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    return nn.Sequential(depthwise, pointwise)


def _grouped(module: nn.Module, _: Place) -> nn.Module | None:
    conv = _standard(module)
    if conv is None or conv.in_channels % GROUPS or conv.out_channels % GROUPS:
        return None
    return _like(conv, conv.in_channels, conv.kernel_size, groups=GROUPS)


def _factorised(module: nn.Module, _: Place) -> nn.Module | None:
    conv = _standard(module)
    if conv is None:
        return None
    high, wide = conv.kernel_size
    down, across = conv.stride
    row_pad: Any = conv.padding
    column_pad: Any = conv.padding
    if not isinstance(conv.padding, str):
        row_pad, column_pad = (0, conv.padding[1]), (conv.padding[0], 0)
    return nn.Sequential(
        _like(conv, conv.in_channels, (1, wide), stride=(1, across), padding=row_pad, bias=False),
        _like(conv, conv.out_channels, (high, 1), stride=(down, 1), padding=column_pad),
    )


class StridedConvolution(nn.Conv2d):
    """A convolution in the place of a pooling; with `ceil_mode` its last window may hang over."""

    ceil_mode: bool = False
    windows: ClassVar[frozenset[type[nn.Module]]] = frozenset({nn.MaxPool2d, nn.AvgPool2d})

    def forward(self, input: Tensor) -> Tensor:
        if self.ceil_mode:
            down, across = (self._overhang(input.shape[axis], axis) for axis in (-2, -1))
            input = functional.pad(input, (0, across, 0, down))
        return super().forward(input)

    def _overhang(self, size: int, axis: int) -> int:
        kernel, step = self.kernel_size[axis], self.stride[axis]
        pad = int(self.padding[axis])
        reach = self.dilation[axis] * (kernel - 1) + 1
        steps = math.ceil((size + 2 * pad - reach) / step)
        # as in pooling, the last window must start inside the map or its first padding
        if steps * step >= size + pad:
            steps -= 1
        return max(0, steps * step + reach - size - 2 * pad)


def _strided(module: nn.Module, place: Place) -> nn.Module | None:
    if type(module) not in StridedConvolution.windows or place.channels is None:
        return None
    pool: Any = module
    stride = _pair(pool.stride)
    if max(stride) == 1 or getattr(pool, "return_indices", False):
        return None
    conv = StridedConvolution(
        place.channels,
        place.channels,
        _pair(pool.kernel_size),
        stride,
        _pair(pool.padding),
        _pair(getattr(pool, "dilation", 1)),
        bias=False,
        device=place.device,
        dtype=place.dtype,
    )
    conv.ceil_mode = pool.ceil_mode
    return conv


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


_CONVOLUTIONS = "standard convolution with a square window above 1x1"
VARIANTS = (
    Variant("depthwise-separable", _CONVOLUTIONS, _separable),
    Variant(f"{GROUPS} groups", f"{_CONVOLUTIONS} whose channels {GROUPS} divides", _grouped),
    Variant("factorised", _CONVOLUTIONS, _factorised),
    Variant("strided instead of pooled", "pooling layer with a stride", _strided),
)
