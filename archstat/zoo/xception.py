"""Xception: Inception taken to its extreme, depthwise separable convolutions with shortcuts.

F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2016,
arXiv:1610.02357.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(
    title="Xception",
    year=2016,
    paper="arXiv:1610.02357",
    category="width",
    input="3x299x299",
)

# Figure 5: filters of a module's separable convolutions, stride
MODULES = (
    ((128, 128), 2),
    ((256, 256), 2),
    ((728, 728), 2),
    *(((728, 728, 728), 1) for _ in range(8)),
    ((728, 1024), 2),
)
# the separable convolutions behind the modules
LAST = (1536, 2048)


def xception(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Xception."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, 32, kernel_size=3, stride=2, bias=False),
        bn1=nn.BatchNorm2d(32),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(32, 64, kernel_size=3, bias=False),
        bn2=nn.BatchNorm2d(64),
        relu2=nn.ReLU(inplace=True),
    )
    channels = 64
    for index, (filters, stride) in enumerate(MODULES, start=1):
        # the input of the first module is activated already
        layers[f"module{index}"] = XceptionModule(channels, filters, stride, relu=index > 1)
        channels = filters[-1]
    for index, width in enumerate(LAST, start=3):
        layers[f"conv{index}"] = SeparableConvolution(channels, width)
        layers[f"bn{index}"] = nn.BatchNorm2d(width)
        layers[f"relu{index}"] = nn.ReLU(inplace=True)
        channels = width
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)


class SeparableConvolution(nn.Sequential):
    """A 3x3 convolution of each channel alone and a 1x1, with nothing between them."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__(
            OrderedDict(
                depthwise=nn.Conv2d(
                    in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False
                ),
                pointwise=nn.Conv2d(in_channels, filters, kernel_size=1, bias=False),
            )
        )


class XceptionModule(nn.Module):
    """Separable convolutions, each behind a ReLU, and a shortcut; a pooling takes the stride."""

    def __init__(
        self, in_channels: int, filters: tuple[int, ...], stride: int, *, relu: bool = True
    ) -> None:
        super().__init__()
        self.shortcut = _shortcut(in_channels, filters[-1], stride)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_channels
        for index, width in enumerate(filters, start=1):
            if relu or index > 1:
                # the shortcut too reads what the first ReLU reads
                layers[f"relu{index}"] = nn.ReLU(inplace=index > 1)
            layers[f"conv{index}"] = SeparableConvolution(channels, width)
            layers[f"bn{index}"] = nn.BatchNorm2d(width)
            channels = width
        if stride > 1:
            layers["pool"] = nn.MaxPool2d(kernel_size=3, stride=stride, padding=1)
        self.residual = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += self.shortcut(x)
        return y


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
            bn=nn.BatchNorm2d(out_channels),
        )
    )
