"""Inception v2, or BN-Inception: GoogLeNet with batch normalisation and two 3x3 for each 5x5.

S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
Internal Covariate Shift", 2015, arXiv:1502.03167. The "Inception-v2" of the Inception v3 paper
is another, deeper network.

Three networks of this name are counted in the literature. The default follows the table of the
paper. `layout=caffe` has the biases and the wider 4c and 4d of the released Caffe model;
`layout=slim` has the separable first convolution of TF-slim.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.googlenet import FilterConcat
from archstat.zoo.options import one_of, positive

FAMILY = Family(
    title="Inception v2 (BN-Inception)", year=2015, paper="arXiv:1502.03167", category="spatial"
)

Layout = Literal["paper", "caffe", "slim"]
Pool = Literal["avg", "max"]
Row = tuple[int, int, int, int, int, Pool, int]

# Appendix: 1x1, 3x3 reduce, 3x3, double 3x3 reduce, both of the double 3x3, pool, projection.
# A module without a 1x1 and without a projection halves the map.
MODULES: tuple[tuple[str, Row], ...] = (
    ("3a", (64, 64, 64, 64, 96, "avg", 32)),
    ("3b", (64, 64, 96, 64, 96, "avg", 64)),
    ("3c", (0, 128, 160, 64, 96, "max", 0)),
    ("4a", (224, 64, 96, 96, 128, "avg", 128)),
    ("4b", (192, 96, 128, 96, 128, "avg", 128)),
    ("4c", (160, 128, 160, 128, 160, "avg", 96)),
    ("4d", (96, 128, 192, 160, 192, "avg", 96)),
    ("4e", (0, 128, 192, 192, 256, "max", 0)),
    ("5a", (352, 192, 320, 160, 224, "avg", 128)),
    ("5b", (352, 192, 320, 192, 224, "max", 128)),
)
CAFFE_MODULES = tuple(
    (name, (*row[:6], 128) if name in ("4c", "4d") else row) for name, row in MODULES
)
SLIM_MULTIPLIER = 8


def inception_v2(
    *, num_classes: int = 1000, in_channels: int = 3, layout: Layout = "paper"
) -> nn.Module:
    """Inception v2 as in the paper's table, the Caffe model, or TF-slim."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("layout", layout, ("paper", "caffe", "slim"))
    bias = layout == "caffe"
    slim = layout == "slim"
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=_separable(in_channels) if slim else _convolution(in_channels, 64, 7, 2, bias=bias),
        pool1=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        reduce2=_convolution(64, 64, bias=bias),
        conv2=_convolution(64, 192, 3, bias=bias),
        pool2=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    channels = 192
    for name, row in CAFFE_MODULES if layout == "caffe" else MODULES:
        module = Inception(channels, row, bias=bias)
        layers[f"inception{name}"] = module
        channels = module.out_channels
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)


class Inception(FilterConcat):
    """1x1, reduced 3x3, reduced double 3x3 and pooling; no 1x1 and no projection: stride 2."""

    def __init__(self, in_channels: int, row: Row, *, bias: bool = False) -> None:
        one, reduce3, three, reduce33, double, pool, projection = row
        stride = 1 if one else 2
        branches: OrderedDict[str, nn.Module] = OrderedDict()
        if one:
            branches["branch1"] = _convolution(in_channels, one, bias=bias)
        branches["branch3"] = nn.Sequential(
            _convolution(in_channels, reduce3, bias=bias),
            _convolution(reduce3, three, 3, stride, bias=bias),
        )
        branches["branch33"] = nn.Sequential(
            _convolution(in_channels, reduce33, bias=bias),
            _convolution(reduce33, double, 3, bias=bias),
            _convolution(double, double, 3, stride, bias=bias),
        )
        window = nn.AvgPool2d if pool == "avg" else nn.MaxPool2d
        pooling = nn.Sequential(window(kernel_size=3, stride=stride, padding=1))
        if projection:
            pooling.append(_convolution(in_channels, projection, bias=bias))
        super().__init__(**branches, pool=pooling)
        self.out_channels = one + three + double + (projection or in_channels)


def _separable(in_channels: int) -> nn.Sequential:
    filters = SLIM_MULTIPLIER * in_channels
    return nn.Sequential(
        nn.Conv2d(in_channels, filters, 7, 2, padding=3, groups=in_channels, bias=False),
        nn.Conv2d(filters, 64, kernel_size=1),
        nn.ReLU(inplace=True),
    )


def _convolution(
    in_channels: int, filters: int, kernel: int = 1, stride: int = 1, *, bias: bool
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, filters, kernel, stride, padding=kernel // 2, bias=bias),
        nn.BatchNorm2d(filters),
        nn.ReLU(inplace=True),
    )
