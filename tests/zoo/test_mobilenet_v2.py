"""MobileNet v2 against its published counts, over widths, resolutions and roundings."""

from __future__ import annotations

import math

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo.mobilenet_v2 import InvertedResidual, Width, mobilenet_v2


@pytest.mark.parametrize(
    ("width", "params", "mega_macs"),
    [
        (1.0, 3_504_872, 300.8),
        (1.4, 6_108_776, 582.2),
        (1.3, 5_386_792, 509.4),
        (0.75, 2_636_424, 209.1),
        (0.5, 1_968_680, 97.1),
        (0.35, 1_677_128, 59.3),
    ],
)
def test_counts_are_the_published_ones(width, params, mega_macs, on_meta, count_params, count_macs):
    network = on_meta(mobilenet_v2, width=width)
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e6, 1) == mega_macs


@pytest.mark.parametrize(
    ("width", "mega_params"),
    [(1.0, 3.47), (1.4, 6.06), (1.3, 5.34), (0.75, 2.61), (0.5, 1.95), (0.35, 1.66)],
)
def test_parameters_without_normalisation_are_those_of_the_authors(width, mega_params, on_meta):
    modules = on_meta(mobilenet_v2, width=width).modules()
    layers = [m for m in modules if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    params = sum(p.numel() for layer in layers for p in layer.parameters())
    assert round(params / 1e6, 2) == mega_params


# the authors' table cuts the decimals off
@pytest.mark.parametrize(
    ("width", "side", "mega_macs"),
    [
        (1.0, 224, 300),
        (1.0, 192, 221),
        (1.0, 160, 154),
        (1.0, 128, 99),
        (1.0, 96, 56),
        (0.75, 160, 107),
        (0.5, 128, 32),
        (0.35, 96, 11),
    ],
)
def test_macs_follow_the_resolution(width, side, mega_macs, on_meta, count_macs):
    macs = count_macs(on_meta(mobilenet_v2, width=width), 3, side, side)
    assert int(macs / 1e6) == mega_macs


# the network of imgclsmob: exact widths, a 1x1 in the first block, no bias in the classifier
@pytest.mark.parametrize(
    ("width", "params"), [(1.0, 3_504_960), (0.75, 2_627_592), (0.5, 1_964_736), (0.25, 1_516_392)]
)
def test_options_give_the_counts_of_another_implementation(width, params, on_meta, count_params):
    network = on_meta(mobilenet_v2, width=width, divisor=1, expand_first=True, bias=False)
    assert count_params(network) == params


def test_block_expands_filters_and_projects(on_meta, count_params, count_macs):
    block = on_meta(InvertedResidual, 24, 144, 32, stride=2)
    assert count_params(block) == 24 * 144 + 144 * 9 + 144 * 32 + 2 * (144 + 144 + 32)
    assert count_macs(block, 24, 56, 56) == 56**2 * 24 * 144 + 28**2 * (144 * 9 + 144 * 32)


def test_block_without_expansion_starts_with_the_depthwise_convolution(on_meta, count_params):
    block = on_meta(InvertedResidual, 32, 32, 16, stride=1, expand=False)
    assert count_params(block) == 32 * 9 + 32 * 16 + 2 * (32 + 16)


def test_block_is_the_identity_where_its_projection_is_zero():
    block = InvertedResidual(8, 48, 8, stride=1).eval()
    torch.nn.init.zeros_(block.residual.bn3.weight)
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize(("filters", "stride"), [(8, 2), (16, 1)])
def test_block_that_changes_the_shape_has_no_shortcut(filters, stride):
    block = InvertedResidual(8, 48, filters, stride).eval()
    torch.nn.init.zeros_(block.residual.bn3.weight)
    assert not block(torch.randn(1, 8, 5, 5)).any()


# the last two: rounding down would lose more than a tenth, and nothing falls below the divisor
@pytest.mark.parametrize(
    ("channels", "multiplier", "divisor", "expected"),
    [(32, 1.0, 8, 32), (24, 1.4, 8, 32), (96, 1.4, 8, 136), (24, 0.75, 8, 24), (16, 0.1, 8, 8)],
)
def test_width_is_rounded_to_a_multiple(channels, multiplier, divisor, expected):
    assert Width(multiplier, divisor)(channels) == expected


@pytest.mark.parametrize("width", [0.01, 1.4])
def test_gradient_reaches_every_parameter(width, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(mobilenet_v2, width=width), 3, 32, 32) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        network = mobilenet_v2(num_classes=7, in_channels=1, width=0.25).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_torchvision_weights_load_by_position(width, torchvision, on_meta, difference_by_position):
    ours = on_meta(mobilenet_v2, width=width)
    theirs = torchvision.models.mobilenet_v2(width_mult=width)
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0},
        {"in_channels": 0},
        {"width": 0},
        {"width": math.nan},
        {"divisor": 0},
        {"expand_first": 2},
        {"bias": "yes"},
    ],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        mobilenet_v2(**options)
