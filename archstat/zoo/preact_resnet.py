"""Pre-activation ResNet (v2): normalise and activate before each convolution, add and be done.

K. He, X. Zhang, S. Ren and J. Sun, "Identity Mappings in Deep Residual Networks", 2016,
arXiv:1603.05027. A shortcut is the identity, or where the shape changes a 1x1 convolution of
the activated input; the sum is not activated.

The stride of a bottleneck is on its 3x3 convolution, as in the authors' ResNet-200, or on the
first 1x1 (`stride="first"`). The stem is activated, and so is the input of every unit.
TF-slim's resnet_v2 (`layout="slim"`) halves the map in the last unit of a stage.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive
from archstat.zoo.resnet import (
    BLOCKS_18,
    BLOCKS_34,
    BLOCKS_50,
    BLOCKS_101,
    BLOCKS_152,
    FILTERS,
    SamePool,
    StridePlace,
    strides,
)

FAMILY = Family(title="ResNet v2", year=2016, paper="arXiv:1603.05027", category="depth")

BLOCKS_200 = (3, 24, 36, 3)

Layout = Literal["paper", "slim"]


def preact_resnet18(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Pre-activation ResNet-18, of basic blocks."""
    return _preact_resnet(PreactBasicBlock, BLOCKS_18, num_classes, in_channels)


def preact_resnet34(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Pre-activation ResNet-34, of basic blocks."""
    return _preact_resnet(PreactBasicBlock, BLOCKS_34, num_classes, in_channels)


def preact_resnet50(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    layout: Layout = "paper",
) -> nn.Module:
    """Pre-activation ResNet-50, of bottlenecks."""
    return _of_bottlenecks(stride, BLOCKS_50, num_classes, in_channels, layout)


def preact_resnet101(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    layout: Layout = "paper",
) -> nn.Module:
    """Pre-activation ResNet-101, of bottlenecks."""
    return _of_bottlenecks(stride, BLOCKS_101, num_classes, in_channels, layout)


def preact_resnet152(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    layout: Layout = "paper",
) -> nn.Module:
    """Pre-activation ResNet-152, of bottlenecks."""
    return _of_bottlenecks(stride, BLOCKS_152, num_classes, in_channels, layout)


def preact_resnet200(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    layout: Layout = "paper",
) -> nn.Module:
    """Pre-activation ResNet-200, of bottlenecks."""
    return _of_bottlenecks(stride, BLOCKS_200, num_classes, in_channels, layout)


class Activation(nn.Sequential):
    """Batch normalisation, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(OrderedDict(bn=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True)))


class PreactBasicBlock(nn.Module):
    """Two pre-activated 3x3 convolutions and a shortcut.

    With `preactivate=False` the input comes activated; dropout, if any, is between the two.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        filters: int,
        stride: int,
        *,
        preactivate: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.preact = Activation(in_channels) if preactivate else nn.Identity()
        self.residual = nn.Sequential(
            OrderedDict(
                conv1=_convolution(in_channels, filters, 3, stride),
                bn2=nn.BatchNorm2d(filters),
                relu2=nn.ReLU(inplace=True),
                dropout=nn.Dropout(dropout) if dropout else nn.Identity(),
                conv2=_convolution(filters, filters, 3),
            )
        )
        self.projection = _projection(in_channels, filters, stride)

    def forward(self, x: Tensor) -> Tensor:
        a = self.preact(x)
        y: Tensor = self.residual(a)
        y += x if self.projection is None else self.projection(a)
        return y


class PreactBottleneck(nn.Module):
    """A pre-activated 1x1 that reduces, 3x3, and 1x1 that restores, and a shortcut.

    With `preactivate=False` the input comes activated. With `subsamples` a shortcut that keeps
    its channels but not its size leaves pixels out, as in TF-slim, in place of a convolution.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        in_channels: int,
        filters: int,
        stride: int,
        place: StridePlace = "3x3",
        *,
        preactivate: bool = True,
        subsamples: bool = False,
    ) -> None:
        super().__init__()
        out_channels = self.expansion * filters
        first, second = (stride, 1) if place == "first" else (1, stride)
        self.preact = Activation(in_channels) if preactivate else nn.Identity()
        self.residual = nn.Sequential(
            OrderedDict(
                conv1=_convolution(in_channels, filters, 1, first),
                bn2=nn.BatchNorm2d(filters),
                relu2=nn.ReLU(inplace=True),
                conv2=_convolution(filters, filters, 3, second),
                bn3=nn.BatchNorm2d(filters),
                relu3=nn.ReLU(inplace=True),
                conv3=_convolution(filters, out_channels, 1),
            )
        )
        narrows = subsamples and in_channels == out_channels
        self.projection = (
            nn.MaxPool2d(1, stride)
            if narrows and stride > 1
            else _projection(in_channels, out_channels, stride)
        )
        # pixels are left out of the input itself, convolutions see it activated
        self.subsamples = isinstance(self.projection, nn.MaxPool2d)

    def forward(self, x: Tensor) -> Tensor:
        a = self.preact(x)
        y: Tensor = self.residual(a)
        shortcut = x if self.projection is None or self.subsamples else a
        y += shortcut if self.projection is None else self.projection(shortcut)
        return y


def _preact_resnet(
    block: Callable[[int, int, int], PreactBasicBlock | PreactBottleneck],
    depths: tuple[int, ...],
    num_classes: int,
    in_channels: int,
    layout: Layout = "paper",
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False),
        act1=Activation(64),
        maxpool=SamePool() if layout == "slim" else nn.MaxPool2d(3, stride=2, padding=1),
    )
    channels = 64
    for stage, (filters, depth) in enumerate(zip(FILTERS, depths, strict=True), start=2):
        blocks = []
        for stride in strides(stage, depth, slim=layout == "slim"):
            blocks.append(block(channels, filters, stride))
            channels = blocks[-1].expansion * filters
        layers[f"conv{stage}_x"] = nn.Sequential(*blocks)
    layers["act"] = Activation(channels)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)


def _of_bottlenecks(
    place: StridePlace,
    depths: tuple[int, ...],
    num_classes: int,
    in_channels: int,
    layout: Layout,
) -> nn.Module:
    one_of("stride", place, ("3x3", "first"))
    one_of("layout", layout, ("paper", "slim"))
    block = partial(PreactBottleneck, place=place, subsamples=layout == "slim")
    return _preact_resnet(block, depths, num_classes, in_channels, layout)


def _convolution(in_channels: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, filters, kernel, stride, padding=kernel // 2, bias=False)


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return _convolution(in_channels, out_channels, 1, stride)
