"""MobileNet v2: inverted residuals and linear bottlenecks.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov and L.-C. Chen, "MobileNetV2: Inverted Residuals and
Linear Bottlenecks", 2018, arXiv:1801.04381. The defaults are the authors' code and torchvision's
network: widths are multiples of 8, a first block with factor 1 does not expand, and the last 1x1
keeps its 1280 filters where the network is thinned. The options turn each of these.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive, positive_factor

FAMILY = Family(title="MobileNet v2", year=2018, paper="arXiv:1801.04381", category="lightweight")

# Table 2: t (expansion factor), c (output channels), n (repeats), s (stride of the first)
FIRST_FILTERS = 32
BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST_FILTERS = 1280


def mobilenet_v2(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    divisor: int = 8,
    expand_first: bool = False,
    bias: bool = True,
) -> nn.Module:
    """MobileNet v2; `width` multiplies the channels, rounded to multiples of `divisor`.

    `expand_first` gives the first block a 1x1 as well, `bias` is the classifier's.
    """
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("expand_first", expand_first, (False, True))
    one_of("bias", bias, (False, True))
    scaled = Width(width, divisor)
    channels = scaled(FIRST_FILTERS)
    features: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(inplace=True),
    ]
    for factor, row_filters, repeats, first_stride in BOTTLENECKS:
        filters = scaled(row_filters)
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            expand = factor > 1 or expand_first
            features.append(
                InvertedResidual(channels, factor * channels, filters, stride, expand=expand)
            )
            channels = filters
    last_filters = Width(max(1.0, width), divisor)(LAST_FILTERS)
    features += [
        nn.Conv2d(channels, last_filters, 1, bias=False),
        nn.BatchNorm2d(last_filters),
        nn.ReLU6(inplace=True),
    ]
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.2),
            fc=nn.Linear(last_filters, num_classes, bias=bias),
        )
    )


class InvertedResidual(nn.Module):
    """A 1x1 that expands, a depthwise convolution, a linear 1x1, and a shortcut where it fits.

    `gate` weighs the expanded channels before the linear 1x1; without `expand` there is no
    first 1x1, and `expanded` equals `in_channels`.
    """

    def __init__(
        self,
        in_channels: int,
        expanded: int,
        filters: int,
        stride: int,
        *,
        kernel: int = 3,
        expand: bool = True,
        activation: type[nn.Module] = nn.ReLU6,
        gate: nn.Module | None = None,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expand:
            layers["expand"] = nn.Conv2d(in_channels, expanded, 1, bias=False)
            layers["bn1"] = nn.BatchNorm2d(expanded, eps)
            layers["act1"] = activation(inplace=True)
        layers["depthwise"] = nn.Conv2d(
            expanded, expanded, kernel, stride, kernel // 2, groups=expanded, bias=False
        )
        layers["bn2"] = nn.BatchNorm2d(expanded, eps)
        layers["act2"] = activation(inplace=True)
        if gate is not None:
            layers["gate"] = gate
        layers["project"] = nn.Conv2d(expanded, filters, 1, bias=False)
        layers["bn3"] = nn.BatchNorm2d(filters, eps)
        self.residual = nn.Sequential(layers)
        self.has_shortcut = stride == 1 and in_channels == filters

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        if self.has_shortcut:
            y += x
        return y


@dataclass(frozen=True, slots=True)
class Width:
    """A width multiplier: called with a number of channels, it gives the scaled number.

    It rounds to the nearest multiple of the divisor, but to no less than 90 % of the product
    and to no less than the divisor.
    """

    multiplier: float
    divisor: int = 8

    def __post_init__(self) -> None:
        positive_factor("width", self.multiplier)
        positive("divisor", self.divisor)

    def __call__(self, channels: int) -> int:
        product = channels * self.multiplier
        rounded = int(product + self.divisor / 2) // self.divisor * self.divisor
        if rounded < 0.9 * product:
            rounded += self.divisor
        return max(rounded, self.divisor)
