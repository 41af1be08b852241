"""Bare layers: without bias, normalisation and activation unless asked.

Every convolution keeps the size of the map at stride 1. `in` and `out` are channels; without `out`
there are as many as `in`. `norm=1` puts batch normalisation and `act=1` a ReLU behind each one.
"""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType

from torch import nn

from archstat.errors import OptionError
from archstat.zoo import alexnet, lenet, mobilenet_v1, nin
from archstat.zoo.family import Family
from archstat.zoo.options import divides, odd, positive

FAMILY = Family(
    title="Blocks",
    year=1998,
    paper="of the network it comes from",
    category="block",
    input="64x56x56",
    inputs=MappingProxyType({"dense": "64"}),
    origins=MappingProxyType(
        {
            "conv": lenet.FAMILY,
            "dense": lenet.FAMILY,
            "grouped_conv": alexnet.FAMILY,
            "pointwise_conv": nin.FAMILY,
            "depthwise_conv": mobilenet_v1.FAMILY,
        }
    ),
)


def conv(
    *,
    in_: int = 64,
    out: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """A standard convolution."""
    channels = channels_of(in_, out, kernel, stride)
    positive("dilation", dilation)
    only = window(in_, channels, kernel, stride, bias=bias, dilation=dilation)
    return in_a_row([only], norm, act)


def grouped_conv(
    *,
    in_: int = 64,
    out: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 4,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """A convolution in groups that do not see each other."""
    channels = channels_of(in_, out, kernel, stride)
    divides("groups", groups, in_, "input channels")
    divides("groups", groups, channels, "output channels")
    return in_a_row([window(in_, channels, kernel, stride, bias=bias, groups=groups)], norm, act)


def depthwise_conv(
    *,
    in_: int = 64,
    out: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """A convolution of each channel alone; `out` is a multiple of `in`."""
    channels = channels_of(in_, out, kernel, stride)
    if channels % in_:
        raise OptionError(
            f"out={out} is not a multiple of in={in_}: each channel is filtered alone, by the same "
            f"number of filters; give out={in_} or a multiple of it."
        )
    return in_a_row([window(in_, channels, kernel, stride, bias=bias, groups=in_)], norm, act)


def pointwise_conv(
    *,
    in_: int = 64,
    out: int | None = None,
    stride: int = 1,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """A 1x1 convolution."""
    channels = channels_of(in_, out, 1, stride)
    return in_a_row([window(in_, channels, 1, stride, bias=bias)], norm, act)


def dense(
    *,
    in_: int = 64,
    out: int | None = None,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """A fully connected layer; `in` counts all elements of the input, which is flattened."""
    features = channels_of(in_, out)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        flatten=nn.Flatten(), fc=nn.Linear(in_, features, bias=bias)
    )
    if norm:
        layers["bn"] = nn.BatchNorm1d(features)
    if act:
        layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def channels_of(in_: int, out: int | None, kernel: int = 1, stride: int = 1) -> int:
    """The output channels, with every size checked."""
    positive("in", in_)
    odd("kernel", kernel)
    positive("stride", stride)
    if out is not None:
        positive("out", out)
    return in_ if out is None else out


def window(
    in_: int,
    out: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    *,
    bias: bool,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Conv2d:
    """A convolution that keeps the size of the map at stride 1; `kernel` may be (high, wide)."""
    high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (dilation * (high // 2), dilation * (wide // 2))
    return nn.Conv2d(in_, out, (high, wide), stride, padding, dilation, groups, bias)


def in_a_row(convolutions: list[nn.Conv2d], norm: bool, act: bool) -> nn.Sequential:
    """Convolutions one after another, each with normalisation and a ReLU if asked for."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, convolution in enumerate(convolutions, start=1):
        layers[f"conv{number}"] = convolution
        if norm:
            layers[f"bn{number}"] = nn.BatchNorm2d(convolution.out_channels)
        if act:
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)
