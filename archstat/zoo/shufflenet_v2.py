"""ShuffleNet v2: channel splits and equal widths, after four guidelines for fast networks.

N. Ma, X. Zhang, H.-T. Zheng and J. Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN
Architecture Design", 2018, arXiv:1807.11164. The default is the authors' code, which gives the
paper's counts: in a unit of stride 2 the first branch keeps its channels, and the classifier has
no bias. torchvision's two branches are equally wide instead, and its classifier has a bias.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v3 import SqueezeExcitation
from archstat.zoo.options import one_of, positive
from archstat.zoo.shufflenet_v1 import ChannelShuffle

FAMILY = Family(title="ShuffleNet v2", year=2018, paper="arXiv:1807.11164", category="lightweight")

Layout = Literal["paper", "torchvision"]

# Table 5: channels of stages 2 to 4 and of conv5; units of the stages. The two smallest are not
# in the paper but in PaddleClas.
X0_25 = (24, 48, 96, 512)
X0_33 = (32, 64, 128, 512)
X0_5 = (48, 96, 192, 1024)
X1_0 = (116, 232, 464, 1024)
X1_5 = (176, 352, 704, 1024)
X2_0 = (244, 488, 976, 2048)
UNITS = (4, 8, 4)
# Appendix: channels of stages 2 to 5 and of conv6; units of the stages; filters of the 3x3 stem
LARGE_50 = (244, 488, 976, 1952, 2048)
UNITS_50 = (3, 4, 6, 3)
STEM_50 = (64,)
LARGE_164 = (340, 680, 1360, 2720, 2048)
UNITS_164 = (10, 10, 23, 10)
STEM_164 = (64, 64, 128)


def shufflenet_v2_x0_25(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ShuffleNet v2 0.25x of PaddleClas, which has torchvision's units and a bias."""
    return _small(X0_25, num_classes, in_channels, "torchvision", bias=True)


def shufflenet_v2_x0_33(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ShuffleNet v2 0.33x of PaddleClas, which has torchvision's units and a bias."""
    return _small(X0_33, num_classes, in_channels, "torchvision", bias=True)


def shufflenet_v2_x0_5(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    layout: Layout = "paper",
    last: int = X0_5[-1],
    bias: bool = False,
) -> nn.Module:
    """ShuffleNet v2 0.5x; `last` is the width of conv5, `bias` the classifier's."""
    return _small((*X0_5[:-1], last), num_classes, in_channels, layout, bias)


def shufflenet_v2_x1_0(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    layout: Layout = "paper",
    last: int = X1_0[-1],
    bias: bool = False,
) -> nn.Module:
    """ShuffleNet v2 1x; `last` is the width of conv5, `bias` the classifier's."""
    return _small((*X1_0[:-1], last), num_classes, in_channels, layout, bias)


def shufflenet_v2_x1_5(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    layout: Layout = "paper",
    last: int = X1_5[-1],
    bias: bool = False,
) -> nn.Module:
    """ShuffleNet v2 1.5x; `last` is the width of conv5, `bias` the classifier's."""
    return _small((*X1_5[:-1], last), num_classes, in_channels, layout, bias)


def shufflenet_v2_x2_0(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    layout: Layout = "paper",
    last: int = X2_0[-1],
    bias: bool = False,
) -> nn.Module:
    """ShuffleNet v2 2x; `last` is the width of conv5, `bias` the classifier's."""
    return _small((*X2_0[:-1], last), num_classes, in_channels, layout, bias)


def shufflenet_v2_50(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ShuffleNet v2-50, the large network of the appendix."""
    units = _units(STEM_50[-1], LARGE_50, UNITS_50)
    return _network(STEM_50, units, LARGE_50, num_classes, in_channels)


def se_shufflenet_v2_164(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """SE-ShuffleNet v2-164 of the appendix, with gates and residual connections.

    Where the gates stand and how far they squeeze is inferred: from all channels of a unit to
    half of them, which gives the published 12.7 G.
    """
    units = _units(STEM_164[-1], LARGE_164, UNITS_164, gated=True, residual=True)
    return _network(STEM_164, units, LARGE_164, num_classes, in_channels)


class ShuffleV2Unit(nn.Module):
    """A branch of a 1x1, a depthwise 3x3 and a 1x1 beside half of the channels, then shuffled.

    Where the unit changes the shape, the branch sees all channels, and beside it stands a
    depthwise 3x3 and a 1x1 to `kept` channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        kept: int,
        *,
        gated: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.splits = stride == 1 and in_channels == out_channels
        self.residual = residual and self.splits
        half = out_channels // 2
        self.shortcut: nn.Module = nn.Identity()
        if self.splits:
            in_channels = kept = half
        else:
            self.shortcut = nn.Sequential(
                *_depthwise(in_channels, stride), *_pointwise(in_channels, kept)
            )
        self.branch = nn.Sequential(
            *_pointwise(in_channels, half),
            *_depthwise(half, stride),
            *_pointwise(half, out_channels - kept),
        )
        self.gate: nn.Module = nn.Identity()
        if gated:
            self.gate = SqueezeExcitation(out_channels, half, gate=nn.Sigmoid)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1) if self.splits else (x, x)
        y = self.branch(right)
        if self.residual:
            y = y + right
        y = self.gate(torch.cat((self.shortcut(left), y), dim=1))
        shuffled: Tensor = self.shuffle(y)
        return shuffled


def _small(
    widths: tuple[int, ...], num_classes: int, in_channels: int, layout: Layout, bias: bool
) -> nn.Module:
    one_of("layout", layout, ("paper", "torchvision"))
    one_of("bias", bias, (False, True))
    positive("last", widths[-1])
    equal = layout == "torchvision"
    units = _units(24, widths, UNITS, equal=equal)
    return _network((24,), units, widths, num_classes, in_channels, bias=bias or equal)


def _network(
    stem: tuple[int, ...],
    units: OrderedDict[str, nn.Module],
    widths: tuple[int, ...],
    num_classes: int,
    in_channels: int,
    *,
    bias: bool = False,
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    *_, channels, last = widths
    first: list[nn.Module] = []
    for index, (before, filters) in enumerate(pairwise((in_channels, *stem))):
        first += [
            nn.Conv2d(before, filters, 3, 2 if index == 0 else 1, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Sequential(*first),
            maxpool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            **units,
            last=nn.Sequential(*_pointwise(channels, last)),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(last, num_classes, bias=bias),
        )
    )


def _units(
    channels: int,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    *,
    equal: bool = False,
    gated: bool = False,
    residual: bool = False,
) -> OrderedDict[str, nn.Module]:
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, (out_channels, depth) in enumerate(zip(widths, depths, strict=False), start=2):
        units = []
        for index in range(depth):
            # the large networks have a stage more, which keeps the resolution of the pooling
            halves = index == 0 and (stage > 2 or len(depths) == len(UNITS))
            units.append(
                ShuffleV2Unit(
                    channels,
                    out_channels,
                    stride=2 if halves else 1,
                    kept=out_channels // 2 if equal else channels,
                    gated=gated,
                    residual=residual,
                )
            )
            channels = out_channels
        stages[f"stage{stage}"] = nn.Sequential(*units)
    return stages


def _pointwise(in_channels: int, filters: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_channels, filters, 1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(inplace=True),
    )


def _depthwise(channels: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
    )
