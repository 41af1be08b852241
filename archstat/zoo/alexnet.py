"""AlexNet: the deep convolutional network of ILSVRC 2012.

A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional
Neural Networks", NIPS 2012. The paper's two towers, one a GPU, are groups of one convolution.
It says 224x224, but the 55x55 maps of its figure 2 need 227x227 where nothing is padded.

torchvision's network of this name is the single tower of A. Krizhevsky, "One weird trick for
parallelizing convolutional neural networks", 2014, arXiv:1404.5997: other widths, a padded
first layer for 224x224, no response normalisation.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive

FAMILY = Family(
    title="AlexNet",
    year=2012,
    paper="NIPS 2012",
    category="spatial",
    input="3x227x227",
    inputs={"alexnet,layout=torchvision": "3x224x224"},
)

Layout = Literal["paper", "torchvision"]
Rows = tuple[tuple[int, int, int, int, bool, bool, bool], ...]

# filters, kernel, stride, padding, sees only its own tower, normalise after, pool 3/2 after
PAPER: Rows = (
    (96, 11, 4, 0, False, True, True),
    (256, 5, 1, 2, True, True, True),
    (384, 3, 1, 1, False, False, False),
    (384, 3, 1, 1, True, False, False),
    (256, 3, 1, 1, True, False, True),
)
TORCHVISION: Rows = (
    (64, 11, 4, 2, False, False, True),
    (192, 5, 1, 2, False, False, True),
    (384, 3, 1, 1, False, False, False),
    (256, 3, 1, 1, False, False, False),
    (256, 3, 1, 1, False, False, True),
)


def alexnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    towers: int = 2,
    layout: Layout = "paper",
) -> nn.Module:
    """AlexNet with the paper's two towers, or torchvision's network of that name.

    `towers=1` keeps the paper's widths and lets every convolution see all channels. The layout
    of torchvision always has one tower, and takes 224x224.
    """
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("towers", towers, (1, 2))
    one_of("layout", layout, ("paper", "torchvision"))
    if layout == "torchvision":
        return _torchvision(num_classes, in_channels)
    return _paper(num_classes, in_channels, towers)


def _paper(num_classes: int, in_channels: int, towers: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            features=_features(PAPER, in_channels, towers),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                nn.Linear(256 * 6 * 6, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(4096, num_classes),
            ),
        )
    )


def _torchvision(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            features=_features(TORCHVISION, in_channels, towers=1),
            pool=nn.AdaptiveAvgPool2d(6),
            flatten=nn.Flatten(),
            # dropout comes before the linear layers here, not after
            classifier=nn.Sequential(
                nn.Dropout(0.5),
                nn.Linear(256 * 6 * 6, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Linear(4096, num_classes),
            ),
        )
    )


def _features(rows: Rows, in_channels: int, towers: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = in_channels
    for filters, kernel, stride, padding, split, normalise, pool in rows:
        groups = towers if split else 1
        layers.append(nn.Conv2d(channels, filters, kernel, stride, padding, groups=groups))
        layers.append(nn.ReLU(inplace=True))
        if normalise:
            # k, n, alpha, beta = 2, 5, 1e-4, 0.75; torch divides alpha by n, the paper does not
            layers.append(nn.LocalResponseNorm(size=5, alpha=5 * 1e-4, beta=0.75, k=2.0))
        if pool:
            layers.append(nn.MaxPool2d(kernel_size=3, stride=2))
        channels = filters
    return nn.Sequential(*layers)
