"""Wide ResNet: fewer layers, more channels.

S. Zagoruyko and N. Komodakis, "Wide Residual Networks", 2016, arXiv:1605.07146. On CIFAR,
WRN-d-k has d layers of pre-activated basic blocks, k times as wide as a ResNet's, with dropout
between the two convolutions where `dropout` asks for it (the paper trains with 0.3). On
ImageNet, a ResNet's bottlenecks have an inner width k times as wide.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from torch import nn

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive
from archstat.zoo.preact_resnet import PreactBasicBlock
from archstat.zoo.preact_resnet_cifar import FILTERS, PreactCifarResNet
from archstat.zoo.resnet import BLOCKS_50, BLOCKS_101, Bottleneck, ResNet, StridePlace

FAMILY = Family(
    title="Wide ResNet",
    year=2016,
    paper="arXiv:1605.07146",
    category="width",
    input="3x32x32",
    inputs=MappingProxyType({"wide_resnet50_2": "3x224x224", "wide_resnet101_2": "3x224x224"}),
)


def wrn16_4_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, widen: int = 4, dropout: float = 0.0
) -> nn.Module:
    """WRN-16-4."""
    return _cifar(16, num_classes, in_channels, widen, dropout)


def wrn16_8_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, widen: int = 8, dropout: float = 0.0
) -> nn.Module:
    """WRN-16-8."""
    return _cifar(16, num_classes, in_channels, widen, dropout)


def wrn16_10_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, widen: int = 10, dropout: float = 0.0
) -> nn.Module:
    """WRN-16-10."""
    return _cifar(16, num_classes, in_channels, widen, dropout)


def wrn28_10_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, widen: int = 10, dropout: float = 0.0
) -> nn.Module:
    """WRN-28-10."""
    return _cifar(28, num_classes, in_channels, widen, dropout)


def wrn40_4_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, widen: int = 4, dropout: float = 0.0
) -> nn.Module:
    """WRN-40-4."""
    return _cifar(40, num_classes, in_channels, widen, dropout)


def wrn40_8_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, widen: int = 8, dropout: float = 0.0
) -> nn.Module:
    """WRN-40-8."""
    return _cifar(40, num_classes, in_channels, widen, dropout)


def wide_resnet50_2(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    widen: int = 2,
    stride: StridePlace = "3x3",
) -> nn.Module:
    """WRN-50-2-bottleneck."""
    return _imagenet(BLOCKS_50, num_classes, in_channels, widen, stride)


def wide_resnet101_2(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    widen: int = 2,
    stride: StridePlace = "3x3",
) -> nn.Module:
    """WRN-101-2-bottleneck."""
    return _imagenet(BLOCKS_101, num_classes, in_channels, widen, stride)


def _cifar(
    layers: int, num_classes: int, in_channels: int, widen: int, dropout: float
) -> nn.Module:
    positive("widen", widen)
    if isinstance(dropout, bool) or not 0 <= dropout < 1:
        raise OptionError(
            f"dropout={dropout!r} is impossible: expected a probability from 0 up to 1, "
            "which would leave nothing; give one, or leave dropout out for none."
        )
    filters = (widen * FILTERS[0], widen * FILTERS[1], widen * FILTERS[2])
    block = partial(PreactBasicBlock, dropout=dropout)
    return PreactCifarResNet(block, (layers - 4) // 6, num_classes, in_channels, filters)


def _imagenet(
    depths: tuple[int, ...], num_classes: int, in_channels: int, widen: int, place: StridePlace
) -> nn.Module:
    positive("widen", widen)
    one_of("stride", place, ("3x3", "first"))
    block = partial(Bottleneck, place=place, group_width=64 * widen)
    return ResNet(block, depths, num_classes, in_channels)
