"""What stands in for a convolution with a large window or many channels: several cheaper ones.

As bare as the layers of block_convolutions: without bias, normalisation and activation unless
asked, and as many output channels as `in` without `out`.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import nn

from archstat.zoo import inception_v3, mobilenet_v1, vgg
from archstat.zoo.block_convolutions import channels_of, in_a_row, window
from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v1 import DepthwiseSeparable
from archstat.zoo.options import positive

FAMILY = Family(
    title="Blocks",
    year=1998,
    paper="of the network it comes from",
    category="block",
    input="64x56x56",
    origins=MappingProxyType(
        {
            "stacked": vgg.FAMILY,
            "asymmetric": inception_v3.FAMILY,
            "depthwise_separable": mobilenet_v1.FAMILY,
        }
    ),
)


def depthwise_separable(
    *,
    in_: int = 64,
    out: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """MobileNet's pair: each channel alone, then a 1x1 that mixes them."""
    channels = channels_of(in_, out, kernel, stride)
    return DepthwiseSeparable(in_, channels, stride, kernel=kernel, bias=bias, norm=norm, act=act)


def asymmetric(
    *,
    in_: int = 64,
    out: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """A square window as a row and a column: 1xk, then kx1, both with `out` filters."""
    channels = channels_of(in_, out, kernel, stride)
    row = window(in_, channels, (1, kernel), (1, stride), bias=bias)
    column = window(channels, channels, (kernel, 1), (stride, 1), bias=bias)
    return in_a_row([row, column], norm, act)


def stacked(
    *,
    in_: int = 64,
    out: int | None = None,
    kernel: int = 3,
    number: int = 2,
    stride: int = 1,
    bias: bool = False,
    norm: bool = False,
    act: bool = False,
) -> nn.Module:
    """VGG's stack of `number` small convolutions; the first one takes the stride."""
    positive("number", number)
    channels = channels_of(in_, out, kernel, stride)
    first = window(in_, channels, kernel, stride, bias=bias)
    rest = [window(channels, channels, kernel, bias=bias) for _ in range(number - 1)]
    return in_a_row([first, *rest], norm, act)
