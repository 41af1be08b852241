"""DenseNet: every layer sees the maps of all layers before it in its block.

G. Huang, Z. Liu, L. van der Maaten and K. Weinberger, "Densely Connected Convolutional
Networks", 2016, arXiv:1608.06993. The ImageNet networks are all of the kind BC: layers have a
bottleneck of four times the growth rate, and transitions compress.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(title="DenseNet", year=2016, paper="arXiv:1608.06993", category="multi-path")

# Table 1: layers of the four dense blocks
BLOCKS_121 = (6, 12, 24, 16)
BLOCKS_161 = (6, 12, 36, 24)
BLOCKS_169 = (6, 12, 32, 32)
BLOCKS_201 = (6, 12, 48, 32)
BLOCKS_264 = (6, 12, 64, 48)


def densenet121(
    *, num_classes: int = 1000, in_channels: int = 3, growth: int = 32, compression: float = 0.5
) -> nn.Module:
    """DenseNet-121."""
    return _imagenet(BLOCKS_121, num_classes, in_channels, growth, compression)


def densenet161(
    *, num_classes: int = 1000, in_channels: int = 3, growth: int = 48, compression: float = 0.5
) -> nn.Module:
    """DenseNet-161."""
    return _imagenet(BLOCKS_161, num_classes, in_channels, growth, compression)


def densenet169(
    *, num_classes: int = 1000, in_channels: int = 3, growth: int = 32, compression: float = 0.5
) -> nn.Module:
    """DenseNet-169."""
    return _imagenet(BLOCKS_169, num_classes, in_channels, growth, compression)


def densenet201(
    *, num_classes: int = 1000, in_channels: int = 3, growth: int = 32, compression: float = 0.5
) -> nn.Module:
    """DenseNet-201."""
    return _imagenet(BLOCKS_201, num_classes, in_channels, growth, compression)


def densenet264(
    *, num_classes: int = 1000, in_channels: int = 3, growth: int = 32, compression: float = 0.5
) -> nn.Module:
    """DenseNet-264."""
    return _imagenet(BLOCKS_264, num_classes, in_channels, growth, compression)


class DenseLayer(nn.Module):
    """A pre-activated 3x3, after a 1x1 if there is a bottleneck, concatenated to its input."""

    def __init__(self, in_channels: int, growth: int, *, bottleneck: bool = True) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_channels
        if bottleneck:
            layers["norm1"] = nn.BatchNorm2d(channels)
            layers["relu1"] = nn.ReLU(inplace=True)
            layers["conv1"] = nn.Conv2d(channels, 4 * growth, kernel_size=1, bias=False)
            channels = 4 * growth
        layers["norm2"] = nn.BatchNorm2d(channels)
        layers["relu2"] = nn.ReLU(inplace=True)
        layers["conv2"] = nn.Conv2d(channels, growth, kernel_size=3, padding=1, bias=False)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.layers(x)), dim=1)


class Transition(nn.Sequential):
    """A pre-activated 1x1 and the pooling between two dense blocks."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__(
            OrderedDict(
                norm=nn.BatchNorm2d(in_channels),
                relu=nn.ReLU(inplace=True),
                conv=nn.Conv2d(in_channels, filters, kernel_size=1, bias=False),
                pool=nn.AvgPool2d(kernel_size=2, stride=2),
            )
        )


class DenseNet(nn.Sequential):
    """A stem of so many channels, dense blocks with transitions between them, a classifier."""

    def __init__(
        self,
        stem: nn.Sequential,
        channels: int,
        depths: tuple[int, ...],
        growth: int,
        num_classes: int,
        *,
        bottleneck: bool = True,
        compression: float = 0.5,
    ) -> None:
        positive("num_classes", num_classes)
        layers: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
        for number, depth in enumerate(depths, start=1):
            block = []
            for _ in range(depth):
                block.append(DenseLayer(channels, growth, bottleneck=bottleneck))
                channels += growth
            layers[f"block{number}"] = nn.Sequential(*block)
            if number < len(depths):
                filters = _compressed(channels, compression)
                layers[f"transition{number}"] = Transition(channels, filters)
                channels = filters
        layers["norm"] = nn.BatchNorm2d(channels)
        layers["relu"] = nn.ReLU(inplace=True)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["classifier"] = nn.Linear(channels, num_classes)
        super().__init__(layers)


def _imagenet(
    depths: tuple[int, ...], num_classes: int, in_channels: int, growth: int, compression: float
) -> nn.Module:
    positive("in_channels", in_channels)
    positive("growth", growth)
    channels = 2 * growth
    stem = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, channels, kernel_size=7, stride=2, padding=3, bias=False),
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
    )
    return DenseNet(stem, channels, depths, growth, num_classes, compression=compression)


def _compressed(channels: int, compression: float) -> int:
    if isinstance(compression, bool) or not 0 < compression <= 1:
        raise OptionError(
            f"compression={compression!r} is impossible: expected the part of the channels that "
            "a transition keeps, above 0 and at most 1; give one, or leave compression out."
        )
    kept = int(channels * compression)
    if kept < 1:
        raise OptionError(
            f"compression={compression!r} leaves no channel of the {channels} in a transition: "
            f"give at least {1 / channels}."
        )
    return kept
