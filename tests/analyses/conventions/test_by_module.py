"""Emulated counts by type of module, against the tools' own formulas written out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import archstat  # noqa: E402
from archstat.analyses.conventions.by_module import thop, torchinfo  # noqa: E402


class LayerNorm(nn.LayerNorm):
    """A class of one's own, which no tool's table of types holds."""


class Shared(nn.Module):
    """A layer that two parents hold and that runs twice."""

    def __init__(self):
        super().__init__()
        layer = nn.Linear(4, 4)
        self.first, self.second = nn.Sequential(layer), nn.Sequential(layer)

    def forward(self, x):
        return self.second(self.first(x))


THOP = {
    "convolution without its bias": (nn.Conv2d(4, 6, 3), (2, 4, 9, 9), 2 * 7 * 7 * 6 * 4 * 9),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), (2, 4, 9, 9), 2 * 7 * 7 * 4 * 9),
    "transposed by the output": (
        nn.ConvTranspose2d(4, 6, 3), (2, 4, 9, 9), 2 * 11 * 11 * 6 * 4 * 9,
    ),
    "norm with a scale": (nn.BatchNorm2d(4), (2, 4, 5, 5), 4 * 2 * 4 * 25),
    "norm without a scale": (nn.BatchNorm2d(4, affine=False), (2, 4, 5, 5), 2 * 2 * 4 * 25),
    "norm of one's own": (LayerNorm(4), (2, 7, 4), 0),
    "global pooling": (nn.AdaptiveAvgPool2d(1), (2, 4, 5, 5), (25 + 1) * 2 * 4),
    "average pooling": (nn.AvgPool2d(2), (2, 4, 6, 6), 2 * 4 * 9),
    "softmax": (nn.Softmax(dim=1), (2, 7), 2 * (7 + 6 + 7)),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), (2, 4, 5, 5), 11 * 2 * 4 * 100),
    "nearest": (nn.Upsample(scale_factor=2), (2, 4, 5, 5), 2 * 4 * 100),
    "linear": (nn.Linear(4, 5), (2, 7, 4), 2 * 7 * 5 * 4),
    "a layer of two parents, run twice": (Shared(), (2, 4), 2 * 2 * 2 * 2 * 4 * 4),
    "lstm": (
        nn.LSTM(4, 5), (7, 2, 4), 7 * 2 * (4 * 5 * (4 + 5 + 1 + 2) + 4 * 5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", THOP)
def test_thop(name):
    model, shape, figure = THOP[name]
    graph = archstat.capture(model.eval(), torch.empty(shape, device="meta"))
    assert sum(thop(graph).values()) == figure


TORCHINFO = {
    "convolution with bias": (nn.Conv2d(4, 6, 3), (2, 4, 9, 9), 2 * 7 * 7 * (6 * 4 * 9 + 6)),
    "norm": (nn.BatchNorm2d(4), (2, 4, 5, 5), 2 * (4 + 4)),
    "linear of one token": (nn.Linear(4, 5), (2, 7, 4), 2 * (5 * 4 + 5)),
    "recurrence a step": (
        nn.LSTM(4, 5), (7, 2, 4), 7 * 2 * (4 * 5 * 4 + 4 * 5 * 5 + 2 * 4 * 5),
    ),
    "a layer run twice": (Shared(), (2, 4), 2 * 2 * (4 * 4 + 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCHINFO)
def test_torchinfo(name):
    model, shape, figure = TORCHINFO[name]
    graph = archstat.capture(model.eval(), torch.empty(shape, device="meta"))
    assert sum(torchinfo(graph).values()) == figure
