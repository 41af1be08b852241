"""MobileNet v3: searched inverted residuals with gates, hard swish and a cheap tail.

A. Howard et al., "Searching for MobileNetV3", 2019, arXiv:1905.02244, as its final version and
torchvision have it. The first version on arXiv prints the small network with `hidden=1280`.

At another width the authors' code expands the scaled input by the table's factor and never thins
the hidden layer; torchvision scales the table's expanded size, and the hidden layer like all
others (`layout="torchvision"`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.mobilenet_v2 import InvertedResidual, Width
from archstat.zoo.options import one_of, positive

FAMILY = Family(title="MobileNet v3", year=2019, paper="arXiv:1905.02244", category="lightweight")

Layout = Literal["paper", "torchvision"]
Tail = Literal["efficient", "late_pool"]
Rows = tuple[tuple[int, int, int, bool, type[nn.Module], int], ...]

RE, HS = nn.ReLU, nn.Hardswish
FIRST_FILTERS = 16
# Tables 1 and 2: kernel, exp size, #out, SE, NL, s; then the filters of the hidden layer
LARGE: Rows = (
    (3, 16, 16, False, RE, 1),
    (3, 64, 24, False, RE, 2),
    (3, 72, 24, False, RE, 1),
    (5, 72, 40, True, RE, 2),
    (5, 120, 40, True, RE, 1),
    (5, 120, 40, True, RE, 1),
    (3, 240, 80, False, HS, 2),
    (3, 200, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 480, 112, True, HS, 1),
    (3, 672, 112, True, HS, 1),
    (5, 672, 160, True, HS, 2),
    (5, 960, 160, True, HS, 1),
    (5, 960, 160, True, HS, 1),
)
SMALL: Rows = (
    (3, 16, 16, True, RE, 2),
    (3, 72, 24, False, RE, 2),
    (3, 88, 24, False, RE, 1),
    (5, 96, 40, True, HS, 2),
    (5, 240, 40, True, HS, 1),
    (5, 240, 40, True, HS, 1),
    (5, 120, 48, True, HS, 1),
    (5, 144, 48, True, HS, 1),
    (5, 288, 96, True, HS, 2),
    (5, 576, 96, True, HS, 1),
    (5, 576, 96, True, HS, 1),
)
HIDDEN_LARGE = 1280
HIDDEN_SMALL = 1024

EPS = 1e-3


def mobilenet_v3_large(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    layout: Layout = "paper",
    last: int | None = None,
    hidden: int | None = None,
    hidden_bias: bool = True,
    tail: Tail = "efficient",
) -> nn.Module:
    """MobileNet v3 large: 960 filters in the last 1x1 (`last`), 1280 in the hidden layer.

    `tail="late_pool"` pools behind the hidden layer, as before the paper's redesign.
    """
    positive("in_channels", in_channels)
    one_of("layout", layout, ("paper", "torchvision"))
    features, channels = _features(LARGE, in_channels, width, layout, last)
    hidden = _hidden(HIDDEN_LARGE, width, layout) if hidden is None else hidden
    return _network(features, channels, hidden, num_classes, hidden_bias, tail)


def mobilenet_v3_small(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    layout: Layout = "paper",
    last: int | None = None,
    hidden: int | None = None,
    hidden_bias: bool = True,
    tail: Tail = "efficient",
) -> nn.Module:
    """MobileNet v3 small: 576 filters in the last 1x1 (`last`), 1024 in the hidden layer.

    `tail="late_pool"` pools behind the hidden layer, as before the paper's redesign.
    """
    positive("in_channels", in_channels)
    one_of("layout", layout, ("paper", "torchvision"))
    features, channels = _features(SMALL, in_channels, width, layout, last)
    hidden = _hidden(HIDDEN_SMALL, width, layout) if hidden is None else hidden
    return _network(features, channels, hidden, num_classes, hidden_bias, tail)


class SqueezeExcitation(nn.Module):
    """Each channel times a weight between 0 and 1, computed from the means of all channels."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        *,
        activation: type[nn.Module] = nn.ReLU,
        gate: type[nn.Module] = nn.Hardsigmoid,
    ) -> None:
        super().__init__()
        self.weights = nn.Sequential(
            OrderedDict(
                squeeze=nn.AdaptiveAvgPool2d(1),
                reduce=nn.Conv2d(channels, squeezed, 1),
                act=activation(inplace=True),
                restore=nn.Conv2d(squeezed, channels, 1),
                gate=gate(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        weighted: Tensor = x * self.weights(x)
        return weighted


def _features(
    rows: Rows, in_channels: int, width: float, layout: Layout, last: int | None
) -> tuple[nn.Sequential, int]:
    scaled = Width(width)
    channels = scaled(FIRST_FILTERS)
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels, EPS),
        nn.Hardswish(inplace=True),
    ]
    row_channels = FIRST_FILTERS
    for kernel, exp_size, out, squeeze, nonlinearity, stride in rows:
        expanded = scaled(exp_size)
        if layout == "paper":
            expanded = Width(exp_size / row_channels)(channels)
        gate = SqueezeExcitation(expanded, Width(1 / 4)(expanded)) if squeeze else None
        filters = scaled(out)
        layers.append(
            InvertedResidual(
                channels,
                expanded,
                filters,
                stride,
                kernel=kernel,
                expand=expanded != channels,
                activation=nonlinearity,
                gate=gate,
                eps=EPS,
            )
        )
        row_channels, channels = out, filters
    last = 6 * channels if last is None else last
    positive("last", last)
    layers += [
        nn.Conv2d(channels, last, 1, bias=False),
        nn.BatchNorm2d(last, EPS),
        nn.Hardswish(inplace=True),
    ]
    return nn.Sequential(*layers), last


def _hidden(filters: int, width: float, layout: Layout) -> int:
    return Width(max(1.0, width) if layout == "paper" else width)(filters)


def _network(
    features: nn.Sequential,
    channels: int,
    hidden: int,
    num_classes: int,
    hidden_bias: bool,
    tail: Tail,
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("hidden", hidden)
    one_of("hidden_bias", hidden_bias, (False, True))
    one_of("tail", tail, ("efficient", "late_pool"))
    layers: OrderedDict[str, nn.Module] = OrderedDict(features=features)
    if tail == "late_pool":
        layers["hidden"] = nn.Conv2d(channels, hidden, 1, bias=hidden_bias)
        layers["act"] = nn.Hardswish(inplace=True)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    if tail == "efficient":
        layers["hidden"] = nn.Linear(channels, hidden, bias=hidden_bias)
        layers["act"] = nn.Hardswish(inplace=True)
    layers["dropout"] = nn.Dropout(0.2)
    layers["fc"] = nn.Linear(hidden, num_classes)
    return nn.Sequential(layers)
