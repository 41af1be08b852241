"""VGG: depth from 3x3 convolutions alone.

K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", 2014, arXiv:1409.1556. The paper has no batch normalisation; the `_bn` networks
are torchvision's, which keep the bias of the convolutions.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(title="VGG", year=2014, paper="arXiv:1409.1556", category="depth")

# Table 1: filters of the five stages, and each configuration's 3x3 convolutions in them
FILTERS = (64, 128, 256, 512, 512)
A = (1, 1, 2, 2, 2)
B = (2, 2, 2, 2, 2)
D = (2, 2, 3, 3, 3)
E = (2, 2, 4, 4, 4)


def vgg11(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-11, configuration A."""
    return _vgg(A, num_classes, in_channels)


def vgg13(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-13, configuration B."""
    return _vgg(B, num_classes, in_channels)


def vgg16(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-16, configuration D."""
    return _vgg(D, num_classes, in_channels)


def vgg19(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-19, configuration E."""
    return _vgg(E, num_classes, in_channels)


def vgg11_bn(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-11 with batch normalisation after every convolution."""
    return _vgg(A, num_classes, in_channels, batch_norm=True)


def vgg13_bn(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-13 with batch normalisation after every convolution."""
    return _vgg(B, num_classes, in_channels, batch_norm=True)


def vgg16_bn(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-16 with batch normalisation after every convolution."""
    return _vgg(D, num_classes, in_channels, batch_norm=True)


def vgg19_bn(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """VGG-19 with batch normalisation after every convolution."""
    return _vgg(E, num_classes, in_channels, batch_norm=True)


def _vgg(
    depths: tuple[int, ...], num_classes: int, in_channels: int, *, batch_norm: bool = False
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    features: list[nn.Module] = []
    channels = in_channels
    for filters, depth in zip(FILTERS, depths, strict=True):
        for _ in range(depth):
            features.append(nn.Conv2d(channels, filters, kernel_size=3, padding=1))
            if batch_norm:
                features.append(nn.BatchNorm2d(filters))
            features.append(nn.ReLU(inplace=True))
            channels = filters
        features.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            # torchvision's: nothing changes at 224, and any other resolution fits the classifier
            pool=nn.AdaptiveAvgPool2d(7),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                nn.Linear(channels * 7 * 7, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(4096, num_classes),
            ),
        )
    )
