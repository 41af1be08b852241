"""GoogLeNet: Inception modules, side by side convolutions of several sizes.

C. Szegedy et al., "Going Deeper with Convolutions", 2014, arXiv:1409.4842. The default is the
paper's network for inference: biases, response normalisation, no batch normalisation.
`aux=1` adds the two classifiers of section 5 that exist in training only.

torchvision's network of this name normalises every convolution and drops its bias, has 3x3
convolutions where the paper has 5x5, and no response normalisation.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive

FAMILY = Family(title="GoogLeNet", year=2014, paper="arXiv:1409.4842", category="spatial")

Layout = Literal["paper", "torchvision"]
Row = tuple[int, int, int, int, int, int]

# Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; a pooling before every "a"
MODULES: tuple[tuple[str, Row], ...] = (
    ("3a", (64, 96, 128, 16, 32, 32)),
    ("3b", (128, 128, 192, 32, 96, 64)),
    ("4a", (192, 96, 208, 16, 48, 64)),
    ("4b", (160, 112, 224, 24, 64, 64)),
    ("4c", (128, 128, 256, 24, 64, 64)),
    ("4d", (112, 144, 288, 32, 64, 64)),
    ("4e", (256, 160, 320, 32, 128, 128)),
    ("5a", (256, 160, 320, 32, 128, 128)),
    ("5b", (384, 192, 384, 48, 128, 128)),
)
# the modules that the auxiliary classifiers follow, and their channels
AUXILIARY = (("inception4a", 512), ("inception4d", 528))


def googlenet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    aux: bool = False,
    batch_norm: bool = False,
    layout: Layout = "paper",
) -> nn.Module:
    """GoogLeNet, or torchvision's network of that name.

    With `aux` a training step gives three tensors: the scores and those of the two auxiliary
    classifiers. `batch_norm` keeps the biases and puts batch normalisation in the place of
    response normalisation; the layout of torchvision has it anyway, without biases.
    """
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    one_of("aux", aux, (False, True))
    one_of("batch_norm", batch_norm, (False, True))
    one_of("layout", layout, ("paper", "torchvision"))
    return GoogLeNet(num_classes, in_channels, aux, batch_norm, layout)


class FilterConcat(nn.ModuleDict):
    """Branches that see the same input, their outputs concatenated over the channels."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.values()], 1)


class Inception(FilterConcat):
    """1x1, reduced 3x3, reduced 5x5 and projected pooling; `kernel` is the 5x5's."""

    def __init__(
        self,
        in_channels: int,
        row: Row,
        *,
        kernel: int = 5,
        bias: bool = True,
        batch_norm: bool = False,
    ) -> None:
        one, reduce3, three, reduce5, five, projection = row

        def convolution(channels: int, filters: int, side: int = 1) -> nn.Sequential:
            return _convolution(channels, filters, side, bias=bias, batch_norm=batch_norm)

        super().__init__(
            branch1=convolution(in_channels, one),
            branch3=nn.Sequential(
                convolution(in_channels, reduce3), convolution(reduce3, three, 3)
            ),
            branch5=nn.Sequential(
                convolution(in_channels, reduce5), convolution(reduce5, five, kernel)
            ),
            pool=nn.Sequential(
                nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
                convolution(in_channels, projection),
            ),
        )


class GoogLeNet(nn.Module):
    """Stem, nine Inception modules and a classifier, with or without the auxiliary ones."""

    def __init__(
        self, num_classes: int, in_channels: int, aux: bool, batch_norm: bool, layout: Layout
    ) -> None:
        super().__init__()
        paper = layout == "paper"
        self.features = _features(in_channels, bias=paper, batch_norm=batch_norm or not paper)
        self.aux = nn.ModuleDict()
        if aux:
            for name, channels in AUXILIARY:
                self.aux[name] = _auxiliary(channels, num_classes, batch_norm, layout)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.4 if paper else 0.2),
            nn.Linear(1024, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        auxiliary = []
        for name, layer in self.features.named_children():
            x = layer(x)
            if self.training and name in self.aux:
                auxiliary.append(self.aux[name](x))
        scores: Tensor = self.classifier(x)
        return (scores, *auxiliary) if auxiliary else scores


def _features(in_channels: int, *, bias: bool, batch_norm: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = _convolution(in_channels, 64, 7, 2, bias=bias, batch_norm=batch_norm)
    layers["pool1"] = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    if not batch_norm:
        layers["norm1"] = nn.LocalResponseNorm(size=5)
    layers["reduce2"] = _convolution(64, 64, 1, bias=bias, batch_norm=batch_norm)
    layers["conv2"] = _convolution(64, 192, 3, bias=bias, batch_norm=batch_norm)
    if not batch_norm:
        layers["norm2"] = nn.LocalResponseNorm(size=5)
    channels = 192
    for name, row in MODULES:
        if name.endswith("a"):
            # torchvision's window before 5a is 2x2
            side = 2 if name == "5a" and not bias else 3
            layers[f"pool{int(name[0]) - 1}"] = nn.MaxPool2d(side, stride=2, ceil_mode=True)
        layers[f"inception{name}"] = Inception(
            channels, row, kernel=5 if bias else 3, bias=bias, batch_norm=batch_norm
        )
        one, _, three, _, five, projection = row
        channels = one + three + five + projection
    return nn.Sequential(layers)


def _auxiliary(channels: int, num_classes: int, batch_norm: bool, layout: Layout) -> nn.Sequential:
    paper = layout == "paper"
    return nn.Sequential(
        nn.AvgPool2d(kernel_size=5, stride=3) if paper else nn.AdaptiveAvgPool2d(4),
        _convolution(channels, 128, 1, bias=paper, batch_norm=batch_norm or not paper),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, 1024),
        nn.ReLU(inplace=True),
        nn.Dropout(0.7),
        nn.Linear(1024, num_classes),
    )


def _convolution(
    in_channels: int,
    filters: int,
    kernel: int,
    stride: int = 1,
    *,
    bias: bool,
    batch_norm: bool,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, filters, kernel, stride, padding=kernel // 2, bias=bias)
    ]
    if batch_norm:
        layers.append(nn.BatchNorm2d(filters, eps=1e-3))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))
