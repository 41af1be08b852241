"""RegNet: simple networks whose widths and depths follow a line.

I. Radosavovic, R. P. Kosaraju, R. Girshick, K. He and P. Dollar, "Designing Network Design
Spaces", 2020, arXiv:2003.13678. Three of torchvision's networks (X-400MF, Y-800MF, Y-8GF) round
a width, which the groups do not divide, to another multiple: `layout="torchvision"` gives these.
Y-128GF is not the paper's, but torchvision's.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from math import inf, log
from typing import Literal

from torch import Tensor, nn

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v3 import SqueezeExcitation
from archstat.zoo.options import one_of, positive, positive_factor

FAMILY = Family(title="RegNet", year=2020, paper="arXiv:2003.13678", category="modern")

Layout = Literal["paper", "torchvision"]
Widths = tuple[int, int, int, int]

STEM = 32
# figures 15 and 16: blocks and widths of the four stages, group width
X_400MF = ((1, 2, 7, 12), (32, 64, 160, 384), 16)
X_800MF = ((1, 3, 7, 5), (64, 128, 288, 672), 16)
X_1_6GF = ((2, 4, 10, 2), (72, 168, 408, 912), 24)
X_3_2GF = ((2, 6, 15, 2), (96, 192, 432, 1008), 48)
X_4GF = ((2, 5, 14, 2), (80, 240, 560, 1360), 40)
X_6_4GF = ((2, 4, 10, 1), (168, 392, 784, 1624), 56)
X_8GF = ((2, 5, 15, 1), (80, 240, 720, 1920), 120)
X_12GF = ((2, 5, 11, 1), (224, 448, 896, 2240), 112)
X_16GF = ((2, 6, 13, 1), (256, 512, 896, 2048), 128)
X_32GF = ((2, 7, 13, 1), (336, 672, 1344, 2520), 168)
Y_400MF = ((1, 3, 6, 6), (48, 104, 208, 440), 8)
Y_800MF = ((1, 3, 8, 2), (64, 128, 320, 768), 16)
Y_1_6GF = ((2, 6, 17, 2), (48, 120, 336, 888), 24)
Y_3_2GF = ((2, 5, 13, 1), (72, 216, 576, 1512), 24)
Y_4GF = ((2, 6, 12, 2), (128, 192, 512, 1088), 64)
Y_6_4GF = ((2, 7, 14, 2), (144, 288, 576, 1296), 72)
Y_8GF = ((2, 4, 10, 1), (168, 448, 896, 2016), 56)
Y_12GF = ((2, 5, 11, 1), (224, 448, 896, 2240), 112)
Y_16GF = ((2, 4, 11, 1), (224, 448, 1232, 3024), 112)
Y_32GF = ((2, 5, 12, 1), (232, 696, 1392, 3712), 232)
Y_128GF = ((2, 7, 17, 1), (528, 1056, 2904, 7392), 264)
# torchvision's widths where they are not the paper's
X_400MF_TORCHVISION = (32, 64, 160, 400)
Y_800MF_TORCHVISION = (64, 144, 320, 784)
Y_8GF_TORCHVISION = (224, 448, 896, 2016)


def regnet_x_400mf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-400MF; the layouts differ in width."""
    return _regnet(X_400MF, num_classes, in_channels, layout, torchvision=X_400MF_TORCHVISION)


def regnet_x_800mf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-800MF; both layouts are the same."""
    return _regnet(X_800MF, num_classes, in_channels, layout)


def regnet_x_1_6gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-1.6GF; both layouts are the same."""
    return _regnet(X_1_6GF, num_classes, in_channels, layout)


def regnet_x_3_2gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-3.2GF; both layouts are the same."""
    return _regnet(X_3_2GF, num_classes, in_channels, layout)


def regnet_x_4gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-4.0GF; both layouts are the same."""
    return _regnet(X_4GF, num_classes, in_channels, layout)


def regnet_x_6_4gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-6.4GF; both layouts are the same."""
    return _regnet(X_6_4GF, num_classes, in_channels, layout)


def regnet_x_8gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-8GF; both layouts are the same."""
    return _regnet(X_8GF, num_classes, in_channels, layout)


def regnet_x_12gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-12GF; both layouts are the same."""
    return _regnet(X_12GF, num_classes, in_channels, layout)


def regnet_x_16gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-16GF; both layouts are the same."""
    return _regnet(X_16GF, num_classes, in_channels, layout)


def regnet_x_32gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetX-32GF; both layouts are the same."""
    return _regnet(X_32GF, num_classes, in_channels, layout)


def regnet_y_400mf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-400MF; both layouts are the same."""
    return _regnet(Y_400MF, num_classes, in_channels, layout, gated=True)


def regnet_y_800mf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-800MF; the layouts differ in width."""
    return _regnet(
        Y_800MF, num_classes, in_channels, layout, gated=True, torchvision=Y_800MF_TORCHVISION
    )


def regnet_y_1_6gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-1.6GF; both layouts are the same."""
    return _regnet(Y_1_6GF, num_classes, in_channels, layout, gated=True)


def regnet_y_3_2gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-3.2GF; both layouts are the same."""
    return _regnet(Y_3_2GF, num_classes, in_channels, layout, gated=True)


def regnet_y_4gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-4.0GF; both layouts are the same."""
    return _regnet(Y_4GF, num_classes, in_channels, layout, gated=True)


def regnet_y_6_4gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-6.4GF; both layouts are the same."""
    return _regnet(Y_6_4GF, num_classes, in_channels, layout, gated=True)


def regnet_y_8gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-8GF; the layouts differ in width."""
    return _regnet(
        Y_8GF, num_classes, in_channels, layout, gated=True, torchvision=Y_8GF_TORCHVISION
    )


def regnet_y_12gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-12GF; both layouts are the same."""
    return _regnet(Y_12GF, num_classes, in_channels, layout, gated=True)


def regnet_y_16gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-16GF; both layouts are the same."""
    return _regnet(Y_16GF, num_classes, in_channels, layout, gated=True)


def regnet_y_32gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-32GF; both layouts are the same."""
    return _regnet(Y_32GF, num_classes, in_channels, layout, gated=True)


def regnet_y_128gf(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """RegNetY-128GF, in both layouts torchvision's."""
    return _regnet(Y_128GF, num_classes, in_channels, layout, gated=True)


def regnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    depth: int = 22,
    w0: float = 24,
    wa: float = 24.48,
    wm: float = 2.54,
    group: int = 16,
    se: bool = False,
) -> nn.Module:
    """A point of RegNetX, with `se` of RegNetY: `depth` blocks, group width `group`.

    The width of block j is ``w0 + wa * j``, in steps of a factor `wm`; section 3.3 of the paper.
    """
    positive("depth", depth)
    positive("group", group)
    positive_factor("w0", w0)
    one_of("se", se, (False, True))
    if not 0 <= wa < inf or not 1 < wm < inf:
        raise OptionError(
            f"wa={wa}, wm={wm} is impossible: widths grow, so give wa of at least 0 and wm above 1."
        )
    network = *_quantised(depth, w0, wa, wm, group), group
    return _regnet(network, num_classes, in_channels, "paper", gated=se)


def _quantised(
    depth: int, w0: float, wa: float, wm: float, group: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Blocks and width of each stage: widths are multiples of 8, then of the group width."""
    powers = [round(log((w0 + wa * place) / w0) / log(wm)) for place in range(depth)]
    wanted = Counter(round(w0 * wm**power / 8) * 8 for power in powers)
    if 0 in wanted:
        raise OptionError(f"w0={w0} is impossible: give a first width of at least 5.")
    widths = [max(1, round(width / min(group, width))) * min(group, width) for width in wanted]
    return tuple(wanted.values()), tuple(widths)


class XBlock(nn.Module):
    """A bottleneck that does not narrow: 1x1, grouped 3x3, 1x1, and a shortcut.

    With `squeezed` it is the Y block, which weighs the channels behind the 3x3.
    """

    def __init__(
        self,
        in_channels: int,
        filters: int,
        stride: int,
        group_width: int,
        squeezed: int | None = None,
    ) -> None:
        super().__init__()
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != filters:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )
        groups = filters // group_width
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(in_channels, filters, 1, bias=False),
            bn1=nn.BatchNorm2d(filters),
            relu1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(filters, filters, 3, stride, 1, groups=groups, bias=False),
            bn2=nn.BatchNorm2d(filters),
            relu2=nn.ReLU(inplace=True),
        )
        if squeezed is not None:
            layers["gate"] = SqueezeExcitation(filters, squeezed, gate=nn.Sigmoid)
        layers["conv3"] = nn.Conv2d(filters, filters, 1, bias=False)
        layers["bn3"] = nn.BatchNorm2d(filters)
        self.residual = nn.Sequential(layers)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        y = self.relu(y)
        return y


def _regnet(
    network: tuple[tuple[int, ...], tuple[int, ...], int],
    num_classes: int,
    in_channels: int,
    layout: Layout,
    *,
    gated: bool = False,
    torchvision: Widths | None = None,
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("layout", layout, ("paper", "torchvision"))
    depths, widths, group_width = network
    if layout == "torchvision" and torchvision is not None:
        widths = torchvision
    channels = STEM
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        bn1=nn.BatchNorm2d(channels),
        relu=nn.ReLU(inplace=True),
    )
    for stage, (filters, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        blocks = []
        for index in range(depth):
            stride = 2 if index == 0 else 1
            # a quarter of the block's input
            squeezed = round(channels / 4) if gated else None
            blocks.append(XBlock(channels, filters, stride, min(group_width, filters), squeezed))
            channels = filters
        layers[f"stage{stage}"] = nn.Sequential(*blocks)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)
