"""Depth of real modules: gates beside the path, fused ops on it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat import zoo

IMAGE = torch.rand(1, 8, 8, 8)


def conv(channels=8, kernel=3):
    return nn.Conv2d(8, channels, kernel, padding=kernel // 2)


class SqueezeExcite(nn.Module):
    def __init__(self, squash):
        super().__init__()
        self.reduce, self.expand, self.squash = conv(8, 1), conv(8, 1), squash

    def forward(self, x):
        return x * self.squash(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class ExciteByLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, x):
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1).flatten(1)))))
        return x * gate.view(-1, 8, 1, 1).expand_as(x)


class CBAM(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(conv(8, 1), nn.ReLU(), conv(8, 1))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x):
        average, largest = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        x = x * torch.sigmoid(self.mlp(average) + self.mlp(largest))
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.spatial(both))


class Highway(nn.Module):
    def __init__(self):
        super().__init__()
        self.transform, self.gate = conv(), conv()

    def forward(self, x):
        gate = torch.sigmoid(self.gate(x))
        return gate * F.relu(self.transform(x)) + (1 - gate) * x


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return F.relu(self.body(x) + x)


DEPTHS = [
    ("plain", [conv(), nn.ReLU(), conv()], 2),
    ("squeeze and excite", [conv(), SqueezeExcite(nn.Sigmoid()), conv()], 2),
    ("squeeze and excite by a hard sigmoid", [conv(), SqueezeExcite(nn.Hardsigmoid()), conv()], 2),
    ("squeeze and excite by linear layers", [conv(), ExciteByLinear(), conv()], 2),
    ("channel and spatial attention", [conv(), CBAM(), conv()], 2),
    ("highway", [conv(), Highway(), Highway()], 3),
    ("swish as a product", [conv(), Swish(), conv(), Swish()], 2),
    ("swish as an op", [conv(), nn.SiLU(), conv(), nn.SiLU()], 2),
    ("gated linear unit", [conv(16), nn.GLU(1), conv()], 2),
    ("residual", [conv(), Residual(conv(), nn.ReLU(), conv()), conv()], 4),
    ("residual with a gate", [conv(), Residual(conv(), SqueezeExcite(nn.Sigmoid())), conv()], 3),
    ("ReLU6 before a gate", [conv(), nn.ReLU6(), SqueezeExcite(nn.Sigmoid()), conv()], 2),
    ("scores at the end", [conv(), nn.Flatten(), nn.Linear(512, 5), nn.Softmax(-1)], 2),
    ("parallel branches", [Residual(), conv()], 1),
]


@pytest.mark.parametrize(("layers", "depth"), [r[1:] for r in DEPTHS], ids=[r[0] for r in DEPTHS])
def test_depth_of_a_network_leaves_its_gates_out(layers, depth, totals):
    assert totals(nn.Sequential(*layers), IMAGE)["depth"] == depth


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("alexnet", 5 + 3),
        ("vgg11", 8 + 3),
        ("vgg16", 13 + 3),
        ("vgg19_bn", 16 + 3),
        ("resnet18", 1 + 2 * 8 + 1),
        ("resnet50", 1 + 3 * 16 + 1),
        ("resnet152", 1 + 3 * 50 + 1),
        ("mobilenet_v1", 1 + 2 * 13 + 1),
    ],
)
def test_depth_of_a_published_network_is_the_number_in_its_name(name, depth, totals):
    with torch.device("meta"):
        net = zoo.build(name)
    assert totals(net, torch.empty(1, 3, 227, 227, device="meta"))["depth"] == depth
