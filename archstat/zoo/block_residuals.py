"""Blocks with a shortcut or a gate around them, as the networks they come from have them.

`in` and `out` are channels; without `out` there are as many as `in`. Normalisation and activation
are the network's own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from torch import nn

from archstat.errors import OptionError
from archstat.zoo import (
    densenet,
    resnet,
)
from archstat.zoo import (
    highway as highway_network,
)
from archstat.zoo import (
    inception_resnet as inception_resnet_network,
)
from archstat.zoo import (
    resnext as resnext_network,
)
from archstat.zoo import (
    xception as xception_network,
)
from archstat.zoo.densenet import DenseLayer
from archstat.zoo.family import Family
from archstat.zoo.highway import Highway
from archstat.zoo.inception_resnet import V1, V2, InceptionResNet
from archstat.zoo.options import one_of, positive
from archstat.zoo.resnet import BasicBlock, Bottleneck, StridePlace
from archstat.zoo.xception import XceptionModule

FAMILY = Family(
    title="Blocks",
    year=2015,
    paper="of the network it comes from",
    category="block",
    input="64x56x56",
    inputs=MappingProxyType(
        {
            "bottleneck": "256x56x56",
            "resnext": "256x56x56",
            "inception_resnet": "320x35x35",
            "xception_block": "728x19x19",
        }
    ),
    origins=MappingProxyType(
        {
            "basic": resnet.FAMILY,
            "bottleneck": resnet.FAMILY,
            "resnext": resnext_network.FAMILY,
            "inception_resnet": inception_resnet_network.FAMILY,
            "xception_block": xception_network.FAMILY,
            "dense_layer": densenet.FAMILY,
            "highway": highway_network.FAMILY,
        }
    ),
)


def basic(*, in_: int = 64, out: int | None = None, stride: int = 1) -> nn.Module:
    """ResNet's block of two 3x3 convolutions."""
    return BasicBlock(in_, _channels(in_, out, stride), stride)


def bottleneck(
    *,
    in_: int = 256,
    out: int | None = None,
    stride: int = 1,
    place: StridePlace = "3x3",
) -> nn.Module:
    """ResNet's block of 1x1, 3x3 and 1x1; `place` is where its stride is."""
    channels = _channels(in_, out, stride)
    one_of("place", place, ("3x3", "first"))
    return Bottleneck(in_, _filters(channels), stride, place)


def resnext(
    *,
    in_: int = 256,
    out: int | None = None,
    stride: int = 1,
    groups: int = 32,
    group_width: int = 4,
) -> nn.Module:
    """ResNeXt's bottleneck; `group_width` is for 256 output channels, as in its first stage."""
    channels = _channels(in_, out, stride)
    positive("groups", groups)
    positive("group_width", group_width)
    filters = _filters(channels)
    if group_width * filters < 64:
        raise OptionError(
            f"group_width={group_width} leaves no channel in a group at {channels} output "
            f"channels: give at least {-(-64 // filters)}."
        )
    return Bottleneck(in_, filters, stride, groups=groups, group_width=group_width)


def inception_resnet(
    *,
    in_: int = 320,
    unit: Literal["a", "b", "c"] = "a",
    version: Literal[1, 2] = 2,
) -> nn.Module:
    """Inception-ResNet's unit A, B or C, of its version 1 or 2; its branches have their widths."""
    positive("in", in_)
    one_of("unit", unit, ("a", "b", "c"))
    one_of("version", version, (1, 2))
    stage = (V1, V2)[version - 1]["abc".index(unit)]
    return InceptionResNet(in_, stage.unit, stage.scale)


def xception_block(
    *, in_: int = 728, out: int | None = None, stride: int = 1, number: int = 3
) -> nn.Module:
    """Xception's module of `number` separable convolutions, the last two of `out` filters.

    It is not called `xception`, since the network is. By default it is one of the middle flow.
    """
    channels = _channels(in_, out, stride)
    positive("number", number)
    filters = (in_,) * (number - 2) + (channels,) * min(number, 2)
    return XceptionModule(in_, filters, stride)


def dense_layer(*, in_: int = 64, growth: int = 32, bottleneck: bool = True) -> nn.Module:
    """DenseNet's layer: `growth` new maps beside its input's."""
    positive("in", in_)
    positive("growth", growth)
    return DenseLayer(in_, growth, bottleneck=bottleneck)


def highway(*, in_: int = 64) -> nn.Module:
    """A highway layer: a 3x3 convolution and its gate, as wide as the input."""
    positive("in", in_)
    return Highway(in_)


def _channels(in_: int, out: int | None, stride: int) -> int:
    """The output channels, with every size checked."""
    positive("in", in_)
    positive("stride", stride)
    if out is not None:
        positive("out", out)
    return in_ if out is None else out


def _filters(channels: int) -> int:
    """The filters of a bottleneck's 3x3, before groups."""
    if channels % Bottleneck.expansion:
        raise OptionError(
            f"out={channels} is impossible: a bottleneck restores {Bottleneck.expansion} times "
            f"its inner channels; give a multiple of {Bottleneck.expansion}."
        )
    return channels // Bottleneck.expansion
