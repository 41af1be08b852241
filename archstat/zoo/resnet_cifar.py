"""ResNet for CIFAR: three stages of basic blocks on 32x32 images, up to 1202 layers.

K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", 2015,
arXiv:1512.03385, section 4.2, with shortcuts that pad with zeros where the shape changes
(option A). The networks of 164 and 1001 layers are the bottleneck twins to which K. He et al.,
"Identity Mappings in Deep Residual Networks", 2016, arXiv:1603.05027, compare their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive
from archstat.zoo.resnet import BasicBlock, Bottleneck, Projection, Shortcut

FAMILY = Family(
    title="ResNet (CIFAR)",
    year=2015,
    paper="arXiv:1512.03385",
    category="depth",
    input="3x32x32",
)

ShortcutName = Literal["pad", "projection"]

# filters of the 3x3 convolutions on maps of 32x32, 16x16 and 8x8
FILTERS = (16, 32, 64)


def resnet20_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "pad"
) -> nn.Module:
    """ResNet-20, of basic blocks."""
    return _of_basic_blocks(20, num_classes, in_channels, shortcut)


def resnet32_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "pad"
) -> nn.Module:
    """ResNet-32, of basic blocks."""
    return _of_basic_blocks(32, num_classes, in_channels, shortcut)


def resnet44_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "pad"
) -> nn.Module:
    """ResNet-44, of basic blocks."""
    return _of_basic_blocks(44, num_classes, in_channels, shortcut)


def resnet56_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "pad"
) -> nn.Module:
    """ResNet-56, of basic blocks."""
    return _of_basic_blocks(56, num_classes, in_channels, shortcut)


def resnet110_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "pad"
) -> nn.Module:
    """ResNet-110, of basic blocks."""
    return _of_basic_blocks(110, num_classes, in_channels, shortcut)


def resnet1202_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "pad"
) -> nn.Module:
    """ResNet-1202, of basic blocks."""
    return _of_basic_blocks(1202, num_classes, in_channels, shortcut)


def resnet164_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "projection"
) -> nn.Module:
    """ResNet-164, of bottlenecks."""
    return _of_bottlenecks(164, num_classes, in_channels, shortcut)


def resnet1001_cifar10(
    *, num_classes: int = 10, in_channels: int = 3, shortcut: ShortcutName = "projection"
) -> nn.Module:
    """ResNet-1001, of bottlenecks."""
    return _of_bottlenecks(1001, num_classes, in_channels, shortcut)


class ZeroPad(nn.Module):
    """The shortcut of option A where the shape changes: every other pixel, zeros for the rest."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.missing = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, self.missing))


class CifarResNet(nn.Sequential):
    """A 3x3 stem, three stages of `depth` units that `block` makes, and a classifier."""

    def __init__(
        self,
        block: Callable[[int, int, int], BasicBlock | Bottleneck],
        depth: int,
        num_classes: int,
        in_channels: int,
        filters: tuple[int, int, int] = FILTERS,
    ) -> None:
        positive("num_classes", num_classes)
        positive("in_channels", in_channels)
        channels = filters[0]
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(in_channels, channels, kernel_size=3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
        )
        for stage, stage_filters in enumerate(filters, start=1):
            blocks = []
            for index in range(depth):
                stride = 2 if index == 0 and stage > 1 else 1
                blocks.append(block(channels, stage_filters, stride))
                channels = blocks[-1].expansion * stage_filters
            layers[f"stage{stage}"] = nn.Sequential(*blocks)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["fc"] = nn.Linear(channels, num_classes)
        super().__init__(layers)


def _of_basic_blocks(
    layers: int, num_classes: int, in_channels: int, shortcut: ShortcutName
) -> nn.Module:
    block = partial(BasicBlock, shortcut=_changing(shortcut))
    return CifarResNet(block, (layers - 2) // 6, num_classes, in_channels)


def _of_bottlenecks(
    layers: int, num_classes: int, in_channels: int, shortcut: ShortcutName
) -> nn.Module:
    block = partial(Bottleneck, place="first", shortcut=_changing(shortcut))
    return CifarResNet(block, (layers - 2) // 9, num_classes, in_channels)


def _changing(name: ShortcutName) -> Shortcut:
    one_of("shortcut", name, ("pad", "projection"))
    return ZeroPad if name == "pad" else Projection
