"""ZFNet: AlexNet with the first layers that a look at its features asked for.

M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", 2013,
arXiv:1311.2901. Smaller filters and a smaller stride than AlexNet's, and no towers.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive

FAMILY = Family(title="ZFNet", year=2013, paper="arXiv:1311.2901", category="spatial")

# Figure 3: filters, kernel, stride, padding, pool 3/2 after, normalise after
Rows = tuple[tuple[int, int, int, int, bool, bool], ...]
FIRST: Rows = (
    (96, 7, 2, 1, True, True),
    (256, 5, 2, 0, True, True),
)
LAST: Rows = (
    (384, 3, 1, 1, False, False),
    (384, 3, 1, 1, False, False),
    (256, 3, 1, 1, True, False),
)
# Table 3, the row with more maps in layers 3, 4 and 5
WIDE: Rows = (
    (512, 3, 1, 1, False, False),
    (1024, 3, 1, 1, False, False),
    (512, 3, 1, 1, True, False),
)


def zfnet(*, num_classes: int = 1000, in_channels: int = 3, wide: bool = False) -> nn.Module:
    """ZFNet; `wide` has 512, 1024 and 512 maps in layers 3 to 5, the paper's best variant."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("wide", wide, (False, True))
    rows = FIRST + (WIDE if wide else LAST)
    filters = rows[-1][0]
    return nn.Sequential(
        OrderedDict(
            features=_features(rows, in_channels),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                nn.Linear(filters * 6 * 6, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(4096, num_classes),
            ),
        )
    )


def _features(rows: Rows, in_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = in_channels
    for filters, kernel, stride, padding, pool, normalise in rows:
        layers.append(nn.Conv2d(channels, filters, kernel, stride, padding))
        layers.append(nn.ReLU(inplace=True))
        if pool:
            # figure 3's sides, 110 to 55 and 26 to 13, need a last window that hangs over
            layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
        if normalise:
            layers.append(nn.LocalResponseNorm(size=5, alpha=5 * 1e-4, beta=0.75, k=2.0))
        channels = filters
    return nn.Sequential(*layers)
