"""CBAM: attention to channels, then to places, in every residual block.

S. Woo, J. Park, J. Lee and I. Kweon, "CBAM: Convolutional Block Attention Module", 2018,
arXiv:1807.06521. The stride of a bottleneck is on its first 1x1 convolution, as the paper's
counts need; `stride="3x3"` moves it.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
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
    ResNet,
    StridePlace,
)

FAMILY = Family(title="CBAM", year=2018, paper="arXiv:1807.06521", category="attention")


def cbam_resnet18(
    *, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16, kernel: int = 7
) -> nn.Module:
    """ResNet-18 with CBAM, of basic blocks."""
    block = partial(BasicBlock, gate=partial(CBAM, reduction=reduction, kernel=kernel))
    return ResNet(block, BLOCKS_18, num_classes, in_channels)


def cbam_resnet34(
    *, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16, kernel: int = 7
) -> nn.Module:
    """ResNet-34 with CBAM, of basic blocks."""
    block = partial(BasicBlock, gate=partial(CBAM, reduction=reduction, kernel=kernel))
    return ResNet(block, BLOCKS_34, num_classes, in_channels)


def cbam_resnet50(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    kernel: int = 7,
    stride: StridePlace = "first",
) -> nn.Module:
    """ResNet-50 with CBAM, of bottlenecks."""
    block = _bottleneck(reduction, kernel, stride)
    return ResNet(block, BLOCKS_50, num_classes, in_channels)


def cbam_resnet101(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    kernel: int = 7,
    stride: StridePlace = "first",
) -> nn.Module:
    """ResNet-101 with CBAM, of bottlenecks."""
    block = _bottleneck(reduction, kernel, stride)
    return ResNet(block, BLOCKS_101, num_classes, in_channels)


def cbam_resnet152(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    kernel: int = 7,
    stride: StridePlace = "first",
) -> nn.Module:
    """ResNet-152 with CBAM, of bottlenecks."""
    block = _bottleneck(reduction, kernel, stride)
    return ResNet(block, BLOCKS_152, num_classes, in_channels)


class CBAM(nn.Sequential):
    """A gate for each channel, then one for each place."""

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__(
            OrderedDict(channel=ChannelGate(channels, reduction), spatial=SpatialGate(kernel))
        )


class ChannelGate(nn.Module):
    """A gate for each channel, from one perceptron on both its average and its maximum."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        positive("reduction", reduction)
        if channels % reduction:
            raise OptionError(
                f"reduction={reduction} does not divide the {channels} channels that a gate "
                "weighs: give a divisor of the channels of every block, such as 16."
            )
        self.average = nn.AdaptiveAvgPool2d(1)
        self.maximum = nn.AdaptiveMaxPool2d(1)
        self.perceptron = nn.Sequential(
            OrderedDict(
                fc1=nn.Conv2d(channels, channels // reduction, kernel_size=1),
                relu=nn.ReLU(inplace=True),
                fc2=nn.Conv2d(channels // reduction, channels, kernel_size=1),
            )
        )
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scores = self.perceptron(self.average(x)) + self.perceptron(self.maximum(x))
        weighed: Tensor = x * self.sigmoid(scores)
        return weighed


class SpatialGate(nn.Module):
    """A gate for each place, from a convolution of its maximum and average over channels."""

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        # the two kernels that the paper compares
        one_of("kernel", kernel, (3, 7))
        self.gate = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False),
                bn=nn.BatchNorm2d(1),
                sigmoid=nn.Sigmoid(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat((x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)), dim=1)
        weighed: Tensor = x * self.gate(pooled)
        return weighed


def _bottleneck(reduction: int, kernel: int, place: StridePlace) -> partial[Bottleneck]:
    one_of("stride", place, ("3x3", "first"))
    gate = partial(CBAM, reduction=reduction, kernel=kernel)
    return partial(Bottleneck, place=place, gate=gate)
