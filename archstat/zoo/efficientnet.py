"""EfficientNet: one searched network, scaled in width, depth and resolution together.

M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
2019, arXiv:1905.11946. B8 is the next step of the same scaling, from C. Xie et al., "Adversarial
Examples Improve Image Recognition", 2019, arXiv:1911.09665. Stochastic depth, which costs
nothing and exists in training only, is left out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from types import MappingProxyType

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v2 import InvertedResidual, Width
from archstat.zoo.mobilenet_v3 import SqueezeExcitation
from archstat.zoo.options import positive

FAMILY = Family(
    title="EfficientNet",
    year=2019,
    paper="arXiv:1905.11946",
    category="modern",
    inputs=MappingProxyType(
        {
            "efficientnet_b1": "3x240x240",
            "efficientnet_b2": "3x260x260",
            "efficientnet_b3": "3x300x300",
            "efficientnet_b4": "3x380x380",
            "efficientnet_b5": "3x456x456",
            "efficientnet_b6": "3x528x528",
            "efficientnet_b7": "3x600x600",
            "efficientnet_b8": "3x672x672",
        }
    ),
)

# Table 1: expansion, kernel, stride of the first, channels, layers of the MBConv stages 2 to 8
FIRST_FILTERS = 32
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
LAST_FILTERS = 1280


def efficientnet_b0(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B0, the searched network."""
    return _efficientnet(1.0, 1.0, 0.2, num_classes, in_channels)


def efficientnet_b1(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B1: depth 1.1."""
    return _efficientnet(1.0, 1.1, 0.2, num_classes, in_channels)


def efficientnet_b2(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B2: width 1.1, depth 1.2."""
    return _efficientnet(1.1, 1.2, 0.3, num_classes, in_channels)


def efficientnet_b3(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B3: width 1.2, depth 1.4."""
    return _efficientnet(1.2, 1.4, 0.3, num_classes, in_channels)


def efficientnet_b4(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B4: width 1.4, depth 1.8."""
    return _efficientnet(1.4, 1.8, 0.4, num_classes, in_channels)


def efficientnet_b5(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B5: width 1.6, depth 2.2."""
    return _efficientnet(1.6, 2.2, 0.4, num_classes, in_channels, eps=1e-3)


def efficientnet_b6(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B6: width 1.8, depth 2.6."""
    return _efficientnet(1.8, 2.6, 0.5, num_classes, in_channels, eps=1e-3)


def efficientnet_b7(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B7: width 2.0, depth 3.1."""
    return _efficientnet(2.0, 3.1, 0.5, num_classes, in_channels, eps=1e-3)


def efficientnet_b8(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """EfficientNet-B8: width 2.2, depth 3.6."""
    return _efficientnet(2.2, 3.6, 0.5, num_classes, in_channels, eps=1e-3)


def _efficientnet(
    width: float,
    depth: float,
    dropout: float,
    num_classes: int,
    in_channels: int,
    # 1e-3 is the authors'; below B5 torchvision has the default of torch
    eps: float = 1e-5,
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    scaled = Width(width)
    channels = scaled(FIRST_FILTERS)
    features: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels, eps),
        nn.SiLU(inplace=True),
    ]
    for expansion, kernel, first_stride, row_filters, layers in STAGES:
        filters = scaled(row_filters)
        for index in range(math.ceil(depth * layers)):
            stride = first_stride if index == 0 else 1
            features.append(_mbconv(channels, expansion, filters, stride, kernel, eps))
            channels = filters
    last_filters = scaled(LAST_FILTERS)
    features += [
        nn.Conv2d(channels, last_filters, 1, bias=False),
        nn.BatchNorm2d(last_filters, eps),
        nn.SiLU(inplace=True),
    ]
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(dropout),
            fc=nn.Linear(last_filters, num_classes),
        )
    )


def _mbconv(
    in_channels: int, expansion: int, filters: int, stride: int, kernel: int, eps: float
) -> InvertedResidual:
    expanded = expansion * in_channels
    # a quarter of the block's input, not of its expanded channels
    squeezed = in_channels // 4
    return InvertedResidual(
        in_channels,
        expanded,
        filters,
        stride,
        kernel=kernel,
        expand=expansion > 1,
        activation=nn.SiLU,
        gate=SqueezeExcitation(expanded, squeezed, activation=nn.SiLU, gate=nn.Sigmoid),
        eps=eps,
    )
