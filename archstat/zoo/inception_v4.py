"""Inception v4: a deeper and more uniform Inception, without residual connections.

C. Szegedy, S. Ioffe, V. Vanhoucke and A. Alemi, "Inception-v4, Inception-ResNet and the Impact
of Residual Connections on Learning", 2016, arXiv:1602.07261. As in the released model, average
pooling counts the pixels that exist, not the padding.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.googlenet import FilterConcat
from archstat.zoo.inception_v3 import (
    STEM,
    Conv,
    Convolutions,
    GridReduction,
    ProjectedPool,
    RowAndColumn,
)
from archstat.zoo.options import positive

FAMILY = Family(
    title="Inception v4", year=2016, paper="arXiv:1602.07261", category="depth", input="3x299x299"
)

# Figure 9: modules A at 35x35, B at 17x17, C at 8x8
MODULES_A = 4
MODULES_B = 7
MODULES_C = 3


def inception_v4(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Inception v4."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    return nn.Sequential(
        OrderedDict(
            stem=Stem(in_channels),
            inception_a=nn.Sequential(*(InceptionA(384) for _ in range(MODULES_A))),
            # figure 7 with k, l, m, n = 192, 224, 256, 384 of table 1
            reduction_a=GridReduction(
                384,
                (Conv(384, 3, 2, "valid"),),
                (Conv(192, 1), Conv(224, 3), Conv(256, 3, 2, "valid")),
            ),
            inception_b=nn.Sequential(*(InceptionB(1024) for _ in range(MODULES_B))),
            reduction_b=GridReduction(
                1024,
                (Conv(192, 1), Conv(192, 3, 2, "valid")),
                (
                    Conv(256, 1),
                    Conv(256, (1, 7)),
                    Conv(320, (7, 1)),
                    Conv(320, 3, 2, "valid"),
                ),
            ),
            inception_c=nn.Sequential(*(InceptionC(1536) for _ in range(MODULES_C))),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.2),
            fc=nn.Linear(1536, num_classes),
        )
    )


class Stem(nn.Sequential):
    """Figure 3's stem: 299x299 to 384 maps of 35x35, by three forks."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            Convolutions(in_channels, *STEM),
            FilterConcat(
                pool=nn.MaxPool2d(kernel_size=3, stride=2),
                branch=Convolutions(64, Conv(96, 3, 2, "valid")),
            ),
            FilterConcat(
                branch3=Convolutions(160, Conv(64, 1), Conv(96, 3, 1, "valid")),
                branch7=Convolutions(
                    160,
                    Conv(64, 1),
                    Conv(64, (1, 7)),
                    Conv(64, (7, 1)),
                    Conv(96, 3, 1, "valid"),
                ),
            ),
            FilterConcat(
                branch=Convolutions(192, Conv(192, 3, 2, "valid")),
                pool=nn.MaxPool2d(kernel_size=3, stride=2),
            ),
        )


class InceptionA(FilterConcat):
    """Figure 4's module at 35x35: 1x1, 3x3, double 3x3 and projected average pooling."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            branch1=Convolutions(in_channels, Conv(96, 1)),
            branch3=Convolutions(in_channels, Conv(64, 1), Conv(96, 3)),
            branch33=Convolutions(in_channels, Conv(64, 1), Conv(96, 3), Conv(96, 3)),
            pool=ProjectedPool(in_channels, 96, count_include_pad=False),
        )


class InceptionB(FilterConcat):
    """Figure 5's module at 17x17: the 7x7 are rows and columns."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            branch1=Convolutions(in_channels, Conv(384, 1)),
            branch7=Convolutions(in_channels, Conv(192, 1), Conv(224, (1, 7)), Conv(256, (7, 1))),
            branch77=Convolutions(
                in_channels,
                Conv(192, 1),
                Conv(192, (7, 1)),
                Conv(224, (1, 7)),
                Conv(224, (7, 1)),
                Conv(256, (1, 7)),
            ),
            pool=ProjectedPool(in_channels, 128, count_include_pad=False),
        )


class InceptionC(FilterConcat):
    """Figure 6's module at 8x8: two branches end in a row and a column side by side."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            branch1=Convolutions(in_channels, Conv(256, 1)),
            branch3=nn.Sequential(
                Convolutions(in_channels, Conv(384, 1)),
                RowAndColumn(384, 256),
            ),
            branch33=nn.Sequential(
                Convolutions(in_channels, Conv(384, 1), Conv(448, (3, 1)), Conv(512, (1, 3))),
                RowAndColumn(512, 256),
            ),
            pool=ProjectedPool(in_channels, 256, count_include_pad=False),
        )
