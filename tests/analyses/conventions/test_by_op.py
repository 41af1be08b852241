"""Emulated counts op by op, against the tools where they are dependencies, else by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import archstat  # noqa: E402
from archstat.analyses.conventions.by_op import (  # noqa: E402
    FLOP_COUNTER,
    FVCORE,
    PTFLOPS_ATEN,
    TORCHPROFILE,
    by_op,
)
from archstat.measure.other_tools import fvcore_count  # noqa: E402


class Attention(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Dead(nn.Module):
    """Runs a layer whose output nobody reads."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(4, 5), nn.Linear(4, 6)

    def forward(self, x):
        self.unused(x)
        return self.used(x)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


MODELS = {
    "convolution with bias": (lambda: nn.Conv2d(3, 8, 3), (2, 3, 9, 9)),
    "grouped convolution": (lambda: nn.Conv2d(4, 8, 3, groups=2), (2, 4, 9, 9)),
    "transposed convolution": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (2, 4, 9, 9)),
    "linear over tokens": (lambda: nn.Linear(4, 5), (2, 7, 4)),
    "batch norm": (lambda: nn.BatchNorm2d(4), (2, 4, 5, 5)),
    "batch norm without scale": (lambda: nn.BatchNorm2d(4, affine=False), (2, 4, 5, 5)),
    "layer norm": (lambda: nn.LayerNorm(4), (2, 7, 4)),
    "layer norm without scale": (lambda: nn.LayerNorm(4, elementwise_affine=False), (2, 7, 4)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (2, 4, 5, 5)),
    "global pooling": (lambda: nn.AdaptiveAvgPool2d(1), (2, 4, 5, 5)),
    "adaptive pooling": (lambda: nn.AdaptiveAvgPool2d(2), (2, 4, 5, 5)),
    "a mean that is no pooling": (Mean, (2, 4, 5, 5)),
    "nearest upsampling": (lambda: nn.Upsample(scale_factor=2), (2, 4, 5, 5)),
    "bilinear upsampling": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (2, 4, 5, 5)),
    "fused attention": (Attention, (2, 3, 7, 4)),
    "a layer that nobody reads": (Dead, (2, 4)),
}


@pytest.mark.parametrize("name", MODELS)
def test_fvcore_is_emulated_to_the_unit(name):
    make, shape = MODELS[name]
    theirs = fvcore_count(make().eval(), torch.rand(shape)).macs
    assert sum(by_op(_graph(make, shape), FVCORE, prunes=True).values()) == theirs


@pytest.mark.parametrize("name", MODELS)
def test_flop_counter_is_emulated_to_the_unit(name):
    make, shape = MODELS[name]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        make().eval()(torch.rand(shape))
    assert sum(by_op(_graph(make, shape), FLOP_COUNTER).values()) == counter.get_total_flops()


def _graph(make, shape):
    return archstat.capture(make().eval(), torch.empty(shape, device="meta"))


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("convolution with bias", 2 * 7 * 7 * 8 * (3 * 3 * 3 + 1)),
        ("linear over tokens", 2 * 7 * 5 * (4 + 1)),
        ("batch norm", 0),
        ("fused attention", 0),
        ("a layer that nobody reads", 2 * (5 * (4 + 1) + 6 * (4 + 1))),
    ],
)
def test_ptflops_aten_adds_a_bias_and_nothing_else(name, figure):
    assert sum(by_op(_graph(*MODELS[name]), PTFLOPS_ATEN).values()) == figure


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("convolution with bias", 2 * 7 * 7 * 8 * 3 * 3 * 3),
        ("batch norm", 2 * 4 * 5 * 5),
        ("batch norm without scale", 0),
        ("global pooling", 2 * 4),
        ("bilinear upsampling", 2 * 4 * 10 * 10 * 4),
        ("fused attention", 2 * 2 * 3 * 7 * 7 * 4),
        ("a layer that nobody reads", 2 * 4 * 5),
    ],
)
def test_torchprofile_adds_one_an_element_of_norms_and_averages(name, figure):
    assert sum(by_op(_graph(*MODELS[name]), TORCHPROFILE, prunes=True).values()) == figure
