"""LeNet-5: convolution, sub-sampling and a layer of fixed prototypes for digits.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86(11), 1998. `lenet5` is that network, with exactly its
60,000 trainable parameters. `lenet5_modern` is what most frameworks call LeNet-5: every map of
C3 sees all of S2, pooling has no coefficients, the output is one more linear layer.
`lenet_caffe` is the wider network of Caffe's MNIST example.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from types import MappingProxyType

import torch
from torch import Tensor, nn

from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(
    title="LeNet",
    year=1998,
    paper="Proc. IEEE 1998",
    category="spatial",
    input="1x32x32",
    inputs=MappingProxyType({"lenet_caffe": "1x28x28"}),
)

# Table I: the maps of S2 that each map of C3 sees
C3 = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


def lenet5(*, num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """LeNet-5 of 1998; a class scores by its distance to a fixed vector, so less is better."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    return nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(in_channels, 6, kernel_size=5),
            squash1=Squash(),
            s2=SubSampling(6),
            squash2=Squash(),
            c3=PartialConvolution(C3, kernel=5),
            squash3=Squash(),
            s4=SubSampling(16),
            squash4=Squash(),
            c5=nn.Conv2d(16, 120, kernel_size=5),
            squash5=Squash(),
            flatten=nn.Flatten(),
            f6=nn.Linear(120, 84),
            squash6=Squash(),
            output=RadialBasis(84, num_classes),
        )
    )


def lenet5_modern(*, num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """LeNet-5 as it is built today: full C3, plain max pooling, ReLU, a linear output."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    return nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(in_channels, 6, kernel_size=5),
            relu1=nn.ReLU(inplace=True),
            s2=nn.MaxPool2d(kernel_size=2),
            c3=nn.Conv2d(6, 16, kernel_size=5),
            relu3=nn.ReLU(inplace=True),
            s4=nn.MaxPool2d(kernel_size=2),
            c5=nn.Conv2d(16, 120, kernel_size=5),
            relu5=nn.ReLU(inplace=True),
            flatten=nn.Flatten(),
            f6=nn.Linear(120, 84),
            relu6=nn.ReLU(inplace=True),
            output=nn.Linear(84, num_classes),
        )
    )


def lenet_caffe(*, num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """LeNet of Caffe's MNIST example, for 28x28 digits; its only ReLU is the hidden layer's."""
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 20, kernel_size=5),
            pool1=nn.MaxPool2d(kernel_size=2),
            conv2=nn.Conv2d(20, 50, kernel_size=5),
            pool2=nn.MaxPool2d(kernel_size=2),
            flatten=nn.Flatten(),
            ip1=nn.Linear(50 * 4 * 4, 500),
            relu1=nn.ReLU(inplace=True),
            ip2=nn.Linear(500, num_classes),
        )
    )


class Squash(nn.Module):
    """The paper's squashing function: 1.7159 tanh(2/3 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class SubSampling(nn.Module):
    """The sum of every 2x2 window, times a coefficient and plus a bias of its map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sum = nn.AvgPool2d(kernel_size=2, divisor_override=1)
        self.coefficient = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.sum(x)
        return y * self.coefficient + self.bias


class PartialConvolution(nn.Module):
    """A convolution whose maps each see only some of the input's maps."""

    def __init__(self, table: tuple[tuple[int, ...], ...], kernel: int) -> None:
        super().__init__()
        self.table = table
        self.maps = nn.ModuleList(nn.Conv2d(len(seen), 1, kernel) for seen in table)

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.chunk(x.shape[1], dim=1)
        seen = (torch.cat([inputs[i] for i in row], 1) for row in self.table)
        return torch.cat([one(y) for one, y in zip(self.maps, seen, strict=True)], 1)


class RadialBasis(nn.Module):
    """The squared distance of the features to one fixed vector of -1 and +1 a class."""

    vectors: Tensor

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        # the paper draws a 7x12 picture of each digit and says that random signs would do too
        signs = random.Random(1998)
        rows = [signs.choices((-1.0, 1.0), k=features) for _ in range(num_classes)]
        self.register_buffer("vectors", torch.tensor(rows))

    def forward(self, x: Tensor) -> Tensor:
        difference = x.unsqueeze(1) - self.vectors
        return (difference * difference).sum(2)
