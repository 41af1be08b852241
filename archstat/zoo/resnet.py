"""ResNet: depth made trainable by identity shortcuts.

K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", 2015,
arXiv:1512.03385, with projection shortcuts where the shape changes (option B).

The paper puts the stride of a bottleneck on its first 1x1 convolution (`stride="first"`). The
default puts it on the 3x3, as torchvision does and most published weights: the parameters are
the same, the multiply-accumulates are not.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar, Literal

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive

FAMILY = Family(title="ResNet", year=2015, paper="arXiv:1512.03385", category="depth")

StridePlace = Literal["3x3", "first"]

# Table 1, stages conv2_x to conv5_x: filters of the 3x3 convolutions, and each network's blocks
FILTERS = (64, 128, 256, 512)
BLOCKS_18 = (2, 2, 2, 2)
BLOCKS_34 = (3, 4, 6, 3)
BLOCKS_50 = (3, 4, 6, 3)
BLOCKS_101 = (3, 4, 23, 3)
BLOCKS_152 = (3, 8, 36, 3)


def resnet18(
    *, num_classes: int = 1000, in_channels: int = 3, stride: StridePlace = "3x3"
) -> nn.Module:
    """ResNet-18, of basic blocks: `stride` may be given and changes nothing."""
    return _resnet(BasicBlock, BLOCKS_18, num_classes, in_channels, stride)


def resnet34(
    *, num_classes: int = 1000, in_channels: int = 3, stride: StridePlace = "3x3"
) -> nn.Module:
    """ResNet-34, of basic blocks: `stride` may be given and changes nothing."""
    return _resnet(BasicBlock, BLOCKS_34, num_classes, in_channels, stride)


def resnet50(
    *, num_classes: int = 1000, in_channels: int = 3, stride: StridePlace = "3x3"
) -> nn.Module:
    """ResNet-50, of bottlenecks."""
    return _resnet(Bottleneck, BLOCKS_50, num_classes, in_channels, stride)


def resnet101(
    *, num_classes: int = 1000, in_channels: int = 3, stride: StridePlace = "3x3"
) -> nn.Module:
    """ResNet-101, of bottlenecks."""
    return _resnet(Bottleneck, BLOCKS_101, num_classes, in_channels, stride)


def resnet152(
    *, num_classes: int = 1000, in_channels: int = 3, stride: StridePlace = "3x3"
) -> nn.Module:
    """ResNet-152, of bottlenecks."""
    return _resnet(Bottleneck, BLOCKS_152, num_classes, in_channels, stride)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first takes the stride, wherever `place` says."""

    expansion: ClassVar[int] = 1

    def __init__(
        self, in_channels: int, filters: int, stride: int, place: StridePlace = "3x3"
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            OrderedDict(
                conv1=_convolution(in_channels, filters, 3, stride),
                bn1=nn.BatchNorm2d(filters),
                relu1=nn.ReLU(inplace=True),
                conv2=_convolution(filters, filters, 3),
                bn2=nn.BatchNorm2d(filters),
            )
        )
        self.shortcut = _shortcut(in_channels, filters, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        y = self.relu(y)
        return y


class Bottleneck(nn.Module):
    """A 1x1 that reduces, a 3x3, a 1x1 that restores, and a shortcut."""

    expansion: ClassVar[int] = 4

    def __init__(
        self, in_channels: int, filters: int, stride: int, place: StridePlace = "3x3"
    ) -> None:
        super().__init__()
        out_channels = self.expansion * filters
        first, second = (stride, 1) if place == "first" else (1, stride)
        self.residual = nn.Sequential(
            OrderedDict(
                conv1=_convolution(in_channels, filters, 1, first),
                bn1=nn.BatchNorm2d(filters),
                relu1=nn.ReLU(inplace=True),
                conv2=_convolution(filters, filters, 3, second),
                bn2=nn.BatchNorm2d(filters),
                relu2=nn.ReLU(inplace=True),
                conv3=_convolution(filters, out_channels, 1),
                bn3=nn.BatchNorm2d(out_channels),
            )
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        y = self.relu(y)
        return y


def _convolution(in_channels: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, filters, kernel, stride, padding=kernel // 2, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        OrderedDict(
            conv=_convolution(in_channels, out_channels, 1, stride),
            bn=nn.BatchNorm2d(out_channels),
        )
    )


def _resnet(
    block: type[BasicBlock] | type[Bottleneck],
    depths: tuple[int, ...],
    num_classes: int,
    in_channels: int,
    place: StridePlace,
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("stride", place, ("3x3", "first"))
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    channels = 64
    for stage, (filters, depth) in enumerate(zip(FILTERS, depths, strict=True), start=2):
        blocks = []
        for index in range(depth):
            # the max pooling has already halved the input of conv2_x
            stride = 2 if index == 0 and stage > 2 else 1
            blocks.append(block(channels, filters, stride, place))
            channels = block.expansion * filters
        layers[f"conv{stage}_x"] = nn.Sequential(*blocks)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)
