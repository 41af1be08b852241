"""MnasNet: inverted residuals searched for their latency on a phone.

M. Tan, B. Chen, R. Pang, V. Vasudevan, M. Sandler, A. Howard and Q. Le, "MnasNet: Platform-Aware
Neural Architecture Search for Mobile", 2018, arXiv:1807.11626. `mnasnet1_0` and its widths are
torchvision's B1, which has no gates; `mnasnet_a1` is the network of the paper's figure 7, and
`mnasnet_small` the small one of the authors' code.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v2 import InvertedResidual, Width
from archstat.zoo.mobilenet_v3 import SqueezeExcitation
from archstat.zoo.options import positive

FAMILY = Family(title="MnasNet", year=2018, paper="arXiv:1807.11626", category="lightweight")

Rows = tuple[tuple[int, int, int, int, int, bool], ...]

# filters of the first convolution and of the separable one behind it; then of the stages:
# expansion, kernel, stride of the first, filters, layers, gates
FIRST_FILTERS = (32, 16)
B1: Rows = (
    (3, 3, 2, 24, 3, False),
    (3, 5, 2, 40, 3, False),
    (6, 5, 2, 80, 3, False),
    (6, 3, 1, 96, 2, False),
    (6, 5, 2, 192, 4, False),
    (6, 3, 1, 320, 1, False),
)
A1: Rows = (
    (6, 3, 2, 24, 2, False),
    (3, 5, 2, 40, 3, True),
    (6, 3, 2, 80, 4, False),
    (6, 3, 1, 112, 2, True),
    (6, 5, 2, 160, 3, True),
    (6, 3, 1, 320, 1, False),
)
FIRST_FILTERS_SMALL = (8, 8)
SMALL: Rows = (
    (3, 3, 2, 16, 1, False),
    (6, 3, 2, 16, 2, False),
    (6, 5, 2, 32, 4, True),
    (6, 3, 1, 32, 3, True),
    (6, 5, 2, 88, 3, True),
    (6, 3, 1, 144, 1, False),
)
LAST_FILTERS = 1280


def mnasnet0_5(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """MnasNet-B1 at half the width."""
    return _mnasnet(B1, FIRST_FILTERS, 0.5, num_classes, in_channels)


def mnasnet0_75(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """MnasNet-B1 at three quarters of the width."""
    return _mnasnet(B1, FIRST_FILTERS, 0.75, num_classes, in_channels)


def mnasnet1_0(*, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """MnasNet-B1 at any width; the last 1x1 keeps its 1280 filters."""
    return _mnasnet(B1, FIRST_FILTERS, width, num_classes, in_channels)


def mnasnet1_3(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """MnasNet-B1 at 1.3 times the width."""
    return _mnasnet(B1, FIRST_FILTERS, 1.3, num_classes, in_channels)


def mnasnet_a1(*, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """MnasNet-A1, with squeeze-and-excitation in half of its stages."""
    return _mnasnet(A1, FIRST_FILTERS, width, num_classes, in_channels)


def mnasnet_small(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0
) -> nn.Module:
    """MnasNet-small, with squeeze-and-excitation in half of its stages."""
    return _mnasnet(SMALL, FIRST_FILTERS_SMALL, width, num_classes, in_channels)


def _mnasnet(
    rows: Rows, first_filters: tuple[int, int], width: float, num_classes: int, in_channels: int
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    scaled = Width(width)
    first, channels = (scaled(filters) for filters in first_filters)
    features: list[nn.Module] = [
        nn.Conv2d(in_channels, first, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        # the separable convolution, linear behind its 1x1 and without a shortcut
        nn.Conv2d(first, first, 3, padding=1, groups=first, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]
    for expansion, kernel, first_stride, row_filters, layers, gated in rows:
        filters = scaled(row_filters)
        for index in range(layers):
            stride = first_stride if index == 0 else 1
            features.append(_mbconv(channels, expansion, filters, stride, kernel, gated))
            channels = filters
    features += [
        nn.Conv2d(channels, LAST_FILTERS, 1, bias=False),
        nn.BatchNorm2d(LAST_FILTERS),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.2),
            fc=nn.Linear(LAST_FILTERS, num_classes),
        )
    )


def _mbconv(
    in_channels: int, expansion: int, filters: int, stride: int, kernel: int, gated: bool
) -> InvertedResidual:
    expanded = expansion * in_channels
    # the ratio of 0.25 is of the block's input
    gate = SqueezeExcitation(expanded, in_channels // 4, gate=nn.Sigmoid) if gated else None
    return InvertedResidual(
        in_channels,
        expanded,
        filters,
        stride,
        kernel=kernel,
        activation=nn.ReLU,
        gate=gate,
    )
