"""Pre-activation ResNet (v2) for CIFAR: up to a thousand layers and more.

K. He, X. Zhang, S. Ren and J. Sun, "Identity Mappings in Deep Residual Networks", 2016,
arXiv:1603.05027. The stride of a bottleneck is on its first 1x1 convolution, as in the
authors' ResNet-1001, or on the 3x3 (`stride="3x3"`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive
from archstat.zoo.preact_resnet import Activation, PreactBasicBlock, PreactBottleneck
from archstat.zoo.resnet import StridePlace

FAMILY = Family(
    title="ResNet v2 (CIFAR)",
    year=2016,
    paper="arXiv:1603.05027",
    category="depth",
    input="3x32x32",
)

# filters of the stem, and of the 3x3 convolutions on maps of 32x32, 16x16 and 8x8
FIRST_FILTERS = 16
FILTERS = (16, 32, 64)


def preact_resnet20_cifar10(*, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Pre-activation ResNet-20, of basic blocks."""
    return _of_basic_blocks(20, num_classes, in_channels)


def preact_resnet56_cifar10(*, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Pre-activation ResNet-56, of basic blocks."""
    return _of_basic_blocks(56, num_classes, in_channels)


def preact_resnet110_cifar10(*, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Pre-activation ResNet-110, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels)


def preact_resnet1202_cifar10(*, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Pre-activation ResNet-1202, of basic blocks."""
    return _of_basic_blocks(1202, num_classes, in_channels)


def preact_resnet164_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, stride: StridePlace = "first"
) -> nn.Module:
    """Pre-activation ResNet-164, of bottlenecks."""
    return _of_bottlenecks(164, num_classes, in_channels, stride)


def preact_resnet1001_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, stride: StridePlace = "first"
) -> nn.Module:
    """Pre-activation ResNet-1001, of bottlenecks."""
    return _of_bottlenecks(1001, num_classes, in_channels, stride)


class PreactCifarResNet(nn.Sequential):
    """An activated 3x3 stem, three stages of `depth` units that `block` makes, a classifier."""

    def __init__(
        self,
        block: Callable[..., PreactBasicBlock | PreactBottleneck],
        depth: int,
        num_classes: int,
        in_channels: int,
        filters: tuple[int, int, int] = FILTERS,
    ) -> None:
        positive("num_classes", num_classes)
        positive("in_channels", in_channels)
        channels = FIRST_FILTERS
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(in_channels, channels, kernel_size=3, padding=1, bias=False),
            act1=Activation(channels),
        )
        for stage, stage_filters in enumerate(filters, start=1):
            blocks = []
            for index in range(depth):
                stride = 2 if index == 0 and stage > 1 else 1
                # the first activation comes before the paths split, so that both take it
                preactivate = (stage, index) != (1, 0)
                blocks.append(block(channels, stage_filters, stride, preactivate=preactivate))
                channels = blocks[-1].expansion * stage_filters
            layers[f"stage{stage}"] = nn.Sequential(*blocks)
        layers["act"] = Activation(channels)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["fc"] = nn.Linear(channels, num_classes)
        super().__init__(layers)


def _of_basic_blocks(layers: int, num_classes: int, in_channels: int) -> nn.Module:
    return PreactCifarResNet(PreactBasicBlock, (layers - 2) // 6, num_classes, in_channels)


def _of_bottlenecks(
    layers: int, num_classes: int, in_channels: int, place: StridePlace
) -> nn.Module:
    one_of("stride", place, ("3x3", "first"))
    block = partial(PreactBottleneck, place=place)
    return PreactCifarResNet(block, (layers - 2) // 9, num_classes, in_channels)
