"""MobileNet v1 against the paper's counts, over widths and resolutions."""

from __future__ import annotations

import math

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo.mobilenet_v1 import DepthwiseSeparable, mobilenet_v1


@pytest.mark.parametrize(
    ("width", "params"),
    [(1.0, 4_231_976), (0.75, 2_585_560), (0.5, 1_331_592), (0.25, 470_072)],
)
def test_parameters_are_the_published_ones(width, params, on_meta, count_params):
    assert count_params(on_meta(mobilenet_v1, width=width)) == params


@pytest.mark.parametrize(
    ("width", "side", "mega_macs"),
    [
        (1.0, 224, 568.7),
        (0.75, 224, 325.4),
        (0.5, 224, 149.5),
        (0.25, 224, 41.0),
        (1.0, 192, 418.1),
        (1.0, 160, 290.7),
        (1.0, 128, 186.4),
    ],
)
def test_macs_are_the_published_ones(width, side, mega_macs, on_meta, count_macs):
    macs = count_macs(on_meta(mobilenet_v1, width=width), 3, side, side)
    assert round(macs / 1e6, 1) == mega_macs


def test_stanford_dogs_classifier_gives_the_published_3_3_million(on_meta, count_params):
    params = count_params(on_meta(mobilenet_v1, num_classes=120))
    assert params == 4_231_976 - (1000 - 120) * (1024 + 1)
    assert round(params / 1e6, 1) == 3.3


def test_block_filters_each_channel_alone_and_then_mixes(on_meta, count_params, count_macs):
    block = on_meta(DepthwiseSeparable, 32, 64, stride=2)
    assert count_params(block) == 32 * 3 * 3 + 2 * 32 + 32 * 64 + 2 * 64
    assert count_macs(block, 32, 112, 112) == 56 * 56 * (32 * 3 * 3 + 32 * 64)


def test_width_is_rounded_down(on_meta):
    assert on_meta(mobilenet_v1, width=0.37).fc.in_features == math.floor(0.37 * 1024)


@pytest.mark.parametrize("width", [1 / 32, 0.25, 1.4])
def test_gradient_reaches_every_parameter(width, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(mobilenet_v1, width=width), 3, 32, 32) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        network = mobilenet_v1(num_classes=7, in_channels=1, width=0.25).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


def test_width_that_leaves_no_channel_is_refused():
    with pytest.raises(OptionError, match=r"give a width of at least 0\.03125"):
        mobilenet_v1(width=0.03)


@pytest.mark.parametrize(
    "options",
    [{"num_classes": 0}, {"in_channels": 0}, {"width": 0}, {"width": -1.0}, {"width": math.nan}],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        mobilenet_v1(**options)
