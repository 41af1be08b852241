"""MobileNet v1: depthwise separable convolutions and a width multiplier.

A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", 2017, arXiv:1704.04861. The resolution multiplier is the input's resolution.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.options import positive, positive_factor

FAMILY = Family(title="MobileNet v1", year=2017, paper="arXiv:1704.04861", category="lightweight")

# Table 1, from the second layer on: filters of the 1x1, stride of the depthwise 3x3.
# The last stride is printed as 2, but the table's own sizes (7x7 to 7x7) need 1.
FIRST_FILTERS = 32
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(*, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """MobileNet v1; `width` multiplies the channels of every layer, rounded down."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    channels = _thinned(FIRST_FILTERS, width)
    features: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
    for row_filters, stride in BLOCKS:
        filters = _thinned(row_filters, width)
        features.append(DepthwiseSeparable(channels, filters, stride))
        channels = filters
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(channels, num_classes),
        )
    )


class DepthwiseSeparable(nn.Sequential):
    """A convolution of each channel alone, 3x3 by default, then a 1x1 that mixes the channels."""

    def __init__(
        self,
        in_channels: int,
        filters: int,
        stride: int,
        *,
        kernel: int = 3,
        bias: bool = False,
        norm: bool = True,
        act: bool = True,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["depthwise"] = nn.Conv2d(
            in_channels, in_channels, kernel, stride, kernel // 2, groups=in_channels, bias=bias
        )
        if norm:
            layers["bn1"] = nn.BatchNorm2d(in_channels)
        if act:
            layers["relu1"] = nn.ReLU(inplace=True)
        layers["pointwise"] = nn.Conv2d(in_channels, filters, 1, bias=bias)
        if norm:
            layers["bn2"] = nn.BatchNorm2d(filters)
        if act:
            layers["relu2"] = nn.ReLU(inplace=True)
        super().__init__(layers)


def _thinned(channels: int, width: float) -> int:
    positive_factor("width", width)
    thinned = int(channels * width)
    if thinned < 1:
        raise OptionError(
            f"width={width!r} leaves no channel in a layer of {channels}: "
            f"give a width of at least {1 / channels}."
        )
    return thinned
