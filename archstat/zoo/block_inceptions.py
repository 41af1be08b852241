"""Inception modules: branches side by side, as the networks they come from have them.

`in` is the input's channels. Widths are by default those of the first such module of its network.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import nn

from archstat.zoo import googlenet, inception_v3
from archstat.zoo.family import Family
from archstat.zoo.googlenet import FilterConcat, Inception
from archstat.zoo.inception_v3 import (
    Conv,
    GridReduction,
    InceptionA,
    InceptionB,
    InceptionC,
)
from archstat.zoo.options import positive

FAMILY = Family(
    title="Blocks",
    year=2014,
    paper="of the network it comes from",
    category="block",
    inputs=MappingProxyType(
        {
            "inception": "192x28x28",
            "inception_a": "192x35x35",
            "inception_b": "768x17x17",
            "inception_c": "1280x8x8",
            "grid_reduction": "288x35x35",
        }
    ),
    origins=MappingProxyType(
        {
            "inception": googlenet.FAMILY,
            "inception_a": inception_v3.FAMILY,
            "inception_b": inception_v3.FAMILY,
            "inception_c": inception_v3.FAMILY,
            "grid_reduction": inception_v3.FAMILY,
        }
    ),
)


def inception(
    *,
    in_: int = 192,
    naive: bool = False,
    filters1: int = 64,
    reduce3: int = 96,
    filters3: int = 128,
    reduce5: int = 16,
    filters5: int = 32,
    pool: int = 32,
) -> nn.Module:
    """GoogLeNet's module: 1x1, 3x3 and 5x5 convolutions and a pooling.

    `reduce3` and `reduce5` are the 1x1 before the 3x3 and the 5x5, `pool` the one behind the
    pooling. `naive=1` has none of these three, and takes no notice of their widths.
    """
    sizes = {"in": in_, "filters1": filters1, "reduce3": reduce3, "filters3": filters3,
             "reduce5": reduce5, "filters5": filters5, "pool": pool}  # fmt: skip
    for name, value in sizes.items():
        positive(name, value)
    if naive:
        return NaiveInception(in_, filters1, filters3, filters5)
    return Inception(in_, (filters1, reduce3, filters3, reduce5, filters5, pool))


def inception_a(*, in_: int = 192, pool: int = 32) -> nn.Module:
    """Inception v3's module of 1x1, 5x5 and double 3x3; `pool` is behind the pooling."""
    positive("in", in_)
    positive("pool", pool)
    return InceptionA(in_, pool)


def inception_b(*, in_: int = 768, filters: int = 128) -> nn.Module:
    """Inception v3's module of 7x7 as rows and columns; `filters` is the width within."""
    positive("in", in_)
    positive("filters", filters)
    return InceptionB(in_, filters)


def inception_c(*, in_: int = 1280) -> nn.Module:
    """Inception v3's module with a row and a column side by side."""
    positive("in", in_)
    return InceptionC(in_)


def grid_reduction(
    *, in_: int = 288, filters: int = 384, reduce: int = 64, double: int = 96
) -> nn.Module:
    """Inception v3's halving: a strided 3x3, a 1x1 with a double 3x3, and a pooling."""
    for name, value in {"in": in_, "filters": filters, "reduce": reduce, "double": double}.items():
        positive(name, value)
    return GridReduction(
        in_,
        (Conv(filters, 3, 2, "valid"),),
        (Conv(reduce, 1), Conv(double, 3), Conv(double, 3, 2, "valid")),
    )


class NaiveInception(FilterConcat):
    """Figure 2a of GoogLeNet's paper: nothing reduces the channels, and the pooling keeps all."""

    def __init__(self, in_channels: int, filters1: int, filters3: int, filters5: int) -> None:
        super().__init__(
            branch1=_convolution(in_channels, filters1, 1),
            branch3=_convolution(in_channels, filters3, 3),
            branch5=_convolution(in_channels, filters5, 5),
            pool=nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
        )


def _convolution(in_channels: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, filters, kernel, padding=kernel // 2), nn.ReLU(inplace=True)
    )
