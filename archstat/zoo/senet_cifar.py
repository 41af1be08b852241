"""SENet for CIFAR: squeeze-and-excitation on the basic blocks of the CIFAR ResNets.

J. Hu, L. Shen, S. Albanie, G. Sun and E. Wu, "Squeeze-and-Excitation Networks", 2017,
arXiv:1709.01507. Shortcuts are those of the CIFAR ResNets: zeros, or projections.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of
from archstat.zoo.resnet import BasicBlock, Projection
from archstat.zoo.resnet_cifar import CifarResNet, ShortcutName, ZeroPad
from archstat.zoo.senet import SqueezeExcitation

FAMILY = Family(
    title="SENet (CIFAR)",
    year=2017,
    paper="arXiv:1709.01507",
    category="feature-map",
    input="3x32x32",
)


def seresnet20_cifar10(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    reduction: int = 16,
    shortcut: ShortcutName = "pad",
) -> nn.Module:
    """SE-ResNet-20, of basic blocks."""
    return _seresnet(20, num_classes, in_channels, reduction, shortcut)


def seresnet56_cifar10(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    reduction: int = 16,
    shortcut: ShortcutName = "pad",
) -> nn.Module:
    """SE-ResNet-56, of basic blocks."""
    return _seresnet(56, num_classes, in_channels, reduction, shortcut)


def seresnet110_cifar10(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    reduction: int = 16,
    shortcut: ShortcutName = "pad",
) -> nn.Module:
    """SE-ResNet-110, of basic blocks."""
    return _seresnet(110, num_classes, in_channels, reduction, shortcut)


def _seresnet(
    layers: int, num_classes: int, in_channels: int, reduction: int, shortcut: ShortcutName
) -> nn.Module:
    one_of("shortcut", shortcut, ("pad", "projection"))
    block = partial(
        BasicBlock,
        gate=partial(SqueezeExcitation, reduction=reduction),
        shortcut=ZeroPad if shortcut == "pad" else Projection,
    )
    return CifarResNet(block, (layers - 2) // 6, num_classes, in_channels)
