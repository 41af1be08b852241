"""CBAM on ResNets against the published counts, and its two gates against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import cbam
from archstat.zoo.cbam import CBAM, ChannelGate, SpatialGate

# variant, parameters, G multiply-accumulates
PUBLISHED = [
    ("cbam_resnet18", 11_779_392, 1.815),
    ("cbam_resnet34", 21_960_468, 3.665),
    ("cbam_resnet50", 28_089_624, 3.864),
    ("cbam_resnet101", 49_330_172, 7.581),
    ("cbam_resnet152", 66_826_848, 11.298),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, giga_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(cbam, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


def test_gates_cost_a_perceptron_twice_and_a_7x7(on_meta, count_params, count_macs):
    gates = on_meta(CBAM, 256)
    assert count_params(gates) == (256 * 16 + 16 + 16 * 256 + 256) + (2 * 7**2 + 2)
    assert count_macs(gates, 256, 56, 56) == 2 * (2 * 256 * 16) + 56**2 * 2 * 7**2


def test_channel_gate_sums_the_scores_of_average_and_maximum():
    gate = ChannelGate(4, reduction=2)
    x = torch.randn(1, 4, 3, 3)
    average, maximum = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    weights = torch.sigmoid(gate.perceptron(average) + gate.perceptron(maximum))
    torch.testing.assert_close(gate(x), weights * x)


def test_spatial_gate_gives_all_channels_of_a_place_the_same_weight():
    gate = SpatialGate(kernel=3).eval()
    x = torch.rand(1, 4, 5, 5) + 0.5
    weights = gate(x) / x
    torch.testing.assert_close(weights, weights[:, :1].expand_as(weights))


def test_gates_weigh_the_residual_before_the_sum():
    unit = cbam.cbam_resnet18().conv2_x[0].eval()
    nn.init.constant_(unit.gate.channel.perceptron.fc2.bias, -1e4)
    x = torch.rand(1, 64, 9, 9)
    torch.testing.assert_close(unit(x), x)


def test_stride_moves_and_the_parameters_stay(on_meta, count_params, count_macs):
    network = on_meta(cbam.cbam_resnet50, stride="3x3")
    assert count_params(network) == 28_089_624
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == 4.096


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(cbam, name)), 3, 64, 64) == []


@pytest.mark.parametrize("name", ["cbam_resnet18", "cbam_resnet50"])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(cbam, name)(num_classes=7, in_channels=1, reduction=8, kernel=3).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", ["cbam_resnet18", "cbam_resnet50"])
@pytest.mark.parametrize(
    "options",
    [{"num_classes": 0}, {"in_channels": 0}, {"reduction": 0}, {"reduction": 24}, {"kernel": 5}],
)
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(cbam, name)(**options)


def test_unknown_place_of_the_stride_is_refused():
    with pytest.raises(OptionError, match="stride"):
        cbam.cbam_resnet50(stride="last")
