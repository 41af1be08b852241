"""Highway networks: gates decide how much of a layer's input passes unchanged.

R. Srivastava, K. Greff and J. Schmidhuber, "Training Very Deep Networks", 2015,
arXiv:1507.06228. The layer tables are those of the authors' Caffe models: the paper prints the
depth and the parameters of its convolutional networks, no tables.
"""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType

import torch
from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(
    title="Highway network",
    year=2015,
    paper="arXiv:1507.06228",
    category="multi-path",
    input="3x32x32",
    inputs=MappingProxyType({"highway10_mnist": "1x28x28"}),
)

# filters of the plain convolution that widens, highway layers after it; pooling in between
CIFAR = ((32, 4), (80, 5), (128, 5))
# highway layers of the three stages, window of the pooling and dropout after them
MNIST = ((2, 3, 0.3), (3, 3, 0.4), (3, 2, 0.5))


def highway19_cifar10(*, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Highway network of 19 layers for CIFAR-10, 14 of them gated."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    layers: OrderedDict[str, nn.Module] = OrderedDict(drop0=nn.Dropout(0.2))
    channels = in_channels
    for stage, (filters, depth) in enumerate(CIFAR, start=1):
        if stage > 1:
            layers[f"pool{stage - 1}"] = nn.MaxPool2d(kernel_size=2)
            layers[f"drop{stage - 1}"] = nn.Dropout(0.2)
        layers[f"conv{stage}"] = nn.Conv2d(channels, filters, kernel_size=3, padding=1)
        layers[f"relu{stage}"] = nn.ReLU(inplace=True)
        layers[f"highway{stage}"] = nn.Sequential(
            *(Highway(filters, gate_bias=-2.0) for _ in range(depth))
        )
        channels = filters
    layers["conv4"] = nn.Conv2d(channels, 100, kernel_size=1)
    layers["relu4"] = nn.ReLU(inplace=True)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["drop"] = nn.Dropout(0.2)
    layers["fc"] = nn.Linear(100, num_classes)
    return nn.Sequential(layers)


def highway10_mnist(*, num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """Highway network of 10 layers for MNIST, 8 of them gated."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        drop0=nn.Dropout(0.2),
        conv1=nn.Conv2d(in_channels, 32, kernel_size=5),
        relu1=nn.ReLU(inplace=True),
    )
    for stage, (depth, window, dropout) in enumerate(MNIST, start=1):
        layers[f"highway{stage}"] = nn.Sequential(
            *(Highway(32, gate_bias=-1.0) for _ in range(depth))
        )
        layers[f"pool{stage}"] = nn.MaxPool2d(window, stride=2, ceil_mode=True)
        layers[f"drop{stage}"] = nn.Dropout(dropout)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(32 * 3 * 3, num_classes)
    return nn.Sequential(layers)


class Highway(nn.Module):
    """T(x) H(x) + (1 - T(x)) x, where H and the gate T are 3x3 convolutions of the same width."""

    def __init__(self, channels: int, gate_bias: float = -2.0) -> None:
        super().__init__()
        self.transform = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.gate = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        # a negative bias makes the untrained layer pass its input on
        self.gate.bias = nn.Parameter(torch.full((channels,), gate_bias))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.transform(x))
        t = torch.sigmoid(self.gate(x))
        return t * h + (1 - t) * x
