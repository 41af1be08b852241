"""ConvNeXt: a residual network in the manner of a vision transformer.

Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell and S. Xie, "A ConvNet for the 2020s",
2022, arXiv:2201.03545. Stochastic depth, which costs nothing and exists in training only, is
left out.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(title="ConvNeXt", year=2022, paper="arXiv:2201.03545", category="modern")

# Section 3: channels C and blocks B of the four stages
TINY = ((96, 192, 384, 768), (3, 3, 9, 3))
SMALL = ((96, 192, 384, 768), (3, 3, 27, 3))
BASE = ((128, 256, 512, 1024), (3, 3, 27, 3))
LARGE = ((192, 384, 768, 1536), (3, 3, 27, 3))

EPS = 1e-6


def convnext_tiny(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ConvNeXt-T."""
    return _convnext(*TINY, num_classes, in_channels)


def convnext_small(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ConvNeXt-S, deeper than the tiny one."""
    return _convnext(*SMALL, num_classes, in_channels)


def convnext_base(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ConvNeXt-B, wider than the small one."""
    return _convnext(*BASE, num_classes, in_channels)


def convnext_large(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ConvNeXt-L, twice as wide as the small one."""
    return _convnext(*LARGE, num_classes, in_channels)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7, a layer norm, two 1x1 with GELU between, and a scaled shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # before its submodules, as torchvision's state dict has it
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        # the 1x1 convolutions are linear layers of the last axis
        self.channels_last = nn.Sequential(
            OrderedDict(
                norm=nn.LayerNorm(channels, EPS),
                expand=nn.Linear(channels, 4 * channels),
                gelu=nn.GELU(),
                reduce=nn.Linear(4 * channels, channels),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.channels_last(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.layer_scale * y.permute(0, 3, 1, 2)
        y += x
        return y


class LayerNorm2d(nn.LayerNorm):
    """A layer norm over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _convnext(
    widths: tuple[int, ...], depths: tuple[int, ...], num_classes: int, in_channels: int
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    channels = widths[0]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=4, stride=4),
            LayerNorm2d(channels, EPS),
        )
    )
    for stage, (filters, depth) in enumerate(zip(widths, depths, strict=True), start=2):
        if filters != channels:
            layers[f"downsample{stage}"] = nn.Sequential(
                LayerNorm2d(channels, EPS),
                nn.Conv2d(channels, filters, kernel_size=2, stride=2),
            )
        layers[f"res{stage}"] = nn.Sequential(*(ConvNeXtBlock(filters) for _ in range(depth)))
        channels = filters
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["norm"] = LayerNorm2d(channels, EPS)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)
