"""SqueezeNet: AlexNet's accuracy from fifty times fewer parameters.

F. Iandola et al., "SqueezeNet: AlexNet-level Accuracy with 50x Fewer Parameters and <0.5MB
Model Size", 2016, arXiv:1602.07360. Version 1.1 is the authors' later and cheaper one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive

FAMILY = Family(title="SqueezeNet", year=2016, paper="arXiv:1602.07360", category="lightweight")

Bypass = Literal["none", "simple", "complex"]

# Table 1, fire2 to fire9: filters of the squeeze, filters of each half of the expand
FIRES = (
    (16, 64),
    (16, 64),
    (32, 128),
    (32, 128),
    (48, 192),
    (48, 192),
    (64, 256),
    (64, 256),
)


def squeezenet1_0(
    *, num_classes: int = 1000, in_channels: int = 3, bypass: Bypass = "none"
) -> nn.Module:
    """SqueezeNet 1.0, pooled after conv1, fire4 and fire8.

    `bypass=simple` adds a fire's input to its output where the channels agree; `complex` has a
    1x1 convolution around the other fires too.
    """
    return _squeezenet(96, 7, (4, 8), num_classes, in_channels, bypass)


def squeezenet1_1(
    *, num_classes: int = 1000, in_channels: int = 3, bypass: Bypass = "none"
) -> nn.Module:
    """SqueezeNet 1.1, pooled after conv1, fire3 and fire5; `bypass` as in 1.0."""
    return _squeezenet(64, 3, (3, 5), num_classes, in_channels, bypass)


class Fire(nn.Module):
    """A 1x1 that squeezes; a 1x1 and a 3x3 side by side that expand; and a bypass, if any."""

    def __init__(
        self, in_channels: int, squeeze: int, expand: int, bypass: Bypass = "none"
    ) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, kernel_size=1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, kernel_size=1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, kernel_size=3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.bypass: nn.Module | None = None
        if bypass != "none" and in_channels == 2 * expand:
            self.bypass = nn.Identity()
        elif bypass == "complex":
            self.bypass = nn.Conv2d(in_channels, 2 * expand, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.relu(self.squeeze(x))
        halves = [self.relu(self.expand1x1(squeezed)), self.relu(self.expand3x3(squeezed))]
        y = torch.cat(halves, 1)
        if self.bypass is not None:
            y += self.bypass(x)
        return y


def _squeezenet(
    filters: int,
    kernel: int,
    pooled: tuple[int, ...],
    num_classes: int,
    in_channels: int,
    bypass: Bypass,
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("bypass", bypass, ("none", "simple", "complex"))
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, filters, kernel, stride=2),
        relu1=nn.ReLU(inplace=True),
        pool1=nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
    )
    channels = filters
    for index, (squeeze, expand) in enumerate(FIRES, start=2):
        layers[f"fire{index}"] = Fire(channels, squeeze, expand, bypass)
        if index in pooled:
            layers[f"pool{index}"] = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        channels = 2 * expand
    layers["dropout"] = nn.Dropout(0.5)
    layers["conv10"] = nn.Conv2d(channels, num_classes, kernel_size=1)
    layers["relu10"] = nn.ReLU(inplace=True)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers)
