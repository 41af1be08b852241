"""PyramidNet for CIFAR: additive and multiplicative pyramids on 32x32 images.

D. Han, J. Kim and J. Kim, "Deep Pyramidal Residual Networks", 2016, arXiv:1610.02915. Of N
units, unit k has D0 + k * alpha / N filters, rounded; in the multiplicative networks (`_mul`)
D0 * alpha ** (k / N). A name holds the layers and alpha.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.options import positive, positive_factor
from archstat.zoo.pyramidnet import PyramidBasicBlock, PyramidBottleneck, PyramidNet

FAMILY = Family(
    title="PyramidNet (CIFAR)",
    year=2016,
    paper="arXiv:1610.02915",
    category="width",
    input="3x32x32",
)

# D0, the filters of the stem
FIRST_FILTERS = 16


def pyramidnet110_a48_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 48
) -> nn.Module:
    """PyramidNet-110 with alpha=48, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels, alpha)


def pyramidnet110_a84_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 84
) -> nn.Module:
    """PyramidNet-110 with alpha=84, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels, alpha)


def pyramidnet110_a270_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 270
) -> nn.Module:
    """PyramidNet-110 with alpha=270, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels, alpha)


def pyramidnet110_a4_75_mul_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 4.75
) -> nn.Module:
    """Multiplicative PyramidNet-110 with alpha=4.75, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels, alpha, multiply=True)


def pyramidnet110_a8_mul_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 8
) -> nn.Module:
    """Multiplicative PyramidNet-110 with alpha=8, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels, alpha, multiply=True)


def pyramidnet110_a27_mul_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 27
) -> nn.Module:
    """Multiplicative PyramidNet-110 with alpha=27, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels, alpha, multiply=True)


def pyramidnet164_a48_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 48
) -> nn.Module:
    """PyramidNet-164 with alpha=48, of bottlenecks."""
    return _of_bottlenecks(164, num_classes, in_channels, alpha)


def pyramidnet164_a84_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 84
) -> nn.Module:
    """PyramidNet-164 with alpha=84, of bottlenecks."""
    return _of_bottlenecks(164, num_classes, in_channels, alpha)


def pyramidnet164_a270_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 270
) -> nn.Module:
    """PyramidNet-164 with alpha=270, of bottlenecks."""
    return _of_bottlenecks(164, num_classes, in_channels, alpha)


def pyramidnet200_a240_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 240
) -> nn.Module:
    """PyramidNet-200 with alpha=240, of bottlenecks."""
    return _of_bottlenecks(200, num_classes, in_channels, alpha)


def pyramidnet236_a220_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 220
) -> nn.Module:
    """PyramidNet-236 with alpha=220, of bottlenecks."""
    return _of_bottlenecks(236, num_classes, in_channels, alpha)


def pyramidnet272_a200_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, alpha: float = 200
) -> nn.Module:
    """PyramidNet-272 with alpha=200, of bottlenecks."""
    return _of_bottlenecks(272, num_classes, in_channels, alpha)


def _of_basic_blocks(
    layers: int, num_classes: int, in_channels: int, alpha: float, *, multiply: bool = False
) -> nn.Module:
    units = (layers - 2) // 2
    widths = _multiplied(alpha, units) if multiply else _added(alpha, units)
    stem = _stem(in_channels)
    depths = (units // 3,) * 3
    return PyramidNet(stem, FIRST_FILTERS, PyramidBasicBlock, depths, widths, num_classes)


def _of_bottlenecks(layers: int, num_classes: int, in_channels: int, alpha: float) -> nn.Module:
    units = (layers - 2) // 3
    widths = _added(alpha, units)
    stem = _stem(in_channels)
    depths = (units // 3,) * 3
    return PyramidNet(stem, FIRST_FILTERS, PyramidBottleneck, depths, widths, num_classes)


def _stem(in_channels: int) -> nn.Sequential:
    positive("in_channels", in_channels)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, FIRST_FILTERS, kernel_size=3, padding=1, bias=False),
            bn=nn.BatchNorm2d(FIRST_FILTERS),
        )
    )


def _added(alpha: float, units: int) -> list[int]:
    positive_factor("alpha", alpha)
    return [round(FIRST_FILTERS + unit * alpha / units) for unit in range(1, units + 1)]


def _multiplied(alpha: float, units: int) -> list[int]:
    positive_factor("alpha", alpha)
    if alpha < 1:
        raise OptionError(
            f"alpha={alpha!r} makes a pyramid that narrows: expected a factor of at least 1; "
            "give one, or leave alpha out for its default."
        )
    return [round(FIRST_FILTERS * alpha ** (unit / units)) for unit in range(1, units + 1)]
