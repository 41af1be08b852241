"""ResNeXt: many groups, the cardinality, instead of more depth or width.

S. Xie, R. Girshick, P. Dollar, Z. Tu and K. He, "Aggregated Residual Transformations for Deep
Neural Networks", 2016, arXiv:1611.05431. A name such as 32x4d reads: 32 groups, each of 4
channels in the first stage and of twice as many in each stage after it.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive
from archstat.zoo.resnet import BLOCKS_50, BLOCKS_101, BLOCKS_152, Bottleneck, ResNet
from archstat.zoo.resnet_cifar import CifarResNet

FAMILY = Family(
    title="ResNeXt",
    year=2016,
    paper="arXiv:1611.05431",
    category="width",
    inputs=MappingProxyType(
        {
            "resnext29_8x64d_cifar10": "3x32x32",
            "resnext29_16x64d_cifar10": "3x32x32",
            "resnext29_32x4d_cifar10": "3x32x32",
        }
    ),
)

# filters of the three stages on CIFAR, to which `group_width` is relative as on ImageNet
CIFAR_FILTERS = (64, 128, 256)


def resnext50_32x4d(
    *, num_classes: int = 1000, in_channels: int = 3, groups: int = 32, group_width: int = 4
) -> nn.Module:
    """ResNeXt-50 (32x4d)."""
    return _imagenet(BLOCKS_50, num_classes, in_channels, groups, group_width)


def resnext101_32x4d(
    *, num_classes: int = 1000, in_channels: int = 3, groups: int = 32, group_width: int = 4
) -> nn.Module:
    """ResNeXt-101 (32x4d)."""
    return _imagenet(BLOCKS_101, num_classes, in_channels, groups, group_width)


def resnext101_32x8d(
    *, num_classes: int = 1000, in_channels: int = 3, groups: int = 32, group_width: int = 8
) -> nn.Module:
    """ResNeXt-101 (32x8d)."""
    return _imagenet(BLOCKS_101, num_classes, in_channels, groups, group_width)


def resnext101_64x4d(
    *, num_classes: int = 1000, in_channels: int = 3, groups: int = 64, group_width: int = 4
) -> nn.Module:
    """ResNeXt-101 (64x4d)."""
    return _imagenet(BLOCKS_101, num_classes, in_channels, groups, group_width)


def resnext152_32x4d(
    *, num_classes: int = 1000, in_channels: int = 3, groups: int = 32, group_width: int = 4
) -> nn.Module:
    """ResNeXt-152 (32x4d)."""
    return _imagenet(BLOCKS_152, num_classes, in_channels, groups, group_width)


def resnext29_8x64d_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, groups: int = 8, group_width: int = 64
) -> nn.Module:
    """ResNeXt-29 (8x64d)."""
    return _cifar(29, num_classes, in_channels, groups, group_width)


def resnext29_16x64d_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, groups: int = 16, group_width: int = 64
) -> nn.Module:
    """ResNeXt-29 (16x64d)."""
    return _cifar(29, num_classes, in_channels, groups, group_width)


def resnext29_32x4d_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, groups: int = 32, group_width: int = 4
) -> nn.Module:
    """ResNeXt-29 (32x4d)."""
    return _cifar(29, num_classes, in_channels, groups, group_width)


def _imagenet(
    depths: tuple[int, ...], num_classes: int, in_channels: int, groups: int, group_width: int
) -> nn.Module:
    return ResNet(_block(groups, group_width), depths, num_classes, in_channels)


def _cifar(
    layers: int, num_classes: int, in_channels: int, groups: int, group_width: int
) -> nn.Module:
    block = _block(groups, group_width)
    return CifarResNet(block, (layers - 2) // 9, num_classes, in_channels, CIFAR_FILTERS)


def _block(groups: int, group_width: int) -> partial[Bottleneck]:
    positive("groups", groups)
    positive("group_width", group_width)
    return partial(Bottleneck, groups=groups, group_width=group_width)
