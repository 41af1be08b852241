"""SENet: weigh every channel of a residual by what the whole map says.

J. Hu, L. Shen, S. Albanie, G. Sun and E. Wu, "Squeeze-and-Excitation Networks", 2017,
arXiv:1709.01507. The SE-ResNets have the stride of a bottleneck on its first 1x1 convolution,
as the paper's counts need, and take `stride="3x3"`; the SE-ResNeXts have it on the 3x3.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive
from archstat.zoo.resnet import (
    BLOCKS_18,
    BLOCKS_34,
    BLOCKS_50,
    BLOCKS_101,
    BLOCKS_152,
    BasicBlock,
    Bottleneck,
    Gate,
    ResNet,
    StridePlace,
)

FAMILY = Family(title="SENet", year=2017, paper="arXiv:1709.01507", category="feature-map")

BLOCKS_200 = (3, 24, 36, 3)


def seresnet18(*, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16) -> nn.Module:
    """SE-ResNet-18, of basic blocks."""
    block = partial(BasicBlock, gate=_gate(reduction))
    return ResNet(block, BLOCKS_18, num_classes, in_channels)


def seresnet34(*, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16) -> nn.Module:
    """SE-ResNet-34, of basic blocks."""
    block = partial(BasicBlock, gate=_gate(reduction))
    return ResNet(block, BLOCKS_34, num_classes, in_channels)


def seresnet50(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    stride: StridePlace = "first",
) -> nn.Module:
    """SE-ResNet-50, of bottlenecks."""
    return _seresnet(BLOCKS_50, num_classes, in_channels, reduction, stride)


def seresnet101(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    stride: StridePlace = "first",
) -> nn.Module:
    """SE-ResNet-101, of bottlenecks."""
    return _seresnet(BLOCKS_101, num_classes, in_channels, reduction, stride)


def seresnet152(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    stride: StridePlace = "first",
) -> nn.Module:
    """SE-ResNet-152, of bottlenecks."""
    return _seresnet(BLOCKS_152, num_classes, in_channels, reduction, stride)


def seresnet200(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    stride: StridePlace = "first",
) -> nn.Module:
    """SE-ResNet-200, of bottlenecks."""
    return _seresnet(BLOCKS_200, num_classes, in_channels, reduction, stride)


def seresnext50_32x4d(
    *, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16
) -> nn.Module:
    """SE-ResNeXt-50 (32x4d)."""
    block = partial(Bottleneck, groups=32, group_width=4, gate=_gate(reduction))
    return ResNet(block, BLOCKS_50, num_classes, in_channels)


def seresnext101_32x4d(
    *, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16
) -> nn.Module:
    """SE-ResNeXt-101 (32x4d)."""
    block = partial(Bottleneck, groups=32, group_width=4, gate=_gate(reduction))
    return ResNet(block, BLOCKS_101, num_classes, in_channels)


def seresnext101_32x8d(
    *, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16
) -> nn.Module:
    """SE-ResNeXt-101 (32x8d)."""
    block = partial(Bottleneck, groups=32, group_width=8, gate=_gate(reduction))
    return ResNet(block, BLOCKS_101, num_classes, in_channels)


def seresnext101_64x4d(
    *, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16
) -> nn.Module:
    """SE-ResNeXt-101 (64x4d)."""
    block = partial(Bottleneck, groups=64, group_width=4, gate=_gate(reduction))
    return ResNet(block, BLOCKS_101, num_classes, in_channels)


class SqueezeExcitation(nn.Module):
    """A gate from 0 to 1 for each channel, from two fully connected layers on its average."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        positive("reduction", reduction)
        if channels % reduction:
            raise OptionError(
                f"reduction={reduction} does not divide the {channels} channels that a gate "
                "weighs: give a divisor of the channels of every block, such as 16."
            )
        # a fully connected layer on one pixel is a 1x1 convolution
        self.gate = nn.Sequential(
            OrderedDict(
                squeeze=nn.AdaptiveAvgPool2d(1),
                fc1=nn.Conv2d(channels, channels // reduction, kernel_size=1),
                relu=nn.ReLU(inplace=True),
                fc2=nn.Conv2d(channels // reduction, channels, kernel_size=1),
                sigmoid=nn.Sigmoid(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = x * self.gate(x)
        return weighed


def _seresnet(
    depths: tuple[int, ...], num_classes: int, in_channels: int, reduction: int, place: StridePlace
) -> nn.Module:
    one_of("stride", place, ("3x3", "first"))
    block = partial(Bottleneck, place=place, gate=_gate(reduction))
    return ResNet(block, depths, num_classes, in_channels)


def _gate(reduction: int) -> Gate:
    return partial(SqueezeExcitation, reduction=reduction)
