"""PyramidNet on ImageNet: published counts, the widths of its units, and its shortcuts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import pyramidnet
from archstat.zoo.pyramidnet import PooledShortcut, PyramidBasicBlock, PyramidBottleneck

# variant, parameters, the paper's millions without normalisation, channels at the end
PUBLISHED = [
    ("pyramidnet101_a360_imagenet", 42_455_070, 42.3, 4 * (64 + 360)),
    ("pyramidnet200_a300_imagenet", 62_368_168, 62.1, 1456),
    ("pyramidnet200_a450_imagenet", 116_775_213, 116.4, 2056),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "millions", "channels"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, millions, channels, on_meta, count_params):
    network = on_meta(getattr(pyramidnet, name))
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert count_params(network) == params
    assert round((params - sum(count_params(norm) for norm in norms)) / 1e6, 1) == millions
    assert network.fc.in_features == channels


def test_width_of_a_unit_is_the_start_and_its_part_of_alpha_rounded(on_meta):
    network = on_meta(pyramidnet.pyramidnet101_a360_imagenet)
    stages = [getattr(network, f"stage{stage}") for stage in (1, 2, 3, 4)]
    widths = [unit.residual.conv1.out_channels for stage in stages for unit in stage]
    assert widths == [round(64 + unit * 360 / 33) for unit in range(1, 34)]


def test_shortcut_averages_four_pixels_and_adds_channels_of_zeros():
    x = torch.randn(1, 2, 4, 6)
    y = PooledShortcut(2, 5, stride=2)(x)
    assert y.shape == (1, 5, 2, 3)
    torch.testing.assert_close(y[0, 1, 1, 2], x[0, 1, 2:, 4:].mean())
    assert not y[:, 2:].any()


@pytest.mark.parametrize("block", [PyramidBasicBlock, PyramidBottleneck])
def test_unit_is_the_identity_with_zeros_behind_where_its_residual_is_zero(block):
    unit = block(4, 2 * 4 // block.expansion, stride=1).eval()
    nn.init.zeros_(unit.residual[-1].weight)
    x = torch.randn(1, 4, 5, 5)
    y = unit(x)
    assert torch.equal(y[:, :4], x)
    assert not y[:, 4:].any()


def test_unit_does_not_activate_before_its_first_convolution(on_meta):
    residual = on_meta(PyramidBottleneck, 64, 16, stride=1).residual
    assert [name for name, _ in residual.named_children()] == [
        *("bn1", "conv1", "bn2", "relu2", "conv2", "bn3", "relu3", "conv3", "bn4")
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(pyramidnet, name)), 3, 64, 64) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        factory = pyramidnet.pyramidnet101_a360_imagenet
        network = factory(num_classes=7, in_channels=1, alpha=16).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"alpha": 0}])
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        pyramidnet.pyramidnet101_a360_imagenet(**options)
