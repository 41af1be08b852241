"""Inception v3: large convolutions factorised into small and one-dimensional ones.

C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception
Architecture for Computer Vision", 2015, arXiv:1512.00567. The widths are those of the released
model, which torchvision has too: the paper prints none. `aux=1` adds the auxiliary classifier
that exists in training only.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.googlenet import FilterConcat
from archstat.zoo.options import one_of, positive

FAMILY = Family(
    title="Inception v3",
    year=2015,
    paper="arXiv:1512.00567",
    category="depth",
    input="3x299x299",
)


class Conv(NamedTuple):
    """One row of a layer table; a `valid` convolution is not padded."""

    filters: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: Literal["same", "valid"] = "same"


# Table 1: the layers before the first module, around one pooling; another pooling follows
STEM = (Conv(32, 3, 2, "valid"), Conv(32, 3, 1, "valid"), Conv(64, 3))
STEM_4A = (Conv(80, 1), Conv(192, 3, 1, "valid"))
# filters of the pooling branch of the three modules A; of the 7x7 of the four modules B
POOL_FILTERS = (32, 64, 64)
FILTERS_7X7 = (128, 160, 160, 192)


def inception_v3(*, num_classes: int = 1000, in_channels: int = 3, aux: bool = False) -> nn.Module:
    """Inception v3; with `aux` a training step gives the scores and the auxiliary ones."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("aux", aux, (False, True))
    return InceptionV3(num_classes, in_channels, aux)


class Convolutions(nn.Sequential):
    """Convolutions in a row, each without bias, with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, *rows: Conv) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_channels
        for index, (filters, kernel, stride, padding) in enumerate(rows, start=1):
            high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
            pads = (high // 2, wide // 2) if padding == "same" else (0, 0)
            layers[f"conv{index}"] = nn.Conv2d(
                channels, filters, (high, wide), stride, pads, bias=False
            )
            layers[f"bn{index}"] = nn.BatchNorm2d(filters, eps=1e-3)
            layers[f"relu{index}"] = nn.ReLU(inplace=True)
            channels = filters
        super().__init__(layers)


class InceptionA(FilterConcat):
    """The module at 35x35: 1x1, 5x5, double 3x3 and projected average pooling."""

    def __init__(self, in_channels: int, pool_filters: int) -> None:
        super().__init__(
            branch1=Convolutions(in_channels, Conv(64, 1)),
            branch5=Convolutions(in_channels, Conv(48, 1), Conv(64, 5)),
            branch33=Convolutions(in_channels, Conv(64, 1), Conv(96, 3), Conv(96, 3)),
            pool=ProjectedPool(in_channels, pool_filters),
        )


class InceptionB(FilterConcat):
    """The module at 17x17, figure 6: 1x1, a 7x7 and a double 7x7 as rows and columns, pooling."""

    def __init__(self, in_channels: int, filters: int) -> None:
        column = Conv(filters, (7, 1))
        row = Conv(filters, (1, 7))
        last_column = Conv(192, (7, 1))
        last_row = Conv(192, (1, 7))
        reduce = Conv(filters, 1)
        super().__init__(
            branch1=Convolutions(in_channels, Conv(192, 1)),
            branch7=Convolutions(in_channels, reduce, row, last_column),
            branch77=Convolutions(in_channels, reduce, column, row, column, last_row),
            pool=ProjectedPool(in_channels, 192),
        )


class InceptionC(FilterConcat):
    """The module at 8x8, figure 7: its last 3x3 are a row and a column side by side."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            branch1=Convolutions(in_channels, Conv(320, 1)),
            branch3=nn.Sequential(
                Convolutions(in_channels, Conv(384, 1)),
                RowAndColumn(384, 384),
            ),
            branch33=nn.Sequential(
                Convolutions(in_channels, Conv(448, 1), Conv(384, 3)),
                RowAndColumn(384, 384),
            ),
            pool=ProjectedPool(in_channels, 192),
        )


class RowAndColumn(FilterConcat):
    """A 1x3 and a 3x1 convolution side by side."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__(
            row=Convolutions(in_channels, Conv(filters, (1, 3))),
            column=Convolutions(in_channels, Conv(filters, (3, 1))),
        )


class ProjectedPool(nn.Sequential):
    """Average pooling that keeps the size of the map, and a 1x1 convolution."""

    def __init__(self, in_channels: int, filters: int, *, count_include_pad: bool = True) -> None:
        super().__init__(
            nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=count_include_pad),
            Convolutions(in_channels, Conv(filters, 1)),
        )


class GridReduction(FilterConcat):
    """Figure 10's module: branches of convolutions and a pooling that all halve the map."""

    def __init__(self, in_channels: int, *branches: tuple[Conv, ...]) -> None:
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        for index, rows in enumerate(branches, start=1):
            modules[f"branch{index}"] = Convolutions(in_channels, *rows)
        modules["pool"] = nn.MaxPool2d(kernel_size=3, stride=2)
        super().__init__(**modules)


class InceptionV3(nn.Module):
    """The layers up to the auxiliary classifier, that classifier if asked for, and the rest."""

    def __init__(self, num_classes: int, in_channels: int, aux: bool) -> None:
        super().__init__()
        self.features = _up_to_17x17(in_channels)
        self.aux = _auxiliary(num_classes) if aux else None
        self.top = _from_17x17(num_classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.features(x)
        scores: Tensor = self.top(x)
        if self.aux is None or not self.training:
            return scores
        return scores, self.aux(x)


def _up_to_17x17(in_channels: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=Convolutions(in_channels, *STEM),
        pool1=nn.MaxPool2d(kernel_size=3, stride=2),
        stem_4a=Convolutions(64, *STEM_4A),
        pool2=nn.MaxPool2d(kernel_size=3, stride=2),
    )
    channels = 192
    for letter, pool_filters in zip("bcd", POOL_FILTERS, strict=True):
        layers[f"mixed_5{letter}"] = InceptionA(channels, pool_filters)
        channels = 64 + 64 + 96 + pool_filters
    layers["mixed_6a"] = GridReduction(
        channels,
        (Conv(384, 3, 2, "valid"),),
        (Conv(64, 1), Conv(96, 3), Conv(96, 3, 2, "valid")),
    )
    for letter, filters in zip("bcde", FILTERS_7X7, strict=True):
        layers[f"mixed_6{letter}"] = InceptionB(768, filters)
    return nn.Sequential(layers)


def _from_17x17(num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            mixed_7a=GridReduction(
                768,
                (Conv(192, 1), Conv(320, 3, 2, "valid")),
                (
                    Conv(192, 1),
                    Conv(192, (1, 7)),
                    Conv(192, (7, 1)),
                    Conv(192, 3, 2, "valid"),
                ),
            ),
            mixed_7b=InceptionC(1280),
            mixed_7c=InceptionC(2048),
            pool=nn.AdaptiveAvgPool2d(1),
            dropout=nn.Dropout(0.5),
            flatten=nn.Flatten(),
            fc=nn.Linear(2048, num_classes),
        )
    )


def _auxiliary(num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AvgPool2d(kernel_size=5, stride=3),
        Convolutions(768, Conv(128, 1), Conv(768, 5, 1, "valid")),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(768, num_classes),
    )
