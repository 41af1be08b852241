"""DenseNet for CIFAR: three dense blocks on 32x32 images, plain and BC.

G. Huang, Z. Liu, L. van der Maaten and K. Weinberger, "Densely Connected Convolutional
Networks", 2016, arXiv:1608.06993. A name holds the layers and the growth rate k. The plain
networks start from 16 filters and have neither bottleneck nor compression; BC starts from 2k,
has a bottleneck in every layer, and its transitions keep half of the channels.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.zoo.densenet import DenseNet
from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(
    title="DenseNet (CIFAR)",
    year=2016,
    paper="arXiv:1608.06993",
    category="multi-path",
    input="3x32x32",
)


def densenet_40_k12_cifar10(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    growth: int = 12,
    compression: float = 1.0,
    first_filters: int = 16,
) -> nn.Module:
    """DenseNet (L=40, k=12)."""
    return _plain(40, num_classes, in_channels, growth, compression, first_filters)


def densenet_100_k12_cifar10(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    growth: int = 12,
    compression: float = 1.0,
    first_filters: int = 16,
) -> nn.Module:
    """DenseNet (L=100, k=12)."""
    return _plain(100, num_classes, in_channels, growth, compression, first_filters)


def densenet_100_k24_cifar10(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    growth: int = 24,
    compression: float = 1.0,
    first_filters: int = 16,
) -> nn.Module:
    """DenseNet (L=100, k=24)."""
    return _plain(100, num_classes, in_channels, growth, compression, first_filters)


def densenet_bc_40_k12_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, growth: int = 12, compression: float = 0.5
) -> nn.Module:
    """DenseNet-BC (L=40, k=12)."""
    return _bc(40, num_classes, in_channels, growth, compression)


def densenet_bc_40_k24_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, growth: int = 24, compression: float = 0.5
) -> nn.Module:
    """DenseNet-BC (L=40, k=24)."""
    return _bc(40, num_classes, in_channels, growth, compression)


def densenet_bc_40_k36_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, growth: int = 36, compression: float = 0.5
) -> nn.Module:
    """DenseNet-BC (L=40, k=36)."""
    return _bc(40, num_classes, in_channels, growth, compression)


def densenet_bc_100_k12_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, growth: int = 12, compression: float = 0.5
) -> nn.Module:
    """DenseNet-BC (L=100, k=12)."""
    return _bc(100, num_classes, in_channels, growth, compression)


def densenet_bc_250_k24_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, growth: int = 24, compression: float = 0.5
) -> nn.Module:
    """DenseNet-BC (L=250, k=24)."""
    return _bc(250, num_classes, in_channels, growth, compression)


def densenet_bc_190_k40_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, growth: int = 40, compression: float = 0.5
) -> nn.Module:
    """DenseNet-BC (L=190, k=40)."""
    return _bc(190, num_classes, in_channels, growth, compression)


def _plain(
    layers: int,
    num_classes: int,
    in_channels: int,
    growth: int,
    compression: float,
    first_filters: int,
) -> nn.Module:
    positive("growth", growth)
    depths = ((layers - 4) // 3,) * 3
    return DenseNet(
        _stem(in_channels, first_filters),
        first_filters,
        depths,
        growth,
        num_classes,
        bottleneck=False,
        compression=compression,
    )


def _bc(
    layers: int, num_classes: int, in_channels: int, growth: int, compression: float
) -> nn.Module:
    positive("growth", growth)
    # a layer with a bottleneck counts as two
    depths = ((layers - 4) // 6,) * 3
    stem = _stem(in_channels, 2 * growth)
    return DenseNet(stem, 2 * growth, depths, growth, num_classes, compression=compression)


def _stem(in_channels: int, first_filters: int) -> nn.Sequential:
    positive("in_channels", in_channels)
    positive("first_filters", first_filters)
    convolution = nn.Conv2d(in_channels, first_filters, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution))
