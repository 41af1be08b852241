"""Network in Network: small perceptrons slide over the map, and an average takes the place of fc.

M. Lin, Q. Chen and S. Yan, "Network In Network", 2013, arXiv:1312.4400. The layer tables are
those of the authors' Caffe models; the paper prints none.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(
    title="Network in Network",
    year=2013,
    paper="arXiv:1312.4400",
    category="spatial",
    input="3x32x32",
    inputs=MappingProxyType({"nin_imagenet": "3x224x224"}),
)


def nin_cifar10(*, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """NiN for CIFAR-10: three mlpconv layers."""
    return _cifar(num_classes, in_channels)


def nin_cifar100(*, num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """NiN for CIFAR-100: the last layer has a map for each of the classes."""
    return _cifar(num_classes, in_channels)


def nin_imagenet(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """NiN for ImageNet: four mlpconv layers, 29 MB of weights."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    return nn.Sequential(
        MLPConv(in_channels, (96, 96, 96), kernel=11, stride=4),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        MLPConv(96, (256, 256, 256), kernel=5, padding=2),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        MLPConv(256, (384, 384, 384), kernel=3, padding=1),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        nn.Dropout(0.5),
        MLPConv(384, (1024, 1024, num_classes), kernel=3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class MLPConv(nn.Sequential):
    """A convolution and two 1x1 convolutions: a perceptron of three layers at every position."""

    def __init__(
        self,
        in_channels: int,
        filters: tuple[int, int, int],
        kernel: int,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        first, second, third = filters
        super().__init__(
            nn.Conv2d(in_channels, first, kernel, stride, padding),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, third, kernel_size=1),
            nn.ReLU(inplace=True),
        )


def _cifar(num_classes: int, in_channels: int) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    return nn.Sequential(
        MLPConv(in_channels, (192, 160, 96), kernel=5, padding=2),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        nn.Dropout(0.5),
        MLPConv(96, (192, 192, 192), kernel=5, padding=2),
        nn.AvgPool2d(kernel_size=3, stride=2, padding=1),
        nn.Dropout(0.5),
        MLPConv(192, (192, 192, num_classes), kernel=3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
