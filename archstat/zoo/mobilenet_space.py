"""Networks of inverted residuals, by the depth and blocks of each stage.

By default it is MobileNet v2 (arXiv:1801.04381). Searches of such networks choose the kernel, the
expansion and the number of blocks of each stage: M. Tan et al., "MnasNet: Platform-Aware Neural
Architecture Search for Mobile", 2018, arXiv:1807.11626.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v2 import (
    BOTTLENECKS,
    FIRST_FILTERS,
    LAST_FILTERS,
    InvertedResidual,
    Width,
)
from archstat.zoo.mobilenet_v3 import SqueezeExcitation
from archstat.zoo.options import odd, one_of, positive

FAMILY = Family(
    title="MobileNet space", year=2018, paper="arXiv:1807.11626", category="lightweight"
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width: `kernel` is the side of the depthwise layer, `expansion` its factor."""

    depth: int
    filters: int
    kernel: int = 3
    expansion: int = 6


def mobilenet_space(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    se: bool = False,
    stage1: Stage = Stage(1, 16, expansion=1),
    stage2: Stage = Stage(2, 24),
    stage3: Stage = Stage(3, 32),
    stage4: Stage = Stage(4, 64),
    stage5: Stage = Stage(3, 96),
    stage6: Stage = Stage(3, 160),
    stage7: Stage = Stage(1, 320),
) -> nn.Module:
    """Inverted residuals in seven stages; ``stage2.depth=3,stage2.kernel=5`` changes one of them.

    `width` multiplies all filters, `se` gates the expanded channels as MobileNet v3 does.
    """
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("se", se, (False, True))
    stages = (stage1, stage2, stage3, stage4, stage5, stage6, stage7)
    scaled = Width(width)
    channels = scaled(FIRST_FILTERS)
    features = _convolution(in_channels, channels, 3, 2)
    for number, (stage, row) in enumerate(zip(stages, BOTTLENECKS, strict=True), start=1):
        _check(f"stage{number}", stage)
        for stride in (row[-1], *[1] * (stage.depth - 1)):
            features.append(_block(channels, scaled(stage.filters), stage, stride, se))
            channels = scaled(stage.filters)
    last = Width(max(1.0, width))(LAST_FILTERS)
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features, *_convolution(channels, last, 1, 1)),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.2),
            fc=nn.Linear(last, num_classes),
        )
    )


def _check(name: str, stage: Stage) -> None:
    positive(f"{name}.depth", stage.depth)
    positive(f"{name}.filters", stage.filters)
    odd(f"{name}.kernel", stage.kernel)
    positive(f"{name}.expansion", stage.expansion)


def _convolution(in_channels: int, filters: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, filters, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU6(inplace=True),
    ]


def _block(channels: int, filters: int, stage: Stage, stride: int, gated: bool) -> InvertedResidual:
    expanded = channels * stage.expansion
    return InvertedResidual(
        channels,
        expanded,
        filters,
        stride,
        kernel=stage.kernel,
        expand=stage.expansion > 1,
        gate=SqueezeExcitation(expanded, Width(1 / 4)(expanded)) if gated else None,
    )
