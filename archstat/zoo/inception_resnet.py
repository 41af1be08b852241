"""Inception-ResNet v1 and v2: Inception modules as residual branches.

C. Szegedy, S. Ioffe, V. Vanhoucke and A. Alemi, "Inception-v4, Inception-ResNet and the Impact
of Residual Connections on Learning", 2016, arXiv:1602.07261.

`inception_resnet_v2` is the network that the authors released and everyone counts: twice as
many units as the paper draws, behind Inception v3's stem. `layout=paper` is the one drawn.
`inception_resnet_v1` is the paper's; `layout=facenet` has one more unit C, and an embedding of
512 between the pooling and the classifier, as in FaceNet.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.googlenet import FilterConcat
from archstat.zoo.inception_v3 import (
    STEM,
    STEM_4A,
    Conv,
    Convolutions,
    GridReduction,
    ProjectedPool,
)
from archstat.zoo.inception_v4 import Stem
from archstat.zoo.options import one_of, positive

FAMILY = Family(
    title="Inception-ResNet",
    year=2016,
    paper="arXiv:1602.07261",
    category="depth",
    input="3x299x299",
)

Branches = tuple[tuple[Conv, ...], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Residual units on one size of map, and the reduction behind them, if any.

    `linear_last`: the last unit adds its branch unscaled, and has no ReLU.
    """

    units: int
    scale: float
    unit: Branches
    reduction: Branches = ()
    linear_last: bool = False


# Figures 10 to 13, and 7 with k, l, m, n = 192, 192, 256, 384
V1 = (
    Stage(
        5,
        0.17,
        ((Conv(32, 1),), (Conv(32, 1), Conv(32, 3)), (Conv(32, 1), Conv(32, 3), Conv(32, 3))),
        ((Conv(384, 3, 2, "valid"),), (Conv(192, 1), Conv(192, 3), Conv(256, 3, 2, "valid"))),
    ),
    Stage(
        10,
        0.10,
        ((Conv(128, 1),), (Conv(128, 1), Conv(128, (1, 7)), Conv(128, (7, 1)))),
        (
            (Conv(256, 1), Conv(384, 3, 2, "valid")),
            (Conv(256, 1), Conv(256, 3, 2, "valid")),
            (Conv(256, 1), Conv(256, 3), Conv(256, 3, 2, "valid")),
        ),
    ),
    Stage(5, 0.20, ((Conv(192, 1),), (Conv(192, 1), Conv(192, (1, 3)), Conv(192, (3, 1))))),
)
V1_STEM = (Conv(80, 1), Conv(192, 3, 1, "valid"), Conv(256, 3, 2, "valid"))
# Figures 16 to 19, and 7 with k, l, m, n = 256, 256, 384, 384; the paper draws half the units
V2 = (
    Stage(
        10,
        0.17,
        ((Conv(32, 1),), (Conv(32, 1), Conv(32, 3)), (Conv(32, 1), Conv(48, 3), Conv(64, 3))),
        ((Conv(384, 3, 2, "valid"),), (Conv(256, 1), Conv(256, 3), Conv(384, 3, 2, "valid"))),
    ),
    Stage(
        20,
        0.10,
        ((Conv(192, 1),), (Conv(128, 1), Conv(160, (1, 7)), Conv(192, (7, 1)))),
        (
            (Conv(256, 1), Conv(384, 3, 2, "valid")),
            (Conv(256, 1), Conv(288, 3, 2, "valid")),
            (Conv(256, 1), Conv(288, 3), Conv(320, 3, 2, "valid")),
        ),
    ),
    Stage(10, 0.20, ((Conv(192, 1),), (Conv(192, 1), Conv(224, (1, 3)), Conv(256, (3, 1))))),
)


def inception_resnet_v1(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Literal["paper", "facenet"] = "paper"
) -> nn.Module:
    """Inception-ResNet v1, as drawn in the paper or as FaceNet has it."""
    one_of("layout", layout, ("paper", "facenet"))
    layers = _start(num_classes, in_channels)
    layers["stem_4a"] = Convolutions(64, *V1_STEM)
    if layout == "paper":
        return _finish(layers, _add_stages(layers, 256, V1), num_classes)
    facenet = (*V1[:2], replace(V1[2], units=6, linear_last=True))
    channels = _add_stages(layers, 256, facenet)
    return _finish(layers, channels, num_classes, embedding=512)


def inception_resnet_v2(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    layout: Literal["released", "paper"] = "released",
) -> nn.Module:
    """Inception-ResNet v2, as released by its authors or as drawn in the paper."""
    one_of("layout", layout, ("released", "paper"))
    layers = _start(num_classes, in_channels)
    if layout == "paper":
        layers = OrderedDict(stem=Stem(in_channels))
        drawn = tuple(replace(stage, units=stage.units // 2) for stage in V2)
        return _finish(layers, _add_stages(layers, 384, drawn), num_classes)
    layers["stem_4a"] = Convolutions(64, *STEM_4A)
    layers["pool2"] = nn.MaxPool2d(kernel_size=3, stride=2)
    layers["mixed_5b"] = Mixed5b(192)
    released = (*V2[:2], replace(V2[2], linear_last=True))
    channels = _add_stages(layers, 320, released)
    layers["conv_7b"] = Convolutions(channels, Conv(1536, 1))
    return _finish(layers, 1536, num_classes)


class Mixed5b(FilterConcat):
    """The one plain Inception module of the released v2, behind the stem."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            branch1=Convolutions(in_channels, Conv(96, 1)),
            branch5=Convolutions(in_channels, Conv(48, 1), Conv(64, 5)),
            branch33=Convolutions(in_channels, Conv(64, 1), Conv(96, 3), Conv(96, 3)),
            pool=ProjectedPool(in_channels, 64, count_include_pad=False),
        )


class InceptionResNet(nn.Module):
    """Branches, a linear 1x1 back to the input's channels, scaled and added to the input."""

    def __init__(
        self, in_channels: int, branches: Branches, scale: float, *, linear: bool = False
    ) -> None:
        super().__init__()
        rows = {f"branch{index}": row for index, row in enumerate(branches, start=1)}
        self.branches = FilterConcat(
            **{name: Convolutions(in_channels, *row) for name, row in rows.items()}
        )
        width = sum(row[-1].filters for row in branches)
        self.linear = nn.Conv2d(width, in_channels, kernel_size=1)
        self.scale = scale
        self.relu = nn.Identity() if linear else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.linear(self.branches(x))
        y: Tensor = self.relu(x + self.scale * residual)
        return y


def _start(num_classes: int, in_channels: int) -> OrderedDict[str, nn.Module]:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    return OrderedDict(
        stem=Convolutions(in_channels, *STEM),
        pool1=nn.MaxPool2d(kernel_size=3, stride=2),
    )


def _add_stages(
    layers: OrderedDict[str, nn.Module], channels: int, stages: tuple[Stage, ...]
) -> int:
    for letter, stage in zip("abc", stages, strict=True):
        units = [InceptionResNet(channels, stage.unit, stage.scale) for _ in range(stage.units)]
        if stage.linear_last:
            units[-1] = InceptionResNet(channels, stage.unit, scale=1.0, linear=True)
        layers[f"inception_resnet_{letter}"] = nn.Sequential(*units)
        if stage.reduction:
            layers[f"reduction_{letter}"] = GridReduction(channels, *stage.reduction)
            channels += sum(rows[-1].filters for rows in stage.reduction)
    return channels


def _finish(
    layers: OrderedDict[str, nn.Module], channels: int, num_classes: int, embedding: int = 0
) -> nn.Module:
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(0.2)
    if embedding:
        layers["embedding"] = nn.Linear(channels, embedding, bias=False)
        layers["bn"] = nn.BatchNorm1d(embedding, eps=1e-3)
    layers["fc"] = nn.Linear(embedding or channels, num_classes)
    return nn.Sequential(layers)
