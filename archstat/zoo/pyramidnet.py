"""PyramidNet: channels that grow a little in every unit, not at once where the map shrinks.

D. Han, J. Kim and J. Kim, "Deep Pyramidal Residual Networks", 2016, arXiv:1610.02915. Of N
units, unit k has D0 + k * alpha / N filters, rounded. A name holds the layers and alpha.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from archstat.zoo.family import Family
from archstat.zoo.options import positive, positive_factor

FAMILY = Family(title="PyramidNet", year=2016, paper="arXiv:1610.02915", category="width")

# D0, the filters of the stem, and the units of the four stages
FIRST_FILTERS = 64
BLOCKS_101 = (3, 4, 23, 3)
BLOCKS_200 = (3, 24, 36, 3)


def pyramidnet101_a360_imagenet(
    *, num_classes: int = 1000, in_channels: int = 3, alpha: float = 360
) -> nn.Module:
    """PyramidNet-101 with alpha=360, of bottlenecks."""
    return _imagenet(BLOCKS_101, num_classes, in_channels, alpha)


def pyramidnet200_a300_imagenet(
    *, num_classes: int = 1000, in_channels: int = 3, alpha: float = 300
) -> nn.Module:
    """PyramidNet-200 with alpha=300, of bottlenecks."""
    return _imagenet(BLOCKS_200, num_classes, in_channels, alpha)


def pyramidnet200_a450_imagenet(
    *, num_classes: int = 1000, in_channels: int = 3, alpha: float = 450
) -> nn.Module:
    """PyramidNet-200 with alpha=450, of bottlenecks."""
    return _imagenet(BLOCKS_200, num_classes, in_channels, alpha)


class PyramidBasicBlock(nn.Module):
    """Two 3x3 convolutions, no ReLU before the first, and a shortcut without parameters."""

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            OrderedDict(
                bn1=nn.BatchNorm2d(in_channels),
                conv1=_convolution(in_channels, filters, 3, stride),
                bn2=nn.BatchNorm2d(filters),
                relu2=nn.ReLU(inplace=True),
                conv2=_convolution(filters, filters, 3),
                bn3=nn.BatchNorm2d(filters),
            )
        )
        self.shortcut = PooledShortcut(in_channels, filters, stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        return y


class PyramidBottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 to four times the filters, no ReLU before the first, a shortcut."""

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, filters: int, stride: int) -> None:
        super().__init__()
        out_channels = self.expansion * filters
        self.residual = nn.Sequential(
            OrderedDict(
                bn1=nn.BatchNorm2d(in_channels),
                conv1=_convolution(in_channels, filters, 1),
                bn2=nn.BatchNorm2d(filters),
                relu2=nn.ReLU(inplace=True),
                conv2=_convolution(filters, filters, 3, stride),
                bn3=nn.BatchNorm2d(filters),
                relu3=nn.ReLU(inplace=True),
                conv3=_convolution(filters, out_channels, 1),
                bn4=nn.BatchNorm2d(out_channels),
            )
        )
        self.shortcut = PooledShortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        return y


class PooledShortcut(nn.Module):
    """The input, averaged where the map shrinks, with channels of zeros for those it lacks."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        # rounded up as the strided convolution rounds: the paper's maps are all even
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.missing = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(self.pool(x), (0, 0, 0, 0, 0, self.missing))


class PyramidNet(nn.Sequential):
    """A stem, the stages of units, each of its own width, and a classifier.

    `widths` are the filters of all units of all stages, and `depths` the units of each stage.
    """

    def __init__(
        self,
        stem: nn.Sequential,
        channels: int,
        block: type[PyramidBasicBlock] | type[PyramidBottleneck],
        depths: tuple[int, ...],
        widths: list[int],
        num_classes: int,
    ) -> None:
        positive("num_classes", num_classes)
        layers: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
        remaining = iter(widths)
        for stage, depth in enumerate(depths, start=1):
            units = []
            for index in range(depth):
                filters = next(remaining)
                units.append(block(channels, filters, 2 if index == 0 and stage > 1 else 1))
                channels = block.expansion * filters
            layers[f"stage{stage}"] = nn.Sequential(*units)
        layers["bn"] = nn.BatchNorm2d(channels)
        layers["relu"] = nn.ReLU(inplace=True)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["fc"] = nn.Linear(channels, num_classes)
        super().__init__(layers)


def _imagenet(
    depths: tuple[int, ...], num_classes: int, in_channels: int, alpha: float
) -> nn.Module:
    positive("in_channels", in_channels)
    positive_factor("alpha", alpha)
    stem = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, FIRST_FILTERS, 7, stride=2, padding=3, bias=False),
            bn=nn.BatchNorm2d(FIRST_FILTERS),
            relu=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
    )
    units = sum(depths)
    widths = [round(FIRST_FILTERS + unit * alpha / units) for unit in range(1, units + 1)]
    return PyramidNet(stem, FIRST_FILTERS, PyramidBottleneck, depths, widths, num_classes)


def _convolution(in_channels: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, filters, kernel, stride, padding=kernel // 2, bias=False)
