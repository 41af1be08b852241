"""ShuffleNet v1: grouped 1x1 convolutions, and a channel shuffle that lets the groups meet.

X. Zhang, X. Zhou, M. Lin and J. Sun, "ShuffleNet: An Extremely Efficient Convolutional Neural
Network for Mobile Devices", 2017, arXiv:1707.01083. Scaled widths follow the authors' code, and
are multiples of the groups: its first layer has 24 filters up to 1.5x, and 48 at 2x.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive, positive_factor

FAMILY = Family(title="ShuffleNet v1", year=2017, paper="arXiv:1707.01083", category="lightweight")

Groups = Literal[1, 2, 3, 4, 8]

# Table 1: channels of stage 2 for each number of groups, doubled by each later stage; units
FIRST_FILTERS = 24
STAGE2 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
UNITS = (4, 8, 4)


def shufflenet_v1(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    groups: Groups = 3,
    scale: float = 1.0,
    bias: bool = True,
) -> nn.Module:
    """ShuffleNet v1; `scale` multiplies the channels, `groups` is of the 1x1 convolutions.

    `bias` is the classifier's; the authors' later code has none.
    """
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("groups", groups, tuple(STAGE2))
    one_of("bias", bias, (False, True))
    stage2 = _stage2_channels(groups, scale)
    channels = _first_filters(groups, scale, stage2)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        bn1=nn.BatchNorm2d(channels),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    for stage, repeats in enumerate(UNITS, start=2):
        out_channels = stage2 * 2 ** (stage - 2)
        units = []
        for index in range(repeats):
            stride = 2 if index == 0 else 1
            # the input of stage 2 has too few channels to be grouped
            first_groups = 1 if stage == 2 and index == 0 else groups
            units.append(ShuffleUnit(channels, out_channels, stride, groups, first_groups))
            channels = out_channels
        layers[f"stage{stage}"] = nn.Sequential(*units)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes, bias=bias)
    return nn.Sequential(layers)


class ShuffleUnit(nn.Module):
    """A grouped 1x1, a shuffle, a depthwise 3x3 and a grouped 1x1, around a shortcut.

    With stride 2 the shortcut is an average pooling, and its channels stand beside the new ones.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        groups: int,
        first_groups: int | None = None,
    ) -> None:
        super().__init__()
        reduced = _multiple(out_channels / 4, groups)
        restored = out_channels if stride == 1 else out_channels - in_channels
        self.residual = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(in_channels, reduced, 1, groups=first_groups or groups, bias=False),
                bn1=nn.BatchNorm2d(reduced),
                relu1=nn.ReLU(inplace=True),
                shuffle=ChannelShuffle(groups),
                depthwise=nn.Conv2d(
                    reduced, reduced, 3, stride, padding=1, groups=reduced, bias=False
                ),
                bn2=nn.BatchNorm2d(reduced),
                conv3=nn.Conv2d(reduced, restored, 1, groups=groups, bias=False),
                bn3=nn.BatchNorm2d(restored),
            )
        )
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y = y + x if self.pool is None else torch.cat((self.pool(x), y), dim=1)
        y = self.relu(y)
        return y


class ChannelShuffle(nn.Module):
    """The channels of all groups in turn: the first of each, then the second of each, ..."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            return x
        batch, channels, *size = x.shape
        groups = x.reshape(batch, self.groups, channels // self.groups, *size)
        return groups.transpose(1, 2).flatten(1, 2)


def _stage2_channels(groups: int, scale: float) -> int:
    positive_factor("scale", scale)
    return round(STAGE2[groups] * scale / groups) * groups


def _first_filters(groups: int, scale: float, stage2: int) -> int:
    # below 1x the first layer shrinks as well, above it grows by whole steps alone
    filters = _multiple(FIRST_FILTERS * (scale if scale < 1 else int(scale)), groups)
    if filters >= stage2:
        raise OptionError(
            f"scale={scale!r} leaves no channel for the first unit of stage 2 beside its input's "
            f"{filters}: give a larger scale than {filters / STAGE2[groups]:.2g}."
        )
    return filters


def _multiple(channels: float, groups: int) -> int:
    """The least multiple of the groups that is not below a number of channels."""
    return math.ceil(channels / groups) * groups
