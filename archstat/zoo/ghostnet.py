"""GhostNet: half of the features from a 1x1 convolution, the other half cheaply from those.

K. Han, Y. Wang, Q. Tian, J. Guo, C. Xu and C. Xu, "GhostNet: More Features from Cheap
Operations", 2019, arXiv:1911.11907.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v2 import Width
from archstat.zoo.mobilenet_v3 import SqueezeExcitation
from archstat.zoo.options import positive

FAMILY = Family(title="GhostNet", year=2019, paper="arXiv:1911.11907", category="lightweight")

# Table 1: kernel of the depthwise convolutions around the stride, #exp, #out, SE, stride
FIRST_FILTERS = 16
BOTTLENECKS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)
LAST_FILTERS = 960
HIDDEN = 1280


def ghostnet(*, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """GhostNet; `width` multiplies the channels, rounded to multiples of 4."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    scaled = Width(width, divisor=4)
    channels = scaled(FIRST_FILTERS)
    features: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
    for kernel, exp, out, squeeze, stride in BOTTLENECKS:
        expanded, filters = scaled(exp), scaled(out)
        gate = SqueezeExcitation(expanded, Width(1 / 4, 4)(expanded)) if squeeze else None
        features.append(GhostBottleneck(channels, expanded, filters, stride, kernel, gate))
        channels = filters
    last_filters = scaled(LAST_FILTERS)
    features += [
        nn.Conv2d(channels, last_filters, 1, bias=False),
        nn.BatchNorm2d(last_filters),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            pool=nn.AdaptiveAvgPool2d(1),
            hidden=nn.Conv2d(last_filters, HIDDEN, 1),
            relu=nn.ReLU(inplace=True),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.2),
            fc=nn.Linear(HIDDEN, num_classes),
        )
    )


class GhostModule(nn.Module):
    """A 1x1 convolution to half of the filters, and a 3x3 of each of these for the other half."""

    def __init__(self, in_channels: int, filters: int, *, relu: bool = True) -> None:
        super().__init__()
        # an odd number of filters makes a ghost too many, which is dropped
        self.filters = filters
        primary = (filters + 1) // 2
        self.primary = nn.Sequential(
            nn.Conv2d(in_channels, primary, 1, bias=False),
            nn.BatchNorm2d(primary),
            *([nn.ReLU(inplace=True)] if relu else []),
        )
        self.cheap = nn.Sequential(
            nn.Conv2d(primary, primary, 3, padding=1, groups=primary, bias=False),
            nn.BatchNorm2d(primary),
            *([nn.ReLU(inplace=True)] if relu else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.primary(x)
        ghosts = torch.cat((y, self.cheap(y)), dim=1)
        return ghosts[:, : self.filters]


class GhostBottleneck(nn.Module):
    """A ghost module that expands, one that narrows, and a shortcut; a stride stands between.

    `gate` weighs the expanded channels before the second module.
    """

    def __init__(
        self,
        in_channels: int,
        expanded: int,
        filters: int,
        stride: int,
        kernel: int = 3,
        gate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(ghost1=GhostModule(in_channels, expanded))
        if stride > 1:
            layers["depthwise"] = _depthwise(expanded, kernel, stride)
            layers["bn"] = nn.BatchNorm2d(expanded)
        if gate is not None:
            layers["gate"] = gate
        layers["ghost2"] = GhostModule(expanded, filters, relu=False)
        self.residual = nn.Sequential(layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != filters:
            self.shortcut = nn.Sequential(
                _depthwise(in_channels, kernel, stride),
                nn.BatchNorm2d(in_channels),
                nn.Conv2d(in_channels, filters, 1, bias=False),
                nn.BatchNorm2d(filters),
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        return y


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False
    )
