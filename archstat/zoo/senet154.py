"""SENet-154: squeeze-and-excitation on a widened ResNeXt, the winner of ILSVRC 2017.

J. Hu, L. Shen, S. Albanie, G. Sun and E. Wu, "Squeeze-and-Excitation Networks", 2017,
arXiv:1709.01507, appendix. From a 64x4d ResNeXt-152 it differs by a stem of three 3x3
convolutions, first 1x1 convolutions of half the filters, and 3x3 shortcuts where a map shrinks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive
from archstat.zoo.resnet import BLOCKS_152, FILTERS
from archstat.zoo.senet import SqueezeExcitation

FAMILY = Family(title="SENet-154", year=2017, paper="arXiv:1709.01507", category="feature-map")

GROUPS = 64


def senet154(*, num_classes: int = 1000, in_channels: int = 3, reduction: int = 16) -> nn.Module:
    """SENet-154."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(
            *_activated(in_channels, 64, 3, stride=2),
            *_activated(64, 64, 3),
            *_activated(64, 128, 3),
        ),
        maxpool=nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
    )
    channels = 128
    for stage, (filters, depth) in enumerate(zip(FILTERS, BLOCKS_152, strict=True), start=2):
        blocks = []
        for index in range(depth):
            stride = 2 if index == 0 and stage > 2 else 1
            blocks.append(SENetBottleneck(channels, filters, stride, reduction))
            channels = SENetBottleneck.expansion * filters
        layers[f"conv{stage}_x"] = nn.Sequential(*blocks)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(0.2)
    layers["fc"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)


class SENetBottleneck(nn.Module):
    """A 1x1 of half the width, a grouped 3x3, a 1x1, a gate on them, and a shortcut."""

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, filters: int, stride: int, reduction: int = 16) -> None:
        super().__init__()
        width = out_channels = self.expansion * filters
        self.residual = nn.Sequential(
            *_activated(in_channels, width // 2, 1),
            *_activated(width // 2, width, 3, stride, groups=GROUPS),
            *_normalised(width, out_channels, 1),
            SqueezeExcitation(out_channels, reduction),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(*_normalised(in_channels, out_channels, 3, stride))
        elif in_channels != out_channels:
            self.shortcut = nn.Sequential(*_normalised(in_channels, out_channels, 1))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        y = self.relu(y)
        return y


def _normalised(
    in_channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        in_channels, filters, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(filters)]


def _activated(
    in_channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    layers = _normalised(in_channels, filters, kernel, stride, groups)
    return [*layers, nn.ReLU(inplace=True)]
